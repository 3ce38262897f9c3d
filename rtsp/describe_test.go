package rtsp

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/wire"
)

// TestDescribe cites RFC 2326 §10.2, §C.1 and RFC 8866 §5: the description is valid, says how to control the stream, and
// keeps the publisher's lines.
func TestDescribe(t *testing.T) {
	s := newServer(t, nil)
	s.live("hq/live", h264Track, pcmuTrack)
	c := s.dial()
	a := c.must("DESCRIBE", s.url("/hq/live"), "Accept: application/sdp")
	if got := a.Header.Get("Content-Type"); got != "application/sdp" {
		t.Errorf("Content-Type = %q", got)
	}
	if got, want := a.Header.Get("Content-Base"), s.url("/hq/live/"); got != want {
		t.Errorf("Content-Base = %q, want %q", got, want)
	}
	want := `^v=0\r\no=- \d{10} \d{10} IN IP4 127\.0\.0\.1\r\ns=hq/live\r\nc=IN IP4 0\.0\.0\.0\r\nt=0 0\r\na=tool:Peergate\r\na=control:\*\r\na=range:npt=now-\r\n` +
		regexp.QuoteMeta(string(media.MarshalTracks([]media.Track{h264Track}))) + `a=control:trackID=0\r\n` +
		regexp.QuoteMeta(string(media.MarshalTracks([]media.Track{pcmuTrack}))) + `a=control:trackID=1\r\n$`
	if !regexp.MustCompile(want).Match(a.Body) {
		t.Errorf("description is\n%s\nwant\n%s", a.Body, want)
	}
	if again := c.must("DESCRIBE", s.url("/hq/live")); string(again.Body) != string(a.Body) {
		t.Errorf("the next description is\n%s", again.Body)
	}
}

// TestDescriptionVersion cites RFC 8866 §5.2: the version grows when the description changes.
func TestDescriptionVersion(t *testing.T) {
	s := newServer(t, nil)
	pub := s.live("live", h264Track)
	c := s.dial()
	origin := func() (id, version uint64) {
		t.Helper()
		body := string(c.must("DESCRIBE", s.url("/live")).Body)
		if _, err := fmt.Sscanf(body, "v=0\r\no=- %d %d", &id, &version); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		return id, version
	}
	id, version := origin()
	other := media.Track{Kind: "video", Lines: append(append([]string{}, h264Track.Lines...), "a=framerate:25")}
	s.live("live", other)
	<-pub.Done()
	if id2, version2 := origin(); id2 != id || version2 <= version {
		t.Errorf("o= has %d %d after %d %d", id2, version2, id, version)
	}
}

// TestDescribeQuery: a query is kept, and its slash lets every kind of client find the tracks.
func TestDescribeQuery(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track, pcmuTrack)
	c := s.dial()
	base := c.must("DESCRIBE", s.url("/live?token=a/b")).Header.Get("Content-Base")
	if want := s.url("/live/?token=a/b/"); base != want {
		t.Errorf("Content-Base = %q, want %q", base, want)
	}
	for _, url := range []string{base + "trackID=1", s.url("/live/trackID=1"), s.url("/live?token=a/b/trackID=1"), s.url("/live/trackID=1?token=a/b")} {
		s.dial().must("SETUP", url, "Transport: RTP/AVP/TCP")
	}
}

// TestAccept cites RFC 2326 §12.1, §11.3: a description that the client cannot read is 406.
func TestAccept(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	for accept, want := range map[string]int{
		"application/sdp": 200, "application/rtsl, application/sdp;level=-2": 200, "*/*": 200, "application/*": 200,
		"application/x-rtsp-mh": 406, "text/html": 406, "application/sdp;q=0": 406,
	} {
		wantStatus(t, accept, s.dial().do("DESCRIBE", s.url("/live"), "Accept: "+accept), want)
	}
}

// opener answers with an error, or not at all.
type opener struct{ err error }

func (o opener) Open(ctx context.Context, _ media.Name) (*media.Stream, error) {
	if o.err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, o.err
}

