package overlay

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/overlay/chunk"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
)

const (
	// pouchFile and LedgerHead are files in the data folder: the receipts that owners have not acknowledged, and the signed
	// end of the own ledger; LedgerFile is the ledger itself unless the configuration names a server.
	pouchFile  = "receipts"
	LedgerHead = "ledger.head"
	LedgerFile = "ledger.db"

	// letterEvery is how often an owner is written to when there are receipts, ownEvery how often this gateway's own go
	// into its ledger, and letterSoonest the least time between two letters.
	letterEvery   = 60 * time.Second
	ownEvery      = 10 * time.Second
	letterSoonest = 2 * time.Second
	// letterAgain is how long an answer is waited for before the same is written again, the double each time.
	letterAgain = 10 * time.Second
	// maxOwners bounds the channels whose owners are remembered after they were left, for receipts that come late.
	maxOwners = 4096
	// maxAgreed bounds the leases that are remembered.
	maxAgreed = 1 << 14
	// maxRequests bounds what waits to be written to one owner.
	maxRequests = 128
	// signWithin is how long channels may take to sign what has come before a letter is written.
	signWithin = 500 * time.Millisecond
	// reopenAfter is the time between attempts to open the ledger.
	reopenAfter = 5 * time.Second
)

// accounts is this gateway's part in who carried what: it brings receipts to the owners of channels, and, as an owner,
// keeps the ledger. It is safe for concurrent use.
type accounts struct {
	n     *Node
	self  ledger.Peer
	log   *slog.Logger
	pouch *ledger.Pouch
	wake  chan struct{} // has a token when a letter is due before the next look
	sent  atomic.Uint64 // bytes of receipts, letters and replies, also those that are handed on
	inbox chan incoming // letters for this gateway's own ledger; when full, they are dropped, and are written again

	mu     sync.Mutex // guards the fields below
	owners map[chunk.ID]p2p.ID
	mail   map[p2p.ID]*outmail
	routes map[uint64]route
	ways   map[p2p.ID][]p2p.ID // the last parents in a channel of an owner's
	agreed map[agreement]bool  // leases that this process has got
	fresh  []*emission         // that the ledger has not been told of
	book   *ledger.Ledger
}

// agreement is an edge that an owner agrees to, in which this gateway is the uploader.
type agreement struct {
	channel    chunk.ID
	epoch      uint64
	downloader ledger.Peer
}

// outmail is what is to be written to an owner.
type outmail struct {
	requests []ledger.Request
	proofs   []ledger.Proof
	queries  map[uint64]query // by number of the letter; those to be written have no number yet
	wanted   []query
	written  time.Time // when the last letter was
	claimed  time.Time // when the last one with receipts was
	number   uint64    // of that one
	claims   int       // in it, of those that are not settled yet
	waits    bool      // it was not answered yet, or not all of it is settled
	tries    int       // such letters in a row of which that is so
	urgent   bool      // there is something to be written at once
	hurried  bool      // the receipts are
}

// errand is that an owner is to be written to.
type errand struct {
	owner p2p.ID
	full  bool // with receipts
}

// query is a statement that somebody waits for.
type query struct {
	ledger.Query
	reply chan<- statement // has room for one
}

type statement struct {
	raw []byte
	err error
}

// emission is what this gateway emits of a channel.
type emission struct {
	*ledger.Emission
	name string
}

// incoming is a letter for this gateway, and where it came from.
type incoming struct {
	letter *ledger.Letter
	reply  func(raw []byte)
}

func newAccounts(n *Node) *accounts {
	return &accounts{
		n: n, self: peerOf(n.ID()), log: n.log, wake: make(chan struct{}, 1), inbox: make(chan incoming, 1024),
		owners: make(map[chunk.ID]p2p.ID), mail: make(map[p2p.ID]*outmail), routes: make(map[uint64]route),
		ways: make(map[p2p.ID][]p2p.ID), agreed: make(map[agreement]bool),
	}
}

// open reads the receipts that an earlier process has left.
func (a *accounts) open(folder string) {
	path := ""
	if folder != "" {
		path = filepath.Join(folder, pouchFile)
	}
	var err error
	if a.pouch, err = ledger.OpenPouch(path); err != nil {
		a.log.Error("receipts lost", "err", err)
	}
}

// run carries receipts and keeps the ledger until ctx ends.
func (a *accounts) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.write(ctx) })
	g.Go(func() error { return a.serve(ctx) })
	err := g.Wait()
	if err := a.pouch.Save(); err != nil {
		a.log.Error("receipts not kept", "err", err)
	}
	return err
}

// keep keeps a receipt until the owner has it.
func (a *accounts) keep(owner p2p.ID, r *ledger.Receipt, raw []byte, missing uint64) {
	a.pouch.Put(peerOf(owner), r, raw, missing)
}

// belongs remembers whose a channel is.
func (a *accounts) belongs(ch chunk.ID, owner p2p.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.owners) >= maxOwners {
		clear(a.owners) // those in use are told again
	}
	a.owners[ch] = owner
}

