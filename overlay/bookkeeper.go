package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
)

const (
	// batchLetters bounds the letters that go into the ledger at once: with the receipts of most, a tenth of a second.
	batchLetters = 32
	// maxStatement bounds a statement in bytes, so that it fits into a reply.
	maxStatement = 48 << 10
	// auditFrom and auditTo are the age of the chunks that an audit asks for: they have come to all by then, and members
	// still keep them when the question arrives.
	auditFrom, auditTo = 4500 * time.Millisecond, 1500 * time.Millisecond
)

// errNoLedger means that the ledger could not be opened yet.
var errNoLedger = errors.New("the ledger is not open: the log tells why")

// serve keeps the ledger of this gateway's own channels until ctx ends. Without a place for it there is none.
func (a *accounts) serve(ctx context.Context) error {
	o := a.n.options()
	database, head := o.Ledger.Database, ""
	if o.Data != "" {
		head = filepath.Join(o.Data, LedgerHead)
		if database == "" {
			database = filepath.Join(o.Data, LedgerFile)
		}
	}
	if database == "" {
		return nil
	}
	if !a.needed(ctx) {
		return nil
	}
	book := a.openBook(ctx, ledger.Options{Database: database, Key: a.n.identity.Key, Head: head})
	if book == nil {
		return nil
	}
	defer book.Close()
	book.UseAudit(a)
	a.mu.Lock()
	a.book = book
	a.mu.Unlock()
	t := time.NewTicker(markEvery)
	defer t.Stop()
	for {
		var batch []incoming
		select {
		case in := <-a.inbox:
			batch = a.gather(in)
		case <-t.C:
		case <-ctx.Done():
			a.last(context.WithoutCancel(ctx), book)
			return nil
		}
		if err := a.enter(ctx, book, batch); err != nil && ctx.Err() == nil {
			a.log.Error("ledger not written", "err", err)
		}
	}
}

