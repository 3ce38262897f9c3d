package load

import (
	"strings"
	"testing"

	"peergate/integration/bench/players/camera"
)

func TestClientAsksFourTimes(t *testing.T) {
	for name, c := range map[string]struct {
		base, sdp string
		port      int
		want      []string
	}{
		"interleaved": {
			"rtsp://h:1/s/", camera.SDP, 0,
			[]string{"DESCRIBE rtsp://h:1/s ", "SETUP rtsp://h:1/s/track0 ", "interleaved=0-1", "PLAY rtsp://h:1/s/ ", "Session: 7\r\n"},
		},
		"udp, absolute control": {
			"", strings.Replace(camera.SDP, "track0", "rtsp://h:1/x/trackID=0", 1), 4000,
			[]string{"DESCRIBE rtsp://h:1/s ", "SETUP rtsp://h:1/x/trackID=0 ", "client_port=4000-4001", "PLAY rtsp://h:1/s "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cl := client{url: "rtsp://h:1/s", port: c.port}
			var asked string
			for _, r := range []response{
				{status: 200, lines: []string{"RTSP/1.0 200 OK", "content-base: " + c.base}, body: c.sdp},
				{status: 200, lines: []string{"RTSP/1.0 200 OK", "Session: 7;timeout=60"}},
				{status: 200},
			} {
				asked += string(cl.request())
				if err := cl.answer(r); err != nil {
					t.Fatal(err)
				}
			}
			if cl.stage != playing {
				t.Errorf("stage = %d, want playing", cl.stage)
			}
			asked += string(cl.request())
			for _, w := range append(c.want, "GET_PARAMETER rtsp://h:1/s", "CSeq: 4\r\n") {
				_, after, ok := strings.Cut(asked, w)
				if !ok {
					t.Fatalf("%q is missing, or out of order, in\n%s", w, asked)
				}
				if strings.Contains(w, "rtsp://") {
					asked = after
				}
			}
		})
	}
}

func TestClientRefusesWhatIsNoSuccess(t *testing.T) {
	for name, r := range map[string]response{
		"status":   {status: 404},
		"no track": {status: 200, body: "v=0\r\n"},
	} {
		cl := client{url: "rtsp://h/s"}
		if err := cl.answer(r); err == nil {
			t.Errorf("%s: answer = nil, want an error", name)
		}
	}
}

func TestParseResponse(t *testing.T) {
	whole := "RTSP/1.0 200 OK\r\nCSeq: 1\r\ncontent-length: 3\r\n\r\nabc"
	for i := range whole {
		if _, n, err := parseResponse([]byte(whole[:i])); n != 0 || err != nil {
			t.Fatalf("the first %d bytes: %d, %v, want to wait for more", i, n, err)
		}
	}
	r, n, err := parseResponse([]byte(whole + "$more"))
	if n != len(whole) || err != nil || r.status != 200 || r.body != "abc" || r.header("CSEQ") != "1" {
		t.Errorf("parseResponse = %+v, %d, %v", r, n, err)
	}
	for _, bad := range []string{"HTTP/1.1 200 OK\r\n\r\n", "RTSP/1.0\r\n\r\n", "RTSP/1.0 OK\r\n\r\n", "RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n"} {
		if _, _, err := parseResponse([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestFrame(t *testing.T) {
	b := []byte{'$', 0, 0, 2, 'a', 'b', 'c'}
	for n, want := range map[int]int{0: 0, 3: 0, 5: 0, 6: 6, 7: 6} {
		if got := frame(b[:n]); got != want {
			t.Errorf("frame of %d bytes = %d, want %d", n, got, want)
		}
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, n, err := parseResponse(b); n < 0 || n > len(b) || err != nil && n != 0 {
			t.Errorf("parseResponse = %d of %d bytes, %v", n, len(b), err)
		}
	})
}
