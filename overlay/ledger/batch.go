package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"peergate/overlay/chunk"
)

// batch is what is written in one transaction.
type batch struct {
	entries  []entry
	credits  map[int]*credit  // by index of the entry
	disputes map[int]*dispute // by index of the entry
	leases   map[leaseKey]leaseRow
	series   map[Series]seriesRow
	prices   map[chunk.ID]Terms
	members  map[Peer]*member
	marks    rows
}

type entry struct {
	kind kind
	at   time.Time
	body []byte
}

type leaseKey struct {
	epochKey
	pair
}

type leaseRow struct {
	expires time.Time
	entry   int // index
}

type seriesRow struct {
	line  *line
	entry int // index
}

// enter adds an entry.
func (b *batch) enter(k kind, at time.Time, body []byte) *batch {
	b.entries = append(b.entries, entry{k, at, body})
	return b
}

func (b *batch) terms(ch chunk.ID, t Terms) {
	if b.prices == nil {
		b.prices = make(map[chunk.ID]Terms)
	}
	b.prices[ch] = t
}

// receipt adds a receipt and what is credited for it.
func (b *batch) receipt(sender Peer, ln *line, c *credit) {
	if b.credits == nil {
		b.credits = make(map[int]*credit)
	}
	b.credits[len(b.entries)] = c
	b.enter(kindReceipt, c.at, c.encode(ln.raw, sender))
	b.keep(ln)
}

// keep notes the state of a series, as the last entry leaves it.
func (b *batch) keep(ln *line) {
	if b.series == nil {
		b.series = make(map[Series]seriesRow)
	}
	b.series[ln.receipt.Series] = seriesRow{ln, len(b.entries) - 1}
}

// back adds that something credited is taken back.
func (b *batch) back(d *dispute, c *credit) {
	if b.credits == nil {
		b.credits = make(map[int]*credit)
	}
	b.credits[len(b.entries)] = c
	b.disputed(kindAudit, d, c.encode(nil, Peer{}))
}

// disputed adds something that was refused, with its evidence.
func (b *batch) disputed(k kind, d *dispute, evidence ...[]byte) {
	if b.disputes == nil {
		b.disputes = make(map[int]*dispute)
	}
	b.disputes[len(b.entries)] = d
	b.enter(k, d.at, d.encode(evidence...))
}

// lease adds a lease.
func (b *batch) lease(le *Lease, raw []byte) {
	if b.leases == nil {
		b.leases = make(map[leaseKey]leaseRow)
	}
	k := leaseKey{epochKey{le.Channel, le.Epoch}, pair{le.Uploader, le.Downloader}}
	b.leases[k] = leaseRow{le.Expires, len(b.entries)}
	b.enter(kindLease, le.Issued, raw)
}

// member notes that what is known of a member has changed.
func (b *batch) member(p Peer, m *member) {
	if b.members == nil {
		b.members = make(map[Peer]*member)
	}
	b.members[p] = m
}

// mark adds what was emitted until now.
func (b *batch) mark(k epochKey, m mark, at time.Time) {
	b.marks.add(k.channel[:], int64(k.epoch), int64(m.seq), int64(m.bytes), at.UnixMilli())
}

// write writes a batch, all of it or nothing, and moves the end of the chain. The lock is held.
func (l *Ledger) write(ctx context.Context, b *batch) error {
	if len(b.entries) == 0 && len(b.marks.values) == 0 && len(b.members) == 0 {
		return nil
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		l.stale = true
		return fmt.Errorf("ledger: begin a transaction: %w", err)
	}
	head, err := b.insert(ctx, tx, l.head)
	if err == nil {
		err = tx.Commit()
	} else {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		l.stale = true
		return fmt.Errorf("ledger: %w", err)
	}
	l.head = head
	return l.keepHead()
}

