//go:build integration

package integration

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// playClauses are about PLAY and PAUSE (§10.5, §10.6).
var playClauses = []clause{
	{"Range in the answer", "§10.5, §12.29, RFC 7826 §13.4: what is played", rangeInAnswer},
	{"ranges of the past", "§11.3.8: 457 for what live media cannot serve", invalidRanges},
	{"RTP-Info over TCP", "§12.33: URL as in SETUP, seq of the first packet", infoTCP},
	{"RTP-Info over UDP", "§12.33: URL as in SETUP, seq of the first packet", infoUDP},
	{"RTP-Info keeps the query", "§12.33: the URL of the request", infoQuery},
	{"rtptime of one instant", "§12.33: the time of all tracks corresponds to the start of Range", oneInstant},
	{"rtptime of a track that fell silent", "§12.33, issue: derived from what is known", silentTrack},
	{"a track that never spoke", "§12.33, issue: waited for 2 s at most", neverSpoke},
	{"a key frame first", "issue 4: the first packet starts a key frame", keyFirst},
	{"answer before data", "§10.5: the answer to PLAY comes first", answerFirst},
	{"PAUSE and PLAY", "§10.6: delivery stops and goes on, in one SSRC", pausePlay},
	{"PLAY while playing", "appendix A.2: PLAY in Playing leads to Playing", playAgain},
	{"PAUSE twice", "appendix A.2: 455 in Ready, or 200", pauseTwice},
	{"Scale", "§12.34: the answer has the value that is used", speed("Scale")},
	{"Speed", "§12.35: the answer has the value that is used", speed("Speed")},
}

func rangeInAnswer(t *testing.T, s *site) {
	for _, asked := range []string{"", "npt=0-", "npt=0.000-", "npt=now-", "npt=00:00:00-", "npt=-"} {
		c := lab.DialRaw(t, s.open.HostPort())
		interleaved(t, c, s.open.URL("live"))
		var header []string
		if asked != "" {
			header = []string{"Range", asked}
		}
		if asked == "npt=-" { // malformed: it need not be understood
			if m := c.Ask("PLAY", s.open.URL("live"), header...); m.Status != 200 && m.Status != 400 && m.Status != 457 {
				t.Errorf("Range %s = %s", asked, m.Line)
			}
			continue
		}
		m := c.Want(200, "PLAY", s.open.URL("live"), header...)
		if got := m.Header.Get("Range"); !strings.HasPrefix(got, "npt=") && !strings.HasPrefix(got, "clock=") {
			t.Errorf("asked for Range %q, answered %q", asked, got)
		}
	}
}

func invalidRanges(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	for _, asked := range []string{
		"clock=19961108T143720.25Z-", "clock=19961108T142300Z-19961108T143520Z", "smpte=10:12:33:20-", "smpte=0:10:00-0:20:00",
	} {
		m := c.Ask("PLAY", s.open.URL("live"), "Range", asked)
		if m.Status != 457 {
			t.Errorf("PLAY with Range %s = %s, want 457", asked, m.Line)
		}
	}
	if len(c.Frames) > 0 {
		t.Errorf("%d frames come all the same", len(c.Frames))
	}
	c.Want(200, "PLAY", s.open.URL("live"), "Range", "npt=now-")
}

// info is what RTP-Info says of a track.
type info struct {
	url     string
	seq     int // -1 without
	rtptime int64
}

func parseInfo(t *testing.T, m lab.Message) []info {
	t.Helper()
	var all []info
	for part := range strings.SplitSeq(m.Header.Get("RTP-Info"), ",") {
		i := info{seq: -1, rtptime: -1}
		for p := range strings.SplitSeq(part, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
			n, err := strconv.ParseUint(v, 10, 32)
			switch k {
			case "url":
				i.url, err = v, nil
			case "seq":
				i.seq = int(n)
			case "rtptime":
				i.rtptime = int64(n)
			}
			if err != nil {
				t.Errorf("RTP-Info is %q", m.Header.Get("RTP-Info"))
			}
		}
		all = append(all, i)
	}
	return all
}

func infoTCP(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	tracks := interleaved(t, c, s.open.URL("live"))
	checkStart(t, c, tracks, c.Want(200, "PLAY", s.open.URL("live"), "Range", "npt=0.000-"))
}

