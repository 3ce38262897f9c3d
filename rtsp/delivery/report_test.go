package delivery

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"peergate/media"
)

// compound reads a compound packet with an independent decoder.
func compound(t *testing.T, b []byte) (sr *rtcp.SenderReport, cname string, bye bool) {
	t.Helper()
	ps, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	for _, p := range ps {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			sr = p
		case *rtcp.SourceDescription:
			cname = p.Chunks[0].Items[0].Text
		case *rtcp.Goodbye:
			bye = true
		}
	}
	return sr, cname, bye
}

func TestFirstReport(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video, audio)
		begun := time.Now()
		l.picture(true, 5)
		l.write(1, 0, false, 8000, make([]byte, 160))
		c := k.client(t, l, 2)
		c.join(l)
		c.play()
		for track, octets := range []uint32{4, 160} {
			first := c.next(2 * track)
			sr, cname, bye := compound(t, c.next(2*track+1).b)
			if sr == nil || cname != "gate" || bye {
				t.Fatalf("first control packet of track %d has report %v, name %q, bye %v", track, sr, cname, bye)
			}
			if sr.SSRC != binary.BigEndian.Uint32(first.b[8:]) || sr.PacketCount != 1 || sr.OctetCount != octets {
				t.Errorf("report = %v, want 1 packet of %d octets", sr, octets)
			}
			clock, _ := l.pub.Stream().Clock(track)
			if d := media.FromNTP(sr.NTPTime).Sub(clock.At(sr.RTPTime)).Abs(); d > time.Second/8000 {
				t.Errorf("the clock of track %d is %v off", track, d)
			}
			if at := media.FromNTP(sr.NTPTime); at.Before(begun.Add(-time.Millisecond)) || time.Since(at) < -time.Millisecond {
				t.Errorf("report is of %v, the stream began at %v", at, begun)
			}
		}
	})
}

func TestByeAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		for name, end := range map[string]func(l *lab, c *client){
			"of the stream": func(l *lab, c *client) {
				l.pub.End()
				if err := c.end(); err != io.EOF {
					t.Errorf("Ended(%v), want EOF", err)
				}
			},
			"of the player": func(_ *lab, c *client) { c.player.Close(true) },
			"of the sender": func(l *lab, c *client) {
				l.stop()
				if err := c.end(); !errors.Is(err, ErrClosed) {
					t.Errorf("Ended(%v), want ErrClosed", err)
				}
			},
		} {
			l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
			l.picture(true, 5)
			c := k.client(t, l, 1)
			c.join(l)
			c.row(c.play()[0].Seq, 6)
			end(l, c)
			for {
				sr, _, bye := compound(t, c.next(1).b)
				if !bye {
					continue
				}
				if sr == nil || sr.PacketCount != 6 {
					t.Errorf("end %s: the last report is %v, want one of 6 packets", name, sr)
				}
				break
			}
		}
	})
}

func TestReported(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		begun := time.Now()
		l.picture(true, 5)
		c := k.client(t, l, 1)
		c.join(l)
		c.play()
		sr, _, _ := compound(t, c.next(1).b)
		rr := &rtcp.ReceiverReport{SSRC: 9, Reports: []rtcp.ReceptionReport{
			{SSRC: 4711, TotalLost: 1000},
			{SSRC: sr.SSRC, TotalLost: 7, Jitter: 900, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 1 << 15},
		}}
		b, err := rr.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		arrived := time.Now().Add(550 * time.Millisecond)
		c.player.Reported(0, b, arrived)
		st, most := c.player.Stats(), arrived.Sub(begun)-500*time.Millisecond+time.Millisecond
		if st.Lost != 7 || st.Jitter != 10*time.Millisecond || st.RTT < 50*time.Millisecond || st.RTT > most {
			t.Errorf("Stats = %+v, want 7 lost, a jitter of 10 ms and a round trip of 50 ms to %v", st, most)
		}
	})
}

func FuzzReportBlocks(f *testing.F) {
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{Reports: []rtcp.ReceptionReport{{SSRC: 1}}},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 2}, {SSRC: 3}}},
		&rtcp.Goodbye{},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		reportBlocks(b, func(block) { n++ })
		if n > len(b)/24 {
			t.Errorf("%d blocks in %d bytes", n, len(b))
		}
	})
}

func TestReportBlocks(t *testing.T) {
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{Reports: []rtcp.ReceptionReport{{SSRC: 1, TotalLost: 0xffffff}}},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 2, TotalLost: 5, Jitter: 6, LastSenderReport: 7, Delay: 8}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []block
	reportBlocks(b, func(b block) { got = append(got, b) })
	if len(got) != 2 || got[0] != (block{ssrc: 1, lost: -1}) || got[1] != (block{2, 5, 6, 7, 8}) {
		t.Errorf("blocks = %+v", got)
	}
}

func TestClock(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	c := clock{true, media.NTP(at), 1 << 31, 90000}
	for _, d := range []int32{0, 1, -1, 90000, -90000, math.MaxInt32, math.MinInt32} {
		ntp := c.ntp(c.at + uint32(d))
		want := at.Add(time.Duration(d) * time.Second / 90000)
		if e := media.FromNTP(ntp).Sub(want).Abs(); e > 2*time.Nanosecond {
			t.Errorf("ntp of %d is %v off", d, e)
		}
		if got := c.rtp(ntp); got != c.at+uint32(d) {
			t.Errorf("rtp of ntp of %d is %d", d, got-c.at)
		}
	}
}

func TestReportInterval(t *testing.T) {
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := reportInterval()
		low, high = min(low, d), max(high, d)
	}
	// Between half and one and a half of 5 s, divided by 1.21828 (RFC 3550 §6.3.1).
	if low < 2052*time.Millisecond || low > 2400*time.Millisecond || high < 5800*time.Millisecond || high > 6157*time.Millisecond {
		t.Errorf("intervals are %v to %v", low, high)
	}
}

func TestWheel(t *testing.T) {
	var w wheel
	now := time.Now()
	w.advance(now)
	sh := &shard{}
	players := map[*Player]time.Duration{}
	for _, d := range []time.Duration{0, tickTime, time.Second, 6 * time.Second, time.Hour} {
		p := &Player{state: over, shard: sh}
		w.add(p, d)
		players[p] = d
	}
	for p, d := range players {
		want := min(max(int64(d/tickTime), 1), wheelSlots-1)
		if p.due != want {
			t.Errorf("after %v is tick %d, want %d", d, p.due, want)
		}
	}
	w.advance(now.Add(5 * tickTime))
	if len(w.slots[1]) != 0 || w.tick != 5 {
		t.Errorf("after 5 ticks it is at %d, with %d players due at 1", w.tick, len(w.slots[1]))
	}
}
