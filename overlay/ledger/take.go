package ledger

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// Take enters what letters bring and returns the reply to each. What the replies call settled is on disk.
func (l *Ledger) Take(ctx context.Context, letters []*Letter, now time.Time) ([]*Reply, error) {
	claims := readClaims(letters)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fresh(ctx); err != nil {
		return nil, err
	}
	b := new(batch)
	replies := make([]*Reply, len(letters))
	for i, letter := range letters {
		r := &Reply{Owner: l.owner, To: letter.Sender, Number: letter.Number}
		replies[i] = r
		err := l.requests(ctx, b, letter, r, now)
		if err == nil {
			err = l.settle(ctx, b, claims[i], r, now)
		}
		if err == nil {
			err = l.audit(ctx, b, letter, r, now)
		}
		if err != nil {
			l.stale = true // a part may be remembered already
			return nil, err
		}
	}
	l.markAll(b, now)
	if err := l.write(ctx, b); err != nil {
		return nil, err
	}
	for _, r := range replies {
		r.Head = l.head
	}
	return replies, nil
}

// readClaims reads the receipts of letters, on all processors: checking a signature takes 0.1 ms.
func readClaims(letters []*Letter) [][]*claimed {
	all := make([][]*claimed, len(letters))
	var queue []*claimed
	for i, letter := range letters {
		for _, c := range letter.Claims {
			cl := &claimed{Claim: c, sender: letter.Sender}
			all[i] = append(all[i], cl)
			queue = append(queue, cl)
		}
	}
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(queue))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(queue); i += workers {
				queue[i].receipt, queue[i].err = ParseReceipt(queue[i].Raw)
			}
		})
	}
	wg.Wait()
	return all
}

// requests grants leases.
func (l *Ledger) requests(ctx context.Context, b *batch, letter *Letter, r *Reply, now time.Time) error {
	for _, q := range letter.Requests {
		e, err := l.epoch(ctx, epochKey{q.Channel, q.Epoch})
		if err != nil {
			return err
		}
		if e == nil {
			continue // it is asked again, and may be known then
		}
		if why := l.denies(e, &q, letter.Sender, now); why != "" {
			r.Denials = append(r.Denials, Denial{q.Channel, q.Downloader, why})
			continue
		}
		le := &Lease{
			Channel: q.Channel, Epoch: q.Epoch, Uploader: letter.Sender, Downloader: q.Downloader, Stripes: q.Stripes,
			Issued: now, Expires: now.Add(LeaseFor), Standing: uint64(l.Standing(q.Downloader)),
		}
		raw := le.Sign(l.key)
		e.grant(pair{le.Uploader, le.Downloader}, le.Expires)
		b.lease(le, raw)
		r.Leases = append(r.Leases, raw)
	}
	return nil
}

// maxLeases bounds whom one member may serve in one epoch: swarms are wide, and a lease costs the owner a row.
const maxLeases = 4096

// denies tells why a lease is not granted, or "".
func (l *Ledger) denies(e *epoch, q *Request, uploader Peer, now time.Time) string {
	switch {
	case q.Downloader == uploader || q.Downloader == l.owner:
		return "it makes no sense"
	case e.leased[uploader] >= maxLeases:
		return "it serves too many"
	case l.distrusted(uploader, now):
		return "the uploader has lied"
	case l.distrusted(q.Downloader, now):
		return "the downloader has lied"
	}
	return ""
}

// settle enters receipts.
func (l *Ledger) settle(ctx context.Context, b *batch, claims []*claimed, r *Reply, now time.Time) error {
	for _, c := range claims {
		v, err := l.one(ctx, b, c, now)
		if err != nil {
			return err
		}
		if !v.later {
			r.Settled = append(r.Settled, Settled{Receipt: hashOf(c.Raw), Refused: v.refused, Reason: v.reason})
		}
	}
	return nil
}

// one judges a claim and enters what follows from that.
func (l *Ledger) one(ctx context.Context, b *batch, c *claimed, now time.Time) (verdict, error) {
	if c.err != nil {
		v := refuse(reasonForged, c.err.Error(), 0)
		l.record(b, &dispute{at: now, sender: c.sender, reason: v.reason, detail: v.detail}, c.Raw)
		return v, nil
	}
	r := c.receipt
	e, err := l.epoch(ctx, epochKey{r.Channel, r.Epoch})
	if err != nil {
		return verdict{}, err
	}
	var v verdict
	switch {
	case c.sender != r.Uploader && c.sender != r.Downloader && c.sender != l.owner:
		v = refuse(reasonForeign, "handed in by another gateway", r.Bytes)
	case e == nil:
		v = refuse(reasonUnknown, "", r.Bytes)
	case l.failing(r.Downloader, e, now):
		v = refuse(reasonPhantom, "the downloader has not passed its audits", r.Bytes-min(r.Bytes, e.last(r.Series)))
	default:
		v = e.judge(c, l.owner, now)
	}
	if v.later {
		return v, nil
	}
	l.enter(b, e, c, v, now)
	return v, nil
}

