package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"peergate/conf"
)

// patience is how long something may take that takes milliseconds.
const patience = 20 * time.Second

// fixed is a gateway that is always the same.
type fixed Status

func (f fixed) Status() Status { return Status(f) }

func (f fixed) Tickets() ([]Ticket, error) {
	return []Ticket{{Serial: "01", Channels: []string{"a"}, Used: []TicketUse{{Gateway: "12D3KooWx"}}}}, nil
}

func (f fixed) IssueTicket(o TicketOrder) (IssuedTicket, error) {
	if o.Seconds <= 0 {
		return IssuedTicket{}, errors.New("is over")
	}
	return IssuedTicket{"pgt1_x", Ticket{Serial: "02", Gateway: o.Gateway, Channels: o.Channels, Uses: o.Uses}}, nil
}

func (f fixed) RevokeTicket(serial string) error {
	if serial != "01" {
		return ErrNoTicket
	}
	return nil
}

func (f fixed) Share(stream string) (Share, error) {
	if stream == "" {
		return Share{}, errors.New("no name")
	}
	return Share{Link: "peergate://x/" + stream, Access: "open", Live: true}, nil
}

func (f fixed) Links() []Link { return []Link{{Link: "peergate://x/y", Path: "x/y"}} }

func (f fixed) TakeLink(l Link) (Link, error) {
	if l.Petname == "" {
		return l, errors.New("no petname")
	}
	l.Path = l.Petname + "/y"
	return l, nil
}

func (f fixed) DropLink(path string) error {
	if path != "a/ü/y" {
		return ErrNoLink
	}
	return nil
}

// TestLinks shares, gives, lists and removes over the socket.
func TestLinks(t *testing.T) {
	folder := t.TempDir()
	start(t, conf.API{}, folder)
	if s, err := FetchShare(t.Context(), folder, "a&b"); err != nil || s != (Share{"peergate://x/a&b", "open", true}) {
		t.Errorf("FetchShare = %+v, %v", s, err)
	}
	if _, err := FetchShare(t.Context(), folder, ""); err == nil || !strings.Contains(err.Error(), "no name") {
		t.Errorf("FetchShare of nothing = %v, want the gateway's reason", err)
	}
	if l, err := GiveLink(t.Context(), folder, Link{Link: "l", Petname: "p"}); err != nil || l != (Link{Link: "l", Petname: "p", Path: "p/y"}) {
		t.Errorf("GiveLink = %+v, %v", l, err)
	}
	if _, err := GiveLink(t.Context(), folder, Link{Link: "l"}); err == nil || !strings.Contains(err.Error(), "no petname") {
		t.Errorf("GiveLink = %v, want the gateway's reason", err)
	}
	if all, err := FetchLinks(t.Context(), folder); err != nil || !reflect.DeepEqual(all, sample.Links()) {
		t.Errorf("FetchLinks = %+v, %v", all, err)
	}
	if err := RemoveLink(t.Context(), folder, "a/ü/y"); err != nil {
		t.Errorf("RemoveLink = %v", err)
	}
	if err := RemoveLink(t.Context(), folder, "b"); err == nil || !strings.Contains(err.Error(), ErrNoLink.Error()) {
		t.Errorf("RemoveLink of another = %v, want %v", err, ErrNoLink)
	}
}

// TestTickets issues, lists and revokes over the socket.
func TestTickets(t *testing.T) {
	folder := t.TempDir()
	start(t, conf.API{}, folder)
	want := IssuedTicket{"pgt1_x", Ticket{Serial: "02", Channels: []string{"a", "b/*"}, Uses: 3}}
	got, err := Issue(t.Context(), folder, TicketOrder{Channels: []string{"a", "b/*"}, Uses: 3, Seconds: 60})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Issue = %+v, %v, want %+v", got, err, want)
	}
	if _, err := Issue(t.Context(), folder, TicketOrder{}); err == nil || !strings.Contains(err.Error(), "is over") {
		t.Errorf("Issue = %v, want the gateway's reason", err)
	}
	all, err := FetchTickets(t.Context(), folder)
	if want, _ := sample.Tickets(); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("FetchTickets = %+v, %v, want %+v", all, err, want)
	}
	if err := Revoke(t.Context(), folder, "01"); err != nil {
		t.Errorf("Revoke = %v, want nil", err)
	}
	if err := Revoke(t.Context(), folder, "03"); err == nil || !strings.Contains(err.Error(), ErrNoTicket.Error()) {
		t.Errorf("Revoke of another = %v, want %v", err, ErrNoTicket)
	}
}

func (f fixed) Channels(_ context.Context, gateway string) (Catalogue, error) {
	if gateway == "x&y" {
		return Catalogue{}, errors.New("is no petname")
	}
	return Catalogue{Channels: []Listed{{Owner: gateway, Name: "a", Title: "A", Live: true}}, Silent: []Silence{{"b", "it is off"}}}, nil
}

func (f fixed) TableChannels(context.Context) (Catalogue, error) {
	return Catalogue{Channels: []Listed{{Name: "far"}}}, nil
}

