package onvif

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

const envelope = `<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="x" xmlns:trt="y" xmlns:tt="z" xmlns:d="w"><SOAP-ENV:Body>%s</SOAP-ENV:Body></SOAP-ENV:Envelope>`

// camera is a device of the test's own making, whose clock is an hour ahead.
type camera struct {
	t    *testing.T
	http *httptest.Server
	udp  *net.UDPConn
	hint string // what it tells as its host; "": its own address
}

func newCamera(t *testing.T) *camera {
	c := &camera{t: t}
	c.http = httptest.NewServer(c)
	t.Cleanup(c.http.Close)
	var err error
	if c.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.udp.Close() })
	return c
}

// hear answers probes.
func (c *camera) hear() {
	b := make([]byte, 4096)
	for {
		n, from, err := c.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if !bytes.Contains(b[:n], []byte("NetworkVideoTransmitter")) {
			continue
		}
		service := c.http.URL + "/onvif/device_service"
		if c.hint != "" {
			service = strings.Replace(service, "127.0.0.1", c.hint, 1)
		}
		answer := fmt.Sprintf(`<d:ProbeMatches><d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%%20Door onvif://www.onvif.org/hardware/C1</d:Scopes><d:XAddrs>http://[fe80::1]/x %s</d:XAddrs></d:ProbeMatch></d:ProbeMatches>`, service)
		_, _ = c.udp.WriteToUDPAddrPort(fmt.Appendf(nil, envelope, answer), from)
	}
}

func find(pattern string, b []byte) string {
	m := regexp.MustCompile(pattern).FindSubmatch(b)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// authorized checks the digest as a camera does.
func (c *camera) authorized(b []byte) bool {
	nonce, err := base64.StdEncoding.DecodeString(find(`<Nonce[^>]*>([^<]*)<`, b))
	created := find(`<Created[^>]*>([^<]*)<`, b)
	at, err2 := time.Parse(time.RFC3339, created)
	if err != nil || err2 != nil || time.Until(at.Add(-time.Hour)).Abs() > time.Minute {
		return false
	}
	sum := sha1.Sum(append(append(nonce, created...), "se&cret"...))
	return find(`<Username>([^<]*)<`, b) == "viewer" && find(`<Password[^>]*>([^<]*)<`, b) == base64.StdEncoding.EncodeToString(sum[:])
}

func (c *camera) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, err := io.ReadAll(q.Body)
	if err != nil {
		c.t.Error(err)
	}
	if strings.Contains(string(b), "se&cret") {
		c.t.Error("the password is sent in plain text")
	}
	body := ""
	now := time.Now().UTC().Add(time.Hour)
	switch {
	case bytes.Contains(b, []byte("<GetSystemDateAndTime")):
		body = fmt.Sprintf(`<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>%d</tt:Hour><tt:Minute>%d</tt:Minute><tt:Second>%d</tt:Second></tt:Time><tt:Date><tt:Year>%d</tt:Year><tt:Month>%d</tt:Month><tt:Day>%d</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>`,
			now.Hour(), now.Minute(), now.Second(), now.Year(), now.Month(), now.Day())
	case !c.authorized(b):
		w.WriteHeader(http.StatusBadRequest)
		body = `<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value><SOAP-ENV:Subcode><SOAP-ENV:Value>ter:NotAuthorized</SOAP-ENV:Value></SOAP-ENV:Subcode></SOAP-ENV:Code></SOAP-ENV:Fault>`
	case bytes.Contains(b, []byte("<GetCapabilities")):
		body = `<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>` + c.http.URL + `/onvif/media</tt:XAddr></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>`
	case bytes.Contains(b, []byte("<GetProfiles")):
		body = `<trt:GetProfilesResponse><trt:Profiles token="a&amp;1" fixed="true"><tt:Name>main</tt:Name><tt:VideoEncoderConfiguration><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration></trt:Profiles><trt:Profiles token="2"><tt:Name>sub</tt:Name></trt:Profiles></trt:GetProfilesResponse>`
	case bytes.Contains(b, []byte("<GetStreamUri")):
		token := find(`<ProfileToken>([^<]*)<`, b)
		body = `<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://viewer:x@127.0.0.1:554/` + strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, token) + `</tt:Uri></trt:MediaUri></trt:GetStreamUriResponse>`
	}
	fmt.Fprintf(w, envelope, body)
}

