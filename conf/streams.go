package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The kinds of source that are not URLs.
const (
	SourcePublish = "publish" // an encoder publishes by ANNOUNCE and RECORD
	SourceDemo    = "demo:"   // the embedded clip
	SourceStream  = "stream:" // another stream of this gateway, whose name follows
	SourceExec    = "exec:"   // a program that publishes, whose command line follows
)

// Sources are where a stream comes from: several places in the order of preference. A file may have one instead of a list.
type Sources []string

// Stream is a stream of this gateway and where it comes from. Names that are not listed may be published too.
type Stream struct {
	Source      Sources       `yaml:"source"`       // publish, or places to fetch it from: see checkSource
	Fallback    string        `yaml:"fallback"`     // shown while all of them are gone; "" is nothing
	ReturnAfter time.Duration `yaml:"return_after"` // how often, while a later source plays, those before it are tried
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
		Source:      Sources{SourcePublish},
		ReturnAfter: 30 * time.Second,
		OnDemand:    true,
		IdleAfter:   10 * time.Second,
		Transport:   auto,
		SilentAfter: 10 * time.Second,
		Grace:       time.Minute,
	}
}

// Published reports whether the stream is fetched from nowhere: an encoder publishes it.
func (s *Stream) Published() bool {
	return len(s.Source) == 0 || len(s.Source) == 1 && s.Source[0] == SourcePublish
}

func (s *Stream) check(f faults, key, name string) {
	checkName(f, key, name)
	atLeast(f, key+".return_after", s.ReturnAfter, time.Second)
	atLeast(f, key+".idle_after", s.IdleAfter, 0)
	oneOf(f, key+".transport", s.Transport, auto, "udp", "tcp")
	atLeast(f, key+".silent_after", s.SilentAfter, time.Second)
	atLeast(f, key+".grace", s.Grace, 0)
	if b, err := hex.DecodeString(strings.ReplaceAll(s.Fingerprint, ":", "")); err != nil || len(b) != 0 && len(b) != sha256.Size {
		f.fault(key+".fingerprint", "is %q, must be the 64 hexadecimal digits of a certificate's SHA-256", s.Fingerprint)
	}
	s.checkSources(f, key, name)
	s.checkRedirect(f, key)
}

func (s *Stream) checkSources(f faults, key, name string) {
	if len(s.Source) == 0 {
		f.fault(key+".source", "is an empty list, must have a source")
	}
	if s.Published() {
		if s.Fallback != "" {
			f.fault(key+".fallback", "is for a stream that is fetched: make it the source, which a publisher replaces while he is there")
		}
		return
	}
	for i, from := range s.Source {
		at := key + ".source"
		if len(s.Source) > 1 {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		if from == SourcePublish {
			f.fault(at, "is publish, beside others: leave it out, a publisher replaces them while he is there")
			continue
		}
		checkSource(f, at, name, from)
	}
	if s.Fallback != "" {
		checkSource(f, key+".fallback", name, s.Fallback)
	}
}

// checkSource checks one place that the stream of a name comes from. It does not repeat more of a URL than its scheme and
// host: the rest may hold a password.
func checkSource(f faults, key, name, from string) {
	const remedy = "must be what docs/sources.md lists, such as publish, demo: or rtsp://user:password@camera/stream"
	if from == SourceDemo {
		return
	}
	if of, ok := strings.CutPrefix(from, SourceStream); ok {
		if checkName(f, key, of); of == name {
			f.fault(key, "is the stream itself: name another one")
		}
		return
	}
	if line, ok := strings.CutPrefix(from, SourceExec); ok {
		if _, err := SplitCommand(line); err != nil {
			f.fault(key, "is a command line that %v", err)
		}
		return
	}
	u, err := url.Parse(from)
	switch {
	case err != nil:
		f.fault(key, "is no URL, perhaps since a mark in user, password or path is not percent-encoded: %s", remedy)
	case u.Scheme == "udp":
		if _, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "" && err != nil || u.Port() == "" {
			f.fault(key, "is %q, must be a group or an own address and a port, such as udp://239.1.2.3:5000 or udp://:5000", from)
		}
	case u.Scheme == "srt":
		if u.Port() == "" {
			f.fault(key, "is an srt:// URL without a port, must be such as srt://host:9000 or srt://:9000?mode=listener")
		}
	case u.Scheme == "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			f.fault(key, "is %q, must have a whole path, such as file:///srv/film.mp4 or file:///srv/films", from)
		}
	case u.Scheme == "rtmp", u.Scheme == "rtmps":
		if strings.Count(strings.Trim(u.Path, "/"), "/") < 1 {
			f.fault(key, "is of %s://%s, must have an application and a key, such as rtmp://:1935/live/key", u.Scheme, u.Host)
		}
	case u.Host != "" && u.Scheme != "rtsp" && u.Scheme != "rtsps":
		f.fault(key, "is of %s://%s, %s", u.Scheme, u.Host, remedy)
	case u.Host == "" && !strings.ContainsAny(from, ":@?"):
		f.fault(key, "is %q, %s", from, remedy)
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
	if !s.Published() {
		f.fault(key+".source", "is set, but the stream is elsewhere by its redirect: remove one")
	}
}
