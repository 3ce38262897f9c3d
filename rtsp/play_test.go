package rtsp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"peergate/media"
	"peergate/rtsp/wire"
)

func deadline() time.Time { return time.Now().Add(patience) }

// info reads the RTP-Info header of an answer.
func info(t testing.TB, a *wire.Response) []wire.TrackInfo {
	t.Helper()
	ts, err := wire.ParseRTPInfo(a.Header.Get("RTP-Info"))
	if err != nil {
		t.Fatalf("RTP-Info: %v", err)
	}
	return ts
}

// TestPlay cites RFC 2326 §10.5, §12.29, §12.33: the answer comes before the media and has Range and RTP-Info; URL,
// sequence number and timestamp are those of what follows, which begins with a key frame.
func TestPlay(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track, pcmuTrack)
	for _, way := range []string{"tcp", "udp"} {
		t.Run(way, func(t *testing.T) {
			c := s.dial()
			c.t = t
			ways := [2]string{"Transport: RTP/AVP/TCP;interleaved=0-1", "Transport: RTP/AVP/TCP;interleaved=2-3"}
			us := [2]*udp{newUDP(t), newUDP(t)}
			if way == "udp" {
				ways = [2]string{us[0].transport(), us[1].transport()}
			}
			ses := sessionOf(c.must("SETUP", s.url("/live/trackID=0"), ways[0]))
			c.must("SETUP", s.url("/live/trackID=1"), ways[1], ses)
			a := c.must("PLAY", s.url("/live/"), ses, "Range: npt=0.000-")
			if len(c.frames) > 0 {
				t.Errorf("%d packets came before the answer", len(c.frames))
			}
			if got := a.Header.Get("Range"); got != "npt=now-" {
				t.Errorf("Range = %q", got)
			}
			ts := info(t, a)
			for i, want := range []string{s.url("/live/trackID=0"), s.url("/live/trackID=1")} {
				if ts[i].URL != want || !ts[i].HasSeq || !ts[i].HasTime {
					t.Errorf("RTP-Info of track %d = %+v, want %s", i, ts[i], want)
				}
			}
			for i := range 2 {
				var b []byte
				if way == "udp" {
					b = packet(t, us[i].rtp)
				} else {
					b = c.frame(uint8(2 * i))
				}
				if seq := binary.BigEndian.Uint16(b[2:]); seq != ts[i].Seq {
					t.Errorf("track %d begins with %d, RTP-Info says %d", i, seq, ts[i].Seq)
				}
				if i == 0 && b[rtpHeader] != 0x67 { // the parameter sets, which the stream does not carry, go first
					t.Errorf("the first packet is %x, no parameter set", b[rtpHeader])
				}
				if i == 0 && binary.BigEndian.Uint32(b[4:]) != ts[0].Timestamp {
					t.Errorf("the first timestamp is %d, RTP-Info says %d", binary.BigEndian.Uint32(b[4:]), ts[0].Timestamp)
				}
			}
			c.must("TEARDOWN", s.url("/live"), ses)
		})
	}
}

// TestPlayKeepsTheQuery cites RFC 2326 §12.33: the URL in RTP-Info is that of SETUP.
func TestPlayKeepsTheQuery(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	for _, url := range []string{s.url("/live?a=b,c/trackID=0"), s.url("/live/?a=b;d=e/trackID=0"), s.url("/live/trackID=0?x"), s.url("/live?x")} {
		c := s.dial()
		ses := sessionOf(c.must("SETUP", url, "Transport: RTP/AVP/TCP"))
		if ts := info(t, c.must("PLAY", s.url("/live"), ses)); ts[0].URL != url {
			t.Errorf("RTP-Info has %s, want %s", ts[0].URL, url)
		}
	}
	c := s.dial()
	ses := sessionOf(c.must("SETUP", "/live/trackID=0", "Transport: RTP/AVP/TCP"))
	if ts := info(t, c.must("PLAY", "/live", ses)); ts[0].URL != s.url("/live/trackID=0") {
		t.Errorf("RTP-Info has %s for a path", ts[0].URL)
	}
}