// insert writes all rows; head is the end of the chain, which it returns moved.
func (b *batch) insert(ctx context.Context, tx *sql.Tx, head Head) (Head, error) {
	first := head.ID + 1
	id := func(i int) int64 { return first + int64(i) }
	entries := rows{table: "entries", columns: "id, kind, at, body, hash"}
	for _, e := range b.entries {
		at := e.at.UnixMilli()
		head.ID++
		head.Hash = entryHash(head.Hash, head.ID, e.kind, at, e.body)
		hash := head.Hash
		entries.add(head.ID, int(e.kind), at, e.body, hash[:])
	}
	credits := rows{
		table:   "credits",
		columns: "entry, at, channel, epoch, uploader, downloader, bytes, watched, viewing, refused, charge, earned",
	}
	for i, c := range b.credits {
		credits.add(c.values(id(i))...)
	}
	disputes := rows{table: "disputes", columns: "entry, at, channel, sender, uploader, downloader, reason, detail, bytes"}
	for i, d := range b.disputes {
		disputes.add(d.values(id(i))...)
	}
	leases := rows{
		table: "leases", columns: "channel, epoch, uploader, downloader, expires, entry",
		conflict: "(channel, epoch, uploader, downloader) DO UPDATE SET expires = excluded.expires, entry = excluded.entry",
	}
	for k, r := range b.leases {
		leases.add(k.channel[:], int64(k.epoch), k.up[:], k.down[:], r.expires.UnixMilli(), id(r.entry))
	}
	series := rows{
		table: "series", columns: "channel, epoch, uploader, downloader, session, raw, credited, frozen, entry",
		conflict: "(channel, epoch, uploader, downloader, session) DO UPDATE SET raw = excluded.raw, " +
			"credited = excluded.credited, frozen = excluded.frozen, entry = excluded.entry",
	}
	for s, r := range b.series {
		series.add(s.Channel[:], int64(s.Epoch), s.Uploader[:], s.Downloader[:], int64(s.Session), r.line.raw,
			int64(r.line.credited), r.line.frozen, id(r.entry))
	}
	channels := rows{
		table: "channels", columns: "id, name, price, hourly, credit",
		conflict: "(id) DO UPDATE SET name = excluded.name, price = excluded.price, hourly = excluded.hourly, credit = excluded.credit",
	}
	for ch, t := range b.prices {
		channels.add(ch[:], t.Name, t.Price, t.Hourly, t.Credit)
	}
	members := rows{
		table: "members", columns: "peer, passed, asked, missed, wrong, failed, lied, channel, epoch",
		conflict: "(peer) DO UPDATE SET passed = excluded.passed, asked = excluded.asked, missed = excluded.missed, wrong = excluded.wrong, " +
			"failed = excluded.failed, lied = excluded.lied, channel = excluded.channel, epoch = excluded.epoch",
	}
	for p, m := range b.members {
		members.add(m.values(p)...)
	}
	b.marks.table, b.marks.columns = "emitted", "channel, epoch, seq, bytes, at"
	b.marks.conflict = "(channel, epoch, seq) DO NOTHING"
	for _, r := range []*rows{&entries, &credits, &disputes, &leases, &series, &channels, &members, &b.marks} {
		if err := r.write(ctx, tx); err != nil {
			return head, err
		}
	}
	return head, nil
}

// values are the columns of a credit.
func (c *credit) values(entry int64) []any {
	return []any{
		entry, c.at.UnixMilli(), c.channel[:], int64(c.epoch), c.uploader[:], c.downloader[:], c.bytes, c.watched,
		c.viewing.Milliseconds(), int64(c.refused), c.charge, c.earned,
	}
}

// values are the columns of a dispute.
func (d *dispute) values(entry int64) []any {
	return []any{
		entry, d.at.UnixMilli(), d.channel[:], d.sender[:], d.uploader[:], d.downloader[:], d.reason, d.detail, int64(d.bytes),
	}
}

const headDomain = "peergate head 1\x00"

// keepHead writes the end of the chain, signed, beside the database: whoever cuts off the end of that is found out.
func (l *Ledger) keepHead() error {
	if l.headFile == "" {
		return nil
	}
	var m message
	m.number(1, uint64(l.head.ID))
	m.hash(2, l.head.Hash)
	sig := hex.EncodeToString(sealed(headDomain, l.key, m))
	text := fmt.Sprintf("%d %x %s\n", l.head.ID, l.head.Hash, sig)
	err := os.WriteFile(l.headFile+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(l.headFile+".new", l.headFile)
	}
	if err != nil {
		return fmt.Errorf("ledger: keep the end of the chain: %w", err)
	}
	return nil
}

// readHead reads the file that keepHead writes; a file that is not there is a zero Head.
func readHead(path string, owner Peer) (h Head, err error) {
	if path == "" {
		return h, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("the signed end of the chain: %w", err)
	}
	fields := strings.Fields(string(b))
	if len(fields) != 3 {
		return h, fmt.Errorf("the signed end of the chain in %s: %w", path, ErrFormat)
	}
	id, err1 := strconv.ParseInt(fields[0], 10, 64)
	hash, err2 := hex.DecodeString(fields[1])
	seal, err3 := hex.DecodeString(fields[2])
	if err := errors.Join(err1, err2, err3); err != nil || len(hash) != sha256.Size {
		return h, fmt.Errorf("the signed end of the chain in %s: %w", path, ErrFormat)
	}
	h = Head{ID: id, Hash: [sha256.Size]byte(hash)}
	var m message
	m.number(1, uint64(h.ID))
	m.hash(2, h.Hash)
	body, sig, err := unseal(seal)
	if err == nil && string(body) != string(m) {
		err = ErrSignature
	}
	if err == nil {
		err = verify(headDomain, owner, body, sig)
	}
	if err != nil {
		return h, fmt.Errorf("the signed end of the chain in %s: %w", path, err)
	}
	return h, nil
}
