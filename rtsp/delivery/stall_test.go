package delivery

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"
)

// kinds over TCP, whose clients can stall.
func eachStream(t *testing.T, f func(t *testing.T, k kind)) {
	for _, k := range kinds {
		if k.name != "udp" && k.name != "udp portable" {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				f(t, k)
			})
		}
	}
}

// valve is a connection whose reader can be stopped.
type valve struct {
	net.Conn
	open chan struct{} // closed when it may be read
}

func (v *valve) Read(b []byte) (int, error) {
	<-v.open
	return v.Conn.Read(b)
}

// stalledClient reads nothing until its valve is open.
func stalledClient(t *testing.T, l *lab, k kind) (*client, chan struct{}) {
	t.Helper()
	s, u := pair(t)
	_ = s.SetWriteBuffer(1 << 16)
	_ = u.SetReadBuffer(1 << 16)
	v := &valve{u, make(chan struct{})}
	if k.name == "tls" {
		server, user := tlsPair(s, v)
		close(v.open)
		done := make(chan error)
		go func() { done <- server.Handshake() }()
		if err := errors.Join(user.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		v.open = make(chan struct{})
		return interleaved(t, l, server, user, 1), v.open
	}
	return interleaved(t, l, s, v, 1), v.open
}

func TestStalledPlayerIsEnded(t *testing.T) {
	eachStream(t, func(t *testing.T, k kind) {
		const writeTimeout = 2 * time.Second
		l := newLab(t, Options{StartMaxAge: time.Minute, WriteTimeout: writeTimeout, Portable: k.portable, Shards: 1}, video)
		l.picture(true, 3)
		stalled, open := stalledClient(t, l, k)
		defer close(open)
		stalled.join(l)
		stalled.play()
		other := k.client(t, l, 1)
		other.join(l)
		seq := other.play()[0].Seq
		other.row(seq, 4)
		seq += 4
		begun, worst := time.Now(), time.Duration(0)
		var err error
		for err == nil && time.Since(begun) < patience {
			at := time.Now()
			l.picture(l.frame%30 == 0, 20)
			n := 20
			if l.frame%30 == 1 {
				n++
			}
			other.row(seq, n)
			seq += uint16(n)
			worst = max(worst, time.Since(at))
			select {
			case err = <-stalled.ended:
			case <-time.After(2 * time.Millisecond):
			}
		}
		if !errors.Is(err, ErrStalled) {
			t.Errorf("Ended(%v), want ErrStalled", err)
		}
		if worst >= writeTimeout {
			t.Errorf("another player waited for %v", worst)
		}
		if st := other.player.Stats(); st.Skipped != 0 {
			t.Errorf("another player lost %d packets", st.Skipped)
		}
		sh := l.sender.shards[0]
		sh.call(func() {
			if len(sh.blocked) != 0 || len(sh.waiters) != 0 {
				t.Errorf("the ended link left %d blocked, %d waiters", len(sh.blocked), len(sh.waiters))
			}
		})
	})
}

// A player that takes nothing for a while loses whole groups of pictures and goes on with a key frame, all packets whole.
func TestSlowPlayerSkipsToAKeyFrame(t *testing.T) {
	eachStream(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, WriteTimeout: time.Minute, Portable: k.portable}, video)
		l.picture(true, 3)
		c, open := stalledClient(t, l, k)
		c.join(l)
		seq := c.play()[0].Seq
		for begun := time.Now(); time.Since(begun) < maxLag+2*time.Second; {
			l.picture(l.frame%30 == 0, 20)
			<-time.After(5 * time.Millisecond)
		}
		last := l.sent(0)
		close(open)
		row, skipped := 0, 0
		for seq != last+1 {
			g := c.next(0)
			if d := int(g.seq() - seq); d != 0 {
				skipped += d
				if g.b[12] != 0x67 {
					t.Fatalf("goes on with %x after %d packets, want a parameter set", g.b[12], d)
				}
			} else {
				row++
			}
			seq = g.seq() + 1
		}
		if skipped == 0 {
			t.Error("nothing was skipped")
		}
		if st := c.player.Stats(); st.Skipped != uint64(skipped) {
			t.Errorf("Skipped = %d, the client missed %d", st.Skipped, skipped)
		}
		t.Logf("%d packets in a row, %d skipped", row, skipped)
	})
}

// Of a stream whose group of pictures does not end, a stalled player waits for the next key frame all the same.
func TestSlowPlayerOfALongGroup(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{StartMaxAge: time.Minute, WriteTimeout: time.Minute}, video)
	l.picture(true, 3)
	c, open := stalledClient(t, l, kinds[0])
	c.join(l)
	c.play()
	for begun := time.Now(); time.Since(begun) < maxLag+2*time.Second; {
		l.picture(false, 20)
		<-time.After(5 * time.Millisecond)
	}
	close(open)
	eventually(t, "packets are skipped", func() bool { return c.player.Stats().Skipped > 0 })
	key := l.sent(0) + 1
	l.picture(true, 3)
	seq := c.next(0).seq()
	for seq != key {
		g := c.next(0)
		if g.seq() != seq+1 && g.seq() != key {
			t.Fatalf("packet %d after %d, want the next or the key frame, %d", g.seq(), seq, key)
		}
		seq = g.seq()
	}
	c.row(key+1, 3)
}

