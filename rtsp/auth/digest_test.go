package auth

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

const live = "rtsp://h:8554/live"

func liveUsers(t testing.TB) (*Users, *clock) {
	return newUsers(t, []User{{Name: "anna", Password: "secret", Read: []string{"live"}}}, Options{})
}

// ask sends a request of a player.
func ask(u *Users, p *player, method, uri, url string) Decision {
	return allow(u, Request{Name: "live", Addr: away, Conn: 1, Method: method, URL: url, Authorization: p.digest(method, uri)})
}

// The example of RFC 2617 §3.5, which RFC 7616 §3.9.1 has for SHA-256.
func TestDigestOfTheRFC(t *testing.T) {
	for _, tt := range []struct {
		scheme Scheme
		want   string
	}{
		{DigestMD5, "8ca523f5e9506fed4657c9700eebdbec"},
		{DigestSHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
	} {
		ha1 := hash(tt.scheme, "Mufasa:http-auth@example.org:Circle of Life")
		ha2 := hash(tt.scheme, "GET:/dir/index.html")
		got := hash(tt.scheme, ha1+":7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v:00000001:f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ:auth:"+ha2)
		if got != tt.want {
			t.Errorf("%s = %s, want %s", tt.scheme, got, tt.want)
		}
	}
}

func TestDigest(t *testing.T) {
	for _, scheme := range []Scheme{DigestMD5, DigestSHA256} {
		for _, qop := range []bool{false, true} {
			u, _ := liveUsers(t)
			p := &player{name: "anna", password: "secret", scheme: scheme, qop: qop}
			p.take(t, allow(u, Request{Name: "live", Addr: away, Conn: 1}).Challenges)
			for _, method := range []string{"DESCRIBE", "SETUP", "SETUP", "PLAY"} {
				if d := ask(u, p, method, live, live); d.Verdict != OK || d.User != "anna" {
					t.Errorf("%s, qop %v: %s = %+v, want ok", scheme, qop, method, d)
				}
			}
		}
	}
}

// The uris are those of the recorded dialogues, or of the clients named in sameResource.
func TestDigestURI(t *testing.T) {
	tests := []struct {
		name, uri, url string
		want           Verdict
	}{
		{"ffmpeg, track", live + "/trackID=0", live + "/trackID=0", OK},
		{"ffmpeg, PLAY", live + "/", live + "/", OK},
		{"VLC, track", live + "/", live + "/trackID=1", OK},
		{"without slash", live, live + "/", OK},
		{"path", "/live", live, OK},
		{"path and track", "/live/trackID=0", live + "/trackID=0", OK},
		{"other host", "rtsp://gate.example/live", live, OK},
		{"query", live + "?a=b", live + "?a=b", OK},
		{"without query", live, live + "?a=b/trackID=0", OK},
		{"encoded", "rtsp://h:8554/l%69ve", live, OK},
		{"other stream", "rtsp://h:8554/other", live, Challenge},
		{"deeper", live + "/a", live, Challenge},
		{"empty", "", live, Challenge},
		{"all", "*", live, Challenge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := liveUsers(t)
			p := &player{name: "anna", password: "secret", scheme: DigestMD5}
			p.take(t, allow(u, Request{Name: "live", Addr: away, Conn: 1}).Challenges)
			if d := ask(u, p, "SETUP", tt.uri, tt.url); d.Verdict != tt.want {
				t.Errorf("Allow = %+v, want %v", d, tt.want)
			}
		})
	}
}