// TestUnavailable: what prevents a stream reaches the player (RFC 2326 §7.1.1, §11.3).
func TestUnavailable(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"unknown", media.ErrNotFound, 404},
		{"lost camera", fmt.Errorf("the camera is off"), 503},
		{"slow camera", nil, 504},
		{"full swarm", fmt.Errorf("its members: %w", media.ErrNotEnoughBandwidth), 453},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, func(c *conf.Config) { c.RTSP.OpenTimeout = 50 * time.Millisecond })
			s.hub.Use(opener{tt.err})
			for _, method := range []string{"DESCRIBE", "SETUP"} {
				a := s.dial().do(method, s.url("/cam"), "Transport: RTP/AVP/TCP")
				wantStatus(t, method, a, tt.want)
				if tt.err != nil && !strings.Contains(string(a.Body), tt.err.Error()) {
					t.Errorf("%s: body = %q, want the reason", method, a.Body)
				}
			}
		})
	}
}

// TestParameterSets: what the publisher did not describe is taken from the stream (RFC 6184 §8.1, RFC 7798 §7.1), and
// what is not there is not waited for without end.
func TestParameterSets(t *testing.T) {
	sps, pps := []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9}, []byte{0x68, 0xcb, 0x8c, 0xb2}
	vps5, sps5, pps5 := []byte{0x40, 1, 0x0c, 1}, []byte{0x42, 1, 1, 1}, []byte{0x44, 1, 0xc1, 0x72}
	tests := []struct {
		name    string
		lines   []string
		packets [][]byte
		want    string
	}{
		{
			"H264 without fmtp",
			[]string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=x:y"},
			[][]byte{sps, pps},
			"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; profile-level-id=42C01E; sprop-parameter-sets=Z0LAHtk=,aMuMsg==\r\na=x:y\r\n",
		},
		{
			"H264 in an aggregation",
			[]string{"m=video 0 RTP/AVP 97", "a=rtpmap:97 H264/90000", "a=fmtp:97 packetization-mode=0;profile-level-id=42e01e"},
			[][]byte{append(append(append([]byte{0x78, 0, 5}, sps...), 0, 4), pps...)},
			"a=fmtp:97 packetization-mode=0;profile-level-id=42e01e; sprop-parameter-sets=Z0LAHtk=,aMuMsg==\r\n",
		},
		{
			"H265",
			[]string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H265/90000"},
			[][]byte{vps5, sps5, pps5},
			"a=fmtp:96 sprop-vps=QAEMAQ==; sprop-sps=QgEBAQ==; sprop-pps=RAHBcg==\r\n",
		},
		{"none", []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"}, [][]byte{{0x65, 1, 2, 3}}, "a=rtpmap:96 H264/90000\r\na=control"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			track := media.Track{Kind: "video", Lines: tt.lines}
			pub, err := s.hub.Publish("live", []media.Track{track}, media.Origin{})
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range tt.packets {
				b := append(testPacket(&track, 0)[:rtpHeader], p...)
				b[3] = byte(i) // of one frame
				if err := pub.WriteRTP(0, b, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			begun := time.Now()
			body := string(s.dial().must("DESCRIBE", s.url("/live")).Body)
			if !strings.Contains(body, tt.want) {
				t.Errorf("description is\n%swant\n%s", body, tt.want)
			}
			if d := time.Since(begun); tt.name != "none" && d > time.Second {
				t.Errorf("it took %v, although everything was there", d)
			}
		})
	}
}

// TestRedirect cites RFC 2326 §11.2 and §12.20: a stream that is elsewhere is 302 with its Location; a circle is not.
func TestRedirect(t *testing.T) {
	s := newServer(t, nil)
	c := conf.Default()
	c.Streams = map[string]conf.Stream{
		"old": {Redirect: "rtsp://media.example.org:8554/new"}, "here": {Redirect: s.url("/new")},
		"a": {Redirect: s.url("/b")}, "b": {Redirect: s.url("/a")}, "self": {Redirect: s.url("/self")},
		"same": {Redirect: "rtsp://media.example.org/same"},
	}
	s.Reconfigure(c)
	for path, want := range map[string]string{
		"old": "rtsp://media.example.org:8554/new", "here": s.url("/new"), "same": "rtsp://media.example.org/same", "a": "", "b": "", "self": "",
	} {
		for _, method := range []string{"DESCRIBE", "SETUP", "ANNOUNCE"} {
			a := s.dial().do(method, s.url("/"+path), "Transport: RTP/AVP/TCP")
			if want == "" {
				wantStatus(t, method+" "+path, a, 500)
				continue
			}
			wantStatus(t, method+" "+path, a, 302)
			if got := a.Header.Get("Location"); got != want {
				t.Errorf("%s %s: Location = %q, want %q", method, path, got, want)
			}
		}
	}
}