// TestChannels asks for directories over the socket.
func TestChannels(t *testing.T) {
	folder := t.TempDir()
	start(t, conf.API{}, folder)
	want, _ := sample.Channels(t.Context(), "hq")
	if c, err := FetchChannels(t.Context(), folder, "hq"); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("FetchChannels = %+v, %v, want %+v", c, err, want)
	}
	if c, err := FetchTableChannels(t.Context(), folder); err != nil || len(c.Channels) != 1 || c.Channels[0].Name != "far" {
		t.Errorf("FetchTableChannels = %+v, %v", c, err)
	}
	if _, err := FetchChannels(t.Context(), folder, "x&y"); err == nil || !strings.Contains(err.Error(), "is no petname") {
		t.Errorf("FetchChannels = %v, want the gateway's reason", err)
	}
}

var sample = fixed{
	Version: "v1", ID: "12D3KooWx", Since: time.Unix(1000, 0).UTC(),
	Streams: []Stream{{Name: "a/ä", Packets: 7, Bytes: 700, Publishing: true, Tracks: []string{"H264"}, Since: time.Unix(2000, 0).UTC()}},
	RTSP:    RTSP{Players: 3, BytesOut: 99, Sessions: []Session{}},
	HLS:     HLS{Players: 2, BytesOut: 77, Streams: []HLSStream{{Name: "a", Source: "a~aac", Players: 2, Since: time.Unix(4000, 0).UTC()}}},
	WebRTC:  WebRTC{BytesOut: 55, Sessions: []WebRTCSession{{Stream: "a"}, {Stream: "b", Publisher: true}, {Stream: "a"}}},

	Renditions: []Rendition{{Name: "a~x", Base: "a", Process: 9, Since: time.Unix(3000, 0).UTC(), Restarts: 4, Frames: 600, Speed: 1.5}},
	Overlay: &Overlay{
		BytesIn: 5, Peers: []Peer{{Name: "hq", Connected: true, RTTMS: 250}, {Name: "b"}},
		Channels: []Channel{
			{Owner: "hq", Name: "x", Depth: 2, LagMS: 40, Chunks: Chunks{Received: 11}, As: []string{}, Parents: []string{"hq"}, Children: []string{}, Stripes: []Stripe{}},
		},
	},
}

// start runs a server until the test ends, or until the returned function is called.
func start(t *testing.T, c conf.API, folder string) (s *Server, stop func()) {
	t.Helper()
	s = New(c, folder, sample, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("Run = %v", err)
	case <-time.After(patience):
		t.Fatal("the server does not listen")
	}
	return s, stop
}

// TestSocket gives the status to who may open the socket, and leaves nothing behind.
func TestSocket(t *testing.T) {
	folder := t.TempDir()
	_, stop := start(t, conf.API{}, folder)
	st, err := os.Stat(filepath.Join(folder, socketFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v, want mode 0600", st, err)
	}
	got, err := Fetch(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if want := Status(sample); !reflect.DeepEqual(got, want) {
		t.Errorf("Fetch =\n%+v\nwant\n%+v", got, want)
	}
	stop()
	if _, err := Fetch(t.Context(), folder); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Fetch after the end: %v, want %v", err, ErrNotRunning)
	}
	if _, err := os.Stat(filepath.Join(folder, socketFile)); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestSocketOfAnother refuses a data folder that is in use, but not one whose gateway was killed.
func TestSocketOfAnother(t *testing.T) {
	folder := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, socketFile), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	s := New(conf.API{}, folder, sample, slog.New(slog.DiscardHandler))
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another gateway runs") {
		t.Errorf("Run beside another = %v", err)
	}
	l.Close()
	if _, err := Fetch(t.Context(), folder); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Fetch of a killed one: %v, want %v", err, ErrNotRunning)
	}
	start(t, conf.API{}, folder)
	if _, err := Fetch(t.Context(), folder); err != nil {
		t.Error(err)
	}
}

// TestLongPath serves without a socket where no socket can be.
func TestLongPath(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("x", maxSocket))
	var log bytes.Buffer
	s := New(conf.API{}, folder, sample, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	if !strings.Contains(log.String(), "too long") {
		t.Errorf("log: %s", &log)
	}
}

