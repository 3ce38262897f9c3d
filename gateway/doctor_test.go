package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/overlay/p2p"
)

// find returns the finding of a point.
func find(t *testing.T, all []finding, point string) finding {
	t.Helper()
	for _, f := range all {
		if strings.HasPrefix(f.Point, point) {
			return f
		}
	}
	t.Fatalf("nothing about %s in %+v", point, all)
	return finding{}
}

// TestJudge has machines on which one thing is not as it should be.
func TestJudge(t *testing.T) {
	well := machine{
		known: true, bbr: true, segment: true, receive: wantedBuffer, send: wantedBuffer, files: 65536, synchronized: true, clockKnown: true,
	}
	cfg := conf.Default()
	for _, tt := range []struct {
		name, point, text string
		spoil             func(*machine)
	}{
		{"no BBR", "congestion control", "allowed are: reno", func(m *machine) { m.bbr, m.congestion = false, "reno" }},
		{"old kernel", "UDP_SEGMENT", "lacks it", func(m *machine) { m.segment = false }},
		{"small buffers", "socket buffers", "212992", func(m *machine) { m.receive = 212992 }},
		{"few files", "open files", "1024 are too few for rtsp.max_connections, which is 10000", func(m *machine) { m.files = 1024 }},
		{"wrong clock", "clock", "not synchronized", func(m *machine) { m.synchronized = false }},
		{"another system", "system", "plan9", func(m *machine) { *m = machine{operatingSystem: "plan9"} }},
	} {
		m := well
		tt.spoil(&m)
		f := find(t, judge(m, cfg), tt.point)
		if f.Verdict != fair || !strings.Contains(f.Text, tt.text) || f.Remedy == "" {
			t.Errorf("%s: %+v, want a warning with %q", tt.name, f, tt.text)
		}
	}
	for _, f := range judge(well, cfg) {
		if f.Verdict != good || f.Remedy != "" {
			t.Errorf("a machine that is well: %+v", f)
		}
	}
	cfg.Overlay.Congestion = conf.CongestionSystem
	m := well
	m.bbr = false
	for _, f := range judge(m, cfg) {
		if f.Verdict != good {
			t.Errorf("BBR is not wanted: %+v", f)
		}
	}
}

// TestLinked has peers as a running gateway sees them.
func TestLinked(t *testing.T) {
	for _, tt := range []struct {
		name string
		peer web.Peer
		want verdict
		text string
	}{
		{"near", web.Peer{Connected: true, RTTMS: 20, Remote: "/ip4/192.0.2.1/tcp/1"}, good, "20.0 ms"},
		{"far", web.Peer{Connected: true, RTTMS: 350}, fair, "350 ms"},
		{"through another", web.Peer{Connected: true, RTTMS: 50, Way: "relayed", Transport: "quic"}, fair, "relayed over QUIC"},
		{"does not list us", web.Peer{Err: "open: " + p2p.ErrRefused.Error()}, bad, "hung up"},
		{"another key", web.Peer{Err: (&p2p.WrongKeyError{Addr: "/ip4/192.0.2.1/tcp/1"}).Error()}, bad, "poses"},
		{"unreachable", web.Peer{Err: "connection refused"}, bad, "connection refused"},
		{"nothing known", web.Peer{}, fair, "not connected"},
	} {
		tt.peer.Name = "hq"
		f := linked(tt.peer)
		if f.Point != "peer hq" || f.Verdict != tt.want || !strings.Contains(f.Text, tt.text) || (f.Remedy == "") != (tt.want == good) {
			t.Errorf("%s: %+v, want %s with %q", tt.name, f, tt.want, tt.text)
		}
	}
}

