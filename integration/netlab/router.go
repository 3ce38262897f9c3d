//go:build integration

package netlab

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// packetSize is room for a packet of a 1500 byte MTU.
	packetSize = 2048
	// readAtOnce bounds the packets read from one link before the others have their turn.
	readAtOnce = 128
	// urgency is the real-time priority of the router's thread, the least there is: it goes before all ordinary ones, so that
	// delays are kept when the machine is busy.
	urgency = 1
	// ownProcessors are what GOMAXPROCS has at least beyond the machine's, once there was a router, so that it does not wait
	// until another goroutine of this process, whose thread does not run, gives its processor away.
	ownProcessors = 2
)

// Load is how the core did.
type Load struct {
	Packets int64         // passed on
	Latest  time.Duration // the latest that a packet left after its time
	Late    int64         // packets that left more than 5 ms late
}

// lateness is what counts as late: a packet of a busy machine's own making rather than the link's.
const lateness = 5 * time.Millisecond

// router is the core: one thread that reads all links, holds packets until their time and writes them out.
type router struct {
	wake  int // an eventfd
	began time.Time
	done  chan struct{} // closed when the thread has ended

	mu      sync.Mutex // guards the fields below and all lines
	closing bool
	links   []*Access
	routes  map[netip.Prefix]*Access
	flight  flight
	order   uint64
	free    [][]byte // packets to use again
	load    Load
}

func newRouter() (*router, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), runtime.NumCPU()+ownProcessors))
	r := &router{wake: wake, began: time.Now(), done: make(chan struct{}), routes: make(map[netip.Prefix]*Access)}
	go r.run()
	return r, nil
}

// Access is the access link of a site.
type Access struct {
	core     *router
	fd       int
	up, down *line
	side     int // sites on different sides do not reach each other
	gone     bool
}

// attach adds the link of site n. Its packets are those for 11.7.N.0/24 and 2a10:77:N::/48.
func (r *router) attach(fd, n int, link Link) *Access {
	a := &Access{core: r, fd: fd, up: newLine(link.Up, uint64(2*n)), down: newLine(link.Down, uint64(2*n+1))}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links = append(r.links, a)
	r.routes[route(address4(n))], r.routes[route(address6(n, 0, 1))] = a, a
	r.stir()
	return a
}

// route is the key of an address in the table.
func route(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // the lengths fit
	return p
}

// stir wakes the thread.
func (r *router) stir() { _, _ = unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// Close ends the thread and removes all links.
func (r *router) Close() {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.stir()
	<-r.done
	for _, a := range r.links {
		unix.Close(a.fd)
	}
	unix.Close(r.wake)
}

func (r *router) run() {
	runtime.LockOSThread() // for good: the thread ends with its priority
	defer close(r.done)
	// Where the system refuses it, delays are kept less well. Threads and processes made by this one are ordinary again.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: urgency, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	var fds []unix.PollFd
	for {
		wait, ok := r.prepare(&fds)
		if !ok {
			return
		}
		_, _ = unix.Ppoll(fds, wait, nil) // an interruption is a wake-up
		r.turn(fds)
	}
}

// prepare lists the devices to read and says how long to wait, nil for ever.
func (r *router) prepare(fds *[]unix.PollFd) (*unix.Timespec, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*fds = append((*fds)[:0], unix.PollFd{Fd: int32(r.wake), Events: unix.POLLIN})
	for _, a := range r.links {
		*fds = append(*fds, unix.PollFd{Fd: int32(a.fd), Events: unix.POLLIN})
	}
	if len(r.flight) == 0 {
		return nil, !r.closing
	}
	wait := unix.NsecToTimespec(int64(max(0, r.flight[0].at-time.Since(r.began))))
	return &wait, !r.closing
}

// turn takes what the links have to send and passes on whatever is due.
func (r *router) turn(fds []unix.PollFd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.began)
	for i, p := range fds {
		switch {
		case p.Revents == 0:
		case i == 0:
			var b [8]byte
			_, _ = unix.Read(r.wake, b[:])
		default:
			r.read(r.links[i-1], now)
		}
	}
	for len(r.flight) > 0 && r.flight[0].at <= now {
		r.step(r.flight.pop(), now)
	}
}

// read takes the packets that a site sends.
func (r *router) read(a *Access, now time.Duration) {
	for range readAtOnce {
		b := r.buffer()
		n, err := unix.Read(a.fd, b)
		if err != nil || n == 0 {
			r.free = append(r.free, b)
			return
		}
		to, ok := destination(b[:n])
		if !ok {
			r.free = append(r.free, b) // such as a router solicitation: no traffic of anybody
			continue
		}
		at, ok := a.up.send(now, n)
		if !ok {
			r.free = append(r.free, b)
			continue
		}
		r.hold(packet{at: at, from: a, to: r.routes[route(to)], b: b[:n]})
	}
}

// destination returns where a packet wants to go, false when that is a group of hosts.
func destination(b []byte) (netip.Addr, bool) {
	var a netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		a = netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= 40 && b[0]>>4 == 6:
		a = netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return a, false
	}
	return a, !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func (r *router) buffer() []byte {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b[:packetSize]
	}
	return make([]byte, packetSize)
}

func (r *router) hold(p packet) {
	r.order++
	p.order = r.order
	r.flight.push(p)
}

// step has a packet go on that has come to the core, or to its site.
func (r *router) step(p packet, now time.Duration) {
	switch {
	case p.to == nil || p.to.gone || p.from.gone || p.from.side != p.to.side:
		p.from.up.traffic.Cut++
	case !p.across:
		if at, ok := p.to.down.send(p.at, len(p.b)); ok {
			p.at, p.across = at, true
			r.hold(p)
			return
		}
	default:
		_, _ = unix.Write(p.to.fd, p.b) // a site that takes nothing is down
		r.load.Packets++
		r.load.Latest = max(r.load.Latest, now-p.at)
		if now-p.at > lateness {
			r.load.Late++
		}
	}
	r.free = append(r.free, p.b[:packetSize])
}

func (r *router) split(sites []*Access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	side := 0
	for _, a := range r.links {
		side = max(side, a.side)
	}
	for _, a := range sites {
		a.side = side + 1
	}
}

func (r *router) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.links {
		a.side = 0
	}
}

func (r *router) loadNow() Load {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.load
}

// Set changes the link; packets under way keep their times.
func (a *Access) Set(link Link) {
	a.core.mu.Lock()
	defer a.core.mu.Unlock()
	a.up.way, a.down.way = link.Up, link.Down
}

// Unplug takes the link away, or brings it back.
func (a *Access) Unplug(out bool) {
	a.core.mu.Lock()
	defer a.core.mu.Unlock()
	a.gone = out
}

// Sent returns what the site has sent.
func (a *Access) Sent() Traffic {
	a.core.mu.Lock()
	defer a.core.mu.Unlock()
	return a.up.traffic
}

// Received returns what was sent to the site.
func (a *Access) Received() Traffic {
	a.core.mu.Lock()
	defer a.core.mu.Unlock()
	return a.down.traffic
}