// found remembers by whom the channels of an owner come.
func (a *accounts) found(owner p2p.ID, parents []p2p.ID) {
	if len(parents) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ways) >= maxOwners {
		clear(a.ways)
	}
	a.ways[owner] = parents
}

// received takes in a receipt that a peer has signed for what this gateway gave it.
func (a *accounts) received(from p2p.ID, raw []byte) error {
	r, err := ledger.ParseReceipt(raw)
	if err != nil {
		return err
	}
	if r.Downloader != peerOf(from) || r.Uploader != a.self {
		return errMalformed
	}
	if ch := a.n.channel(r.Channel); ch != nil {
		ch.box.offer(func() { ch.tally.acknowledged(from, r, raw) })
		return nil
	}
	a.mu.Lock()
	owner, ok := a.owners[r.Channel]
	a.mu.Unlock()
	if ok {
		a.keep(owner, r, raw, 0) // of a channel that was left a moment ago
		a.hurry(owner)
	}
	return nil
}

// tell sends a peer a message about who carried what.
func (a *accounts) tell(l *link, message []byte) {
	a.sent.Add(uint64(len(message)))
	l.send(message)
}

// outmail returns what is to be written to an owner. The lock is held.
func (a *accounts) outmail(owner p2p.ID) *outmail {
	m := a.mail[owner]
	if m == nil {
		m = &outmail{queries: make(map[uint64]query)}
		a.mail[owner] = m
	}
	return m
}

// ask asks an owner for a lease.
func (a *accounts) ask(owner p2p.ID, q ledger.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.outmail(owner)
	if len(m.requests) < maxRequests {
		m.requests = append(m.requests, q)
	}
	m.urgent = true
	a.poke()
}

// prove sends an owner the answer to its challenge.
func (a *accounts) prove(owner p2p.ID, p ledger.Proof) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.outmail(owner)
	if len(m.proofs) < maxRequests {
		m.proofs = append(m.proofs, p)
	}
	m.urgent = true
	a.poke()
}

// hurry has an owner written to soon: there is a way to it again, or a channel of its was left.
func (a *accounts) hurry(owner p2p.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if owner == a.n.ID() || a.pouch.Has(peerOf(owner)) {
		m := a.outmail(owner)
		m.urgent, m.hurried = true, true
		a.poke()
	}
}

func (a *accounts) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// write writes letters when they are due, until ctx ends.
func (a *accounts) write(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	said := false
	for {
		select {
		case <-t.C:
		case <-a.wake:
		case <-ctx.Done():
			return nil
		}
		if err := a.pouch.Save(); err != nil && !said {
			said = true
			a.log.Error("receipts not kept", "err", err)
		}
		for _, e := range a.due(time.Now()) {
			if e.full {
				a.sign(ctx, e.owner)
			}
			a.send(e, time.Now())
		}
	}
}

// due returns whom to write to now. Receipts go at their own time: a member that comes or goes makes many requests, and all
// receipts with each would be more than what they are for.
func (a *accounts) due(now time.Time) (all []errand) {
	owners := a.pouch.Owners()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range owners {
		if id, err := p2p.IDOf(p[:]); err == nil {
			a.outmail(id)
		}
	}
	for owner, m := range a.mail {
		every := letterEvery
		if owner == a.n.ID() {
			every = ownEvery
		}
		if m.waits {
			every = min(every, letterAgain<<min(m.tries, 3))
		}
		since := now.Sub(m.written)
		full := slices.Contains(owners, peerOf(owner)) && (now.Sub(m.claimed) >= every || m.hurried && since >= letterSoonest)
		something := len(m.requests)+len(m.proofs)+len(m.wanted) > 0
		if full || something && (since >= every || m.urgent && since >= letterSoonest) {
			all = append(all, errand{owner, full})
		}
	}
	return all
}

// sign has the channels of an owner sign for all that has come: what this gateway gave is explained by what it got.
func (a *accounts) sign(ctx context.Context, owner p2p.ID) {
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	for _, ch := range a.n.allChannels() {
		if ch.owner != owner || ch.source != nil {
			continue
		}
		done := make(chan struct{})
		if !ch.box.put(func() { ch.tally.close(time.Now()); close(done) }) {
			continue
		}
		select {
		case <-done:
		case <-ch.done:
		case <-ctx.Done():
			return
		}
	}
}

