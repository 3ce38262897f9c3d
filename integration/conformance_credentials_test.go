//go:build integration

package integration

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"peergate/integration/lab"
)

// lockedUsers are those of the locked gateway: each may do something else.
const lockedUsers = `users:
  - {name: viewer, password: see, read: ["**"]}
  - {name: encoder, password: send, publish: ["**"]}
  - {name: guest, password: "g:uest/@", read: ["hq/*"]}
  - {name: local, password: home, read: ["**"], from: [127.0.0.3]}
`

// credentialClauses are about who may do what (§11, §14, RFC 7616, RFC 7617).
var credentialClauses = []clause{
	{"challenge", "RFC 7616 §3.3, §3.7: 401 with a challenge for each scheme, the strongest first", challenge},
	{"challenge after wrong credentials", "RFC 7235 §3.1: 401 with a challenge", wrongCredentials},
	{"Basic", "RFC 7617 §2", basic},
	{"Digest MD5 as players do it", "RFC 2069: without qop, as ffmpeg, live555 and GStreamer", digest("MD5", false)},
	{"Digest MD5 with qop", "RFC 7616 §3.4", digest("MD5", true)},
	{"Digest SHA-256 with qop", "RFC 7616 §3.4.2", digest("SHA-256", true)},
	{"forms of the Digest uri", "RFC 7616 §3.4.6: real clients send the stream's URL, the track's, with a slash, or the path", digestURIs},
	{"Digest uri of something else", "RFC 7616 §3.4.6: it must be the resource that is asked for", digestOtherURI},
	{"request sent again", "RFC 7616 §3.4.5: a nonce count that was used is refused, stale", replayed},
	{"nonce of another connection", "RFC 7616 §3.3: nonces are bound, stale=true", otherNonce},
	{"nonce that was never given", "RFC 7616 §3.3", forgedNonce},
	{"malformed credentials", "RFC 7235 §2.1: 401 or 400, and no harm", malformedCredentials},
	{"rights of a user", "RFC 7231 §6.5.3: 403 for a user who may not", rights},
	{"users by address", "issue: IP allow-lists", byAddress},
	{"wrong guesses", "RFC 7616 §5.8, issue: back-off per address", guesses},
}

// challenges are those of an answer by scheme and algorithm, each parameter by its name.
func challenges(m lab.Message) map[string]map[string]string {
	all := make(map[string]map[string]string)
	for _, v := range m.Header.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(v, " ")
		params := make(map[string]string)
		for p := range strings.SplitSeq(rest, ",") {
			k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
			params[strings.ToLower(k)] = strings.Trim(v, `"`)
		}
		if scheme == "Digest" {
			scheme += " " + params["algorithm"]
		}
		all[strings.TrimSpace(scheme)] = params
	}
	return all
}

func challenge(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.locked.HostPort())
	m := c.Want(401, "DESCRIBE", s.locked.URL("live"))
	all := challenges(m)
	for _, algorithm := range []string{"SHA-256", "MD5"} {
		p := all["Digest "+algorithm]
		if p == nil && algorithm == "MD5" {
			p = all["Digest"] // which is what none means
		}
		if p["realm"] == "" || len(p["nonce"]) < 16 || algorithm == "SHA-256" && p["qop"] != "auth" {
			t.Errorf("Digest with %s is offered as %v", algorithm, p)
		}
	}
	if all["Basic"]["realm"] == "" {
		t.Error("Basic is not offered")
	}
	c.Want(401, "SETUP", s.locked.URL("live/trackID=0"), "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
	if m := c.AskBody("ANNOUNCE", s.locked.URL("new"), new(sourceOptions).sdp(), "Content-Type", "application/sdp"); m.Status != 401 {
		t.Errorf("ANNOUNCE = %s, want 401", m.Line)
	}
	c.Want(200, "OPTIONS", s.locked.URL("live")) // asks nothing about a stream
	c.Want(401, "DESCRIBE", s.locked.URL("nothing"))
	c.Alive()
}