// TestExamineReach has gateways that are reached in various ways, as their status tells.
func TestExamineReach(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reach web.Reach
		point string
		want  verdict
		text  string
	}{
		{"a public address", web.Reach{NAT: "none", TCP: "ok", QUIC: "ok"}, "NAT", good, "none"},
		{"a public address", web.Reach{NAT: "none", TCP: "ok", QUIC: "ok"}, "reached over TCP", good, "could connect"},
		{"nobody knows", web.Reach{NAT: "unknown"}, "NAT", good, "not known yet"},
		{"nobody knows", web.Reach{NAT: "unknown"}, "reached over QUIC", good, "no peer has tried"},
		{"a firewall", web.Reach{NAT: "none", TCP: "timed out", QUIC: "ok"}, "reached over TCP", fair, "timed out"},
		{"a good router", web.Reach{NAT: "port-preserving", Seen: []string{"192.0.2.7:8555"}, TCP: "refused", QUIC: "refused"}, "NAT", good, "192.0.2.7:8555"},
		{"a good router", web.Reach{NAT: "port-preserving", TCP: "refused", QUIC: "refused"}, "relays", fair, "there are none"},
		{"a bad router", web.Reach{NAT: "symmetric", TCP: "refused", QUIC: "refused", Relays: []string{"hq"}}, "NAT", fair, "symmetric"},
		{"a bad router", web.Reach{NAT: "symmetric", TCP: "refused", QUIC: "refused", Relays: []string{"hq"}}, "relays", good, "hq"},
		{"UPnP", web.Reach{NAT: "port-preserving", Mapped: []string{"/ip4/192.0.2.7/tcp/8555"}}, "router", good, "192.0.2.7"},
	} {
		f := find(t, examineReach(&web.Overlay{Reach: tt.reach}), tt.point)
		if f.Verdict != tt.want || !strings.Contains(f.Text, tt.text) || (f.Remedy == "") != (tt.want == good) {
			t.Errorf("%s: %+v, want %s with %q", tt.name, f, tt.want, tt.text)
		}
	}
	if all := examineReach(nil); len(all) != 0 {
		t.Errorf("without the overlay: %+v", all)
	}
}

// TestSocketAddress knows both forms of an address.
func TestSocketAddress(t *testing.T) {
	for in, want := range map[string]string{
		"gw.example.org:8555":              "tcp gw.example.org:8555",
		"[::1]:8555":                       "tcp [::1]:8555",
		"/ip4/192.0.2.1/tcp/8555":          "tcp 192.0.2.1:8555",
		"/ip6/::1/udp/8555/quic-v1":        "udp [::1]:8555",
		"/dns4/x.org/tcp/1/p2p/12D3KooWxx": "tcp x.org:1",
	} {
		network, addr := socketAddress(in)
		if got := network + " " + addr; got != want {
			t.Errorf("socketAddress(%q) = %s, want %s", in, got, want)
		}
	}
}

