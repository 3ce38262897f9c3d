//go:build integration

package integration

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"peergate/integration/lab"
)

// describeClauses are about DESCRIBE and its SDP (§10.2, appendix C, RFC 8866).
var describeClauses = []clause{
	{"headers", "§10.2, §12.14, §12.16: type, length and base of the description", describeHeaders},
	{"valid SDP", "RFC 8866 §5, §9: lines in their order, with CRLF", validSDP},
	{"origin", "RFC 8866 §5.2: an id that is one, and the same for the same description", origin},
	{"control", "appendix C.1.1: a=control for the whole and for each track", control},
	{"range and tool", "appendix C.1.5, RFC 8866 §6.3", rangeAndTool},
	{"H.264 parameter sets are waited for", "RFC 6184 §8.2.1: sprop-parameter-sets, for players that need them", bareH264},
	{"H.265 parameter sets are waited for", "RFC 7798 §7.1: sprop-vps, sprop-sps, sprop-pps", bareH265},
	{"description of the publisher", "§10.3: what was announced is described", publishersDescription},
}

func describeHeaders(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, url := range []string{s.open.URL("live"), s.open.URL("live/")} {
		m := c.Want(200, "DESCRIBE", url, "Accept", "application/sdp")
		if got := m.Header.Get("Content-Type"); got != "application/sdp" {
			t.Errorf("Content-Type is %q", got)
		}
		if got, want := m.Header.Get("Content-Base"), s.open.URL("live/"); got != want {
			t.Errorf("Content-Base is %q, want %q", got, want)
		}
		if m.Body == "" {
			t.Error("no body")
		}
	}
}

// sdpLine are the lines of a session and of a media section in the order of RFC 8866 §9.
var sdpLine = regexp.MustCompile(`^v=.*\no=.*\ns=.+\n(i=.*\n)?(u=.*\n)?(e=.*\n)*(p=.*\n)*(c=.*\n)?(b=.*\n)*(t=.*\n(r=.*\n)*)+(z=.*\n)?(k=.*\n)?(a=.*\n)*` +
	`(m=.*\n(i=.*\n)?(c=.*\n)*(b=.*\n)*(k=.*\n)?(a=.*\n)*)+$`)

func describe(t *testing.T, s *site, name string) string {
	t.Helper()
	return lab.DialRaw(t, s.open.HostPort()).Want(200, "DESCRIBE", s.open.URL(name)).Body
}

func validSDP(t *testing.T, s *site) {
	sdp := describe(t, s, "live")
	if strings.Count(sdp, "\r\n") != strings.Count(sdp, "\n") || !strings.HasSuffix(sdp, "\r\n") {
		t.Errorf("lines do not all end with CRLF: %q", sdp)
	}
	if !sdpLine.MatchString(strings.ReplaceAll(sdp, "\r\n", "\n")) {
		t.Errorf("lines are not in order:\n%s", sdp)
	}
	lines := strings.Split(sdp, "\r\n")
	for _, want := range []string{"v=0", "t=0 0"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s:\n%s", want, sdp)
		}
	}
}

var originLine = regexp.MustCompile(`(?m)^o=(\S+) (\d+) (\d+) IN IP[46] \S+\r$`)

func origin(t *testing.T, s *site) {
	first, second := originLine.FindStringSubmatch(describe(t, s, "live")), originLine.FindStringSubmatch(describe(t, s, "live"))
	if first == nil || second == nil {
		t.Fatalf("no valid origin in\n%s", describe(t, s, "live"))
	}
	if id, err := strconv.ParseUint(first[2], 10, 64); err != nil || id == 0 {
		t.Errorf("the session's id is %s", first[2])
	}
	if first[0] != second[0] {
		t.Errorf("origin changes from %s to %s", first[0], second[0])
	}
	if other := originLine.FindStringSubmatch(describe(t, s, "solo")); other == nil {
		t.Error("no valid origin of solo")
	}
}

func control(t *testing.T, s *site) {
	sdp := describe(t, s, "live")
	session, media, _ := strings.Cut(sdp, "\r\nm=")
	if !strings.Contains(session, "\r\na=control:*") {
		t.Errorf("no a=control:* for the whole:\n%s", session)
	}
	if n := strings.Count(media, "\r\na=control:"); n != 2 {
		t.Errorf("%d controls of tracks, want 2:\n%s", n, media)
	}
}

func rangeAndTool(t *testing.T, s *site) {
	session, _, _ := strings.Cut(describe(t, s, "live"), "\r\nm=")
	for _, want := range []string{"\r\na=range:npt=", "\r\na=tool:"} {
		if !strings.Contains(session, want) {
			t.Errorf("no %s in\n%s", strings.TrimSpace(want), session)
		}
	}
}

func bareH264(t *testing.T, s *site) {
	if sdp := describe(t, s, "bare"); !strings.Contains(sdp, "sprop-parameter-sets="+spropSPS+","+spropPPS) {
		t.Errorf("no parameter sets in\n%s", sdp)
	}
}

func bareH265(t *testing.T, s *site) {
	sdp := describe(t, s, "bare265")
	for _, want := range []string{"sprop-vps=" + hevcVPS, "sprop-sps=" + hevcSPS, "sprop-pps=" + hevcPPS} {
		if !strings.Contains(sdp, want) {
			t.Errorf("no %s in\n%s", want, sdp)
		}
	}
}

func publishersDescription(t *testing.T, s *site) {
	var o sourceOptions
	checkSections(t, o.sdp(), describe(t, s, "live"))
}