// checkStart checks RTP-Info against the first packet of each track.
func checkStart(t *testing.T, c *lab.Raw, tracks []string, m lab.Message) {
	t.Helper()
	infos := parseInfo(t, m)
	if len(infos) != len(tracks) {
		t.Fatalf("RTP-Info is %q, want %d tracks", m.Header.Get("RTP-Info"), len(tracks))
	}
	for i, in := range infos {
		if in.url != tracks[i] {
			t.Errorf("URL is %s, want %s", in.url, tracks[i])
		}
		if in.seq < 0 || in.rtptime < 0 {
			t.Errorf("RTP-Info is %q, want seq and rtptime", m.Header.Get("RTP-Info"))
		}
	}
	first := make(map[int]bool)
	for len(first) < len(tracks) {
		f := c.Next().Frame
		if f == nil || f.Channel%2 == 1 || first[int(f.Channel/2)] {
			continue
		}
		i := int(f.Channel / 2)
		first[i] = true
		if seq := binary.BigEndian.Uint16(f.Payload[2:]); int(seq) != infos[i].seq {
			t.Errorf("first packet of track %d is %d, RTP-Info says %d", i, seq, infos[i].seq)
		}
	}
}

func infoUDP(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	rtp, _, _ := udpSession(t, c, s.open.URL("live"))
	infos := parseInfo(t, c.Want(200, "PLAY", s.open.URL("live")))
	for i, conn := range rtp {
		if seq := binary.BigEndian.Uint16(receive(t, conn)[2:]); int(seq) != infos[i].seq {
			t.Errorf("first packet of track %d is %d, RTP-Info says %d", i, seq, infos[i].seq)
		}
	}
}

func infoQuery(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	url := s.open.URL("live?token=abc&x=1")
	tracks := interleaved(t, c, url)
	m := c.Want(200, "PLAY", url)
	for i, in := range parseInfo(t, m) {
		if in.url != tracks[i] || !strings.Contains(in.url, "token=abc&x=1") {
			t.Errorf("URL is %s, want %s with the query", in.url, tracks[i])
		}
	}
}

// clocks tells for each track to which instant of the source a timestamp of the gateway belongs.
type clocks struct {
	o     sourceOptions
	known map[int]bool
	ts    [2]uint32
	at    [2]time.Duration
}

func (k *clocks) take(track int, packet []byte) {
	at, ok := k.o.instant(track, packet)
	if !ok || k.known[track] {
		return
	}
	k.known[track], k.ts[track], k.at[track] = true, binary.BigEndian.Uint32(packet[4:]), at
}

func (k *clocks) instant(track int, ts uint32) time.Duration {
	rate := time.Duration([]int{videoRate, audioRate}[track])
	return k.at[track] + time.Duration(int32(ts-k.ts[track]))*time.Second/rate
}

// read takes frames until a packet of each track has told its time.
func (k *clocks) read(c *lab.Raw, tracks int) {
	k.known = make(map[int]bool)
	for len(k.known) < tracks {
		if f := c.Next().Frame; f != nil && f.Channel%2 == 0 {
			k.take(int(f.Channel/2), f.Payload)
		}
	}
}

func oneInstant(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	infos := parseInfo(t, c.Want(200, "PLAY", s.open.URL("live")))
	var k clocks
	k.read(c, 2)
	video, audio := k.instant(0, uint32(infos[0].rtptime)), k.instant(1, uint32(infos[1].rtptime))
	if d := (video - audio).Abs(); d > 30*time.Millisecond {
		t.Errorf("rtptime of the pictures is %v since the source began, of the sound %v", video, audio)
	}
	if d := (k.at[0] - video).Abs(); d > frameTime {
		t.Errorf("playing begins at %v, the first picture is of %v", video, k.at[0])
	}
}

func silentTrack(t *testing.T, s *site) {
	o := sourceOptions{hush: 1500 * time.Millisecond, reports: true}
	newSource(t, s.open.URL("hush"), o)
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("hush"))
	c.Want(200, "PLAY", s.open.URL("hush"))
	k := clocks{o: o}
	k.read(c, 2)
	for { // until the sound has been silent for a while
		f := c.Next().Frame
		if f == nil || f.Channel != 0 {
			continue
		}
		if at, ok := o.instant(0, f.Payload); ok && at > 2*o.hush {
			break
		}
	}
	late := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, late, s.open.URL("hush"))
	began := time.Now()
	infos := parseInfo(t, late.Want(200, "PLAY", s.open.URL("hush")))
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("PLAY is answered after %v", d)
	}
	if len(infos) != 2 || infos[1].rtptime < 0 {
		t.Fatalf("RTP-Info is %+v, want an rtptime of the silent track", infos)
	}
	video, audio := k.instant(0, uint32(infos[0].rtptime)), k.instant(1, uint32(infos[1].rtptime))
	if d := (video - audio).Abs(); d > 100*time.Millisecond {
		t.Errorf("rtptime of the pictures is %v since the source began, of the silent sound %v", video, audio)
	}
}