// TestToken lets only those in over TCP who have the token, which is made once for its user alone.
func TestToken(t *testing.T) {
	folder := t.TempDir()
	s, stop := start(t, conf.API{Listen: "127.0.0.1:0"}, folder)
	file := filepath.Join(folder, tokenFile)
	st, err := os.Stat(file)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("token: %v, %v, want mode 0600", st, err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(b))
	for _, tt := range []struct {
		name, method, path, authorization string
		want                              int
	}{
		{"nothing", "GET", statusPath, "", 401},
		{"another token", "GET", statusPath, "Bearer x" + token[1:], 401},
		{"another scheme", "GET", statusPath, "Basic " + token, 401},
		{"no scheme", "GET", "/metrics", token, 401},
		{"the token", "GET", statusPath, "Bearer " + token, 200},
		{"lower case", "GET", "/metrics", "bearer " + token, 200},
		{"another path", "GET", "/", "Bearer " + token, 404},
		{"another method", "POST", statusPath, "Bearer " + token, 405},
	} {
		if got, _ := do(t, tt.method, "http://"+s.Addr().String()+tt.path, tt.authorization); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	stop()
	s, _ = start(t, conf.API{Listen: "127.0.0.1:0"}, folder)
	if got, _ := do(t, "GET", "http://"+s.Addr().String()+statusPath, "Bearer "+token); got != 200 {
		t.Errorf("the token after a restart: %d, want 200", got)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadToken(folder); err == nil {
		t.Error("an empty token is accepted")
	}
}

// TestMetrics has a number of each kind.
func TestMetrics(t *testing.T) {
	folder := t.TempDir()
	s, _ := start(t, conf.API{Listen: "127.0.0.1:0"}, folder)
	token, err := loadToken(folder)
	if err != nil {
		t.Fatal(err)
	}
	code, body := do(t, "GET", "http://"+s.Addr().String()+"/metrics", "Bearer "+token)
	if code != 200 {
		t.Fatalf("%d: %s", code, body)
	}
	for _, line := range []string{
		`peergate_info{id="12D3KooWx",version="v1"} 1`,
		`peergate_start_time_seconds 1000`,
		`peergate_rtsp_players 3`,
		`peergate_rtsp_bytes_total{direction="out"} 99`,
		`peergate_hls_players 2`,
		`peergate_hls_streams 1`,
		`peergate_hls_bytes_total 77`,
		`peergate_webrtc_players 2`,
		`peergate_webrtc_publishers 1`,
		`peergate_webrtc_bytes_total 55`,
		`peergate_stream_bytes_total{stream="a/ä"} 700`,
		`peergate_stream_publishing{stream="a/ä"} 1`,
		`peergate_transcode_renditions 1`,
		`peergate_transcode_speed{stream="a~x"} 1.5`,
		`peergate_transcode_frames_total{stream="a~x"} 600`,
		`peergate_transcode_restarts_total{stream="a~x"} 4`,
		`peergate_overlay_peers 2`,
		`peergate_overlay_peer_connected{peer="b"} 0`,
		`peergate_overlay_peer_rtt_seconds{peer="hq"} 0.25`,
		`peergate_channel_depth{channel="x",owner="hq"} 2`,
		`peergate_channel_lag_seconds{channel="x",owner="hq"} 0.04`,
		`peergate_channel_chunks_total{channel="x",event="received",owner="hq"} 11`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(body, "process_open_fds ") || !strings.Contains(body, "go_goroutines ") {
		t.Error("nothing of the process")
	}
}

func do(t *testing.T, method, url, authorization string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
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
	return res.StatusCode, string(b)
}

func (f fixed) Upload(context.Context) (Upload, error) {
	if len(f.Streams) > 0 {
		return Upload{Peer: "hq", Rate: 5}, nil
	}
	return Upload{}, errors.New("no peer")
}

func (f fixed) Terms() []Terms {
	return []Terms{{Name: "live/*", Access: "open", Price: 0.02, Fixed: true}}
}

func (f fixed) SetTerms(t Terms) error {
	if want := (Terms{Name: "a/ü/*", Access: "members", Price: 0.25, Credit: 0.000001}); t != want {
		return fmt.Errorf("got %+v", t)
	}
	return nil
}

func (f fixed) DropTerms(pattern string) error {
	if pattern != "a/ü/*" {
		return ErrNoTerms
	}
	return nil
}

// TestTerms sets, lists and removes over the socket.
func TestTerms(t *testing.T) {
	folder := t.TempDir()
	start(t, conf.API{}, folder)
	if err := GiveTerms(t.Context(), folder, Terms{Name: "a/ü/*", Access: "members", Price: 0.25, Credit: 0.000001}); err != nil {
		t.Errorf("GiveTerms = %v", err)
	}
	if err := GiveTerms(t.Context(), folder, Terms{Name: "b"}); err == nil || !strings.Contains(err.Error(), "got {Name:b") {
		t.Errorf("GiveTerms = %v, want the gateway's reason", err)
	}
	if err := call(t.Context(), folder, http.MethodPut, termsPath+"/a", Terms{Name: "b"}, nil); err == nil || !strings.Contains(err.Error(), "another pattern") {
		t.Errorf("terms of another name = %v, want that told", err)
	}
	if all, err := FetchTerms(t.Context(), folder); err != nil || !reflect.DeepEqual(all, sample.Terms()) {
		t.Errorf("FetchTerms = %+v, %v", all, err)
	}
	if err := RemoveTerms(t.Context(), folder, "a/ü/*"); err != nil {
		t.Errorf("RemoveTerms = %v", err)
	}
	if err := RemoveTerms(t.Context(), folder, "b"); err == nil || !strings.Contains(err.Error(), ErrNoTerms.Error()) {
		t.Errorf("RemoveTerms of another = %v, want %v", err, ErrNoTerms)
	}
}
