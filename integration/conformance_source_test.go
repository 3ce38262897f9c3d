//go:build integration

package integration

import (
	"encoding/base64"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

// A source's pictures and sounds carry their number, so that a test knows to which instant a packet belongs, whatever
// the gateway makes of its timestamp.
const (
	videoRate = 90000
	audioRate = 48000
	frameTime = 40 * time.Millisecond // of a picture
	frameTick = videoRate / 25
	soundTick = 1024 // samples of an AAC frame
	keyEvery  = 10   // pictures
)

const (
	spropSPS = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS"
	spropPPS = "aMuMsg=="
	hevcVPS  = "QAEMAf//AWAAAAMAkAAAAwAAAwA/ugJA"
	hevcSPS  = "QgEBAWAAAAMAkAAAAwAAAwA/oAoIDxZbpKQvAgAAAwACAAADADIQ"
	hevcPPS  = "RAHBcrRiQA=="
)

type sourceOptions struct {
	solo    bool          // no audio track
	silent  bool          // an audio track that sends nothing
	hush    time.Duration // the audio falls silent after so long
	bare    bool          // parameter sets in band only
	hevc    bool          // H.265 rather than H.264
	lag     time.Duration // sound is sent so much later than pictures
	reports bool          // sender reports
	epoch   time.Time     // what the source's clock says when it begins, in place of the time of day
}

// source publishes pictures and sounds of its own making in real time until the test ends.
type source struct {
	o    sourceOptions
	p    *lab.Publisher
	n, m uint32 // numbers of the next picture and sound
	halt func() // stops sending
}

func (o *sourceOptions) sdp() string {
	s := "v=0\r\no=- 4711 1 IN IP4 127.0.0.1\r\ns=source\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
	switch {
	case o.hevc:
		s += "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"
	case o.bare:
		s += "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
	default:
		s += "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
			"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=" + spropSPS + "," + spropPPS + "; profile-level-id=42C01E\r\n"
	}
	s += "a=control:track0\r\n"
	if !o.solo {
		s += "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n" +
			"a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1190\r\na=control:track1\r\n"
	}
	return s
}

// newSource publishes over TCP.
func newSource(t *testing.T, url string, o sourceOptions) *source {
	t.Helper()
	if o.epoch.IsZero() {
		o.epoch = time.Now()
	}
	s := &source{o: o, p: lab.Publish(t, url, o.sdp(), lab.TCP)}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.run(stop)
	}()
	s.halt = sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	t.Cleanup(s.halt)
	return s
}

// end ends the stream as an encoder does that is switched off.
func (s *source) end() {
	s.halt()
	s.p.Conn.Must("TEARDOWN", s.p.URL, nil, "")
	s.p.Conn.Close()
}

func (s *source) run(stop <-chan struct{}) {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		s.picture()
		for !s.o.solo && !s.o.silent && soundTime(s.m) <= pictureTime(s.n)-s.o.lag && (s.o.hush == 0 || soundTime(s.m) < s.o.hush) {
			s.sound()
		}
		if s.o.reports && s.n%10 == 1 {
			s.report()
		}
		select {
		case <-tick.C:
		case <-s.p.Conn.Gone():
			return
		case <-stop:
			return
		}
	}
}

func pictureTime(n uint32) time.Duration { return time.Duration(n) * frameTime }

func soundTime(m uint32) time.Duration { return time.Duration(m) * soundTick * time.Second / audioRate }

// The timestamps begin somewhere, as RFC 3550 §5.1 asks, and wrap soon.
const (
	videoBase = 0xffffff00 - 90000
	audioBase = 0x12345678
)

func (s *source) picture() {
	ts := videoBase + s.n*frameTick
	key := s.n%keyEvery == 0
	if key {
		for _, b64 := range s.parameters() {
			b, _ := base64.StdEncoding.DecodeString(b64)
			s.p.Write(0, 96, false, ts, b)
		}
	}
	for i := range 3 {
		s.p.Write(0, 96, i == 2, ts, s.slice(key, i))
	}
	s.n++
}

func (s *source) parameters() []string {
	if s.o.hevc {
		return []string{hevcVPS, hevcSPS, hevcPPS}
	}
	return []string{spropSPS, spropPPS}
}

// sliceNumber is where a picture's number is in the payload of its packets; soundNumber is where a sound's is.
const (
	sliceNumber = 4
	soundNumber = 4
)

// slice makes the payload of a packet of a picture: a NAL unit by itself (RFC 6184 §5.6, RFC 7798 §4.4.1).
func (s *source) slice(key bool, i int) []byte {
	b := make([]byte, 700)
	first := byte(0x80) // first_mb_in_slice is 0, first_slice_segment_in_pic_flag is 1
	if i > 0 {
		first = 0x08
	}
	switch {
	case s.o.hevc && key:
		copy(b, []byte{19 << 1, 1, first})
	case s.o.hevc:
		copy(b, []byte{1 << 1, 1, first})
	case key:
		copy(b, []byte{0x65, first | 8})
	default:
		copy(b, []byte{0x41, first | 0x1a})
	}
	binary.BigEndian.PutUint32(b[sliceNumber:], s.n)
	for i := sliceNumber + 4; i < len(b); i++ {
		b[i] = byte(i) | 1
	}
	return b
}

func (s *source) sound() {
	b := make([]byte, 4+160)
	copy(b, []byte{0, 16, 160 >> 5, 160 << 3 & 0xff}) // one AU header: 13 bits of size, 3 of index (RFC 3640 §3.3.6)
	binary.BigEndian.PutUint32(b[soundNumber:], s.m)
	s.p.Write(1, 97, true, audioBase+s.m*soundTick, b)
	s.m++
}

// report tells how the timestamps relate to the source's clock (RFC 3550 §6.4.1).
func (s *source) report() {
	now := s.o.epoch.Add(pictureTime(s.n))
	tracks := []struct{ rate, base uint32 }{{videoRate, videoBase}, {audioRate, audioBase}}
	if s.o.solo {
		tracks = tracks[:1]
	}
	for i, k := range tracks {
		const to1970 = 2208988800
		b := make([]byte, 28)
		b[0], b[1], b[3] = 0x80, 200, 6
		binary.BigEndian.PutUint32(b[4:], 0xcafe0000+uint32(i)) // as lab.Publisher has it
		binary.BigEndian.PutUint32(b[8:], uint32(now.Unix()+to1970))
		binary.BigEndian.PutUint32(b[12:], uint32(uint64(now.Nanosecond())<<32/1e9))
		binary.BigEndian.PutUint32(b[16:], k.base+uint32(pictureTime(s.n)*time.Duration(k.rate)/time.Second))
		_ = s.p.Conn.WritePacket(uint8(2*i+1), b) // the next packet shows whether the connection is there
	}
}

// instant returns to which time since the source's beginning an RTP packet of it belongs; false for parameter sets.
func (s *sourceOptions) instant(track int, packet []byte) (time.Duration, bool) {
	p := packet[12:]
	if track == 1 {
		return soundTime(binary.BigEndian.Uint32(p[soundNumber:])), true
	}
	if len(p) < 600 {
		return 0, false
	}
	return pictureTime(binary.BigEndian.Uint32(p[sliceNumber:])), true
}
