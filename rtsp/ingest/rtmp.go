package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// rtmpSource is what an encoder sends by RTMP to an ffmpeg that listens, or what an ffmpeg fetches from an RTMP server.
type rtmpSource struct {
	url     url.URL
	listens bool
	Options
}

// newRTMP returns the source of a URL such as rtmp://:1935/live/key, to which an encoder publishes, or
// rtmp://host/live/key, from where it is fetched.
func newRTMP(u *url.URL, o Options) *rtmpSource {
	s := &rtmpSource{url: *u, listens: u.Hostname() == "", Options: o}
	if s.listens {
		s.url.Host = net.JoinHostPort("0.0.0.0", cmp.Or(u.Port(), "1935"))
	}
	return s
}

// strangers are what ffmpeg 4.4 to 7 says of an encoder that publishes another application or key than was asked for. It
// lets that pass, so we do not.
var strangers = []string{"App field don't match up", "Unexpected stream"}

// errStranger ends a connection with the wrong key.
var errStranger = errors.New("an encoder has published with another application or key, and was cut off")

// feed publishes what comes until ctx ends or the connection does.
func (s *rtmpSource) feed(ctx context.Context, begin Begin) error {
	input := []string{"-fflags", "nobuffer", "-analyzeduration", "1000000"}
	if s.listens {
		input = append(input, "-listen", "1")
	}
	d := demux(ctx, s.FFmpeg, append(input, "-i", s.url.String())...)
	defer d.close()
	w := newHush(d, s.SilentAfter, s.listens && s.Alone)
	defer w.stop()
	err := play(&guard{from: w, demuxer: d}, s.Options, begin)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case w.silent():
		return fmt.Errorf("has sent nothing for %v", s.SilentAfter)
	case errors.Is(err, errStranger):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, errNoProgram):
		return s.hide(d.blame(errors.New("the encoder has left")))
	}
	return err
}

// hide takes the key out of an error.
func (s *rtmpSource) hide(err error) error {
	shown := s.url
	shown.Path = "/..."
	return errors.New(strings.ReplaceAll(err.Error(), s.url.String(), shown.String()))
}

// guard lets nothing pass of an encoder with the wrong key.
type guard struct {
	from io.Reader
	*demuxer
}

// Read reads what ffmpeg writes.
func (g *guard) Read(b []byte) (int, error) {
	n, err := g.from.Read(b)
	words := g.words.String()
	for _, s := range strangers {
		if strings.Contains(words, s) {
			return 0, errStranger
		}
	}
	return n, err
}

// hush closes a reader that brings nothing for a time, from the first byte on if it is patient, else from the beginning.
type hush struct {
	from  io.ReadCloser
	after time.Duration

	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	over  bool
}

func newHush(from io.ReadCloser, after time.Duration, patient bool) *hush {
	h := &hush{from: from, after: after}
	if !patient {
		h.timer = time.AfterFunc(after, h.end)
	}
	return h
}

func (h *hush) end() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.from.Close()
}

// Read reads on.
func (h *hush) Read(b []byte) (int, error) {
	n, err := h.from.Read(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		h.timer = time.AfterFunc(h.after, h.end)
	} else if h.timer.Stop() {
		h.timer.Reset(h.after)
	}
	return n, err
}

// silent reports whether the reader was closed for its silence.
func (h *hush) silent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over
}

func (h *hush) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
	}
}