// The headers are of the recorded dialogues ffmpeg-tcp-digest and vlc-digest. Their nonces are another server's, so right
// responses are stale ones.
func TestRecordedDigests(t *testing.T) {
	const ffmpeg, vlc = "rtsp://127.0.0.1:29109/locked", "rtsp://127.0.0.1:29104/locked"
	const ffmpegNonce, vlcNonce = "be15129061338d6689e9ac556f1e6e73", "419e97b1d6ed00c44d6f6ccadada2593"
	u, _ := newUsers(t, []User{{Name: "viewer", Password: "secret", Read: []string{"locked"}}}, Options{Realm: "ipcam"})
	tests := []struct{ name, method, url, nonce, uri, rest string }{
		{"ffmpeg", "DESCRIBE", ffmpeg, ffmpegNonce, ffmpeg, `response="957e853ea01acefa6ff63a6762d82114", algorithm="MD5"`},
		{"ffmpeg", "SETUP", ffmpeg + "/trackID=1", ffmpegNonce, ffmpeg + "/trackID=1", `response="240cb310c079574de879482692ff7098", algorithm="MD5"`},
		{"ffmpeg", "PLAY", ffmpeg + "/", ffmpegNonce, ffmpeg + "/", `response="f01112e16ae11f0df9ff68f70a0bbe43", algorithm="MD5"`},
		{"VLC", "DESCRIBE", vlc, vlcNonce, vlc, `response="4cb73b974f75095e94099d0e3e8313a3"`},
		{"VLC", "SETUP", vlc + "/trackID=0", vlcNonce, vlc + "/", `response="a3f7f5dd1a4f0ba18fe83d577014d82b"`},
		{"VLC", "PLAY", vlc + "/", vlcNonce, vlc + "/", `response="a12833bff6597d7965976ecbef571712"`},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.method, func(t *testing.T) {
			_, res := u.identify(t.Context(), Request{
				Method: tt.method, URL: tt.url,
				Authorization: `Digest username="viewer", realm="ipcam", nonce="` + tt.nonce + `", uri="` + tt.uri + `", ` + tt.rest,
			})
			if res != stale {
				t.Errorf("identify = %v, want stale", res)
			}
		})
	}
}

func TestDigestRefuses(t *testing.T) {
	tests := []struct {
		name     string
		p        player
		from, to string // replaced in the header
	}{
		{"wrong password", player{name: "anna", password: "Secret"}, "", ""},
		{"unknown user", player{name: "carl", password: "secret"}, "", ""},
		{"no name", player{}, "", ""},
		{"other realm", player{name: "anna", password: "secret"}, `realm="peergate"`, `realm="x"`},
		{"other algorithm", player{name: "anna", password: "secret"}, "algorithm=MD5", "algorithm=MD5-sess"},
		{"no response", player{name: "anna", password: "secret"}, "response=", "x="},
		{"other qop", player{name: "anna", password: "secret", qop: true}, "qop=auth", "qop=auth-int"},
		{"qop taken away", player{name: "anna", password: "secret", qop: true}, "qop=auth, ", ""},
		{"no nc", player{name: "anna", password: "secret", qop: true}, "nc=00000001", "nc=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := liveUsers(t)
			tt.p.scheme = DigestMD5
			tt.p.take(t, allow(u, Request{Name: "live", Addr: away, Conn: 1}).Challenges)
			a := tt.p.digest("DESCRIBE", live)
			if !strings.Contains(a, tt.from) {
				t.Fatalf("%s has no %s", a, tt.from)
			}
			d := allow(u, Request{Name: "live", Addr: away, Conn: 1, Method: "DESCRIBE", URL: live, Authorization: strings.Replace(a, tt.from, tt.to, 1)})
			if d.Verdict != Challenge || strings.Contains(d.Challenges[0], "stale") {
				t.Errorf("Allow = %+v, want a challenge", d)
			}
			if n := u.guesses.addr[away].count; n != 1 {
				t.Errorf("%d guesses are counted, want 1", n)
			}
		})
	}
}

