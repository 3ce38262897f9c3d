package delivery

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// maxEntries is how many messages one system call sends: frames of 16 KB take it well under a millisecond, in which
	// the garbage collector may have to wait for it.
	maxEntries = 64
	// burst is how many bytes a player may get at once over UDP: receivers' buffers hold little more (Linux's 208 KiB
	// count the overhead of each datagram). The rest is paced.
	burst = 64 << 10
	// paceFactor is how much faster than the stream a player is served that has to catch up.
	paceFactor = 4
	// minPace is the least rate of a player that catches up, in bytes a second: 16 Mbit/s.
	minPace = 2_000_000
)

// socket is one of the server's UDP sockets, as a shard uses it.
type socket struct {
	shard   *shard
	sender  datagrams
	entries []entry
	one     [1]entry
	queued  bool // is in shard.queues
	blocked bool // until writable
}

// datagrams sends on a UDP socket.
type datagrams interface {
	// send sends entries in order and returns how many it sent; the error is that of the next one, errAgain when the
	// socket's buffer is full.
	send(entries []entry) (int, error)
	// await has the shard notified with an ID when there may be room.
	await(id uint64)
	// segments reports whether an entry may have several datagrams.
	segments() bool
	// address prepares an address for send.
	address(netip.AddrPort) rawAddr
}

var (
	// errAgain means that the socket's buffer is full.
	errAgain = errors.New("send buffer is full")
	// errSegments means that the kernel does not cut the entry into datagrams here.
	errSegments = errors.New("segmentation refused")
)

// entry is a message: one datagram or several of one size.
type entry struct {
	to      *destination
	data    []byte
	size    int // of a datagram; the last one may be shorter
	player  *Player
	out     *outlet
	form    *form
	number  uint64 // of the batch
	first   int    // the packets of the form are first..last-1
	last    int
	private bool // is no part of the stream
}

// socket returns the shard's view of a socket and of a destination.
func (s *shard) socket(c *net.UDPConn, to netip.AddrPort, source netip.Addr) (*socket, destination) {
	k := s.sockets[c]
	if k == nil {
		k = &socket{shard: s}
		k.sender = s.newDatagrams(c)
		s.sockets[c] = k
	}
	return k, destination{addr: to, oob: sourceControl(source), raw: k.sender.address(to)}
}

// sourceControl returns the control message that has a datagram sent from an address, or nil. An IPv6 socket sends to
// IPv4 addresses as an IPv4 one does.
func sourceControl(source netip.Addr) []byte {
	switch source = source.Unmap(); {
	case !source.IsValid() || source.IsUnspecified():
		return nil
	case source.Is4():
		return (&ipv4.ControlMessage{Src: source.AsSlice()}).Marshal()
	}
	return (&ipv6.ControlMessage{Src: source.AsSlice()}).Marshal()
}

func (k *socket) segments() bool { return k.sender.segments() }

// add queues an entry; it reports false when the socket is blocked.
func (k *socket) add(e entry) bool {
	if len(k.entries) == maxEntries {
		k.flush()
	}
	if k.blocked {
		return false
	}
	k.entries = append(k.entries, e)
	if !k.queued {
		k.queued = true
		k.shard.queues = append(k.shard.queues, k)
	}
	return true
}

// flush sends what is queued. What the kernel does not take goes back to its players.
func (k *socket) flush() {
	es := k.entries
	for len(es) > 0 {
		n, err := k.sender.send(es)
		for i := range es[:n] {
			es[i].sent()
		}
		es = es[n:]
		switch {
		case len(es) == 0 || err == nil:
		case err == errAgain:
			k.back(es, nil)
			es = nil
		case err == errSegments && es[0].size < len(es[0].data):
			rest, err := k.split(&es[0])
			if err == errAgain {
				k.back(append([]entry{rest}, es[1:]...), nil)
				es = nil
				break
			}
			es = es[1:]
		default:
			es[0].failed(err)
			es = es[1:]
		}
	}
	clear(k.entries)
	k.entries = k.entries[:0]
}

// split sends the datagrams of an entry one by one, as from now on to this destination. It returns what errAgain left.
func (k *socket) split(e *entry) (rest entry, err error) {
	e.out.single = true
	for i := e.first; i < e.last; i++ {
		rest = e.part(i, i+1)
		k.one[0] = rest
		if _, err = k.sender.send(k.one[:]); err == errAgain {
			return e.part(i, e.last), err
		} else if err != nil {
			rest.failed(err)
		} else {
			rest.sent()
		}
	}
	return entry{}, nil
}

