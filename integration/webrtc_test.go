//go:build integration

package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"peergate/integration/lab"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// browser starts a Chromium that ends with the test. It has a camera and a microphone of its own making.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("mute-audio", false), chromedp.WSURLReadTimeout(lab.Patience))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	keep := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: keepConnections})
		return err
	})
	if _, err := chromedp.Run(ctx, keep); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return ctx
}

// played is what the page's video element has done.
type played struct {
	Frames int     // shown
	Audio  int     // bytes of sound decoded, or samples of sound that came over WebRTC
	Apart  float64 // ms by which pictures are shown after their sound, over WebRTC
	State  string
}

const (
	// keepConnections lets lookAtVideo find the page's connections.
	keepConnections = `window.connections = []
		window.RTCPeerConnection = class extends RTCPeerConnection { constructor(...a) { super(...a); connections.push(this) } }`
	lookAtVideo = `(async () => {
		const v = document.querySelector('video')
		if (v.muted) document.getElementById('sound').click() // pages begin without, as browsers demand
		const q = v.getVideoPlaybackQuality()
		const p = { Frames: q.totalVideoFrames - q.droppedVideoFrames, Audio: v.webkitAudioDecodedByteCount || 0, Apart: 0,
			State: document.getElementById('state').textContent }
		for (const pc of connections.filter(c => c.connectionState === 'connected')) {
			const at = {}
			for (const s of (await pc.getStats()).values()) {
				if (s.type !== 'inbound-rtp') continue
				at[s.kind] = s.estimatedPlayoutTimestamp
				if (s.kind === 'audio' && s.totalAudioEnergy > 0) p.Audio = s.totalSamplesReceived - s.concealedSamples
			}
			p.Apart = (at.audio - at.video) || 0
		}
		return p
	})()`
)

// watchPage opens a stream's page and waits until it has shown so many pictures, with sound in step, and says that it plays so.
func watchPage(t *testing.T, ctx context.Context, url, state string, frames int) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	var p played
	defer func() { t.Logf("%s: %+v", url, p) }()
	lab.Eventually(t, 2*lab.Patience, url+" plays", func() bool {
		var err error
		if p, err = chromedp.Run(ctx, chromedp.Evaluate[played](lookAtVideo, chromedp.EvalAwaitPromise)); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		return p.Frames >= frames && p.Audio > 0 && math.Abs(p.Apart) < 60 && p.State == state
	})
}

// TestPage has the page play in Chromium: over WebRTC as it comes, over WebRTC by renditions of AAC and of B-frames, and over HLS.
func TestPage(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.Start()
	lab.Encode(t, lab.H264(t), g.URL("opus"), "-c:a", "libopus")
	lab.Encode(t, lab.H264(t), g.URL("aac"))
	lab.Encode(t, lab.H264(t), g.URL("bframes"), "-c:v", "libx264", "-bf", "2", "-g", "25", "-c:a", "libopus")
	waitDecode(t, g.URL("opus"))
	waitDecode(t, g.URL("aac"))
	waitDecode(t, g.URL("bframes"))
	ctx := browser(t)
	watchPage(t, ctx, g.WebURL("opus"), "live over WebRTC", 50)
	if n := len(webrtcSessions(t, g)); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	watchPage(t, ctx, g.WebURL("aac"), "live over WebRTC", 50)
	watchPage(t, ctx, g.WebURL("bframes"), "live over WebRTC", 50)
	if all := renditionsOf(t, g); !slices.ContainsFunc(all, func(r rendition) bool { return r.Name == "bframes~webrtc" }) {
		t.Errorf("B-frames are played without a rendition: %+v", all)
	}
	watchPage(t, ctx, g.WebURL("aac?hls"), "live over HLS", 50)
}

// webrtcSessions returns the sessions of a gateway; publishers have a +.
func webrtcSessions(t *testing.T, g *lab.Gateway) []string {
	t.Helper()
	var all []string
	for _, s := range statusOf(t, g).WebRTC.Sessions {
		name := s.Stream
		if s.Publisher {
			name += "+"
		}
		all = append(all, name)
	}
	return all
}

// publishCamera has a page publish its camera and microphone by WHIP.
const publishCamera = `(async url => {
	const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, frameRate: 30 }, audio: true })
	const pc = window.pc = new RTCPeerConnection()
	for (const t of media.getTracks()) pc.addTransceiver(t, { direction: 'sendonly', streams: [media] })
	await pc.setLocalDescription()
	const r = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp })
	if (r.status !== 201) return r.status + ' ' + await r.text()
	await pc.setRemoteDescription({ type: 'answer', sdp: await r.text() })
	window.session = new URL(r.headers.get('Location'), location.href)
	return 'begun'
})`

// TestWHIP has Chromium publish a camera, which ffmpeg decodes over RTSP. The stream ends with its session.
func TestWHIP(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.Start()
	ctx := browser(t)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(g.WebURL("camera"))); err != nil {
		t.Fatal(err)
	}
	begin := fmt.Sprintf("%s(%q)", publishCamera, g.WebURL("camera/whip"))
	if said, err := chromedp.Run(ctx, chromedp.Evaluate[string](begin, chromedp.EvalAwaitPromise)); err != nil || said != "begun" {
		t.Fatalf("publishing: %q, %v", said, err)
	}
	g.WaitLog(0, "stream began", "camera")
	pictures := waitDecode(t, g.URL("camera"))
	got := probe(t, g.URL("camera"))
	codecs := make(map[string]bool)
	for _, p := range got {
		codecs[p.Codec] = true
	}
	t.Logf("%d pictures of %v", len(pictures), got)
	if len(pictures) < 25 || !codecs["opus"] || !codecs["h264"] {
		t.Errorf("%d pictures of %v, want 25 of H.264 with Opus", len(pictures), got)
	}
	if got := webrtcSessions(t, g); !strings.Contains(strings.Join(got, " "), "camera+") {
		t.Errorf("sessions: %v", got)
	}
	end := chromedp.Evaluate[int]("fetch(session, { method: 'DELETE' }).then(r => r.status)", chromedp.EvalAwaitPromise)
	if status, err := chromedp.Run(ctx, end); err != nil || status != 200 {
		t.Errorf("DELETE = %d, %v", status, err)
	}
	g.WaitLog(0, "stream ended", "camera")
}

