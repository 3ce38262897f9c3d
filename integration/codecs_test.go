//go:build integration

package integration

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"peergate/integration/lab"
)

// track is a track of the test's own making: its description and the beginnings of its payloads.
type track struct {
	sdp      string
	typ      uint8
	every    time.Duration
	ticks    uint32 // of the clock between packets
	key      []byte // beginning of a payload that a decoder can start with, every 25th
	other    []byte
	size     int
	perFrame int // packets with one timestamp
}

var tracks = []track{
	{
		sdp: "m=video 0 RTP/AVP 96\r\nb=AS:1200\r\na=rtpmap:96 H264/90000\r\n" +
			"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==; profile-level-id=42C01E\r\n" +
			"a=framesize:96 320-240\r\na=x-camera:lobby \"two words\"\r\n",
		typ: 96, every: 40 * time.Millisecond, ticks: 3600, key: []byte{0x65, 0x88}, other: []byte{0x41, 0x9a}, size: 1100, perFrame: 3,
	},
	{
		sdp: "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=fmtp:98 sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwA/ugJA; " +
			"sprop-sps=QgEBAWAAAAMAkAAAAwAAAwA/oAoIDxZbpKQvAgAAAwACAAADADIQ; sprop-pps=RAHBcrRiQA==\r\n",
		typ: 98, every: 40 * time.Millisecond, ticks: 3600, key: []byte{0x26, 0x01}, other: []byte{0x02, 0x01}, size: 900, perFrame: 2,
	},
	{
		sdp: "m=audio 0 RTP/AVP 97\r\nb=AS:64\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n" +
			"a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1190\r\n",
		typ: 97, every: 1024 * time.Second / 48000, ticks: 1024, other: []byte{0, 16, 0x07, 0xd0}, size: 250, perFrame: 1,
	},
	{
		sdp: "m=audio 0 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 sprop-stereo=1; useinbandfec=1\r\na=ptime:20\r\n",
		typ: 111, every: 20 * time.Millisecond, ticks: 960, other: []byte{0xfc}, size: 120, perFrame: 1,
	},
	{
		sdp: "m=audio 0 RTP/AVP 8\r\n", // a static payload type needs no rtpmap (RFC 3551 §6)
		typ: 8, every: 20 * time.Millisecond, ticks: 160, size: 160, perFrame: 1,
	},
	{
		sdp: "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
		typ: 0, every: 20 * time.Millisecond, ticks: 160, size: 160, perFrame: 1,
	},
	{
		sdp: "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=x-schema:1.0 utf-8 é\r\n",
		typ: 107, every: 100 * time.Millisecond, ticks: 9000, size: 700, perFrame: 1,
	},
}

// payload is the n-th payload of a track: its beginning, the number, and noise that only that number gives.
func (k *track) payload(n uint32) []byte {
	b := slices.Clone(k.other)
	if k.key != nil && n/uint32(k.perFrame)%25 == 0 {
		b = slices.Clone(k.key)
	}
	b = binary.BigEndian.AppendUint32(b, n)
	r := rand.NewPCG(uint64(k.typ), uint64(n))
	for len(b) < k.size {
		b = append(b, byte(r.Uint64()))
	}
	return b
}