// part returns the packets first..last-1 of an entry.
func (e *entry) part(first, last int) entry {
	p := *e
	from, to := p.form.start(first), p.form.packets[last-1].end
	p.data, p.first, p.last = p.form.buf[from:to], first, last
	return p
}

// back gives entries back to their players, who try again when the socket is writable.
func (k *socket) back(es []entry, err error) {
	for i := len(es) - 1; i >= 0; i-- {
		if p := es[i].player; p != nil {
			p.next, p.pkt = es[i].number, es[i].first
			p.fails(ErrStalled)
		}
	}
	if !k.blocked {
		k.blocked = true
		k.sender.await(k.shard.await(k))
	}
}

// writable goes on when the kernel can take more.
func (k *socket) writable() {
	k.blocked = false
	for _, fl := range k.shard.flows {
		for i := 0; i < len(fl.players); i++ {
			if p := fl.players[i]; len(p.outlets) > 0 && p.outlets[0].Link == nil && p.state == playing {
				p.queue()
			}
		}
	}
}

// sendNow sends a datagram that is no part of the stream; when the buffer is full it is lost.
func (k *socket) sendNow(to *destination, b []byte) {
	k.one[0] = entry{to: to, data: b, size: len(b), private: true}
	_, _ = k.sender.send(k.one[:])
	k.one[0] = entry{}
}

// sent notes that the kernel has taken an entry.
func (e *entry) sent() {
	p := e.player
	if p == nil {
		return
	}
	p.failing = time.Time{}
	p.add(e.out, e.form.total(e.out.track, e.first, e.last))
	p.delivered(e.number)
}

// failed notes that an entry is lost.
func (e *entry) failed(err error) {
	if p := e.player; p != nil {
		p.count.skipped.Add(uint64(e.last - e.first))
		p.fails(err)
	}
}

// fails notes that sending to the player fails; it is ended when that goes on.
func (p *Player) fails(err error) {
	if p.failing.IsZero() {
		p.failing, p.failure = p.shard.now, err
	}
}

// queue queues the player's next packets as far as its pace allows.
func (p *Player) queue() {
	p.catchUp()
	p.refill()
	fl := p.flow
	for p.state == playing && p.next < fl.head() {
		b := fl.at(p.next)
		f := p.form(b)
		for i := range f.runs {
			if r := &f.runs[i]; r.last > p.pkt && !p.queueRun(f, b.number, r) {
				return
			}
		}
		p.next, p.pkt = p.next+1, 0
	}
}

// queueRun queues what of a run is still to be sent; it reports whether the player can go on.
func (p *Player) queueRun(f *form, number uint64, r *run) bool {
	o := p.by[f.packets[r.first].track]
	for p.pkt = max(p.pkt, r.first); p.pkt < r.last; {
		if p.tokens <= 0 {
			p.shard.later(p)
			return false
		}
		last := r.last
		if o.single {
			last = p.pkt + 1
		}
		report := p.unreported&(1<<o.track) != 0 && p.flow.known(o.track)
		if report {
			last = p.pkt + 1
		}
		data := f.buf[f.start(p.pkt):f.packets[last-1].end]
		e := entry{
			to: &o.to, data: data, size: f.size(p.pkt), player: p, out: o, form: f, number: number, first: p.pkt, last: last,
		}
		if !o.rtp.add(e) {
			return false
		}
		p.tokens -= len(data)
		p.pkt = last
		if report || p.several { // what follows must know whether this was sent
			p.shard.flush()
			if p.pkt != last || o.rtp.blocked {
				return false
			}
		}
		if report {
			p.reportFirst()
		}
	}
	return true
}

// refill gives the player what it may have sent since the last time.
func (p *Player) refill() {
	now := p.shard.now
	if fl := p.flow; p.tokens < burst && p.next < fl.head() {
		rate := max(minPace, paceFactor*fl.at(p.next).rate)
		depth := max(burst, rate*int(paceTime/time.Millisecond)*3/2000) // so that each pace can bring what it should
		p.tokens = min(depth, p.tokens+int(now.Sub(p.refilled).Seconds()*float64(rate)))
		p.refilled = now
	}
}