func wrongCredentials(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.41", s.locked.HostPort())
	for _, proof := range []string{lab.BasicProof("viewer", "wrong"), lab.BasicProof("nobody", "see"), lab.BasicProof("viewer", "")} {
		m := c.Want(401, "DESCRIBE", s.locked.URL("live"), "Authorization", proof)
		if len(challenges(m)) == 0 {
			t.Errorf("no challenge after %s", proof)
		}
	}
	c.Want(200, "DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("viewer", "see"))
}

func basic(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.locked.HostPort())
	c.Want(200, "DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("viewer", "see"))
	c.Want(200, "DESCRIBE", s.locked.URL("live"), "Authorization", "basic"+strings.TrimPrefix(lab.BasicProof("viewer", "see"), "Basic"))
	if m := c.Ask("DESCRIBE", s.locked.URL("hq/x"), "Authorization", lab.BasicProof("guest", "g:uest/@")); m.Status != 404 {
		t.Errorf("guest gets %s, want 404: there is no such stream", m.Line)
	}
}

// proof answers a Digest challenge. With nc 0 it does without qop, as RFC 2069 has it.
type proof struct {
	algorithm, user, password, method, uri string
	realm, nonce                           string
	nc                                     int
}

func (p proof) String() string {
	h := func(s string) string {
		if p.algorithm == "SHA-256" {
			b := sha256.Sum256([]byte(s))
			return hex.EncodeToString(b[:])
		}
		b := md5.Sum([]byte(s))
		return hex.EncodeToString(b[:])
	}
	ha1, ha2 := h(p.user+":"+p.realm+":"+p.password), h(p.method+":"+p.uri)
	text := fmt.Sprintf("Digest username=%q, realm=%q, nonce=%q, uri=%q", p.user, p.realm, p.nonce, p.uri)
	if p.algorithm != "MD5" {
		text += ", algorithm=" + p.algorithm
	}
	if p.nc == 0 {
		return text + fmt.Sprintf(", response=%q", h(ha1+":"+p.nonce+":"+ha2))
	}
	nc := fmt.Sprintf("%08x", p.nc)
	return text + fmt.Sprintf(", qop=auth, nc=%s, cnonce=%q, response=%q", nc, "c0ffee", h(ha1+":"+p.nonce+":"+nc+":c0ffee:auth:"+ha2))
}

// challenged returns a proof of the viewer for a challenge of now.
func challenged(t *testing.T, c *lab.Raw, s *site, algorithm string) proof {
	t.Helper()
	all := challenges(c.Want(401, "DESCRIBE", s.locked.URL("live")))
	p := all["Digest "+algorithm]
	if p == nil {
		p = all["Digest"]
	}
	return proof{
		algorithm: algorithm, user: "viewer", password: "see", method: "DESCRIBE", uri: s.locked.URL("live"),
		realm: p["realm"], nonce: p["nonce"],
	}
}

// digest goes through a whole session, as players do: with qop each request counts on.
func digest(algorithm string, qop bool) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := lab.DialRaw(t, s.locked.HostPort())
		p := challenged(t, c, s, algorithm)
		ask := func(method, url string, headers ...string) lab.Message {
			t.Helper()
			p.method, p.uri = method, url
			if qop {
				p.nc++
			}
			return c.Want(200, method, url, append(headers, "Authorization", p.String())...)
		}
		for i, track := range ask("DESCRIBE", s.locked.URL("live")).Tracks() {
			m := ask("SETUP", track, "Transport", fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1))
			c.Session, _ = m.SessionID()
		}
		ask("PLAY", s.locked.URL("live/"))
		ask("GET_PARAMETER", s.locked.URL("live/"))
		ask("TEARDOWN", s.locked.URL("live/"))
	}
}

func digestURIs(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.42", s.locked.HostPort())
	p := challenged(t, c, s, "MD5")
	tracks := c.Want(200, "DESCRIBE", p.uri, "Authorization", p.String()).Tracks()
	url := s.locked.URL("live")
	for _, form := range []string{url, url + "/", "/live", "/live/", tracks[0]} {
		c := lab.DialRawFrom(t, "127.0.0.42", s.locked.HostPort())
		p := challenged(t, c, s, "MD5")
		p.method, p.uri = "SETUP", form
		c.Want(200, "SETUP", tracks[0], "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1", "Authorization", p.String())
	}
	for _, form := range []string{url, url + "/", "/live"} {
		c := lab.DialRawFrom(t, "127.0.0.42", s.locked.HostPort())
		p := challenged(t, c, s, "MD5")
		p.uri = form
		c.Want(200, "DESCRIBE", url, "Authorization", p.String())
	}
}

func digestOtherURI(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.43", s.locked.HostPort())
	p := challenged(t, c, s, "MD5")
	p.uri = s.locked.URL("other")
	if m := c.Ask("DESCRIBE", s.locked.URL("live"), "Authorization", p.String()); m.Status != 401 && m.Status != 400 {
		t.Errorf("DESCRIBE of live with a proof for other = %s, want 401", m.Line)
	}
	p = challenged(t, c, s, "MD5")
	p.method = "OPTIONS"
	c.Want(401, "DESCRIBE", s.locked.URL("live"), "Authorization", p.String())
}

func replayed(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.45", s.locked.HostPort())
	p := challenged(t, c, s, "SHA-256")
	p.nc = 1
	c.Want(200, "DESCRIBE", p.uri, "Authorization", p.String())
	m := c.Want(401, "DESCRIBE", p.uri, "Authorization", p.String())
	checkStale(t, m)
	p.nc = 2
	c.Want(200, "DESCRIBE", p.uri, "Authorization", p.String())
}

// checkStale wants a client that knows the password to be told so.
func checkStale(t *testing.T, m lab.Message) {
	t.Helper()
	for name, p := range challenges(m) {
		if strings.HasPrefix(name, "Digest") && !strings.EqualFold(p["stale"], "true") {
			t.Errorf("challenge %s is %v, want stale=true", name, p)
		}
	}
}

