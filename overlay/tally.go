package overlay

import (
	"math"
	"time"

	"peergate/conf"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

const (
	// blockFor is for how long a child is refused at first that does not acknowledge what it gets; each time the double,
	// at most blockMost.
	blockFor  = time.Minute
	blockMost = time.Hour
	// idleOutlay is how long what a child was given is remembered after the last of it.
	idleOutlay = 10 * time.Minute
)

// tally is what a channel counts of what it gets and what it gives. It belongs to the channel's loop.
type tally struct {
	ch      *channel
	session uint64
	epoch   uint64
	in      map[p2p.ID]*ledger.Edge // by uploader
	out     map[p2p.ID]*outlay      // by downloader
	viewing time.Duration           // of players, in this epoch
	looked  time.Time
}

// outlay is what was given to one child.
type outlay struct {
	ledger.Outlay
	used    time.Time // when something was last given
	percent int       // the child's standing, by the last lease
	lease   time.Time // until when the owner has agreed; zero: not yet
	asked   time.Time // when it was last asked
	denied  string    // why the owner does not agree
	blocked time.Time // until when the child is refused
	block   time.Duration
}

func (t *tally) init(ch *channel, session uint64) {
	t.ch, t.session = ch, session
	t.in, t.out = make(map[p2p.ID]*ledger.Edge), make(map[p2p.ID]*outlay)
}

// arrived counts a verified chunk; fresh tells that it was not here before.
func (t *tally) arrived(from p2p.ID, h held, fresh, repair bool) {
	if t.ch.source != nil {
		return // the owner is given nothing that it has not made itself
	}
	if c := h.chunk; c.Epoch != t.epoch {
		t.begin(c.Epoch)
	}
	e := t.in[from]
	if e == nil {
		e = ledger.NewEdge(ledger.Series{
			Channel: t.ch.id, Epoch: t.epoch, Uploader: peerOf(from), Downloader: t.ch.n.accounts.self, Session: t.session,
		}, t.ch.n.identity.Key)
		t.in[from] = e
	}
	if fresh {
		e.Fresh(h.chunk.Seq, h.chunk.Raw, repair, h.arrived)
	} else {
		e.Spare(len(h.chunk.Raw), h.arrived)
	}
	if e.Due(h.arrived) {
		t.sign(from, e, h.arrived)
	}
}

// begin ends the receipts of an epoch and begins with those of the next.
func (t *tally) begin(epoch uint64) {
	t.close(time.Now())
	clear(t.in)
	t.epoch, t.viewing = epoch, 0
}

// close signs for everything that has come.
func (t *tally) close(now time.Time) {
	for up, e := range t.in {
		if e.Open() {
			t.sign(up, e, now)
		}
	}
}

// closed signs for what a parent has given that is none any more.
func (t *tally) closed(up p2p.ID) {
	if e := t.in[up]; e != nil && e.Open() {
		t.sign(up, e, time.Now())
	}
}

// sign signs a receipt, sends it to the uploader, and keeps it for the owner.
func (t *tally) sign(up p2p.ID, e *ledger.Edge, now time.Time) {
	r, raw := e.Sign(t.viewing, now)
	t.ch.n.accounts.keep(t.ch.owner, r, raw, 0)
	if l := t.ch.n.link(up); l != nil {
		t.ch.n.accounts.tell(l, envelope(fieldReceipt, raw))
	}
}

// again sends the last receipt once more to an uploader, which may have missed it while there was no link.
func (t *tally) again(up p2p.ID) {
	if e := t.in[up]; e != nil && e.Signed() != nil {
		if l := t.ch.n.link(up); l != nil {
			t.ch.n.accounts.tell(l, envelope(fieldReceipt, e.Signed()))
		}
	}
}

// sent counts a chunk that was written to a child.
func (t *tally) sent(to p2p.ID, size int, now time.Time) {
	o := t.out[to]
	if o == nil {
		o = new(outlay)
		t.out[to] = o
	}
	o.used = now
	o.Sent(size, now)
}

// anew forgets what was on its way when the push stream to a child ended: there is a new one.
func (t *tally) anew(to p2p.ID) {
	if o := t.out[to]; o != nil {
		o.Anew()
	}
}

// acknowledged takes in the receipt of a child, whose signature was checked.
func (t *tally) acknowledged(from p2p.ID, r *ledger.Receipt, raw []byte) {
	o := t.out[from]
	if o == nil {
		o = &outlay{used: time.Now()}
		t.out[from] = o
	}
	if o.Take(r, raw) {
		t.ch.n.accounts.keep(t.ch.owner, r, raw, o.Missing())
	}
}

// look is what is done every second: receipts that are due, leases, and children that do not acknowledge.
func (t *tally) look(now time.Time) {
	if !t.looked.IsZero() && t.ch.source == nil {
		t.viewing += time.Duration(t.ch.viewers()) * now.Sub(t.looked)
	}
	t.looked = now
	for up, e := range t.in {
		if e.Due(now) {
			t.sign(up, e, now)
		}
	}
	for down, o := range t.out {
		if now.Sub(o.used) > idleOutlay && now.After(o.blocked) {
			delete(t.out, down)
			continue
		}
		t.request(down, o, now)
		t.judge(down, o, now)
	}
}

// judge ends the serving of a child that does not acknowledge, and of one that the owner does not want served.
func (t *tally) judge(down p2p.ID, o *outlay, now time.Time) {
	why := o.Why(now)
	if why == "" {
		why = o.denied
	}
	if why == "" || now.Before(o.blocked) || !t.ch.serves(down) {
		return
	}
	o.block = min(max(2*o.block, blockFor), blockMost)
	o.blocked = now.Add(o.block)
	o.Outlay, o.denied = ledger.Outlay{}, ""
	t.ch.log.Warn("child not served any more", "peer", t.ch.n.book.name(down), "err", why, "redial", o.block)
	t.ch.shut(down)
	t.ch.step(swarm.Broken{Peer: swarm.ID(down)})
}

// refuses tells whether a peer is not served for now.
func (t *tally) refuses(id p2p.ID) bool {
	o := t.out[id]
	return o != nil && time.Now().Before(o.blocked)
}

// viewers returns how many players watch the channel here, as far as the hub can tell.
func (ch *channel) viewers() (n int) {
	count := ch.n.options().Viewers
	if count == nil {
		return 0
	}
	for name, out := range ch.outs.byKey {
		if out.pub != nil {
			n += count(name)
		}
	}
	return n
}

// serves tells whether there is a push stream to a peer.
func (ch *channel) serves(id p2p.ID) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.outflows[id] != nil
}