// TestFind finds a camera and gets the URLs of its streams, with the password only, and without it a reason. The camera is
// asked at the address from which it has answered, whatever it tells.
func TestFind(t *testing.T) {
	for _, hint := range []string{"", "192.0.2.1"} {
		c := newCamera(t)
		c.hint = hint
		go c.hear()
		at := c.udp.LocalAddr().(*net.UDPAddr).AddrPort()
		var all []Device
		for wait := time.Second; len(all) == 0 && wait < 30*time.Second; wait *= 2 {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			var err error
			if all, err = Find(ctx, []netip.AddrPort{at}); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if len(all) != 1 || all[0].Name != "Front Door" || all[0].Hardware != "C1" {
			t.Fatalf("found %+v, want the front door once", all)
		}
		d := all[0]
		if d.Ask(t.Context(), "", ""); d.Err != errPassword || len(d.Streams) != 0 {
			t.Errorf("without a password: %v, %v", d.Streams, d.Err)
		}
		d.Ask(t.Context(), "viewer", "se&cret")
		want := []Stream{{"main", "rtsp://127.0.0.1:554/1", "H264", 1920, 1080}, {"sub", "rtsp://127.0.0.1:554/2", "", 0, 0}}
		if d.Err != nil || !slices.Equal(d.Streams, want) {
			t.Errorf("streams %+v, %v, want %+v", d.Streams, d.Err, want)
		}
	}
}

// TestAskSaysWhatIsWrong asks what is no camera.
func TestAskSaysWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		"":                        "not understood",
		"<html":                   "not understood",
		fmt.Sprintf(envelope, ""): "no media service",
		fmt.Sprintf(envelope, "<Fault><Reason><Text>too busy</Text></Reason></Fault>"): "answered: too busy",
	} {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		d := Device{Address: netip.MustParseAddr("127.0.0.1"), service: h.URL}
		if d.Ask(t.Context(), "u", "p"); d.Err == nil || !strings.Contains(d.Err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", body, d.Err, want)
		}
		h.Close()
	}
}

// FuzzAnswers gives a device's answers, to the probe and to each question. What is printed of them is bounded and has no marks
// that would steer a terminal.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`<d:ProbeMatches><d:ProbeMatch><d:Scopes>onvif://www.onvif.org/name/A%1b</d:Scopes><d:XAddrs>http://192.0.2.1:80/x https://[::1]/y</d:XAddrs></d:ProbeMatch></d:ProbeMatches>`,
		`<GetCapabilitiesResponse><Capabilities><Media><XAddr>http://127.0.0.1/media</XAddr></Media></Capabilities></GetCapabilitiesResponse>`,
		`<GetProfilesResponse><Profiles token="1"><Name>main</Name></Profiles></GetProfilesResponse><GetStreamUriResponse><MediaUri><Uri>rtsp://a:b@127.0.0.1/1</Uri></MediaUri></GetStreamUriResponse>`,
		`<Fault><Code><Subcode><Value>ter:NotAuthorized</Value></Subcode></Code><Reason><Text>no</Text></Reason></Fault>`,
	} {
		f.Add(fmt.Appendf(nil, envelope, body))
	}
	from := netip.MustParseAddr("127.0.0.1")
	f.Fuzz(func(t *testing.T, b []byte) {
		clean := func(what string) {
			if strings.ContainsFunc(what, unicode.IsControl) || len(what) > 4<<10 {
				t.Errorf("%.100q would be printed, of %d bytes", what, len(what))
			}
		}
		for _, d := range parseAnswer(b, from) {
			if u, err := url.Parse(d.service); err != nil || u.Hostname() != from.String() {
				t.Errorf("%q would be asked, which is not the device", d.service)
			}
			clean(d.Name)
			clean(d.Hardware)
		}
		c := &client{http: &http.Client{Transport: always(b)}}
		d := Device{Address: from, service: "http://127.0.0.1/device"}
		d.Streams, d.Err = c.streams(t.Context(), &d)
		for _, s := range d.Streams {
			clean(s.Profile)
			clean(s.Codec)
			if u, err := url.Parse(s.URL); err != nil || u.User != nil {
				t.Errorf("stream %q", s.URL)
			}
		}
	})
}

// always answers each request with the same.
type always []byte

// RoundTrip implements http.RoundTripper.
func (a always) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a))}, nil
}
