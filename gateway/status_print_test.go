package main

import (
	"strings"
	"testing"
	"time"

	"peergate/gateway/web"
)

// TestPrintStatus has a line of each kind.
func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	st := web.Status{
		Version: "v1", ID: "12D3KooWx", Since: now.Add(-time.Hour),
		Streams: []web.Stream{
			{Name: "lobby", Kind: "publish", Remote: "192.0.2.1:5", Since: now.Add(-90 * time.Second), Tracks: []string{"H264", "OPUS"}, Subscribers: 2, Bytes: 1_500_000, Lost: 3},
		},
		RTSP: web.RTSP{Players: 1, Publishers: 2, BytesIn: 999, Sessions: []web.Session{
			{Remote: "192.0.2.2", User: "u", Stream: "lobby", Transport: "udp", Bytes: 12_000, Skipped: 4, Lost: 5, Since: now},
		}},
		Renditions: []web.Rendition{{Name: "lobby~360p", Process: 77, Frames: 900, Speed: 0.98, Restarts: 1, Since: now.Add(-31 * time.Second), Err: "ffmpeg has ended"}},
		Overlay: &web.Overlay{
			Reach: web.Reach{NAT: "symmetric", Seen: []string{"192.0.2.9:1"}, TCP: "refused", QUIC: "ok", Relays: []string{"hq"}},
			Peers: []web.Peer{{Name: "hq", Connected: true, Way: "punched", Transport: "quic", RTTMS: 12.34, Remote: "/ip4/192.0.2.3/tcp/1", Version: "v2"}, {Name: "b", Err: "refused"}, {Name: "c"}},
			Channels: []web.Channel{
				{Name: "lobby", Own: true, Saved: 3_100_000},
				{
					Owner: "hq", Name: "stage", State: "joined", Depth: 2, Parents: []string{"hq", "b"}, LagMS: 31.4, BytesIn: 2_000,
					Stripes: []web.Stripe{{Parent: "hq", Depth: 1}, {Parent: "hq", Depth: 1}, {Parent: "b", Backups: []string{"hq"}, Depth: 2}},
				},
			},
		},
	}
	const want = `peergate v1, since 1h0m0s, 12D3KooWx
1 player, 2 publishers, 0 connections; in 999 B, out 0 B

STREAM  FROM                        TRACKS     READERS  BYTES   LOST  SINCE
lobby   publish 192.0.2.1:5 (gone)  H264,OPUS  2        1.5 MB  3     1m30s

CLIENT     USER  STREAM  DOES   BY   BYTES    SKIPPED  LOST  SINCE
192.0.2.2  u     lobby   plays  udp  12.0 kB  4        5     0s

RENDITION   PROCESS  FRAMES  SPEED  RESTARTS  SINCE  LAST ERROR
lobby~360p  77       900     0.98   1         31s    ffmpeg has ended

NAT symmetric, seen at 192.0.2.9:1; reached over TCP: refused; reached over QUIC: ok; through hq

PEER  STATE      WAY            RTT      ADDRESS               VERSION
hq    connected  punched, quic  12.3 ms  /ip4/192.0.2.3/tcp/1  v2
b     unreachable: refused
c     not connected

CHANNEL   STATE   HOPS  PARENTS  CHILDREN  LAG    IN      OUT  REPAIRED  SKIPPED
lobby     own     0     -        -         0 ms   0 B     0 B  0         0
hq/stage  joined  2     hq,b     -         31 ms  2.0 kB  0 B  0         0

lobby: uplink saved 3.1 MB, which members had from each other

hq/stage: STRIPES  PARENT  BACKUPS  CHILDREN  HOPS
0-1                hq      -        -         1
2                  b       hq       -         2
`
	var out strings.Builder
	if err := printStatus(&out, st, now); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printStatus =\n%s\nwant\n%s", &out, want)
	}
}

// TestStatusOfARunningGateway asks it over its socket as the command does.
func TestStatusOfARunningGateway(t *testing.T) {
	l := newLive(t, "streams: {a: {source: 'demo:'}}\npeers: {hq: {id: 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA}}\n")
	select {
	case <-l.api.Ready():
	case <-time.After(patience):
		t.Fatal("the API does not listen")
	}
	v := l.play("a")
	v.goesOn(t)
	st, err := web.Fetch(t.Context(), l.data)
	if err != nil {
		t.Fatal(err)
	}
	if st.ID != string(l.id.ID) || st.RTSP.Players != 1 || len(st.RTSP.Sessions) != 1 || st.RTSP.Sessions[0].Packets == 0 {
		t.Errorf("status %+v", st)
	}
	if len(st.Streams) != 1 || st.Streams[0].Name != "a" || st.Streams[0].Kind != "demo" || st.Streams[0].Bytes == 0 ||
		strings.Join(st.Streams[0].Tracks, " ") != "H264 MPEG4-GENERIC" {
		t.Errorf("streams %+v", st.Streams)
	}
	if len(st.Overlay.Peers) != 1 || st.Overlay.Peers[0].Name != "hq" || st.Overlay.Peers[0].Connected {
		t.Errorf("peers %+v", st.Overlay.Peers)
	}
}