// peerOf returns the ledger's name of a gateway; that of one without an Ed25519 key is zero.
func peerOf(id p2p.ID) ledger.Peer {
	if key := id.Key(); key != nil {
		return ledger.PeerOf(key)
	}
	return ledger.Peer{}
}

// leased takes in the owner's leave to serve a child.
func (t *tally) leased(down p2p.ID, le *ledger.Lease) {
	if o := t.out[down]; o != nil && le.Epoch == t.epochNow() {
		o.lease, o.denied = time.Now().Add(le.Expires.Sub(le.Issued)), "" // by this clock: the owner's may be wrong
		o.percent = int(min(le.Standing, math.MaxInt32))
		t.ch.ranked(down)
	}
}

// deny takes in that the owner does not agree that a child is served.
func (t *tally) deny(down p2p.ID, why string) {
	if o := t.out[down]; o != nil {
		o.denied = "the owner does not agree: " + why
	}
}

// vouch has the owner asked what a peer has carried that wants to be served, where that counts.
func (t *tally) vouch(id p2p.ID) {
	if t.ch.source != nil || t.out[id] != nil || t.ch.n.options().Conf.Prefer != conf.PreferContributors {
		return
	}
	now := time.Now()
	o := &outlay{used: now}
	t.out[id] = o
	t.request(id, o, now)
}

// ranked tells the machine what a peer has carried, as far as that is known here.
func (ch *channel) ranked(id p2p.ID) {
	percent := 0
	if ch.source != nil {
		percent = ch.n.accounts.standing(id)
	} else if o := ch.tally.out[id]; o != nil {
		percent = o.percent
	}
	if percent != ch.ranks[id] {
		ch.ranks[id] = percent
		ch.step(swarm.Standing{Peer: swarm.ID(id), Percent: percent})
	}
}

// request asks for the leases that are missing or that end soon.
func (t *tally) request(down p2p.ID, o *outlay, now time.Time) {
	if t.ch.source != nil || o.lease.Sub(now) > ledger.LeaseFor/2 || now.Sub(o.asked) < letterAgain || now.Before(o.blocked) {
		return
	}
	o.asked = now
	t.ch.n.accounts.ask(t.ch.owner, ledger.Request{Channel: t.ch.id, Epoch: t.epochNow(), Downloader: peerOf(down)})
}

// epochNow returns the epoch of what is passed on.
func (t *tally) epochNow() uint64 {
	d, _ := t.ch.description()
	return d.Epoch
}