// TestRange cites RFC 2326 §11.3.8, §12.29: live media cannot serve the past, the future or an end.
func TestRange(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	now := time.Now().UTC()
	clock := func(d time.Duration) string { return now.Add(d).Format("20060102T150405Z") }
	for v, want := range map[string]int{
		"npt=now-": 200, "npt=0-": 200, "npt=0.000000-": 200, "npt=0:00:00.0-": 200, "npt=-": 400, "npt=x-": 400, "npt=30-": 457,
		"npt=0-10": 457, "npt=-10": 457, "clock=" + clock(0) + "-": 200, "clock=" + clock(-time.Hour) + "-": 457,
		"clock=" + clock(time.Hour) + "-": 457, "clock=" + clock(0) + "-" + clock(time.Hour): 457, "smpte=0:00:00-": 200,
		"smpte=0:10:00-": 457, "bytes=0-": 457, "npt=0-;time=19970123T143720Z": 200,
	} {
		c := s.dial()
		ses := c.setup(s.url("/live"), 1)
		a := c.do("PLAY", s.url("/live"), ses, "Range: "+v)
		wantStatus(t, v, a, want)
		if want != 200 {
			c.must("PLAY", s.url("/live"), ses) // the session is as it was
		}
	}
}

// TestScale cites RFC 2326 §12.34, §12.35: the answer has the scale and speed that are really played.
func TestScale(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	a := c.must("PLAY", s.url("/live"), c.setup(s.url("/live"), 1), "Scale: -2", "Speed: 2.5")
	if sc, sp := a.Header.Get("Scale"), a.Header.Get("Speed"); sc != "1.0" || sp != "1.0" {
		t.Errorf("Scale = %q, Speed = %q, want 1.0", sc, sp)
	}
	c = s.dial()
	wantStatus(t, "Scale", c.do("PLAY", s.url("/live"), c.setup(s.url("/live"), 1), "Scale: fast"), 400)
}

// TestPause cites RFC 2326 §10.6: nothing comes after the answer, and PLAY goes on live, in one SSRC.
func TestPause(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live"), ses)
	before := c.frame(0)
	c.must("PAUSE", s.url("/live"), ses)
	c.frames = nil
	seen := s.hub.Stream("live").Stats().Packets
	eventually(t, "the stream goes on", func() bool { return s.hub.Stream("live").Stats().Packets > seen+5 })
	c.must("GET_PARAMETER", s.url("/live"), ses)
	for _, f := range c.frames {
		if f.Channel == 0 {
			t.Fatal("a packet came after PAUSE")
		}
	}
	a := c.must("PLAY", s.url("/live"), ses, "Range: npt=0.5-")
	after := c.frame(0)
	if seq := binary.BigEndian.Uint16(after[2:]); seq != info(t, a)[0].Seq || int16(seq-binary.BigEndian.Uint16(before[2:])) <= 0 {
		t.Errorf("goes on with %d after %d, RTP-Info says %d", seq, binary.BigEndian.Uint16(before[2:]), info(t, a)[0].Seq)
	}
	if string(after[8:12]) != string(before[8:12]) {
		t.Errorf("SSRC is %x after %x", after[8:12], before[8:12])
	}
}

// TestPlayWhilePlaying cites RFC 2326 §A.2, RFC 7826 §13.4: another PLAY is answered, and no packet is lost by it.
func TestPlayWhilePlaying(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live"), ses)
	last := binary.BigEndian.Uint16(c.frame(0)[2:])
	for _, header := range []string{"X: none", "Range: npt=now-", "Range: npt=0-"} {
		a := c.must("PLAY", s.url("/live"), ses, header)
		if ts := info(t, a); len(ts) != 1 || ts[0].URL != s.url("/live/trackID=0") || a.Header.Get("Range") == "" {
			t.Errorf("answer has %v", a.Header)
		}
		for range 15 {
			seq := binary.BigEndian.Uint16(c.frame(0)[2:])
			if seq != last+1 {
				t.Errorf("packet %d after %d", seq, last)
			}
			last = seq
		}
	}
}