// needed waits until this gateway has emitted something or gets a letter; it reports false when ctx ends before.
func (a *accounts) needed(ctx context.Context) bool {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		a.mu.Lock()
		emits := len(a.fresh) > 0
		a.mu.Unlock()
		if emits || len(a.inbox) > 0 {
			return true
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
}

// markEvery is how often what is emitted is written into the ledger at least.
const markEvery = 5 * time.Second

// openBook opens the ledger, again and again until that succeeds; nil when ctx ends before.
func (a *accounts) openBook(ctx context.Context, o ledger.Options) *ledger.Ledger {
	said := ""
	for {
		book, err := ledger.Open(ctx, o)
		if err == nil {
			return book
		}
		if s := err.Error(); s != said && ctx.Err() == nil {
			said = s
			a.log.Error("ledger not open: receipts wait", "err", err, "redial", reopenAfter)
		}
		t := time.NewTimer(reopenAfter)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// gather returns a letter and those that wait behind it.
func (a *accounts) gather(first incoming) []incoming {
	batch := []incoming{first}
	for len(batch) < batchLetters {
		select {
		case in := <-a.inbox:
			batch = append(batch, in)
		default:
			return batch
		}
	}
	return batch
}

// last enters what this gateway's own children have acknowledged before all ends.
func (a *accounts) last(ctx context.Context, book *ledger.Ledger) {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	now := time.Now()
	claims, _ := a.pouch.Claims(a.self, a.self, ledger.MaxClaims, now)
	l := &ledger.Letter{Owner: a.self, Sender: a.self, Time: now, Claims: claims}
	if err := a.enter(ctx, book, append(a.drain(), incoming{l, a.answered})); err != nil {
		a.log.Error("ledger not written", "err", err)
	}
}

// drain returns the letters that wait.
func (a *accounts) drain() (all []incoming) {
	for {
		select {
		case in := <-a.inbox:
			all = append(all, in)
		default:
			return all
		}
	}
}

// enter enters letters and sends the replies.
func (a *accounts) enter(ctx context.Context, book *ledger.Ledger, batch []incoming) error {
	now := time.Now()
	if err := a.introduce(ctx, book); err != nil {
		return err
	}
	if len(batch) == 0 {
		return book.Mark(ctx, now)
	}
	letters := make([]*ledger.Letter, len(batch))
	for i, in := range batch {
		letters[i] = in.letter
	}
	replies, err := book.Take(ctx, letters, now)
	if err != nil {
		return err
	}
	for i, r := range replies {
		if q := letters[i].Query; q != nil {
			r.Statement, err = a.statementOf(ctx, book, letters[i].Sender, q)
			if err != nil {
				return err
			}
		}
		batch[i].reply(r.Sign(a.n.identity.Key))
	}
	return nil
}

// statementOf returns the statement of a member as JSON, with as many proofs as there is room for.
func (a *accounts) statementOf(ctx context.Context, book *ledger.Ledger, p ledger.Peer, q *ledger.Query) ([]byte, error) {
	s, err := book.View().Statement(ctx, p, q.From, q.To)
	if err != nil {
		return nil, err
	}
	for {
		b, err := json.Marshal(s)
		if err != nil || len(b) <= maxStatement || len(s.Proofs)+len(s.Channels) == 0 {
			return b, err
		}
		if len(s.Proofs) > 0 {
			s.Proofs = s.Proofs[:len(s.Proofs)/2]
		} else {
			s.Channels = s.Channels[:len(s.Channels)/2]
		}
	}
}

// emits begins to count what this gateway emits of a channel.
func (a *accounts) emits(ch chunk.ID, epoch uint64, name media.Name) *ledger.Emission {
	e := ledger.NewEmission(ch, epoch)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fresh = append(a.fresh, &emission{e, string(name)})
	return e
}

// introduce tells the ledger of epochs that it does not know, and of changed terms.
func (a *accounts) introduce(ctx context.Context, book *ledger.Ledger) error {
	a.mu.Lock()
	fresh := a.fresh
	a.mu.Unlock()
	o := a.n.options()
	for _, e := range fresh {
		if err := book.Begin(ctx, e.Emission, terms(&o.Conf, media.Name(e.name))); err != nil {
			return err
		}
		a.mu.Lock()
		a.fresh = a.fresh[1:]
		a.mu.Unlock()
	}
	for _, ch := range a.n.allChannels() {
		if ch.source == nil {
			continue
		}
		if err := book.SetTerms(ctx, ch.id, terms(&o.Conf, ch.name)); err != nil {
			return err
		}
	}
	return nil
}

// Recent returns the chunks of an epoch that members should have now.
func (a *accounts) Recent(ctx context.Context, id chunk.ID, epoch uint64) (from uint64, chunks [][]byte) {
	ch := a.n.channel(id)
	if ch == nil || ch.source == nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	type recent struct {
		from   uint64
		chunks [][]byte
	}
	reply := make(chan recent, 1)
	ch.box.put(func() {
		from, chunks := ch.store.aged(epoch, time.Now().Add(-auditFrom), time.Now().Add(-auditTo))
		reply <- recent{from, chunks}
	})
	select {
	case r := <-reply:
		return r.from, r.chunks
	case <-ch.done:
	case <-ctx.Done():
	}
	return 0, nil
}

// Subnet returns the network from which a member connects to this gateway, "" when it does not, or over another one.
func (a *accounts) Subnet(p ledger.Peer) string {
	id, err := p2p.IDOf(p[:])
	if err != nil {
		return ""
	}
	l := a.n.link(id)
	if l == nil {
		return ""
	}
	return l.stream.Subnet()
}

// aged returns the chunks of an epoch, in a row, that came between two times.
func (s *store) aged(epoch uint64, since, until time.Time) (from uint64, chunks [][]byte) {
	if epoch != s.epoch {
		return 0, nil
	}
	for seq := s.below; ; seq++ {
		h, ok := s.kept[spot{epoch, seq}]
		switch {
		case !ok || h.arrived.After(until):
			return from, chunks
		case h.arrived.Before(since):
		default:
			if len(chunks) == 0 {
				from = seq
			}
			chunks = append(chunks, h.chunk.Raw)
		}
	}
}

// Statement asks the owner of channels for this gateway's statement. The owner is a petname or an ID.
func (n *Node) Statement(ctx context.Context, owner string, from, to time.Time) (*ledger.Statement, error) {
	id := n.book.named(owner)
	if id == "" {
		var err error
		if id, err = p2p.ParseID(owner); err != nil {
			return nil, fmt.Errorf("%s is neither a peer's name nor an ID", clip(owner))
		}
	}
	reply := make(chan statement, 1)
	n.accounts.query(id, query{ledger.Query{From: from, To: to}, reply})
	select {
	case s := <-reply:
		if s.err != nil {
			return nil, s.err
		}
		return readStatement(s.raw, n.accounts.self)
	case <-ctx.Done():
		return nil, errors.New("the owner does not answer: there is no way to it now, or it keeps no ledger")
	}
}

func readStatement(raw []byte, self ledger.Peer) (*ledger.Statement, error) {
	s := new(ledger.Statement)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, errors.New("the owner's statement cannot be read")
	}
	if s.Peer != self {
		return nil, errors.New("the owner's statement is another gateway's")
	}
	return s, s.Check()
}

// query asks an owner for a statement.
func (a *accounts) query(owner p2p.ID, q query) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.outmail(owner)
	m.wanted = append(m.wanted, q)
	m.urgent = true
	a.poke()
}

// standing returns what a member has carried, by this gateway's own ledger, in percent of what it got.
func (a *accounts) standing(id p2p.ID) int {
	a.mu.Lock()
	book := a.book
	a.mu.Unlock()
	if book == nil {
		return 0
	}
	return book.Standing(peerOf(id))
}

// saved returns the bytes of an own channel that members had from each other.
func (a *accounts) saved(ch chunk.ID) uint64 {
	a.mu.Lock()
	book := a.book
	a.mu.Unlock()
	if book == nil {
		return 0
	}
	return book.Saved(ch)
}

// View returns this gateway's ledger to be read.
func (n *Node) View() (*ledger.View, error) {
	n.accounts.mu.Lock()
	defer n.accounts.mu.Unlock()
	if n.accounts.book == nil {
		return nil, errNoLedger
	}
	return n.accounts.book.View(), nil
}