func TestNonceIsBound(t *testing.T) {
	u, c := liveUsers(t)
	p := &player{name: "anna", password: "secret", scheme: DigestMD5}
	p.take(t, allow(u, Request{Name: "live", Addr: away, Conn: 1}).Challenges)
	r := Request{Name: "live", Addr: away, Conn: 1, Method: "DESCRIBE", URL: live, Authorization: p.digest("DESCRIBE", live)}
	isStale := func(name string, r Request) {
		t.Helper()
		d := allow(u, r)
		if d.Verdict != Challenge || !strings.Contains(d.Challenges[0], ", stale=true,") {
			t.Errorf("%s = %+v, want stale", name, d)
		}
	}
	if d := allow(u, r); d.Verdict != OK {
		t.Fatalf("Allow = %+v, want ok", d)
	}
	other := r
	other.Addr = netip.MustParseAddr("192.0.2.8")
	isStale("another address", other)
	other = r
	other.Conn = 2
	isStale("another connection", other)
	forged := p.nonce[:len(p.nonce)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(p.nonce, "0")]
	p.nonce = forged
	other = r
	other.Authorization = p.digest("DESCRIBE", live)
	isStale("forged", other)
	p.nonce = "be15129061338d6689e9ac556f1e6e73"
	other.Authorization = p.digest("DESCRIBE", live)
	isStale("another server's", other)
	c.advance(nonceLife - 1)
	if d := allow(u, r); d.Verdict != OK {
		t.Errorf("before the end = %+v, want ok", d)
	}
	c.advance(1)
	isStale("expired", r)
	if n := len(u.guesses.addr); n != 0 {
		t.Errorf("%d addresses have guessed, want none: all knew the password", n)
	}

	p.take(t, allow(u, r).Challenges) // what a player does with stale=true
	if d := ask(u, p, "DESCRIBE", live, live); d.Verdict != OK {
		t.Errorf("with the new nonce = %+v, want ok", d)
	}
}

func TestNonceCannotBeReplayed(t *testing.T) {
	u, _ := liveUsers(t)
	p := &player{name: "anna", password: "secret", scheme: DigestSHA256, qop: true}
	p.take(t, allow(u, Request{Name: "live", Addr: away, Conn: 1}).Challenges)
	first := Request{Name: "live", Addr: away, Conn: 1, Method: "DESCRIBE", URL: live, Authorization: p.digest("DESCRIBE", live)}
	upper := first
	upper.Authorization = strings.Replace(first.Authorization, p.nonce, strings.ToUpper(p.nonce), 1)
	if d := allow(u, first); d.Verdict != OK {
		t.Fatalf("Allow = %+v, want ok", d)
	}
	for name, r := range map[string]Request{"again": first, "with a nonce of capitals": upper} {
		if d := allow(u, r); d.Verdict != Challenge {
			t.Errorf("%s = %+v, want a challenge", name, d)
		}
	}
	p.nc = 7 // counts may be left out
	if d := ask(u, p, "PLAY", live, live); d.Verdict != OK {
		t.Errorf("nc 8 = %+v, want ok", d)
	}
	p.nc = 6
	if d := ask(u, p, "PLAY", live, live); d.Verdict != Challenge {
		t.Errorf("nc 7 after 8 = %+v, want a challenge", d)
	}
}

func TestNonceTableIsBounded(t *testing.T) {
	n := newNonces(time.Minute)
	first := n.issue(away, 0, start)
	if !n.use(first, away, 0, true, 1, start) {
		t.Fatal("a new nonce is not good")
	}
	for range maxCounted {
		n.use(n.issue(away, 0, start), away, 0, true, 1, start)
	}
	if got := len(n.counts); got > maxCounted {
		t.Errorf("%d counts, want at most %d", got, maxCounted)
	}
	if n.use(first, away, 0, true, 1, start) {
		t.Error("a nonce can be replayed when its count was forgotten")
	}
	later := start.Add(time.Second)
	if !n.use(n.issue(away, 0, later), away, 0, true, 1, later) {
		t.Error("a nonce from after is not good")
	}
}

// FuzzAuthorization checks that no header without the password is let in, and none panics.
func FuzzAuthorization(f *testing.F) {
	u, _ := newUsers(f, []User{{Name: "anna", Password: "a password not to be guessed", Read: []string{"**"}}}, Options{})
	p := &player{name: "anna", password: "another", scheme: DigestMD5, qop: true}
	p.take(f, allow(u, Request{Name: "live", Addr: away}).Challenges)
	f.Add(p.digest("DESCRIBE", live), live)
	f.Add(basicAuth("anna", "x"), "*")
	f.Add(`Digest username="anna", uri="*", nonce="", response=""`, "*")
	f.Fuzz(func(t *testing.T, header, url string) {
		u.guesses = newGuesses()
		d := allow(u, Request{Name: "live", Addr: away, Method: "DESCRIBE", URL: url, Authorization: header})
		if d.Verdict != Challenge {
			t.Errorf("%q: %+v", header, d)
		}
	})
}
