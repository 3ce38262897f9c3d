//go:build linux

// Package load is thousands of cheap readers in one thread, over UDP and TCP. They check every packet and measure how long
// it took.
package load

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how players read.
type Options struct {
	UDP bool // rather than interleaved on their connection
	GRO bool // a run of packets over UDP may come as one datagram
}

// Load is a crowd of players.
type Load struct {
	o    Options
	loop *loop
	port int // where to look for the next player's pair
	done chan struct{}
}

// New returns a crowd of nobody.
func New(o Options) (*Load, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	return &Load{o: o, loop: l, port: firstPort, done: make(chan struct{})}, nil
}

// Run reads until ctx ends, and then all players are gone.
func (l *Load) Run(ctx context.Context) error {
	defer l.loop.close()
	defer close(l.done)
	return l.loop.run(ctx)
}

var errOver = errors.New("the load has ended")

// do runs f in the loop and waits for it.
func (l *Load) do(f func()) error {
	ran := make(chan struct{})
	order := func() {
		f()
		close(ran)
	}
	select {
	case l.loop.orders <- order:
		l.loop.rouse()
	case <-l.done:
		return errOver
	}
	select {
	case <-ran:
		return nil
	case <-l.done:
		return errOver
	}
}

// Join adds a player of a URL, which asks at once. One that stalls reads nothing once it plays.
func (l *Load) Join(address string, stalls bool) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		return err
	}
	p := &player{client: client{url: address}, conn: -1, rtp: -1, rtcp: -1, stalls: stalls}
	return l.add(p, to, true)
}

// Listen adds a reader that asks nobody, for a server that sends all the same: over UDP to the address it returns, or over
// a connection to the server.
func (l *Load) Listen(server netip.AddrPort) (netip.AddrPort, error) {
	p := &player{conn: -1, rtp: -1, rtcp: -1}
	p.stage = playing
	if err := l.add(p, server, false); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4(p.from), uint16(p.port)), nil
}

// add opens the sockets of a player and hands it to the loop.
func (l *Load) add(p *player, server netip.AddrPort, asks bool) error {
	var err error
	err2 := l.do(func() {
		p.from = clientAddr(len(l.loop.players))
		err = l.open(p, server, asks)
		if err != nil {
			p.close()
			return
		}
		l.loop.players = append(l.loop.players, p)
	})
	return errors.Join(err, err2)
}

func (l *Load) open(p *player, server netip.AddrPort, asks bool) error {
	var err error
	if l.o.UDP {
		if p.rtp, p.rtcp, p.port, err = pair(p.from, l.port, l.o.GRO); err != nil {
			return err
		}
		if len(l.loop.players)%clients == clients-1 {
			l.port = p.port + 2
		}
		if err := l.loop.watch(p.rtp, p); err != nil {
			return err
		}
		if !asks {
			return nil
		}
	}
	room := 0
	if p.stalls {
		room = stallRoom
	}
	if p.conn, err = dial(p.from, server, room); err != nil {
		return err
	}
	if err := l.loop.watch(p.conn, p); err != nil {
		return err
	}
	if asks {
		return p.next()
	}
	return nil
}

// Playing returns how many players play and have had a whole key frame, and the first error of those that have ended.
func (l *Load) Playing() (n int, err error) {
	err2 := l.do(func() {
		for _, p := range l.loop.players {
			if p.err == nil && p.joined != 0 {
				n++
			}
			if err == nil && p.err != nil {
				err = p.err
			}
		}
	})
	return n, errors.Join(err, err2)
}

// Newest returns the number of the newest packet that any player has.
func (l *Load) Newest() (n uint32, err error) {
	err = l.do(func() { n = l.loop.newest() })
	return n, err
}

// Begin opens the window of measurement at the packet of a number; it has no end yet.
func (l *Load) Begin(from uint32) error {
	return l.do(func() {
		l.loop.window = window{open: true, from: from, to: from + 1<<30}
		for _, p := range l.loop.players {
			p.counted, p.delays = 0, Histogram{}
		}
	})
}

// End sets the number that the window ends before, or a later one where a player has more already. Packets that are on
// their way are still counted.
func (l *Load) End(to uint32) error {
	return l.do(func() {
		w := &l.loop.window
		if w.to = to; int32(l.loop.newest()-to) >= 0 {
			w.to = l.loop.newest() + 1
		}
	})
}

// Packets returns how many packets have come since the players joined, to those that do not stall.
func (l *Load) Packets() (n uint64, err error) {
	err = l.do(func() {
		for _, p := range l.loop.players {
			if !p.stalls {
				n += p.packets
			}
		}
	})
	return n, err
}

// Use tells what processor time the thread of the readers has taken.
func (l *Load) Use() (d time.Duration, err error) {
	err = l.do(func() {
		var u unix.Rusage
		if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
			d = time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	})
	return d, err
}

// Summary is what the players have found. Those that stall are left out.
type Summary struct {
	Players  int
	Left     int // of them, how many have ended before their time
	Expected uint64
	Got      uint64 // packets of the window
	Missing  uint64 // gaps in the sequence numbers, from the first packet on
	Faults   uint64 // packets that are not what they should be, or come late or twice
	Joined   int    // players that have had a whole key frame
	Keyed    int    // of them, how many had it from their very first packet
	Join     Histogram
	Delay    Histogram // of all packets of the window
	Worst    time.Duration
	Err      string // why the first of those that have ended did
}

// Loss is the share of the window's packets that did not come, to all players that there should be.
func (s *Summary) Loss() float64 {
	if s.Expected == 0 {
		return 0
	}
	return 1 - float64(s.Got)/float64(s.Expected)
}

// Summary sums up the window.
func (l *Load) Summary() (s Summary, err error) {
	err = l.do(func() {
		w := &l.loop.window
		s.Delay = w.delays
		for _, p := range l.loop.players {
			if p.stalls {
				continue
			}
			s.add(p, w)
		}
	})
	return s, err
}

func (s *Summary) add(p *player, w *window) {
	s.Players++
	s.Expected += uint64(w.to - w.from)
	s.Got += p.counted
	s.Missing += p.missing
	s.Faults += p.faults + p.late
	if p.err != nil {
		s.Left++
		if s.Err == "" {
			s.Err = p.err.Error()
		}
	}
	s.Worst = max(s.Worst, p.delays.Percentile(0.99))
	if p.joined == 0 {
		return
	}
	s.Joined++
	if p.keyed {
		s.Keyed++
	}
	s.Join.Add(time.Duration(p.joined - p.asked))
}
