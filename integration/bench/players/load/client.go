package load

import (
	"errors"
	"fmt"
	"strings"
)

// stage is how far a player has come.
type stage uint8

const (
	describing stage = iota
	settingUp
	asking // PLAY is on its way
	playing
)

var methods = [...]string{describing: "DESCRIBE", settingUp: "SETUP", asking: "PLAY", playing: "GET_PARAMETER"}

// client is the RTSP side of a player of a stream with one track: it makes requests and takes answers.
type client struct {
	url   string
	port  int // of RTP over UDP; 0: interleaved
	stage stage

	cseq          int
	session       string
	base, control string // URLs of the aggregate and the track
}

// request returns the request of the current stage; in stage playing, that is the one that keeps a session alive.
func (c *client) request() []byte {
	url, header := c.base, ""
	switch c.stage {
	case describing:
		url, header = c.url, "Accept: application/sdp\r\n"
	case settingUp:
		url, header = c.control, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
		if c.port != 0 {
			header = fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d\r\n", c.port, c.port+1)
		}
	case asking:
		header = "Range: npt=0.000-\r\n"
	}
	if c.session != "" {
		header += "Session: " + c.session + "\r\n"
	}
	c.cseq++
	return fmt.Appendf(nil, "%s %s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n", methods[c.stage], url, c.cseq, header)
}

// answer takes an answer, which moves the client to its next stage.
func (c *client) answer(a response) error {
	if a.status != 200 {
		return fmt.Errorf("%s: the answer is %d", methods[c.stage], a.status)
	}
	switch c.stage {
	case describing:
		if c.base = a.header("Content-Base"); c.base == "" {
			c.base = c.url
		}
		if c.control = controlOf(c.base, a.body); c.control == "" {
			return errors.New("DESCRIBE: no track with a=control")
		}
		c.stage = settingUp
	case settingUp:
		if c.session, _, _ = strings.Cut(a.header("Session"), ";"); c.session == "" {
			return errors.New("SETUP: no Session in the answer")
		}
		c.stage = asking
	case asking:
		c.stage = playing
	}
	return nil
}

// controlOf returns the URL of the first track of a description, "" when it has none.
func controlOf(base, sdp string) string {
	_, media, _ := strings.Cut(sdp, "\nm=")
	for line := range strings.Lines(media) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "a=control:"); ok {
			if strings.Contains(v, "://") {
				return v
			}
			return strings.TrimSuffix(base, "/") + "/" + v
		}
	}
	return ""
}
