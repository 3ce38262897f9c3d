package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"
)

// The kinds of source that are not URLs.
const (
	SourcePublish = "publish" // an encoder publishes by ANNOUNCE and RECORD
	SourceDemo    = "demo:"   // the embedded clip
)

// Stream is a stream of this gateway and where it comes from. Names that are not listed may be published too.
type Stream struct {
	Source      string        `yaml:"source"`       // publish, demo: or an rtsp:// or rtsps:// URL to pull
	OnDemand    bool          `yaml:"on_demand"`    // fetch only while somebody watches
	IdleAfter   time.Duration `yaml:"idle_after"`   // how long an on-demand source outlives its last subscriber
	Transport   string        `yaml:"transport"`    // of a pull: auto, udp or tcp
	SilentAfter time.Duration `yaml:"silent_after"` // a pulled source without a packet for so long is redialled
	Grace       time.Duration `yaml:"grace"`        // how long players wait for a lost source to return
	Fingerprint string        `yaml:"fingerprint"`  // SHA-256 of an rtsps source's certificate in hex; "" asks the system's authorities
	Redirect    string        `yaml:"redirect"`     // rtsp:// or rtsps:// URL where the stream is instead of here; "" is here
}

func (s *Stream) setDefaults() {
	*s = Stream{
		Source:      SourcePublish,
		OnDemand:    true,
		IdleAfter:   10 * time.Second,
		Transport:   auto,
		SilentAfter: 10 * time.Second,
		Grace:       time.Minute,
	}
}

func (s *Stream) check(f faults, key, name string) {
	checkName(f, key, name)
	atLeast(f, key+".idle_after", s.IdleAfter, 0)
	oneOf(f, key+".transport", s.Transport, auto, "udp", "tcp")
	atLeast(f, key+".silent_after", s.SilentAfter, time.Second)
	atLeast(f, key+".grace", s.Grace, 0)
	if b, err := hex.DecodeString(strings.ReplaceAll(s.Fingerprint, ":", "")); err != nil || len(b) != 0 && len(b) != sha256.Size {
		f.fault(key+".fingerprint", "is %q, must be the 64 hexadecimal digits of a certificate's SHA-256", s.Fingerprint)
	}
	s.checkSource(f, key+".source")
	s.checkRedirect(f, key)
}

// checkSource does not repeat more of a URL than its scheme and host: the rest may hold a password.
func (s *Stream) checkSource(f faults, key string) {
	const remedy = "must be publish, demo: or a URL such as rtsp://user:password@camera/stream"
	if s.Source == SourcePublish || s.Source == SourceDemo {
		return
	}
	u, err := url.Parse(s.Source)
	switch {
	case err != nil:
		f.fault(key, "is no URL, perhaps since a mark in user, password or path is not percent-encoded: %s", remedy)
	case u.Host != "" && u.Scheme != "rtsp" && u.Scheme != "rtsps":
		f.fault(key, "is of %s://%s, %s", u.Scheme, u.Host, remedy)
	case u.Host == "" && !strings.ContainsAny(s.Source, ":@?"):
		f.fault(key, "is %q, %s", s.Source, remedy)
	case u.Host == "":
		f.fault(key, "is a URL without a host, %s", remedy)
	}
}

func (s *Stream) checkRedirect(f faults, key string) {
	if s.Redirect == "" {
		return
	}
	u, err := url.Parse(s.Redirect)
	switch {
	case err == nil && u.User != nil:
		f.fault(key+".redirect", "has a user, whom players must know by themselves: remove it from the URL")
	case err != nil || u.Scheme != "rtsp" && u.Scheme != "rtsps" || u.Host == "":
		f.fault(key+".redirect", "is %q, must be a URL such as rtsp://media.example.org:8554/stream", s.Redirect)
	}
	if s.Source != SourcePublish {
		f.fault(key+".source", "is set, but the stream is elsewhere by its redirect: remove one")
	}
}