func otherNonce(t *testing.T, s *site) {
	p := challenged(t, lab.DialRawFrom(t, "127.0.0.46", s.locked.HostPort()), s, "MD5")
	c := lab.DialRawFrom(t, "127.0.0.46", s.locked.HostPort())
	m := c.Want(401, "DESCRIBE", p.uri, "Authorization", p.String())
	checkStale(t, m)
	p.nonce = challenges(m)["Digest SHA-256"]["nonce"]
	c.Want(200, "DESCRIBE", p.uri, "Authorization", p.String())
}

func forgedNonce(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.47", s.locked.HostPort())
	p := challenged(t, c, s, "MD5")
	p.nonce = strings.Repeat("0123456789abcdef", 3)
	c.Want(401, "DESCRIBE", p.uri, "Authorization", p.String())
	c.Alive()
}

func malformedCredentials(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.48", s.locked.HostPort())
	for _, v := range []string{
		"Basic", "Basic !!!", "Digest", "Digest username", `Digest username="viewer`, "Bearer abc", "x", `Digest username="viewer", nc=zz`,
	} {
		m := c.Ask("DESCRIBE", s.locked.URL("live"), "Authorization", v)
		if m.Status != 401 && m.Status != 400 && m.Status != 503 { // by then it is too many
			t.Errorf("Authorization: %s = %s, want 401 or 400", v, m.Line)
		}
		c.Alive()
	}
}

func rights(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.locked.HostPort())
	c.Want(403, "DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("guest", "g:uest/@"))
	c.Want(403, "DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("encoder", "send"))
	m := c.AskBody("ANNOUNCE", s.locked.URL("new"), new(sourceOptions).sdp(), "Content-Type", "application/sdp",
		"Authorization", lab.BasicProof("viewer", "see"))
	if m.Status != 403 {
		t.Errorf("ANNOUNCE by a viewer = %s, want 403", m.Line)
	}
	c.Alive()
}

func byAddress(t *testing.T, s *site) {
	proof := lab.BasicProof("local", "home")
	lab.DialRawFrom(t, "127.0.0.3", s.locked.HostPort()).Want(200, "DESCRIBE", s.locked.URL("live"), "Authorization", proof)
	c := lab.DialRawFrom(t, "127.0.0.4", s.locked.HostPort())
	if m := c.Ask("DESCRIBE", s.locked.URL("live"), "Authorization", proof); m.Status != 401 && m.Status != 403 {
		t.Errorf("DESCRIBE from another address = %s, want 401 or 403", m.Line)
	}
}

func guesses(t *testing.T, s *site) {
	guesser := lab.DialRawFrom(t, "127.0.0.44", s.locked.HostPort())
	for i := range 12 {
		m := guesser.Ask("DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("viewer", fmt.Sprint(i)))
		if m.Status < 400 {
			t.Fatalf("guess %d = %s", i, m.Line)
		}
	}
	m := lab.DialRawFrom(t, "127.0.0.44", s.locked.HostPort()).
		Ask("DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("viewer", "see"))
	if m.Status != 503 || m.Header.Get("Retry-After") == "" {
		t.Errorf("after 12 wrong guesses the right password is answered %s, Retry-After %q, want 503 for a while", m.Line, m.Header.Get("Retry-After"))
	}
	lab.DialRawFrom(t, "127.0.0.144", s.locked.HostPort()).
		Want(200, "DESCRIBE", s.locked.URL("live"), "Authorization", lab.BasicProof("viewer", "see"))
}

// anotherConnectionProves has a session taken over by a connection that must give a password first.
func anotherConnectionProves(t *testing.T, s *site) {
	viewer := lab.BasicProof("viewer", "see")
	c := lab.DialRaw(t, s.locked.HostPort())
	m := c.Want(200, "DESCRIBE", s.locked.URL("live"), "Authorization", viewer)
	_, udp := tcpAnd(t)
	m = c.Want(200, "SETUP", m.Tracks()[0], "Transport", udp, "Authorization", viewer)
	other := lab.DialRaw(t, s.locked.HostPort())
	other.Session, _ = m.SessionID()
	if m := other.Ask("TEARDOWN", s.locked.URL("live")); m.Status != 401 && m.Status != 454 {
		t.Errorf("TEARDOWN without password = %s, want 401", m.Line)
	}
	m = other.Ask("TEARDOWN", s.locked.URL("live"), "Authorization", lab.BasicProof("encoder", "send"))
	if m.Status != 403 && m.Status != 454 {
		t.Errorf("TEARDOWN by another user = %s, want 403 or 454", m.Line)
	}
	other.Want(200, "PLAY", s.locked.URL("live"), "Authorization", viewer)
	other.Want(200, "TEARDOWN", s.locked.URL("live"), "Authorization", viewer)
}
