package ledger

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"peergate/overlay/chunk"
)

// rig is an owner with a ledger and a channel of which it has emitted something.
type rig struct {
	t       testing.TB
	key     ed25519.PrivateKey
	o       Options
	l       *Ledger
	channel chunk.ID
	epoch   uint64
	e       *Emission
	now     time.Time
	chunks  [][]byte
	number  uint64
}

// size is that of the rig's chunks in bytes.
const size = 1000

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicOf(key ed25519.PrivateKey) Peer { return PeerOf(key.Public().(ed25519.PublicKey)) }

func newRig(t testing.TB, database string) *rig {
	t.Helper()
	r := &rig{t: t, key: newKey(t), epoch: 7, now: time.UnixMilli(1_700_000_000_000), channel: chunk.ID{1, 2, 3}}
	r.o = Options{Database: database, Key: r.key, Head: filepath.Join(t.TempDir(), "head")}
	r.open()
	r.e = NewEmission(r.channel, r.epoch)
	err := r.l.Begin(t.Context(), r.e, Terms{Name: "live", Price: 2_000_000, Hourly: 3_600_000, Credit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open opens the ledger, again if it was closed.
func (r *rig) open() {
	r.t.Helper()
	l, err := Open(context.Background(), r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.l = l
	r.t.Cleanup(func() { l.Close() })
}

// emit emits a number of chunks, a hundred a second.
func (r *rig) emit(n int) *rig {
	for range n {
		raw := make([]byte, size)
		copy(raw, fmt.Sprint("chunk ", len(r.chunks)))
		r.e.Count(uint64(len(r.chunks)), raw, r.now)
		r.chunks = append(r.chunks, raw)
		r.now = r.now.Add(10 * time.Millisecond)
	}
	return r
}

// member is a member of the rig's channel.
type actor struct {
	r       *rig
	key     ed25519.PrivateKey
	id      Peer
	session uint64
	edges   map[Peer]*Edge
	viewing time.Duration
}

func (r *rig) member() *actor {
	k := newKey(r.t)
	r.number++
	return &actor{r: r, key: k, id: publicOf(k), session: r.number, edges: make(map[Peer]*Edge)}
}

// edge returns what the member counts of an uploader.
func (a *actor) edge(up Peer) *Edge {
	e := a.edges[up]
	if e == nil {
		e = NewEdge(Series{a.r.channel, a.r.epoch, up, a.id, a.session}, a.key)
		a.edges[up] = e
	}
	return e
}

// gets has the member get chunks from an uploader, up to but without the last one, and returns its receipt.
func (a *actor) gets(up Peer, from, to int) []byte {
	e := a.edge(up)
	for seq := from; seq < to; seq++ {
		e.Fresh(uint64(seq), a.r.chunks[seq], false, a.r.now)
	}
	_, raw := e.Sign(a.viewing, a.r.now)
	return raw
}

// letter returns a letter of a member with receipts.
func (a *actor) letter(raws ...[]byte) *Letter {
	a.r.number++
	l := &Letter{Owner: a.r.l.Owner(), Sender: a.id, Number: a.r.number, Time: a.r.now}
	for _, raw := range raws {
		l.Claims = append(l.Claims, Claim{Raw: raw})
	}
	return l
}

// asks adds requests for leases to a letter.
func (a *actor) asks(l *Letter, down ...*actor) *Letter {
	for _, d := range down {
		l.Requests = append(l.Requests, Request{Channel: a.r.channel, Epoch: a.r.epoch, Downloader: d.id, Stripes: 1})
	}
	return l
}

// take hands letters in and returns the replies, each over its way over the wire and back.
func (r *rig) take(letters ...*Letter) []*Reply {
	r.t.Helper()
	replies, err := r.l.Take(r.t.Context(), letters, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	return replies
}

// by returns the report by peer.
func (r *rig) by() map[Peer]Sum {
	r.t.Helper()
	list, err := r.l.View().Report(r.t.Context(), ByPeer, time.UnixMilli(0), r.now.Add(time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	m := make(map[Peer]Sum)
	for _, s := range list {
		m[s.Peer] = s
	}
	return m
}

// disputes returns what was refused.
func (r *rig) disputes() []Dispute {
	r.t.Helper()
	ds, err := r.l.View().Disputes(r.t.Context(), time.UnixMilli(0), r.now.Add(time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	return ds
}

// disputed fails the test unless there is exactly one dispute, for this reason and of so many bytes.
func (r *rig) disputed(reason string, n int64) {
	r.t.Helper()
	ds := r.disputes()
	if len(ds) != 1 || ds[0].Reason != reason || ds[0].Bytes != n {
		r.t.Errorf("disputes = %+v, want one: %s, %d bytes", ds, reason, n)
	}
	r.verified()
}

// verified verifies the whole ledger.
func (r *rig) verified() *Verified {
	r.t.Helper()
	v, err := r.l.View().Verify(r.t.Context())
	if err != nil {
		r.t.Fatalf("Verify = %v", err)
	}
	return v
}