// stranger is a gateway that is not configured, friend one that is.
const (
	stranger = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	linked   = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	friend   = "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD"
)

// TestForeignNames: names of other gateways cannot be published here; those of strangers are for this host and for users.
func TestForeignNames(t *testing.T) {
	c := conf.Default()
	c.Peers = map[string]conf.Peer{"hq": {ID: friend}}
	c.Overlay.Links = []conf.Link{{Link: "peergate://" + linked + "/a", Petname: "tv"}}
	n := newNames(c)
	for name, want := range map[media.Name]bool{"hq/a": true, "tv/b": true, friend + "/a": true, stranger + "/a": true, "hq2/a": false, "a/hq": false} {
		if got := n.foreign(name); got != want {
			t.Errorf("foreign(%s) = %v, want %v", name, got, want)
		}
	}
	far := netip.MustParseAddr("192.0.2.7")
	for _, tt := range []struct {
		name media.Name
		far  bool
		user string
		want bool
	}{
		{stranger + "/a", false, "", true},
		{stranger + "/a", true, "", false},
		{stranger + "/a", true, "viewer", true},
		{friend + "/a", true, "", true},
		{linked + "/b", true, "", true},
		{"a", true, "", true},
	} {
		from := loopback
		if tt.far {
			from = far
		}
		if got := n.admits(tt.name, from, tt.user); got != tt.want {
			t.Errorf("admits(%s, %s, %q) = %v, want %v", tt.name, from, tt.user, got, tt.want)
		}
	}
	s := newServer(t, func(c *conf.Config) { c.Peers = map[string]conf.Peer{"hq": {ID: friend}} })
	a := s.dial().doBody("ANNOUNCE", s.url("/hq/a"), testSDP, "Content-Type: application/sdp")
	wantStatus(t, "ANNOUNCE", a, 403)
}

// TestChallenges cites RFC 2326 §12.5, RFC 7616: reading and publishing have their own rights, a challenge comes also
// after wrong credentials, and the right ones are good for the session.
func TestChallenges(t *testing.T) {
	s := newServer(t, nil,
		auth.User{Name: "viewer", Password: "see", Read: []string{"**"}},
		auth.User{Name: "encoder", Password: "send", Publish: []string{"**"}})
	s.live("live", h264Track)
	basic := func(v string) string { return "Authorization: Basic " + v }
	const viewer, encoder, wrong = "dmlld2VyOnNlZQ==", "ZW5jb2RlcjpzZW5k", "dmlld2VyOm5v"
	for _, tt := range []struct {
		name, method string
		headers      []string
		want         int
	}{
		{"none", "DESCRIBE", nil, 401},
		{"wrong", "DESCRIBE", []string{basic(wrong)}, 401},
		{"right", "DESCRIBE", []string{basic(viewer)}, 200},
		{"publisher reads", "DESCRIBE", []string{basic(encoder)}, 403},
		{"reader publishes", "ANNOUNCE", []string{basic(viewer), "Content-Type: application/sdp"}, 403},
		{"none publishes", "ANNOUNCE", []string{"Content-Type: application/sdp"}, 401},
		{"publisher publishes", "ANNOUNCE", []string{basic(encoder), "Content-Type: application/sdp"}, 200},
		{"SETUP", "SETUP", []string{"Transport: RTP/AVP/TCP"}, 401},
		{"OPTIONS", "OPTIONS", nil, 200},
	} {
		body := ""
		if tt.method == "ANNOUNCE" {
			body = testSDP
		}
		a := s.dial().doBody(tt.method, s.url("/live"), body, tt.headers...)
		wantStatus(t, tt.name, a, tt.want)
		if tt.want == 401 {
			vs := strings.Join(a.Header.Values("WWW-Authenticate"), "\n")
			if !strings.Contains(vs, "Basic realm=") || !strings.Contains(vs, "algorithm=MD5") || !strings.Contains(vs, "algorithm=SHA-256") {
				t.Errorf("%s: challenges are\n%s", tt.name, vs)
			}
		}
	}
	c := s.dial()
	url := s.url("/live/" + wire.Control(0))
	ses := sessionOf(c.must("SETUP", url, "Transport: RTP/AVP/TCP", basic(viewer)))
	c.must("PLAY", s.url("/live"), ses) // the session is the same client's
	other := s.dial()
	wantStatus(t, "another connection", other.do("TEARDOWN", s.url("/live"), ses), 401)
	other.must("GET_PARAMETER", s.url("/live"), ses, basic(viewer))
}
