package delivery

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"
)

// narrow is a pipe that takes a few bytes at a time.
type narrow struct {
	shard *shard
	step  int // bytes a write
	taken []byte
	waits uint64
}

func (n *narrow) write(pieces []piece) (int, error) {
	left := n.step
	for _, p := range pieces {
		k := min(left, len(p.b))
		n.taken = append(n.taken, p.b[:k]...)
		left -= k
		if k < len(p.b) {
			break
		}
		if p.then != nil {
			p.then()
		}
	}
	return n.step - left, nil
}

func (n *narrow) await(id uint64) { n.waits = id }

func (*narrow) close() {}

// open lets the link write again; it reports whether it waited.
func (n *narrow) open() bool {
	if n.waits == 0 {
		return false
	}
	w := n.shard.waiters[n.waits]
	delete(n.shard.waiters, n.waits)
	n.waits = 0
	w.writable()
	return true
}

// Whatever part of a batch a connection takes, packets and answers come out whole and in order.
func TestPartialWrites(t *testing.T) {
	for step := 1; step < 2200; step += 1 + step/40 {
		l := newLab(t, Options{StartMaxAge: time.Minute, Shards: 1}, video)
		sh := l.sender.shards[0]
		n := &narrow{shard: sh, step: step}
		link := &Link{shard: sh, pipe: n}
		c := newClient(t)
		c.link, c.outlets = link, []Outlet{{Link: link, RTPChannel: 0, RTCPChannel: 1}}
		l.picture(true, 3)
		c.join(l)
		seq := c.play()[0].Seq
		l.picture(false, 4)
		eventually(t, "both frames have arrived", func() bool {
			arrived := 0
			sh.call(func() {
				for _, b := range c.player.flow.log {
					arrived += len(b.packets)
				}
			})
			return arrived == 8
		})
		answers := 0
		for again := true; again; {
			sh.call(func() {
				again = n.open()
				if again && answers < 20 {
					link.send(message{b: []byte("RTSP\n")})
					answers++
				}
			})
		}
		r := bytes.NewReader(n.taken)
		packets := 0
		for r.Len() > 0 {
			head, _ := r.ReadByte()
			switch head {
			case 'P', 'R':
				line := make([]byte, 4)
				_, _ = r.Read(line)
				if s := string(line); s != "LAY\n" && s != "TSP\n" {
					t.Fatalf("step %d: %c%q in place of an answer", step, head, s)
				}
				if head == 'R' {
					answers--
				}
			case '$':
				b := make([]byte, 3)
				_, _ = r.Read(b)
				p := make([]byte, binary.BigEndian.Uint16(b[1:]))
				if k, err := r.Read(p); k != len(p) || err != nil {
					t.Fatalf("step %d: a packet of %d bytes is torn", step, len(p))
				}
				if b[0] == 1 {
					compound(t, p)
					continue
				}
				if got := binary.BigEndian.Uint16(p[2:]); got != seq+uint16(packets) {
					t.Fatalf("step %d: packet %d, want %d", step, got, seq+uint16(packets))
				}
				packets++
			default:
				t.Fatalf("step %d: %x in place of a packet", step, head)
			}
		}
		if packets != 8 || answers != 0 {
			t.Errorf("step %d: %d packets, %d answers missing, want 8, 0", step, packets, answers)
		}
		l.stop()
	}
}

func TestSendAndFlush(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{Portable: k.portable}, video)
		c := k.client(t, l, 1)
		for i := range 100 {
			if err := c.link.Send([]byte{byte('0' + i%10), '\n'}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.link.Flush(t.Context()); err != nil {
			t.Fatalf("Flush = %v", err)
		}
		for i := range 100 {
			if got := <-c.answers; got != string(byte('0'+i%10)) {
				t.Fatalf("message %d is %q", i, got)
			}
		}
		if err := errors.Join(c.link.Close(), c.link.Close()); err != nil {
			t.Errorf("Close = %v", err)
		}
		eventually(t, "a closed link refuses", func() bool { return errors.Is(c.link.Send([]byte("x")), ErrClosed) })
		if err := c.link.Flush(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Flush of a closed link = %v, want ErrClosed", err)
		}
	})
}

