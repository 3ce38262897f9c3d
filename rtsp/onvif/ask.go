package onvif

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxReply bounds an answer in bytes.
	maxReply = 1 << 20
	// maxProfiles bounds the profiles that are asked for; a camera has two to six, a recorder a few for each channel.
	maxProfiles = 128
	// askTimeout bounds each answer of a camera.
	askTimeout = 5 * time.Second
)

// errPassword asks for what a camera wants to know.
var errPassword = errors.New("wants a user and password, or others")

// client asks one device.
type client struct {
	http           *http.Client
	user, password string
	ahead          time.Duration // the device's clock, of ours
}

// Ask asks the device for its streams. User and password may be "", and are never sent in plain text.
func (d *Device) Ask(ctx context.Context, user, password string) {
	c := &client{
		http: &http.Client{Timeout: askTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		user: user, password: password,
	}
	defer c.http.CloseIdleConnections()
	d.Streams, d.Err = c.streams(ctx, d)
}

func (c *client) streams(ctx context.Context, d *Device) ([]Stream, error) {
	c.setClock(ctx, d.service)
	var caps struct {
		XAddr string `xml:"Body>GetCapabilitiesResponse>Capabilities>Media>XAddr"`
	}
	if err := c.call(ctx, d.service, `<GetCapabilities xmlns="http://www.onvif.org/ver10/device/wsdl"><Category>Media</Category></GetCapabilities>`, &caps); err != nil {
		return nil, err
	}
	media := serviceAt([]string{caps.XAddr}, d.Address)
	if media == "" {
		return nil, errors.New("has no media service")
	}
	var ps struct {
		Profiles []profile `xml:"Body>GetProfilesResponse>Profiles"`
	}
	if err := c.call(ctx, media, `<GetProfiles xmlns="http://www.onvif.org/ver10/media/wsdl"/>`, &ps); err != nil {
		return nil, err
	}
	var all []Stream
	for _, p := range ps.Profiles[:min(len(ps.Profiles), maxProfiles)] {
		s, err := c.stream(ctx, media, &p)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

// profile is how a camera sends.
type profile struct {
	Token    string `xml:"token,attr"`
	Name     string `xml:"Name"`
	Encoding string `xml:"VideoEncoderConfiguration>Encoding"`
	Width    int    `xml:"VideoEncoderConfiguration>Resolution>Width"`
	Height   int    `xml:"VideoEncoderConfiguration>Resolution>Height"`
}

// stream asks for the URL of a profile.
func (c *client) stream(ctx context.Context, media string, p *profile) (Stream, error) {
	var token bytes.Buffer
	if err := xml.EscapeText(&token, []byte(p.Token)); err != nil {
		return Stream{}, err
	}
	var reply struct {
		URI string `xml:"Body>GetStreamUriResponse>MediaUri>Uri"`
	}
	body := `<GetStreamUri xmlns="http://www.onvif.org/ver10/media/wsdl"><StreamSetup><Stream xmlns="http://www.onvif.org/ver10/schema">RTP-Unicast</Stream>` +
		`<Transport xmlns="http://www.onvif.org/ver10/schema"><Protocol>RTSP</Protocol></Transport></StreamSetup><ProfileToken>` + token.String() + `</ProfileToken></GetStreamUri>`
	if err := c.call(ctx, media, body, &reply); err != nil {
		return Stream{}, err
	}
	u, err := url.Parse(reply.URI)
	if err != nil || u.Scheme != "rtsp" && u.Scheme != "rtsps" || u.Host == "" {
		return Stream{}, fmt.Errorf("profile %s: its URL is %.80q, which is none of RTSP", printable(p.Name), printable(reply.URI))
	}
	u.User = nil
	return Stream{Profile: printable(p.Name), URL: u.String(), Codec: printable(p.Encoding), Width: p.Width, Height: p.Height}, nil
}

// setClock asks for the device's time: a password is good for a few minutes of its clock. One that does not tell is taken to
// have ours.
func (c *client) setClock(ctx context.Context, service string) {
	var reply struct {
		Year   int `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime>Date>Year"`
		Month  int `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime>Date>Month"`
		Day    int `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime>Date>Day"`
		Hour   int `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime>Time>Hour"`
		Minute int `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime>Time>Minute"`
		Second int `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime>Time>Second"`
	}
	anybody := &client{http: c.http}
	if err := anybody.call(ctx, service, `<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/>`, &reply); err == nil && reply.Year > 1999 {
		t := time.Date(reply.Year, time.Month(reply.Month), reply.Day, reply.Hour, reply.Minute, reply.Second, 0, time.UTC)
		c.ahead = time.Until(t)
	}
}

// call sends a request and reads the answer.
func (c *client) call(ctx context.Context, service, body string, reply any) error {
	msg := `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>` + c.security() + `</s:Header><s:Body>` + body + `</s:Body></s:Envelope>`
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, service, bytes.NewReader([]byte(msg)))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/soap+xml; charset=utf-8")
	a, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, maxReply))
	if err != nil {
		return err
	}
	var fault struct {
		Codes []string `xml:"Body>Fault>Code>Subcode>Value"`
		Inner []string `xml:"Body>Fault>Code>Subcode>Subcode>Value"`
		Text  string   `xml:"Body>Fault>Reason>Text"`
	}
	_ = xml.Unmarshal(b, &fault) // one that is no XML is found out below
	switch {
	case a.StatusCode == http.StatusUnauthorized, refuses(fault.Codes), refuses(fault.Inner):
		return errPassword
	case fault.Text != "":
		return fmt.Errorf("answered: %s", printable(fault.Text))
	case a.StatusCode != http.StatusOK:
		return fmt.Errorf("answered %d %s", a.StatusCode, http.StatusText(a.StatusCode))
	}
	if err := xml.Unmarshal(b, reply); err != nil {
		return fmt.Errorf("its answer is not understood: %w", err)
	}
	return nil
}

// refuses reports whether the codes of a fault say that the caller is not let in (ONVIF Core Specification §5.8.2).
func refuses(codes []string) bool {
	for _, c := range codes {
		if strings.HasSuffix(c, "NotAuthorized") || strings.HasSuffix(c, "FailedAuthentication") {
			return true
		}
	}
	return false
}

// security proves that the password is known without telling it (WS-Security UsernameToken Profile 1.0 §3.1).
func (c *client) security() string {
	if c.user == "" {
		return ""
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	created := time.Now().Add(c.ahead).UTC().Format("2006-01-02T15:04:05.000Z")
	sum := sha1.Sum(append(append(bytes.Clone(nonce), created...), c.password...))
	var user bytes.Buffer
	_ = xml.EscapeText(&user, []byte(c.user)) // a buffer takes all
	return `<Security s:mustUnderstand="1" xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><UsernameToken><Username>` + user.String() +
		`</Username><Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">` + base64.StdEncoding.EncodeToString(sum[:]) +
		`</Password><Nonce EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary">` + base64.StdEncoding.EncodeToString(nonce) +
		`</Nonce><Created xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd">` + created + `</Created></UsernameToken></Security>`
}