func neverSpoke(t *testing.T, s *site) {
	answered := func() bool {
		c := lab.DialRaw(t, s.open.HostPort())
		defer c.Close()
		tracks := interleaved(t, c, s.open.URL("quiet"))
		began := time.Now()
		infos := parseInfo(t, c.Want(200, "PLAY", s.open.URL("quiet")))
		if d := time.Since(began); d > 4*time.Second { // 2 s and what a busy machine adds
			t.Errorf("PLAY is answered after %v", d)
		}
		if f := c.Next().Frame; f == nil || f.Channel > 1 {
			t.Errorf("after PLAY comes %+v, want a packet of the pictures", f)
		}
		if len(infos) == 0 || infos[0].url != tracks[0] || infos[0].seq < 0 {
			t.Logf("RTP-Info is %+v", infos)
			return false
		}
		return true
	}
	// On a busy machine the source itself may say nothing for 2 s: then nothing can be told of its pictures either.
	lab.Eventually(t, lab.Patience, "RTP-Info tells of the track that speaks", answered)
}

func keyFirst(t *testing.T, s *site) {
	for i := range 5 { // at different places in the source's group of pictures
		c := lab.DialRaw(t, s.open.HostPort())
		interleaved(t, c, s.open.URL("solo"))
		c.Want(200, "PLAY", s.open.URL("solo"))
		f := c.Next().Frame
		for f != nil && f.Channel != 0 {
			f = c.Next().Frame
		}
		if f == nil {
			t.Fatal("an answer to nothing")
		}
		if kind := f.Payload[12] & 0x1f; kind != 7 && kind != 8 && kind != 5 && kind != 24 {
			t.Errorf("the first NAL unit of player %d is of type %d, want parameter sets or a key frame (RFC 6184 §5.2)", i, kind)
		}
	}
}

func answerFirst(t *testing.T, s *site) {
	for range 20 {
		c := lab.DialRaw(t, s.open.HostPort())
		interleaved(t, c, s.open.URL("live"))
		c.Frames = nil
		c.Want(200, "PLAY", s.open.URL("live"))
		if len(c.Frames) > 0 {
			t.Fatalf("%d frames before the answer to PLAY", len(c.Frames))
		}
	}
}

func pausePlay(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	tracks := interleaved(t, c, s.open.URL("live"))
	m := c.Want(200, "PLAY", s.open.URL("live"))
	checkStart(t, c, tracks, m)
	ssrc := make(map[uint8]uint32)
	for len(ssrc) < 2 {
		if f := c.Next().Frame; f.Channel%2 == 0 {
			ssrc[f.Channel] = binary.BigEndian.Uint32(f.Payload[8:])
		}
	}
	c.Want(200, "PAUSE", s.open.URL("live"))
	if m, err := c.NextWithin(time.Second); err == nil && (m.Frame == nil || m.Frame.Channel%2 == 0) {
		t.Errorf("while paused comes %+v", m)
	}
	c.Want(200, "GET_PARAMETER", s.open.URL("live"))
	checkStart(t, c, tracks, c.Want(200, "PLAY", s.open.URL("live")))
	for range 20 {
		if f := c.Next().Frame; f.Channel%2 == 0 && binary.BigEndian.Uint32(f.Payload[8:]) != ssrc[f.Channel] {
			t.Fatalf("SSRC of channel %d changes", f.Channel)
		}
	}
}

func playAgain(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	seq := -1
	for range 3 {
		c.Frames = nil
		c.Want(200, "PLAY", s.open.URL("live"))
		for range 30 {
			c.Frames = append(c.Frames, *c.Next().Frame)
		}
		for _, f := range c.Frames {
			if f.Channel != 0 {
				continue
			}
			got := int(binary.BigEndian.Uint16(f.Payload[2:]))
			if seq >= 0 && got != (seq+1)&0xffff {
				t.Fatalf("packet %d follows %d", got, seq)
			}
			seq = got
		}
	}
}

func pauseTwice(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	c.Want(200, "PAUSE", s.open.URL("live"))
	if m := c.Ask("PAUSE", s.open.URL("live")); m.Status != 200 && m.Status != 455 {
		t.Errorf("second PAUSE = %s", m.Line)
	}
	c.Want(200, "PLAY", s.open.URL("live"))
}

// speed has a stream played faster, which live media cannot be.
func speed(header string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		for _, v := range []string{"2.0", "-1", "1.000"} {
			c := lab.DialRaw(t, s.open.HostPort())
			interleaved(t, c, s.open.URL("live"))
			m := c.Want(200, "PLAY", s.open.URL("live"), header, v)
			if got, err := strconv.ParseFloat(m.Header.Get(header), 64); err != nil || got != 1 {
				t.Errorf("%s: %s is answered %q, want 1", header, v, m.Header.Get(header))
			}
		}
	}
}
