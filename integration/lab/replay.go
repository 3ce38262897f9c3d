//go:build integration

package lab

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replay is a recorded client at work against a gateway.
type replay struct {
	*Player
	g       *Gateway
	stream  string
	control []string
	session string
	nonce   string
	realm   string
}

var (
	trackURL   = regexp.MustCompile(`rtsp://[^/\s]+/\w+/trackID=(\d)`)
	streamURL  = regexp.MustCompile(`rtsp://[^/\s]+/\w+`)
	serverURL  = regexp.MustCompile(`rtsp://[^/\s]+ `) // mplayer asks for the options of the server
	sessionID  = regexp.MustCompile(`(?m)^Session: .*\r$`)
	clientPort = regexp.MustCompile(`client_port=\d+-\d+`)
	authorized = regexp.MustCompile(`(?m)^Authorization: Digest .*uri="([^"]*)".*\r$`)
	hostLine   = regexp.MustCompile(`(?m)^Host: .*\r$`)
)

// Replay says to a gateway what a player once said, with the ports, session and nonces of now, and wants each request
// answered and every track to play. The user "viewer" has the password "see".
func Replay(t testing.TB, g *Gateway, stream string, d *Dialogue) {
	t.Helper()
	r := &replay{Player: &Player{URL: g.URL(stream), t: t}, g: g, stream: stream}
	if d.Get == "" {
		r.use(Dial(t, g.HostPort()))
	} else {
		r.use(DialTunnel(t, g.HostPort(), r.head(d.Get), r.head(d.Post)))
	}
	second := false
	for _, turn := range d.Turns {
		if turn.Request == "" {
			r.report(turn.Channel)
			continue
		}
		if turn.Second && !second {
			second = true
			r.Conn.Close()
			r.use(Dial(t, g.HostPort()))
		}
		r.ask(turn)
	}
}

// use goes on over a new connection.
func (r *replay) use(c *Conn) {
	r.Conn, r.Tracks = c, nil
	c.OnPacket(func(channel uint8, b []byte) {
		if track := int(channel / 2); track < len(r.Tracks) {
			r.Tracks[track].take(b, channel%2 == 1)
		}
	})
}

// head puts the gateway's address and the stream into the head of a tunnel's request.
func (r *replay) head(text string) string {
	_, rest, _ := strings.Cut(text, "\r\n")
	method, line, _ := strings.Cut(text[:len(text)-len(rest)], " ")
	_, version, _ := strings.Cut(line, " ")
	return hostLine.ReplaceAllString(method+" /"+r.stream+" "+version+rest, "Host: "+r.g.HostPort()+"\r")
}

// ask sends a request and looks at its answer.
func (r *replay) ask(turn Turn) {
	r.t.Helper()
	request, cseq := r.request(turn.Request), turnCSeq.FindStringSubmatch(turn.Request)
	method, _, _ := strings.Cut(request, " ")
	if method == "PLAY" {
		for _, a := range r.Tracks {
			a.restart()
		}
	}
	answer, err := r.Conn.Exchange(request, cseq[1])
	if err != nil || answer.Status != turn.Status {
		r.t.Fatalf("answer is %d, %v, want %d, to\n%s", answer.Status, err, turn.Status, request)
	}
	if id, _, _ := strings.Cut(answer.Header.Get("Session"), ";"); id != "" {
		r.session = id
	}
	for _, challenge := range answer.Header.Values("Www-Authenticate") {
		if strings.HasPrefix(challenge, "Digest ") && !strings.Contains(challenge, "SHA-256") {
			r.realm, r.nonce = quoted(challenge, "realm"), quoted(challenge, "nonce")
		}
	}
	switch {
	case method == "DESCRIBE" && answer.Status == 200:
		r.control = controls(answer.Header.Get("Content-Base"), answer.Body)
		for _, section := range Sections(answer.Body) {
			r.Tracks = append(r.Tracks, newAudit(section))
		}
	case method == "PLAY":
		r.Plays(time.Second)
		r.Flawless()
	}
}

// request puts what is of today into a recorded request.
func (r *replay) request(text string) string {
	r.t.Helper()
	track := -1
	text = trackURL.ReplaceAllStringFunc(text, func(url string) string {
		track, _ = strconv.Atoi(url[len(url)-1:])
		if track >= len(r.control) {
			r.t.Fatalf("no track %d in the description", track)
		}
		return r.control[track]
	})
	text = serverURL.ReplaceAllString(text, "rtsp://"+r.g.HostPort()+" ")
	if track < 0 {
		text = streamURL.ReplaceAllString(text, r.g.URL(r.stream))
	}
	text = sessionID.ReplaceAllString(text, "Session: "+r.session+"\r")
	text = clientPort.ReplaceAllStringFunc(text, func(string) string {
		rtp, rtcp := UDPPair(r.t)
		go r.Tracks[track].receive(rtp, false)
		go r.Tracks[track].receive(rtcp, true)
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		return fmt.Sprintf("client_port=%d-%d", port, port+1)
	})
	method, _, _ := strings.Cut(text, " ")
	return authorized.ReplaceAllStringFunc(text, func(line string) string {
		uri := authorized.FindStringSubmatch(line)[1]
		uri = streamURL.ReplaceAllString(uri, r.g.URL(r.stream))
		response := sum(sum("viewer:"+r.realm+":see") + ":" + r.nonce + ":" + sum(method+":"+uri))
		return fmt.Sprintf("Authorization: Digest username=\"viewer\", realm=%q, nonce=%q, uri=%q, response=%q\r", r.realm, r.nonce, uri, response)
	})
}

func sum(s string) string {
	b := md5.Sum([]byte(s))
	return hex.EncodeToString(b[:])
}

// quoted returns a quoted parameter of a challenge.
func quoted(challenge, name string) string {
	_, rest, _ := strings.Cut(challenge, name+`="`)
	v, _, _ := strings.Cut(rest, `"`)
	return v
}

// report sends a receiver report without blocks and an empty description, as short as they can be.
func (r *replay) report(channel uint8) {
	r.t.Helper()
	if err := r.Conn.WritePacket(channel, []byte{0x80, 201, 0, 1, 1, 2, 3, 4}); err != nil {
		r.t.Errorf("report: %v", err)
	}
}
