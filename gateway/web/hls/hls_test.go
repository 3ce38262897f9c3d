package hls

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
)

// patience is how long something may take that takes milliseconds.
const patience = 20 * time.Second

// TestTimeline follows timestamps that wrap, go back and jump.
func TestTimeline(t *testing.T) {
	l := timeline{rate: 90000}
	l.begin(0xfffff000, 2*time.Second)
	for _, c := range []struct {
		ts   uint32
		want int64
		ok   bool
	}{
		{0xfffff000, 180000, true},
		{0x00000000, 184096, true},
		{0xfffff800, 182048, true}, // pictures come out of order
		{900, 184996, true},
		{900 + 10*90000, 1084996, false},
	} {
		if got, ok := l.next(c.ts); got != c.want || ok != c.ok {
			t.Errorf("next(%#x) = %d, %v, want %d, %v", c.ts, got, ok, c.want, c.ok)
		}
	}
	now := time.Unix(1000, 0)
	l.begin(0, 0)
	if d := l.apart(media.Clock{Wall: now.Add(50 * time.Millisecond), Rate: 90000}, now); d != 50*time.Millisecond {
		t.Errorf("apart = %v", d)
	}
	l.shift(50 * time.Millisecond)
	if l.at() != 50*time.Millisecond {
		t.Errorf("at = %v after a shift", l.at())
	}
}

