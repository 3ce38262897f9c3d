package auth

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"peergate/rtsp/wire"
)

// hash returns the hexadecimal hash of a Digest scheme.
func hash(s Scheme, text string) string {
	if s == DigestSHA256 {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// digestChallenge asks for a Digest. live555 (VLC 3) reads the parameters with sscanf: realm, nonce and stale must come
// first, in this order, each behind one comma and one space.
func (u *Users) digestChallenge(s Scheme, nonce string, stale bool) string {
	c := wire.Credentials{Scheme: "Digest", Params: []wire.Param{{Name: "realm", Value: u.realm}, {Name: "nonce", Value: nonce}}}
	if stale {
		c.Params = append(c.Params, wire.Param{Name: "stale", Value: "true", Bare: true})
	}
	algorithm := "MD5"
	if s == DigestSHA256 {
		algorithm = "SHA-256"
	}
	c.Params = append(c.Params, wire.Param{Name: "algorithm", Value: algorithm, Bare: true}, wire.Param{Name: "qop", Value: "auth"})
	return c.String()
}

// digest checks a Digest: with qop=auth as of RFC 7616, or without as of RFC 2069, which is what live555 (VLC) and
// GStreamer send whatever is offered.
func (u *Users) digest(r Request, c *wire.Credentials) (*user, result) {
	get := func(name string) string {
		v, _ := c.Param(name)
		return v
	}
	scheme := DigestMD5
	switch strings.ToUpper(get("algorithm")) {
	case "", "MD5":
	case "SHA-256":
		scheme = DigestSHA256
	default: // the -sess ones are not offered
		return nil, wrong
	}
	p, known := u.lookup(get("username"))
	nonce, uri, qop, nc := get("nonce"), get("uri"), get("qop"), get("nc")
	ha1 := p.md5
	if scheme == DigestSHA256 {
		ha1 = p.sha256
	}
	middle := nonce
	if qop != "" {
		middle += ":" + nc + ":" + get("cnonce") + ":" + qop
	}
	want := hash(scheme, ha1+":"+middle+":"+hash(scheme, r.Method+":"+uri))
	if !hmac.Equal([]byte(strings.ToLower(get("response"))), []byte(want)) || !known || p.secret.hashed() {
		return nil, wrong
	}
	number, err := strconv.ParseUint(nc, 16, 32)
	switch {
	case !slices.Contains(u.schemes, scheme), get("realm") != u.realm, !sameResource(uri, r.URL):
		return nil, wrong
	case qop != "" && !strings.EqualFold(qop, "auth"), qop != "" && (err != nil || len(nc) != 8 || get("cnonce") == ""):
		return nil, wrong
	}
	if !u.nonces.use(nonce, r.Addr, r.Conn, qop != "", uint32(number), u.now()) {
		return nil, stale
	}
	return p, proved
}

// sameResource reports whether the uri of a Digest means what the request is about. Players write there:
//
//	the request's URL                           ffmpeg, mpv, curl, GStreamer
//	the base URL, rtsp://h/live/, also for      live555 (VLC, openRTSP) after DESCRIBE
//	the SETUP of a track
//	the path alone, /live or /live/trackID=0    GStreamer before 1.0 and some cameras' software
//	the URL by another host name or port        whoever is behind a port mapping
//	the URL without its query                   some proxies
//
// so only the paths are compared, without track and final slash: rights are given by path.
func sameResource(uri, url string) bool {
	if uri == url {
		return true
	}
	a, err := wire.ParseURL(uri)
	if err != nil {
		return false
	}
	b, err := wire.ParseURL(url)
	return err == nil && a.All == b.All && a.Path == b.Path
}
