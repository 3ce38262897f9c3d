package hls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"peergate/media"
)

// The playlists of a stream. All other files are named by the library, and are found in them.
const (
	master = "index.m3u8"
	video  = "video.m3u8"
	audio  = "audio.m3u8"
)

// partFile finds the number in the name of a part's file.
var partFile = regexp.MustCompile(`_part(\d{1,18})\.mp4$`)

// hint finds the number of the part that a playlist announces as the next one.
var hint = regexp.MustCompile(`#EXT-X-PRELOAD-HINT:[^\n]*_part(\d{1,18})\.mp4`)

// playlist returns the library's name of a track's playlist.
func (m *muxer) playlist(index int) string {
	kind := "audio"
	if m.tracks[index].video() {
		kind = "video"
	}
	return fmt.Sprintf("%s%d_stream.m3u8", kind, index+1)
}

// serve answers a request for a file. The muxer is ready.
func (m *muxer) serve(w http.ResponseWriter, r *http.Request, file string) error {
	m.touch(r)
	cw := &counter{ResponseWriter: w}
	defer func() { m.bytes.Add(cw.n) }()
	switch {
	case file == master:
		return m.serveMaster(cw)
	case file == video || file == audio:
		index, ok := m.find(file == video)
		if !ok {
			return fmt.Errorf("%s has no %s: %w", m.name, strings.TrimSuffix(file, ".m3u8"), media.ErrNotFound)
		}
		file = m.playlist(index)
	case strings.HasSuffix(file, ".m3u8"):
		return fmt.Errorf("%s: the playlists are %s, %s and %s: %w", file, master, video, audio, media.ErrNotFound)
	}
	if err := m.waitPart(r.Context(), file); err != nil {
		return err
	}
	to := r.Clone(r.Context())
	to.URL = &url.URL{Path: "/" + file, RawQuery: blocking(r.URL.Query())}
	m.lib.Handle(cw, to)
	if !cw.wrote {
		return fmt.Errorf("%s: there is no such file, or no more: %w", file, media.ErrNotFound)
	}
	return nil
}

// blocking returns the part of a query that is HLS's own: the library would repeat the rest in its playlists.
func blocking(q url.Values) string {
	for key := range q {
		if !strings.HasPrefix(key, "_HLS_") {
			q.Del(key)
		}
	}
	return q.Encode()
}

// find returns the index of the video or the audio track.
func (m *muxer) find(video bool) (int, bool) {
	for i, t := range m.tracks {
		if t.video() == video {
			return i, true
		}
	}
	return 0, false
}

// touch notes that somebody asks.
func (m *muxer) touch(r *http.Request) {
	now := time.Now()
	m.watchers.saw(r, now)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = now
}

// waitPart waits while a part is being made. The library would, too, but it would not see the player go, and it leaves a
// lock taken when it is closed meanwhile (v2.2.2).
func (m *muxer) waitPart(ctx context.Context, file string) error {
	match := partFile.FindStringSubmatch(file)
	if match == nil {
		return nil
	}
	n, err := strconv.ParseUint(match[1], 10, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", file, media.ErrNotFound)
	}
	m.wait(1)
	defer m.wait(-1)
	if n >= m.making() {
		m.advance() // nobody may have waited for a while
	}
	for {
		m.mu.Lock()
		making, pulse := m.part, m.pulse
		m.mu.Unlock()
		switch {
		case n < making:
			return nil
		case n > making:
			return fmt.Errorf("%s: is not announced: %w", file, media.ErrNotFound)
		}
		select {
		case <-pulse:
		case <-m.done:
			return m.failure()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait counts the requests that wait for a part.
func (m *muxer) wait(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waits += n
}

// making returns the number of the part that is being made, as far as is known.
func (m *muxer) making() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.part
}

// look finds out which part is being made, if somebody waits for one.
func (m *muxer) look() {
	m.mu.Lock()
	waits := m.waits
	m.mu.Unlock()
	if waits > 0 {
		m.advance()
	}
}

// advance finds out which part is being made. The muxer is ready, or it does nothing.
func (m *muxer) advance() {
	select {
	case <-m.ready:
	default:
		return
	}
	match := hint.FindSubmatch(m.fetch(m.playlist(0)))
	if match == nil {
		return
	}
	n, err := strconv.ParseUint(string(match[1]), 10, 64)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > m.part {
		m.part = n
		close(m.pulse)
		m.pulse = make(chan struct{})
	}
}

// probe waits for the first segment, or for the end.
func (m *muxer) probe() {
	if len(m.fetch(m.playlist(0))) > 0 {
		close(m.ready)
	}
}

// fetch returns a file of the library's.
func (m *muxer) fetch(file string) []byte {
	b := &buffer{header: make(http.Header)}
	m.lib.Handle(b, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/" + file}})
	if b.status >= 300 {
		return nil
	}
	return b.Bytes()
}

// buffer is an answer that stays here.
type buffer struct {
	bytes.Buffer
	header http.Header
	status int
}

// Header is the answer's.
func (b *buffer) Header() http.Header { return b.header }

// WriteHeader notes the status.
func (b *buffer) WriteHeader(status int) { b.status = status }

// counter counts what an answer has.
type counter struct {
	http.ResponseWriter
	n     uint64
	wrote bool
}

// WriteHeader passes the status on.
func (c *counter) WriteHeader(status int) {
	c.wrote = true
	c.ResponseWriter.WriteHeader(status)
}

// Write passes bytes on.
func (c *counter) Write(b []byte) (int, error) {
	c.wrote = true
	n, err := c.ResponseWriter.Write(b)
	c.n += uint64(n)
	return n, err
}