// record adds a dispute, unless its sender has caused too many.
func (l *Ledger) record(b *batch, d *dispute, evidence ...[]byte) {
	if l.din.louder(maxDin, d.at) || l.member(d.sender).noise.louder(maxNoise, d.at) {
		return
	}
	b.disputed(kindDispute, d, evidence...)
}

// last returns the bytes of the newest receipt of a series.
func (e *epoch) last(s Series) uint64 {
	if ln := e.series[s]; ln != nil {
		return ln.receipt.Bytes
	}
	return 0
}

// enter enters a judged claim: what is credited, what is refused with its evidence, and what is only noted.
func (l *Ledger) enter(b *batch, e *epoch, c *claimed, v verdict, now time.Time) {
	r := c.receipt
	evidence := [][]byte{c.Raw}
	if e != nil && v.reason == reasonTwoBodies {
		old := e.series[r.Series]
		evidence = append(evidence, old.raw)
		old.frozen = true
		l.lied(b, r.Downloader, now)
	}
	if v.reason != "" {
		l.record(b, &dispute{
			at: now, channel: r.Channel, sender: c.sender, uploader: r.Uploader, downloader: r.Downloader,
			reason: v.reason, detail: v.detail, bytes: v.refused,
		}, evidence...)
		if v.reason == reasonTwoBodies && e != nil && len(b.entries) > 0 {
			b.keep(e.series[r.Series])
		}
	}
	if !v.credit {
		return
	}
	old, ln := e.series[r.Series], &line{receipt: r, raw: c.Raw}
	cr := &credit{at: now, channel: r.Channel, epoch: r.Epoch, uploader: r.Uploader, downloader: r.Downloader, refused: v.refused}
	before := Receipt{}
	if old != nil {
		before, ln.credited = *old.receipt, old.credited
	}
	cr.bytes = int64(r.Bytes - before.Bytes - v.refused)
	if r.Viewing > before.Viewing {
		cr.watched = cr.bytes
	}
	w := viewer{r.Downloader, r.Session}
	if r.Viewing > e.viewing[w] {
		cr.viewing = r.Viewing - e.viewing[w]
		e.viewing[w] = r.Viewing
	}
	cr.amounts(l.terms[r.Channel], l.owner)
	ln.credited += uint64(cr.bytes)
	e.series[r.Series] = ln
	e.credit(r, uint64(cr.bytes))
	l.standings.credit(cr, l.owner)
	delete(e.waiting, r.Series)
	b.receipt(c.sender, ln, cr)
	l.understated(b, c, now)
	l.acknowledged(b, r, now)
	l.suspect(b, e, r, now)
}

// understated notes that a downloader acknowledges less than an uploader says to have sent. Who of them lies cannot be
// known from one pair; a downloader of whom several say so does.
func (l *Ledger) understated(b *batch, c *claimed, now time.Time) {
	r := c.receipt
	if c.sender != r.Uploader || c.Missing <= slack+uint64(shortfall*float64(r.Bytes+c.Missing)) {
		return
	}
	l.record(b, &dispute{
		at: now, channel: r.Channel, sender: c.sender, uploader: r.Uploader, downloader: r.Downloader, reason: reasonUnderstated,
		detail: "the downloader acknowledges less than was sent",
	}, c.Raw)
}

// markEach is how often what is emitted is written.
const markEach = 5 * time.Second

// idleEpochs is how long an epoch that has ended is remembered after its last receipt; then it is read again when needed.
const idleEpochs = time.Hour

// markAll adds what the channels have emitted since the last time, and forgets epochs that have ended.
func (l *Ledger) markAll(b *batch, now time.Time) {
	if now.Sub(l.marked) < markEach {
		return
	}
	l.marked = now
	l.stale = l.stale || l.standings.old(now) // read anew before the next write
	for k, e := range l.epochs {
		m, live := e.emission.end(), e.emission.lives()
		if m.seq > e.saved || !e.marked {
			b.mark(k, m, now)
			e.saved, e.marked = m.seq, true
		} else if !live && now.Sub(e.used) > idleEpochs {
			delete(l.epochs, k)
		}
	}
}

// Mark writes what the channels have emitted, also when no letter comes.
func (l *Ledger) Mark(ctx context.Context, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fresh(ctx); err != nil {
		return err
	}
	b := new(batch)
	l.markAll(b, now)
	return l.write(ctx, b)
}