// pump writes a track in real time until the test ends.
func (k *track) pump(t *testing.T, p *lab.Publisher, i int, stop <-chan struct{}) {
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	var n uint32
	for ts := uint32(0xffff0000); ; ts += k.ticks { // wraps soon
		for j := range k.perFrame {
			p.Write(i, k.typ, j == k.perFrame-1, ts, k.payload(n))
			n++
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// TestAnyCodecPasses publishes seven tracks with what SDP can say and checks them two hops away: the description line for
// line, the payloads byte for byte, over UDP and TCP.
func TestAnyCodecPasses(t *testing.T) {
	t.Parallel()
	for _, transport := range []lab.Transport{lab.UDP, lab.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			a, _, c := chain(t)
			sdp := "v=0\r\no=- 4711 1 IN IP4 127.0.0.1\r\ns=everything\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
			for i, k := range tracks {
				sdp += k.sdp + fmt.Sprintf("a=control:track%d\r\n", i)
			}
			p := lab.Publish(t, a.URL("all"), sdp, transport)
			stop := make(chan struct{})
			done := make(chan struct{})
			for i := range tracks {
				go func() {
					tracks[i].pump(t, p, i, stop)
					done <- struct{}{}
				}()
			}
			defer func() {
				close(stop)
				for range tracks {
					<-done
				}
			}()
			a.WaitStream("all")
			far := lab.Open(t, c.URL("a/all"), transport)
			checkSections(t, sdp, far.SDP)
			wrong := make([]atomic.Int64, len(tracks))
			for i := range tracks {
				far.Tracks[i].Each(func(b []byte, _ time.Time) {
					if !tracks[i].check(b) {
						wrong[i].Add(1)
					}
				})
			}
			far.Resume()
			far.Plays(3 * time.Second)
			far.Connected()
			far.Flawless()
			far.Stop()
			for i := range tracks {
				if n := wrong[i].Load(); n > 0 {
					t.Errorf("track %d: %d packets are not what was published", i, n)
				}
			}
		})
	}
}

// check compares a packet with what was published under its number. Those of the parameter sets, which the gateway sends
// ahead when they are in the description alone, are compared with that.
func (k *track) check(b []byte) bool {
	if k.key != nil && len(b) > 12 && len(b) < 100 && b[1]&0x7f == k.typ {
		return strings.Contains(k.sdp, base64.StdEncoding.EncodeToString(b[12:]))
	}
	n := max(len(k.key), len(k.other))
	if len(b) < 12+n+4 || b[1]&0x7f != k.typ {
		return false
	}
	return slices.Equal(b[12:], k.payload(binary.BigEndian.Uint32(b[12+n:])))
}

func checkSections(t *testing.T, published, described string) {
	t.Helper()
	want, got := lab.Sections(published), lab.Sections(described)
	if len(got) != len(want) {
		t.Fatalf("%d media sections, want %d:\n%s", len(got), len(want), described)
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("section %d is\n%s\nwant\n%s", i, strings.Join(got[i], "\n"), strings.Join(want[i], "\n"))
		}
	}
}

// TestRealH265 publishes H.265 with Opus from ffmpeg and decodes both two hops away.
func TestRealH265(t *testing.T) {
	t.Parallel()
	clip := lab.H265(t)
	a, _, c := chain(t)
	lab.Encode(t, clip, a.URL("hevc"))
	a.WaitStream("hevc")
	const frames = 75
	w := lab.FFmpeg("tcp").Watch(t, c.URL("a/hevc"), frames)
	out := lab.Run(t, 2*lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "udp", "-i", c.URL("a/hevc"),
		"-map", "0:a", "-frames:a", "100", "-f", "framemd5", "-")
	if n := len(lab.FrameMD5(out)); n < 100 {
		t.Errorf("decoded %d frames of Opus, want 100", n)
	}
	clip.Verify(t, "c", w.Pictures(), frames)
}

// TestRealG711 publishes A-law and mu-law from ffmpeg and decodes them two hops away.
func TestRealG711(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	for _, codec := range []string{"pcm_alaw", "pcm_mulaw"} {
		lab.Spawn(t, "ffmpeg", "-v", "warning", "-nostdin", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000",
			"-c:a", codec, "-f", "rtsp", "-rtsp_transport", "udp", a.URL(codec))
	}
	for _, codec := range []string{"pcm_alaw", "pcm_mulaw"} {
		a.WaitStream(codec)
		out := lab.Run(t, 2*lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", c.URL("a/"+codec),
			"-t", "2", "-c:a", "copy", "-f", "framemd5", "-")
		if n := len(lab.FrameMD5(out)); n < 15 { // each has 1024 samples of 8000 in a second
			t.Errorf("%s: %d packets in 2 s, want 15 at least", codec, n)
		}
	}
}