// A client that reads nothing gets so many answers and no more.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, portable := range []bool{false, true} {
		l := newLab(t, Options{Portable: portable, WriteTimeout: time.Second}, video)
		s, _ := pair(t)
		_ = s.SetWriteBuffer(4096)
		link := l.sender.Link(s)
		refused := 0 // in a row
		for range 100_000 {
			err := link.Send(make([]byte, 16<<10))
			if err == nil {
				refused = 0
				continue
			}
			if !errors.Is(err, ErrStalled) {
				t.Fatalf("Send = %v, want ErrStalled", err)
			}
			if refused++; refused == 100 {
				break
			}
			<-time.After(time.Millisecond)
		}
		if refused < 100 {
			t.Error("1.6 GB of answers are not too many")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := link.Flush(ctx); !errors.Is(err, ErrStalled) {
			t.Errorf("Flush = %v, want ErrStalled", err)
		}
	}
}

// closingConn fails after some bytes.
type closingConn struct {
	net.Conn
	left int
}

func (c *closingConn) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left < 0 {
		c.Conn.Close()
	}
	return c.Conn.Write(b)
}

func TestConnectionClosedInTheMiddle(t *testing.T) {
	for name, client := range map[string]func(t *testing.T, l *lab) *client{
		"by the client": func(t *testing.T, l *lab) *client {
			c := tcpClient(t, l, 1)
			_ = c.conn.(*net.TCPConn).SetLinger(0)
			c.closes = c.conn
			return c
		},
		"by the server": func(t *testing.T, l *lab) *client {
			s, u := pair(t)
			c := interleaved(t, l, s, u, 1)
			c.closes = s
			return c
		},
		"in a write": func(t *testing.T, l *lab) *client {
			s, u := pair(t)
			return interleaved(t, l, &closingConn{s, 10_000}, u, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{StartMaxAge: time.Minute}, video)
			other := tcpClient(t, l, 1)
			other.join(l)
			l.picture(true, 3)
			c := client(t, l)
			c.join(l)
			c.row(c.play()[0].Seq, 4)
			seq := other.play()[0].Seq
			if c.closes != nil {
				c.closes.Close()
			}
			go func() {
				for range 100 {
					l.picture(false, 20)
				}
			}()
			if err := c.end(); err == nil {
				t.Error("Ended(nil)")
			}
			other.row(seq, 2004)
			if err := c.link.Send([]byte("x")); err == nil {
				t.Error("Send works on a dead link")
			}
		})
	}
}

func TestLinkCloseEndsItsPlayers(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		l.picture(true, 3)
		c := k.client(t, l, 1)
		c.join(l)
		seq := c.play()[0].Seq
		c.row(seq, 4)
		c.link.Close()
		if c.outlets[0].Link == nil { // over UDP it goes on
			l.picture(false, 3)
			c.row(seq+4, 3)
			return
		}
		if err := c.end(); !errors.Is(err, ErrClosed) {
			t.Errorf("Ended(%v), want ErrClosed", err)
		}
	})
}

// Two sessions on one connection, with channels of their own.
func TestPlayersOfOneLink(t *testing.T) {
	for _, portable := range []bool{false, true} {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: portable}, video)
		l.picture(true, 3)
		c := tcpClient(t, l, 1)
		d := &client{t: t, link: c.link, packets: c.packets, answers: c.answers, ended: make(chan error, 1)}
		d.outlets = []Outlet{{Track: 0, Link: c.link, RTPChannel: 4, RTCPChannel: 5}}
		c.join(l)
		d.join(l)
		seq := c.play()[0].Seq
		d.play()
		l.picture(false, 80)
		c.row(seq, 84)
		for i := range uint16(84) {
			if got := d.next(4).seq(); got != seq+i {
				t.Fatalf("packet %d of the second player, want %d", got, seq+i)
			}
		}
		c.player.Close(true)
		l.picture(false, 80)
		for i := range uint16(80) {
			if got := d.next(4).seq(); got != seq+84+i {
				t.Fatalf("packet %d of the second player, want %d", got, seq+84+i)
			}
		}
	}
}