// TestRendition offers only what is smaller than the stream.
func TestRendition(t *testing.T) {
	of := form{codecs: []string{"avc1.640028", "mp4a.40.2"}, width: 1920, height: 1080, rate: 4_000_000}
	video := func(codec string, height int, rate conf.Rate) conf.Profile {
		return conf.Profile{Video: conf.ProfileVideo{Codec: codec, Height: height, Bitrate: rate}, Audio: conf.ProfileAudio{Codec: "aac", Bitrate: 64_000}}
	}
	f, ok := rendition(of, video("h264", 360, 800_000))
	if want := []string{"avc1.640028", "mp4a.40.2"}; !ok || f.width != 640 || f.height != 360 || f.rate != 864_000 || !slices.Equal(f.codecs, want) {
		t.Errorf("360p: %+v, %v", f, ok)
	}
	for name, p := range map[string]conf.Profile{
		"sound alone": {Audio: conf.ProfileAudio{Codec: "aac"}}, "copy": video(conf.Copy, 0, 1), "no rate": video("h264", 360, conf.Unlimited),
		"larger": video("h264", 360, 5_000_000),
	} {
		if f, ok := rendition(of, p); ok {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestWatchers counts players by address and program while they ask.
func TestWatchers(t *testing.T) {
	var w watchers
	now := time.Unix(1000, 0)
	saw := func(addr, agent string, at time.Time) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = addr
		r.Header.Set("User-Agent", agent)
		w.saw(r, at)
	}
	saw("10.0.0.1:1", "x", now)
	saw("10.0.0.1:2", "x", now)
	saw("10.0.0.1:3", "y", now)
	saw("10.0.0.2:1", "x", now.Add(watchedFor))
	if n := w.count(now.Add(watchedFor)); n != 3 {
		t.Errorf("%d players, want 3", n)
	}
	if n := w.count(now.Add(watchedFor + 1)); n != 1 {
		t.Errorf("%d players later, want 1", n)
	}
	for i := range maxWatchers + 5 {
		saw(fmt.Sprintf("h%d:1", i), "z", now)
	}
	if n := w.count(now); n > maxWatchers {
		t.Errorf("%d players are told apart, want %d at most", n, maxWatchers)
	}
}

// h264Track and pcmTrack are tracks of the tests.
var (
	h264Track = media.Track{Kind: "video", Lines: []string{
		"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000",
		"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==; profile-level-id=42C01E",
	}}
	opusTrack = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000/2"}}
	pcmTrack  = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 8"}}
)

// packet makes an RTP packet.
func packet(payloadType byte, seq uint16, ts uint32, payload ...byte) []byte {
	b := []byte{0x80, payloadType | 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, payloadType}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	return append(b, payload...)
}

// rig is a server that runs, with a stream "live" of its hub.
type rig struct {
	*Server
	t   *testing.T
	hub *media.Hub
	pub *media.Publisher
	n   int // pictures sent
}

func newRig(t *testing.T, tracks ...media.Track) *rig {
	t.Helper()
	hub := media.NewHub(slog.New(slog.DiscardHandler))
	c := conf.Default().HLS
	r := &rig{Server: New(c, nil, hub, slog.New(slog.DiscardHandler)), t: t, hub: hub}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	var err error
	if r.pub, err = hub.Publish("live", tracks, media.Origin{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// pictures sends some, 25 a second by their timestamps, with a key picture each second and its sound beside.
func (r *rig) pictures(count int) {
	r.t.Helper()
	for range count {
		unit := []byte{0x41, 0x9a, 0x21}
		if r.n%25 == 0 {
			unit = []byte{0x65, 0x88, 0x84}
		}
		at := time.Now()
		if err := r.pub.WriteRTP(0, packet(96, uint16(r.n), uint32(r.n*3600), unit...), at); err != nil {
			r.t.Fatal(err)
		}
		for i := range 2 {
			n := 2*r.n + i
			if err := r.pub.WriteRTP(1, packet(97, uint16(n), uint32(n*960), 0xfc, 1, 2), at); err != nil {
				r.t.Fatal(err)
			}
		}
		r.n++
	}
}

// ask returns the answer about a file; an error is one of Serve.
func (r *rig) ask(file string) (string, error) {
	w := httptest.NewRecorder()
	err := r.Serve(w, httptest.NewRequest(http.MethodGet, "/live/"+file, nil), "live", file)
	return w.Body.String(), err
}

// TestMuxer makes playlists and segments on demand, ends with the stream, and lets nobody wait for ever.
func TestMuxer(t *testing.T) {
	r := newRig(t, h264Track, opusTrack)
	r.pictures(1)
	var list string
	asked := make(chan error, 1)
	go func() {
		var err error
		list, err = r.ask(master)
		asked <- err
	}()
	deadline := time.After(patience)
	for waiting := true; waiting; {
		select {
		case err := <-asked:
			if err != nil {
				t.Fatal(err)
			}
			waiting = false
		case <-deadline:
			t.Fatal("there is no playlist")
		default:
			if r.running("live") != nil && r.pub.Stream().Subscribers() > 0 && r.n < 200 {
				r.pictures(25)
			}
		}
	}
	for _, want := range []string{"video.m3u8", `URI="audio.m3u8"`, "avc1.42c01e,opus", "RESOLUTION="} {
		if !strings.Contains(list, want) {
			t.Errorf("the playlist lacks %q:\n%s", want, list)
		}
	}
	video, err := r.ask("video.m3u8")
	if err != nil || !strings.Contains(video, "#EXT-X-PART:") {
		t.Fatalf("video.m3u8: %v\n%s", err, video)
	}
	m := hint.FindStringSubmatch(video)
	name := video[strings.LastIndex(video, `URI="`)+5:]
	name = name[:strings.IndexByte(name, '"')]
	if m == nil || !strings.Contains(name, "_part"+m[1]) {
		t.Fatalf("no part is announced, or not last:\n%s", video)
	}
	late := make(chan error, 1)
	go func() {
		_, err := r.ask(name)
		late <- err
	}()
	r.pub.End()
	if err := <-late; err != nil && !errors.Is(err, media.ErrNotFound) { // it may have come before the end
		t.Errorf("a part of a stream that ended: %v", err)
	}
	for begin := time.Now(); r.running("live") != nil && time.Since(begin) < patience; {
		runtime.Gosched()
	}
	if _, err := r.ask(master); !errors.Is(err, media.ErrNotFound) {
		t.Errorf("a stream that ended: %v", err)
	}
	if st := r.Status(); len(st.Streams) != 0 || st.Bytes == 0 {
		t.Errorf("Status = %+v", st)
	}
}

// TestOdd tells what HLS cannot carry.
func TestOdd(t *testing.T) {
	r := newRig(t, h264Track, pcmTrack)
	if _, err := r.ask(master); !errors.Is(err, media.ErrUnsupported) || !strings.Contains(err.Error(), "audio in PCMA") {
		t.Errorf("%v", err)
	}
	if _, odd := plan([]media.Track{{Kind: "application", Lines: []string{"m=application 0 RTP/AVP 99"}}}); odd == nil {
		t.Error("a stream of metadata is carried")
	}
}

// FuzzMuxer feeds a muxer packets with payloads of any bytes.
func FuzzMuxer(f *testing.F) {
	tracks := []media.Track{
		h264Track,
		{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 98", "a=rtpmap:98 H265/90000"}},
		{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 99", "a=rtpmap:99 AV1/90000"}},
		{Kind: "audio", Lines: []string{
			"m=audio 0 RTP/AVP 97", "a=rtpmap:97 MPEG4-GENERIC/48000/2",
			"a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1190",
		}},
		opusTrack,
	}
	f.Add(byte(0), []byte{0x65, 0x88, 0x84}, []byte{0x41, 0x9a}, uint32(3600))
	f.Add(byte(0), []byte{24, 0, 0, 0, 1, 0x67}, []byte{0x65}, uint32(0))
	f.Add(byte(1), []byte{0x26, 1, 0}, []byte{0x02, 1}, uint32(900000))
	f.Add(byte(2), []byte{0x18, 0x0a, 0x0b}, []byte{0x10, 0x32}, uint32(3600))
	f.Add(byte(3), []byte{0, 16, 0x07, 0xd0, 1}, []byte{0, 16, 0, 8, 1}, uint32(1024))
	f.Add(byte(4), []byte{0xfc, 1}, []byte{}, uint32(960))
	f.Fuzz(func(t *testing.T, which byte, key, other []byte, step uint32) {
		track := tracks[int(which)%len(tracks)]
		hub := media.NewHub(slog.New(slog.DiscardHandler))
		pub, err := hub.Publish("live", []media.Track{track}, media.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		plan, odd := plan([]media.Track{track})
		if odd != nil {
			t.Fatal(odd)
		}
		s := New(conf.Default().HLS, nil, hub, slog.New(slog.DiscardHandler))
		m, _ := s.enter("live", pub.Stream(), plan)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		defer m.close(errIdle)
		sub := pub.Stream().Subscribe(media.SubscribeOptions{})
		defer sub.Close()
		typ := track.PayloadTypes()[0]
		for i := range 12 {
			payload := other
			if i%4 == 0 {
				payload = key
			}
			_ = pub.WriteRTP(0, packet(typ, uint16(i), uint32(i)*step, payload...), time.Unix(int64(i), 0))
		}
		ps, _ := sub.Poll()
		for i := range ps {
			if m.take(&ps[i]) != nil {
				break
			}
		}
	})
}