// A publisher that returns goes on in the same row, with a gap of one.
func TestPublisherReturns(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		l.picture(true, 5)
		c := k.client(t, l, 1)
		c.join(l)
		seq := c.play()[0].Seq
		c.row(seq, 6)
		l.pub.Close()
		l.publish(video)
		l.picture(true, 5)
		c.row(seq+7, 6)
		l.pub.Close()
		l.publish(video, audio) // other tracks: another stream
		if err := c.end(); err == nil {
			t.Error("Ended(nil)")
		}
	})
}

// A group that is nothing but its key packet, and a stream that has none yet.
func TestShortGroups(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		c := k.client(t, l, 1)
		c.join(l)
		done := make(chan []Start)
		go func() { done <- c.play() }()
		eventually(t, "Play waits", func() bool { return l.waiting(c) })
		l.write(0, 96, true, 0, []byte{0x65})
		l.write(0, 96, true, 3000, []byte{0x65})
		l.write(0, 96, true, 6000, nil) // no payload at all
		l.write(0, 96, true, 9000, []byte{0x65})
		seq := (<-done)[0].Seq // of one of the key packets
		c.row(seq, int(l.sent(0)-seq)+1)
		d := k.client(t, l, 1)
		d.join(l)
		if seq := d.play()[0].Seq; seq != l.sent(0) {
			t.Errorf("begins with %d, want %d", seq, l.sent(0))
		}
	})
}

// xor is a Sealer that is easily undone: it appends a tag.
type xor struct{}

func (xor) SealRTP(dst, packet []byte) ([]byte, error) {
	if binary.BigEndian.Uint16(packet[2:])%10 == 5 {
		return nil, errors.New("will not")
	}
	dst = append(dst, packet[:rtpHeader]...)
	for _, b := range packet[rtpHeader:] {
		dst = append(dst, b^0xff)
	}
	return append(dst, "rtp-tag"...), nil
}

func (xor) SealRTCP(dst, packet []byte) ([]byte, error) {
	return append(append(dst, packet...), "rtcp-tag"...), nil
}

func TestSealed(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, silentVideo)
		l.bare = true
		l.picture(true, 50)
		c := k.client(t, l, 1)
		c.outlets[0].Seal = xor{}
		c.join(l)
		seq := c.play()[0].Seq
		for i := range uint16(102) {
			if i == 52 {
				l.picture(false, 50)
			}
			if (seq+i)%10 == 5 {
				continue
			}
			g := c.next(0)
			if n := len(g.b) - len("rtp-tag"); g.seq() != seq+i || string(g.b[n:]) != "rtp-tag" || i == 0 && g.b[12] != 0x67^0xff {
				t.Fatalf("packet %d is %d: %x", i, g.seq(), g.b)
			}
		}
		b := c.next(1).b
		n := len(b) - len("rtcp-tag")
		if string(b[n:]) != "rtcp-tag" {
			t.Errorf("control packet %x is not sealed", b)
		}
		compound(t, b[:n])
	})
}

// Many come and go while the stream runs; each begins with a key frame, and nothing is left.
func TestComingAndGoing(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		l.picture(true, 3)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					l.picture(l.frame%10 == 0, 3)
				}
			}
		}()
		done := make(chan struct{})
		for i := range 8 {
			go func() {
				defer func() { done <- struct{}{} }()
				for range 5 {
					c := k.client(t, l, 1)
					c.join(l)
					seq := c.play()[0].Seq
					if g := c.next(0); g.seq() != seq || g.b[12] != 0x67 {
						t.Errorf("begins with %d (%x), want %d, a parameter set", g.seq(), g.b[12], seq)
					}
					c.row(seq+1, 10*i+1)
					c.player.Close(i%2 == 0)
					c.link.Close()
				}
			}()
		}
		for range 8 {
			<-done
		}
		close(stop)
		<-stopped
		eventually(t, "the feed has ended", func() bool { return l.pub.Stream().Subscribers() == 0 })
		for _, sh := range l.sender.shards {
			sh.call(func() {
				if len(sh.flows) != 0 || len(sh.blocked) != 0 || len(sh.waiters) != 0 || sh.load.Load() != 0 {
					t.Errorf("left: %d flows, %d blocked links, %d waiters, load %d", len(sh.flows), len(sh.blocked), len(sh.waiters), sh.load.Load())
				}
			})
		}
	})
}