// TestSilentTrack cites RFC 2326 §12.33: a track without packets is waited for 2 s at most, and its rtptime is that of
// the instant at which the others begin.
func TestSilentTrack(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	two, err := s.hub.Publish("two", []media.Track{h264Track, pcmuTrack}, media.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			if two.WriteRTP(0, testPacket(&h264Track, n), time.Now()) != nil {
				return
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-done }()
	c := s.dial()
	ses := c.setup(s.url("/two"), 2)
	begun := time.Now()
	ts := info(t, c.must("PLAY", s.url("/two"), ses))
	if d := time.Since(begun); d > patience/2 {
		t.Errorf("PLAY took %v", d)
	}
	if len(ts) != 2 || !ts[0].HasSeq || ts[1].HasSeq || ts[1].URL != s.url("/two/trackID=1") {
		t.Errorf("RTP-Info = %+v", ts)
	}
	c.frame(0)
}

// TestRTCP cites RFC 3550 §6.1, §6.4.1, §6.5.1, §6.6: a sender report with a CNAME comes soon, its NTP time is now, and BYE
// comes when the stream ends; then the session is over.
func TestRTCP(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	pub := s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live"), ses)
	b := c.frame(1)
	if b[1] != 200 || !strings.Contains(string(b), "@peergate") {
		t.Errorf("the first RTCP packet is %x, want a sender report with CNAME", b)
	}
	if d := time.Since(media.FromNTP(binary.BigEndian.Uint64(b[8:]))).Abs(); d > 2*time.Second {
		t.Errorf("the sender report is %v off", d)
	}
	if got, want := binary.BigEndian.Uint32(b[4:]), s.hub.Stream("live").SSRC(0); got != want {
		t.Errorf("SSRC of the sender report = %08x, want %08x", got, want)
	}
	pub.End()
	eventuallyBye(t, c)
	eventually(t, "the session knows of it", func() bool {
		a := c.do("PLAY", s.url("/live"), ses)
		return a.Status == 455
	})
	c.must("TEARDOWN", s.url("/live"), ses)
}

// eventuallyBye waits for an RTCP BYE on channel 1.
func eventuallyBye(t testing.TB, c *client) {
	t.Helper()
	for {
		b := c.frame(1)
		for len(b) >= 4 {
			if b[1] == 203 {
				return
			}
			n := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
			b = b[min(n, len(b)):]
		}
	}
}

// TestStreamEndsUnheard closes the connection of a player that does not understand BYE.
func TestStreamEndsUnheard(t *testing.T) {
	s := newServer(t, nil)
	pub := s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live"), ses)
	c.frame(0)
	pub.End()
	eventuallyBye(t, c)
	eventually(t, "the session knows of it", func() bool { return c.do("PLAY", s.url("/live"), ses).Status == 455 })
	s.tickAt(farewellTime / 2)
	c.must("GET_PARAMETER", s.url("/live"), ses)
	s.tickAt(farewellTime + time.Second)
	c.gone()
	if st := s.Status(); st.Players != 0 {
		t.Errorf("%d players are left", st.Players)
	}
}

// TestStatus counts sessions and bytes.
func TestStatus(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live"), ses)
	c.frame(0)
	eventually(t, "bytes are counted", func() bool { return s.Status().BytesOut > 0 })
	st := s.Status()
	if st.Players != 1 || st.Publishers != 0 || st.Connections != 1 || len(st.Sessions) != 1 {
		t.Errorf("Status = %+v", st)
	}
	if ss := st.Sessions[0]; ss.Stream != "live" || ss.Transport != "tcp" || ss.Publisher || ss.Remote != "127.0.0.1" {
		t.Errorf("SessionStatus = %+v", ss)
	}
	c.must("TEARDOWN", s.url("/live"), ses)
	if after := s.Status(); after.Players != 0 || after.BytesOut < st.BytesOut {
		t.Errorf("Status = %+v after the end, %+v before", after, st)
	}
}

// TestManyPlayersOnAConnection: several sessions share a connection, each on its channels.
func TestManyPlayersOnAConnection(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	for i := range 5 {
		ses := sessionOf(c.must("SETUP", s.url("/live"), fmt.Sprintf("Transport: RTP/AVP/TCP;interleaved=%d-%d", 10*i, 10*i+1)))
		c.must("PLAY", s.url("/live"), ses)
	}
	for i := range 5 {
		c.frame(uint8(10 * i))
	}
}