// TestExamine looks at a gateway that does not run, at the same one running, and at mistakes.
func TestExamine(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(usualFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A port that is in use, which also answers as the overlay of a peer would.
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	free.Close()

	const ids = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA 12D3KooWG8D4aUXaGkuXSgWVKjU6QJiT5YnUTpFUKFMg9tRHUHDr"
	there, gone, _ := strings.Cut(ids, " ")
	write("data: data\nrtsp: {listen: '" + used.Addr().String() + "'}\noverlay: {listen: ['" + closed + "']}\npeers:\n" +
		"  there: {id: " + there + ", addresses: ['" + used.Addr().String() + "']}\n" +
		"  gone: {id: " + gone + ", addresses: ['" + closed + "']}\n")
	all := examine(t.Context(), nil, os.Getenv)
	for point, want := range map[string]verdict{
		"configuration": good, "key": good, "gateway": good, "rtsp.listen": bad, "overlay.listen": good, "peer there": good, "peer gone": bad,
	} {
		if f := find(t, all, point); f.Verdict != want {
			t.Errorf("%+v, want %s", f, want)
		}
	}
	if f := find(t, all, "gateway"); f.Text != "does not run now" {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat("data"); !os.IsNotExist(err) {
		t.Errorf("the doctor made the data folder: %v", err)
	}

	write("nonsense: 1\n")
	if f := find(t, examine(t.Context(), nil, os.Getenv), "configuration"); f.Verdict != bad || !strings.Contains(f.Text, "gateway.yml:1: nonsense") {
		t.Errorf("%+v", f)
	}
}

// TestExamineRunning asks a gateway that runs, and tries its RTSP port.
func TestExamineRunning(t *testing.T) {
	l := newLive(t, "peers: {hq: {id: 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA}}\n")
	select {
	case <-l.api.Ready():
	case <-time.After(patience):
		t.Fatal("the API does not listen")
	}
	file := l.data + "/gateway.yml"
	text := "data: " + l.data + "\nrtsp: {listen: '" + l.server.Addr().String() + "'}\npeers: {hq: {id: 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all := examine(t.Context(), []string{file}, os.Getenv)
	if f := find(t, all, "gateway"); f.Verdict != good || !strings.Contains(f.Text, "runs since") {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "rtsp"); f.Verdict != good || !strings.Contains(f.Text, "answers at") {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "peer hq"); f.Verdict == good { // a failure once the gateway has tried
		t.Errorf("%+v", f)
	}
}

// TestExamineFFmpeg tells whether renditions can be made: a failure only if the configuration asks for some.
func TestExamineFFmpeg(t *testing.T) {
	c := conf.Default().Transcode
	c.FFmpeg = "/nonexistent/ffmpeg"
	if f := find(t, examineFFmpeg(t.Context(), c), "ffmpeg"); f.Verdict != fair || !strings.Contains(f.Text, "missing") || f.Remedy == "" {
		t.Errorf("%+v", f)
	}
	c.Profiles = map[string]conf.Profile{"x": {Audio: conf.ProfileAudio{Codec: "aac"}}}
	if f := find(t, examineFFmpeg(t.Context(), c), "ffmpeg"); f.Verdict != bad {
		t.Errorf("%+v", f)
	}
	c.FFmpeg = filepath.Join(t.TempDir(), "ffmpeg")
	poor := "#!/bin/sh\ncase \"$3\" in -version) echo ffmpeg version 5.1.9;; *) printf ' ------\\n V....D libx264 x\\n';; esac\n"
	if err := os.WriteFile(c.FFmpeg, []byte(poor), 0o700); err != nil {
		t.Fatal(err)
	}
	c.HWAccel = "vaapi"
	all := examineFFmpeg(t.Context(), c)
	if f := find(t, all, "ffmpeg"); f.Verdict != good || !strings.HasPrefix(f.Text, "5.1.9 at ") {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "encoder aac"); f.Verdict != bad || !strings.Contains(f.Text, "the profile aac needs it") {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "hardware encoder"); f.Verdict != bad || !strings.Contains(f.Text, "lacks the encoder h264_vaapi") {
		t.Errorf("%+v", f)
	}
}

// TestReport prints findings for people and for programs.
func TestReport(t *testing.T) {
	all := []finding{{"clock", fair, "is slow", "wind it up"}, {"key", good, "fits", ""}}
	var out strings.Builder
	if err := report(&out, all, false); err != nil {
		t.Fatal(err)
	}
	if want := "warning  clock: is slow\n         -> wind it up\nok       key: fits\n"; out.String() != want {
		t.Errorf("report = %q, want %q", &out, want)
	}
	out.Reset()
	if err := report(&out, all, true); err != nil {
		t.Fatal(err)
	}
	var got []finding
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || len(got) != 2 || got[0] != all[0] || got[1] != all[1] {
		t.Errorf("as JSON: %v, %v", got, err)
	}
}

func TestUploadFound(t *testing.T) {
	for _, c := range []struct {
		rate  int
		limit conf.Rate
		want  finding
	}{
		{18_300_000, conf.Unlimited, finding{"upload", good, "18.3 Mbit/s to hq", ""}},
		{18_300_000, 2_000_000, finding{"upload", good, "18.3 Mbit/s to hq, of which overlay.upload allows 2.0 Mbit/s", ""}},
		{1_000_000, 20_000_000, finding{
			"upload", fair, "1.0 Mbit/s to hq, less than overlay.upload allows: 20.0 Mbit/s",
			"set overlay.upload to 900kbit or less, so that others are not promised more, or to auto",
		}},
	} {
		if got := uploadFound(web.Upload{Peer: "hq", Rate: c.rate}, c.limit); got != c.want {
			t.Errorf("%d of %v = %+v, want %+v", c.rate, c.limit, got, c.want)
		}
	}
}