// watcher is a player of WHEP.
type watcher struct {
	pc       *webrtc.PeerConnection
	location string
	pictures atomic.Int64 // whole ones, from a key picture on
	sound    atomic.Int64 // packets
	first    atomic.Bool  // the first picture is a key picture with its parameter sets
	reports  atomic.Int64
}

// offer sends an offer and returns the answer.
func offer(t *testing.T, url, sdp, authorization string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(sdp))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/sdp")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// watchWHEP begins a session of a pion player over the given network.
func watchWHEP(t *testing.T, url, authorization string, network webrtc.NetworkType) *watcher {
	t.Helper()
	var e webrtc.SettingEngine
	e.SetNetworkTypes([]webrtc.NetworkType{network})
	e.SetIncludeLoopbackCandidate(true)
	var m webrtc.MediaEngine
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(e), webrtc.WithMediaEngine(&m)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{pc: pc}
	pc.OnTrack(func(track *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		go func() {
			for {
				all, _, err := r.ReadRTCP()
				if err != nil {
					return
				}
				w.reports.Add(int64(len(all)))
			}
		}()
		w.read(track)
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(o); err != nil {
		t.Fatal(err)
	}
	<-gathered
	status, header, body := offer(t, url, pc.LocalDescription().SDP, authorization)
	if status != http.StatusCreated {
		t.Fatalf("%s: %d %s", url, status, body)
	}
	w.location = header.Get("Location")
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	t.Cleanup(func() { pc.Close() })
	return w
}

// read counts what comes of a track.
func (w *watcher) read(track *webrtc.TrackRemote) {
	d := &rtph264.Decoder{PacketizationMode: 1}
	_ = d.Init()
	for {
		var p *rtp.Packet
		var err error
		if p, _, err = track.ReadRTP(); err != nil {
			return
		}
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			w.sound.Add(1)
			continue
		}
		units, err := d.Decode(p)
		if err != nil {
			continue
		}
		if w.pictures.Add(1) == 1 {
			kinds := make([]byte, 0, len(units))
			for _, u := range units {
				kinds = append(kinds, u[0]&0x1f)
			}
			w.first.Store(bytes.Contains(kinds, []byte{7}) && bytes.Contains(kinds, []byte{8}) && bytes.Contains(kinds, []byte{5}))
		}
	}
}

// plays waits for pictures and sound.
func (w *watcher) plays(t *testing.T, who string) {
	t.Helper()
	lab.Eventually(t, lab.Patience, who+" plays", func() bool {
		return w.pictures.Load() >= 50 && w.sound.Load() >= 50 && w.reports.Load() >= 2
	})
	if !w.first.Load() {
		t.Errorf("%s did not begin with a key picture and its parameter sets", who)
	}
}

// TestWHEP has pion play over UDP and over TCP, with passwords; players that end leave nothing behind.
func TestWHEP(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.More = users("see", "send")
	g.Start()
	lab.Encode(t, lab.H264(t), lab.With(g.URL("live"), "encoder", "send"), "-c:a", "libopus")
	waitDecode(t, lab.With(g.URL("live"), "viewer", "see"))
	const bearer = "Bearer viewer:see"
	play := func(network webrtc.NetworkType) {
		t.Helper()
		w := watchWHEP(t, g.WebURL("live/whep"), bearer, network)
		w.plays(t, network.String())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+g.WebHostPort()+w.location, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("DELETE %s: %v, %v", w.location, res, err)
		}
		res.Body.Close()
		w.pc.Close()
		lab.Eventually(t, lab.Patience, "the session ends", func() bool { return len(webrtcSessions(t, g)) == 0 })
	}
	play(webrtc.NetworkTypeUDP4)
	http.DefaultClient.CloseIdleConnections()
	files, _, goroutines := usage(t, g)
	play(webrtc.NetworkTypeTCP4)
	for range 3 {
		play(webrtc.NetworkTypeUDP4)
	}
	http.DefaultClient.CloseIdleConnections()
	lab.Eventually(t, lab.Patience, "all that was opened is closed", func() bool {
		f, _, r := usage(t, g)
		return f <= files+2 && r <= goroutines+2 // another test of this process may have a connection
	})
	for _, c := range []struct {
		path, sdp, authorization string
		status                   int
		text                     string
	}{
		{"live/whep", "v=0", "", 401, "password"},
		{"live/whep", "v=0", bearer, 400, "no codecs"},
		{"nothing/whep", "v=0\r\na=rtpmap:96 H264/90000\r\n", bearer, 404, "not found"},
		{"live/whip", "v=0", bearer, 403, "may not publish"},
		{"live/whep", strings.Repeat("x", 1<<17), bearer, 413, "too large"},
	} {
		if status, _, body := offer(t, g.WebURL(c.path), c.sdp, c.authorization); status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("POST %s = %d %q, want %d with %q", c.path, status, body, c.status, c.text)
		}
	}
}
