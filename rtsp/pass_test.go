package rtsp

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/auth"
)

// TestPass plays with a pass where players need a password. It is good for one connection of this host and one stream,
// and not for publishing.
func TestPass(t *testing.T) {
	s := newServer(t, nil, auth.User{Name: "u", Password: "p", Read: []string{"**"}})
	s.live("cam", h264Track)
	s.live("other", h264Track)
	u, revoke, err := s.ReadPass(t.Context(), "cam")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(u, s.url("/cam?pass=")) || len(u) < len(s.url("/cam?pass="))+20 {
		t.Errorf("URL is %s", u)
	}
	secret := u[strings.IndexByte(u, '?'):]
	c := s.dial()
	wantStatus(t, "another stream", c.do("DESCRIBE", s.url("/other")+secret), 401)
	wantStatus(t, "ANNOUNCE", c.doBody("ANNOUNCE", u, testSDP, "Content-Type: application/sdp"), 401)
	wantStatus(t, "a wrong secret", c.do("DESCRIBE", u+"x"), 401)
	wantStatus(t, "DESCRIBE", c.do("DESCRIBE", u), 200)
	a := c.must("SETUP", u+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	c.must("PLAY", u, sessionOf(a))
	wantStatus(t, "another connection", s.dial().do("DESCRIBE", u), 401)
	wantStatus(t, "the same connection", c.do("DESCRIBE", u), 200)
	revoke()
	revoke()
	wantStatus(t, "after revoke", c.do("DESCRIBE", u), 401)
}

// TestPublishPass publishes with a pass under the name of a peer's stream. The tracks are given to who issued it.
func TestPublishPass(t *testing.T) {
	peers := func(c *conf.Config) {
		c.Peers = map[string]conf.Peer{"hq": {ID: "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"}}
	}
	s := newServer(t, peers, auth.User{Name: "u", Password: "p", Publish: []string{"**"}})
	given := make(chan []media.Track, 1)
	publish := func(tracks []media.Track) (*media.Publisher, error) {
		given <- tracks
		return s.hub.Publish("hq/lobby~small", tracks, media.Origin{Kind: "transcode"})
	}
	u, revoke, err := s.PublishPass(t.Context(), "hq/lobby~small", publish)
	if err != nil {
		t.Fatal(err)
	}
	defer revoke()
	c := s.dial()
	wantStatus(t, "ANNOUNCE", c.doBody("ANNOUNCE", u, testSDP, "Content-Type: application/sdp"), 200)
	a := c.must("SETUP", u+"/streamid=0", "Transport: RTP/AVP/TCP;unicast;mode=record;interleaved=0-1")
	c.must("RECORD", u, sessionOf(a))
	if got := <-given; len(got) != 1 || got[0].Codec() != "H264" {
		t.Errorf("tracks = %v", got)
	}
	if st := s.hub.Stream("hq/lobby~small"); st == nil || st.Origin().Kind != "transcode" {
		t.Errorf("the stream is %v", st)
	}
	wantStatus(t, "another connection", s.dial().doBody("ANNOUNCE", u, testSDP, "Content-Type: application/sdp"), 401)

	refused, revoke, err := s.PublishPass(t.Context(), "x", func([]media.Track) (*media.Publisher, error) { return nil, errors.New("not now") })
	if err != nil {
		t.Fatal(err)
	}
	defer revoke()
	c = s.dial()
	wantStatus(t, "ANNOUNCE", c.doBody("ANNOUNCE", refused, testSDP, "Content-Type: application/sdp"), 200)
	a = c.must("SETUP", refused+"/streamid=0", "Transport: RTP/AVP/TCP;unicast;mode=record;interleaved=0-1")
	wantStatus(t, "RECORD", c.do("RECORD", refused, sessionOf(a)), 400)
}

// TestPassIsForThisHost gets URLs that lead to loopback, and none of a server that does not listen.
func TestPassIsForThisHost(t *testing.T) {
	s := newServer(t, func(c *conf.Config) { c.RTSP.Listen = ":0" }, auth.User{Name: "u", Password: "p"})
	address, revoke, err := s.ReadPass(t.Context(), "cam/yard~x")
	if err != nil {
		t.Fatal(err)
	}
	defer revoke()
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != "127.0.0.1" || u.Path != "/cam/yard~x" {
		t.Errorf("URL %s, %v, want this host's", address, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := New(conf.Default(), t.TempDir(), nil, s.hub, s.log)
	if _, _, err := late.ReadPass(ctx, "cam"); !errors.Is(err, context.Canceled) {
		t.Errorf("a pass of a server that does not listen: %v", err)
	}
}