// send writes a letter to an owner, if there is a way to it.
func (a *accounts) send(e errand, now time.Time) {
	owner := e.owner
	a.mu.Lock()
	m := a.outmail(owner)
	l := &ledger.Letter{
		Owner: peerOf(owner), Sender: a.self, Number: rand.Uint64(), Time: now, Requests: m.requests, Proofs: m.proofs,
	}
	if e.full {
		var receipts []*ledger.Receipt
		l.Claims, receipts = a.pouch.Claims(peerOf(owner), a.self, ledger.MaxClaims, now)
		l.Requests = a.unagreed(l.Requests, receipts)
		if m.waits {
			m.tries++
		}
		m.claimed, m.waits, m.number, m.claims, m.hurried = now, true, l.Number, len(l.Claims), false
	}
	m.requests, m.proofs = nil, nil // requests are made again, a proof that is late is of no use
	if len(m.wanted) > 0 {
		q := m.wanted[0]
		m.wanted = m.wanted[1:]
		l.Query = &q.Query
		m.queries[l.Number] = q
	}
	m.written, m.urgent = now, len(m.wanted) > 0
	a.mu.Unlock()
	raw := l.Sign(a.n.identity.Key)
	if owner == a.n.ID() {
		a.deliver(l, a.answered)
		return
	}
	a.pass(&post{owner: owner, number: l.Number, letter: raw}, "") // without a way it is written again
}

// unagreed adds requests for leases of what receipts are for that the owner has not agreed to, as far as this process knows: it may
// have been given before a restart, and nobody asks then. The lock is held.
func (a *accounts) unagreed(requests []ledger.Request, receipts []*ledger.Receipt) []ledger.Request {
	for _, r := range receipts {
		k := agreement{r.Channel, r.Epoch, r.Downloader}
		if r.Uploader != a.self || a.agreed[k] || len(requests) >= maxRequests {
			continue
		}
		if !slices.ContainsFunc(requests, func(q ledger.Request) bool { return agreement{q.Channel, q.Epoch, q.Downloader} == k }) {
			requests = append(requests, ledger.Request{Channel: r.Channel, Epoch: r.Epoch, Downloader: r.Downloader})
		}
	}
	return requests
}

// deliver hands a letter to this gateway's own ledger.
func (a *accounts) deliver(l *ledger.Letter, reply func(raw []byte)) {
	select {
	case a.inbox <- incoming{l, reply}:
	default:
	}
}

// answered takes in the reply to a letter of this gateway's.
func (a *accounts) answered(raw []byte) {
	r, err := ledger.ParseReply(raw)
	if err != nil || r.To != a.self {
		return // not from the owner: it is written again
	}
	owner, err := p2p.IDOf(r.Owner[:])
	if err != nil {
		return
	}
	a.mu.Lock()
	m := a.outmail(owner)
	if r.Number == m.number {
		if m.waits = len(r.Settled) < m.claims; !m.waits {
			m.tries = 0
		}
	}
	q, asked := m.queries[r.Number]
	delete(m.queries, r.Number)
	a.mu.Unlock()
	if asked {
		q.reply <- statement{raw: r.Statement}
	}
	for _, s := range r.Settled {
		if s.Reason != "" {
			a.log.Warn("receipt refused", "peer", a.n.book.name(owner), "err", clip(s.Reason), "dropped", s.Refused)
		}
		a.pouch.Settle(s.Receipt)
	}
	if len(r.Settled) == ledger.MaxClaims {
		a.hurry(owner) // there may be more
	}
	a.leased(owner, r)
	for i := range r.Challenges {
		a.challenged(owner, r.Challenges[i])
	}
}

// leased hands leases and denials to the channels.
func (a *accounts) leased(owner p2p.ID, r *ledger.Reply) {
	for _, raw := range r.Leases {
		le, err := ledger.ParseLease(raw, r.Owner)
		if err != nil || le.Uploader != a.self {
			continue
		}
		a.mu.Lock()
		if len(a.agreed) >= maxAgreed {
			clear(a.agreed) // they are asked for once more
		}
		a.agreed[agreement{le.Channel, le.Epoch, le.Downloader}] = true
		a.mu.Unlock()
		if ch, down := a.part(owner, le.Channel, le.Downloader); ch != nil {
			ch.box.put(func() { ch.tally.leased(down, le) })
		}
	}
	for _, d := range r.Denials {
		if ch, down := a.part(owner, d.Channel, d.Downloader); ch != nil {
			ch.box.put(func() { ch.tally.deny(down, clip(d.Reason)) })
		}
	}
}

// part returns a channel of an owner's, and the ID of a peer.
func (a *accounts) part(owner p2p.ID, id chunk.ID, p ledger.Peer) (*channel, p2p.ID) {
	ch := a.n.channel(id)
	down, err := p2p.IDOf(p[:])
	if ch == nil || ch.owner != owner || err != nil {
		return nil, ""
	}
	return ch, down
}

// challenged proves to an owner what is here.
func (a *accounts) challenged(owner p2p.ID, c ledger.Challenge) {
	ch := a.n.channel(c.Channel)
	if ch == nil || ch.owner != owner {
		a.prove(owner, c.Prove(func(uint64) []byte { return nil }))
		return
	}
	ch.box.put(func() {
		a.prove(owner, c.Prove(func(seq uint64) []byte {
			if h, ok := ch.store.get(c.Epoch, seq); ok {
				return h.chunk.Raw
			}
			return nil
		}))
	})
}
