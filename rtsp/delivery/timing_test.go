package delivery

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"peergate/media"
)

// pipeClient is a player over net.Pipe, whose writes block until they are read, in the fake time of a bubble.
func pipeClient(t *testing.T, l *lab, tracks int) *client {
	s, u := net.Pipe()
	t.Cleanup(func() { s.Close(); u.Close() })
	return interleaved(t, l, s, u, tracks)
}

func newPipeLab(t *testing.T, o Options, tracks ...media.Track) *lab {
	o.Portable = true
	return newLab(t, o, tracks...)
}

func TestKeyFrameIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // when the key frame comes
		known bool          // Play tells of it
	}{
		{"soon", time.Second, true},
		{"late", 9 * time.Second, true},
		{"too late", 11 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipeLab(t, Options{}, video)
				defer l.stop()
				defer l.pub.End()
				l.picture(true, 2)
				p := pipeClient(t, l, 1)
				p.join(l)
				begun := time.Now()
				go func() {
					for time.Since(begun) < 15*time.Second {
						time.Sleep(40 * time.Millisecond)
						l.picture(time.Since(begun).Truncate(40*time.Millisecond) == c.after, 2)
					}
				}()
				starts := p.play()
				if starts[0].HasSeq != c.known {
					t.Errorf("after %v Play tells %+v", time.Since(begun), starts[0])
				}
				if !c.known && time.Since(begun).Round(time.Second) != keyTime {
					t.Errorf("Play waited for %v, want %v", time.Since(begun), keyTime)
				}
				time.Sleep(10 * time.Second)
				g := p.next(0)
				if g.b[12] != 0x67 || c.known && g.seq() != starts[0].Seq {
					t.Errorf("first packet is %d, %x, want a parameter set", g.seq(), g.b[12])
				}
				time.Sleep(10 * time.Second)
			})
		})
	}
}

// A stream that sends nothing is not waited for longer than a silent track, and what it knows is told.
func TestSilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{}, video, audio)
		defer l.stop()
		defer l.pub.End()
		c := pipeClient(t, l, 2)
		c.join(l)
		begun := time.Now()
		if starts := c.play(); starts[0].HasSeq || starts[1].HasSeq {
			t.Errorf("starts = %+v, want nothing known", starts)
		}
		if d := time.Since(begun); d < silentTime || d > silentTime+tickTime {
			t.Errorf("Play took %v, want %v", d, silentTime)
		}
		l.picture(true, 3)
		l.write(1, 0, false, 8000, make([]byte, 160))
		c.row(c.next(0).seq()+1, 3)
	})
}

// A track that has been silent for longer than anybody is waited for costs a later player no time.
func TestKnownSilenceIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{StartMaxAge: time.Minute}, video, audio)
		defer l.stop()
		defer l.pub.End()
		l.picture(true, 3)
		first := pipeClient(t, l, 2)
		first.join(l)
		first.play()
		for range 10 {
			time.Sleep(time.Second)
			l.picture(true, 3)
		}
		c := pipeClient(t, l, 2)
		c.join(l)
		begun := time.Now()
		c.play()
		if d := time.Since(begun); d > tickTime {
			t.Errorf("Play took %v", d)
		}
	})
}

// rtptime of all tracks is of one instant by the source's clock, whatever came first.
func TestStartsAreOfOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{StartMaxAge: time.Minute}, video, audio)
		defer l.stop()
		defer l.pub.End()
		time.Sleep(time.Second)
		l.write(1, 0, false, 0, make([]byte, 160)) // audio's timestamp 0 is now
		time.Sleep(500 * time.Millisecond)
		l.picture(true, 3) // video's 0 is half a second later
		time.Sleep(20 * time.Millisecond)
		l.write(1, 0, false, 4160, make([]byte, 160))
		c := pipeClient(t, l, 2)
		c.join(l)
		starts := c.play()
		if v, a := starts[0].Timestamp-l.base, starts[1].Timestamp-l.base; v != 0 || a != 4000 {
			t.Errorf("rtptimes are %d and %d, want 0 and 4000", v, a)
		}
	})
}

// A client that says PLAY again loses nothing and learns what time it is.
func TestPlayWhilePlaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{StartMaxAge: time.Minute}, video, audio)
		defer l.stop()
		defer l.pub.End()
		l.write(1, 0, false, 0, make([]byte, 160))
		l.picture(true, 3)
		c := pipeClient(t, l, 2)
		c.join(l)
		seq := c.play()[0].Seq
		c.row(seq, 4)
		l.picture(false, 3)
		time.Sleep(time.Second)
		starts := c.play()
		for i, want := range []uint32{3000 + 90000, 8000 + 267} { // the second frame came at once
			if s := starts[i]; s.HasSeq || !s.HasTime || s.Timestamp-l.base+1 < want || s.Timestamp-l.base > want+1 {
				t.Errorf("track %d: %+v, want %d and no packet", i, s, want)
			}
		}
		l.picture(false, 3)
		c.row(seq+4, 6)
	})
}

func TestReportsOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{StartMaxAge: time.Minute}, video)
		defer l.stop()
		defer l.pub.End()
		l.picture(true, 3)
		c := pipeClient(t, l, 1)
		c.join(l)
		c.play()
		for range 60 * 25 {
			time.Sleep(40 * time.Millisecond)
			l.picture(l.frame%25 == 0, 3)
		}
		synctest.Wait()
		n := len(c.packets[1])
		if n < 60*10/62 || n > 60*10/20+2 {
			t.Errorf("%d reports in 60 s, want one each 2.05 to 6.16 s", n)
		}
		last := uint32(0)
		for range n {
			sr, cname, _ := compound(t, c.next(1).b)
			if sr.PacketCount <= last || cname != "gate" {
				t.Errorf("report of %d packets after one of %d, name %q", sr.PacketCount, last, cname)
			}
			last = sr.PacketCount
		}
	})
}

// A connection whose write does not return is given up, and the sender can end all the same.
func TestBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{StartMaxAge: time.Minute, WriteTimeout: 5 * time.Second}, video)
		defer l.stop()
		defer l.pub.End()
		l.picture(true, 3)
		s, u := net.Pipe()
		defer u.Close()
		c := newClient(t)
		c.link = l.sender.Link(s)
		c.outlets = []Outlet{{Link: c.link, RTCPChannel: 1}}
		c.join(l)
		c.play()
		begun := time.Now()
		for {
			l.picture(l.frame%25 == 0, 20)
			time.Sleep(40 * time.Millisecond)
			select {
			case err := <-c.ended:
				if !errors.Is(err, ErrStalled) {
					t.Errorf("Ended(%v), want ErrStalled", err)
				}
			default:
				if time.Since(begun) < time.Minute {
					continue
				}
				t.Error("the player was not ended")
			}
			break
		}
		if err := c.link.Send([]byte("x")); !errors.Is(err, ErrStalled) {
			t.Errorf("Send = %v, want ErrStalled", err)
		}
	})
}

// Without a marker a batch is sent after 2 ms.
func TestBatchTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeLab(t, Options{StartMaxAge: time.Minute}, video)
		defer l.stop()
		defer l.pub.End()
		l.picture(true, 3)
		c := pipeClient(t, l, 1)
		c.join(l)
		c.row(c.play()[0].Seq, 4)
		begun := time.Now()
		l.write(0, 96, false, 3000, []byte{0x41, 1})
		c.next(0)
		if d := time.Since(begun); d != batchTime {
			t.Errorf("a packet without a marker took %v, want %v", d, batchTime)
		}
	})
}
