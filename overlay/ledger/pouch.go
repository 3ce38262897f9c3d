package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxPouch bounds the receipts that are kept: when there are more, the oldest ones go.
	maxPouch = 1 << 16
	// maxPouchFile bounds what is read of a file in bytes.
	maxPouchFile = maxPouch * (MaxReceipt + 128)
	// keepUnsent is how long a receipt is kept for an owner that does not come back.
	keepUnsent = 90 * 24 * time.Hour
)

// Pouch keeps the newest receipt of each series, of both sides, until the owner of the channel has acknowledged it. It is
// safe for concurrent use.
type Pouch struct {
	path string // "" keeps nothing on disk

	mu    sync.Mutex // guards the fields below
	kept  map[Series]*kept
	dirty bool
}

// kept is a receipt that waits for its owner's word.
type kept struct {
	owner   Peer
	receipt *Receipt
	raw     []byte
	hash    [sha256.Size]byte
	missing uint64
	tried   time.Time // when it was last handed out
}

// OpenPouch returns the pouch of a file, which need not exist; "" is none. What cannot be read of the file is lost, which
// the error tells; the pouch is good all the same.
func OpenPouch(path string) (*Pouch, error) {
	p := &Pouch{path: path, kept: make(map[Series]*kept)}
	if path == "" {
		return p, nil
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil && st.Size() > maxPouchFile {
		err = fmt.Errorf("%d bytes are too many", st.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err == nil {
		err = p.decode(b)
	}
	if err != nil {
		return p, fmt.Errorf("read the receipts that wait in %s: %w", path, err)
	}
	return p, nil
}

// decode reads the file: messages {1: owner, 2: receipt as signed, 3: missing}, each after its length.
func (p *Pouch) decode(b []byte) error {
	for len(b) > 0 {
		n, at := binary.Uvarint(b)
		if at <= 0 || n > uint64(len(b)-at) {
			return fmt.Errorf("%w: cut short", ErrFormat)
		}
		var k kept
		var bad error
		err := walk(b[at:at+int(n)], func(num protowire.Number, n uint64, v []byte) {
			switch num {
			case 1:
				hash32((*[32]byte)(&k.owner), v, &bad)
			case 2:
				k.raw = slices.Clone(v)
			case 3:
				k.missing = n
			}
		})
		b = b[at+int(n):]
		if err = errors.Join(err, bad); err != nil {
			return err
		}
		if k.receipt, err = ParseReceipt(k.raw); err != nil {
			return err
		}
		k.hash = hashOf(k.raw)
		p.kept[k.receipt.Series] = &k
	}
	return nil
}

// Put keeps a receipt, in the place of an earlier one of its series.
func (p *Pouch) Put(owner Peer, r *Receipt, raw []byte, missing uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.kept[r.Series]; old != nil && old.receipt.Window >= r.Window {
		return
	}
	if len(p.kept) >= maxPouch && p.kept[r.Series] == nil {
		p.dropOldest()
	}
	p.kept[r.Series] = &kept{owner: owner, receipt: r, raw: raw, hash: hashOf(raw), missing: missing}
	p.dirty = true
}

// dropOldest makes room. The lock is held.
func (p *Pouch) dropOldest() {
	var oldest *kept
	for _, k := range p.kept {
		if oldest == nil || k.receipt.Time.Before(oldest.receipt.Time) {
			oldest = k
		}
	}
	delete(p.kept, oldest.receipt.Series)
}

// Owners returns whose receipts there are.
func (p *Pouch) Owners() (all []Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kept {
		if !slices.Contains(all, k.owner) {
			all = append(all, k.owner)
		}
	}
	slices.SortFunc(all, Peer.compare)
	return all
}

// Has tells whether there are receipts of an owner.
func (p *Pouch) Has(owner Peer) bool { return slices.Contains(p.Owners(), owner) }

// Claims hands out receipts of an owner, those first that were not handed out for longest, and those that this gateway
// signed before others: what it was given explains what it gives.
func (p *Pouch) Claims(owner, self Peer, most int, now time.Time) (cs []Claim, rs []*Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*kept
	for s, k := range p.kept {
		if now.Sub(k.receipt.Time) > keepUnsent {
			delete(p.kept, s)
			p.dirty = true
			continue
		}
		if k.owner == owner {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b *kept) int {
		if c := a.tried.Compare(b.tried); c != 0 {
			return c
		}
		return rank(a, self) - rank(b, self)
	})
	for _, k := range all[:min(len(all), most)] {
		k.tried = now
		cs, rs = append(cs, Claim{Raw: k.raw, Missing: k.missing}), append(rs, k.receipt)
	}
	return cs, rs
}

func rank(k *kept, self Peer) int {
	if k.receipt.Downloader == self {
		return 0
	}
	return 1
}

// Settle forgets a receipt that the owner has.
func (p *Pouch) Settle(hash [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, k := range p.kept {
		if k.hash == hash {
			delete(p.kept, s)
			p.dirty = true
			return
		}
	}
}

// Len returns how many receipts wait.
func (p *Pouch) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept)
}

// Save writes the file anew, in one step, when something has changed.
func (p *Pouch) Save() error {
	p.mu.Lock()
	if !p.dirty || p.path == "" {
		p.mu.Unlock()
		return nil
	}
	p.dirty = false
	b := p.encode()
	p.mu.Unlock()
	if err := replace(p.path, b); err != nil {
		return fmt.Errorf("keep receipts: %w", err)
	}
	return nil
}

// encode returns the file. The lock is held.
func (p *Pouch) encode() (b []byte) {
	for _, k := range p.kept {
		var m message
		m.hash(1, k.owner)
		m.bytes(2, k.raw)
		m.number(3, k.missing)
		b = append(binary.AppendUvarint(b, uint64(len(m))), m...)
	}
	return b
}

// replace writes a file in one step, on disk.
func replace(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
