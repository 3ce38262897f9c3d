// Package ingest brings in media that come as no RTP: MPEG-TS in datagrams and over SRT, files, and what other programs
// write. It cuts them into RTP packets.
//
//	datagrams, SRT, a program's output ─► tsReader ─┐
//	MPEG-TS and MP4 files ──────────────────────────┴─► units ─► sender ─► media.Publisher
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"peergate/media"
)

// Begin publishes the tracks of a source.
type Begin = func(tracks []media.Track) (*media.Publisher, error)

// Feed brings the packets of a source until ctx ends or the source fails. It calls begin once, when it knows the tracks.
type Feed = func(ctx context.Context, begin Begin) error

// Options say how a source is treated.
type Options struct {
	SilentAfter time.Duration // one that sends nothing for so long has failed
	Alone       bool          // there is no other one to try: who waits to be called waits for ever
	FFmpeg      string        // a path, or a name to look for
	Log         *slog.Logger
}

// Takes reports whether a URL is of a scheme that New knows.
func Takes(u *url.URL) bool {
	return slices.Contains([]string{"udp", "srt", "file", "rtmp", "rtmps"}, u.Scheme)
}

// New returns the feed of a URL. The error says what is wrong with it.
func New(u *url.URL, o Options) (Feed, error) {
	switch u.Scheme {
	case "file":
		return newChannel(u.Path, o).feed, nil
	case "rtmp", "rtmps":
		return newRTMP(u, o).feed, nil
	case "srt":
		s, err := newSRT(u, o)
		if err != nil {
			return nil, err
		}
		return s.feed, nil
	}
	s, err := newUDP(u, o)
	if err != nil {
		return nil, err
	}
	return s.feed, nil
}

// reader cuts a medium into units.
type reader interface {
	// tracks are those of the units.
	tracks() []*track
	// next returns the next unit in the order of decoding, or io.EOF.
	next() (unit, error)
}

// unit is what is decoded at once: the NAL units of a picture, or some audio frames.
type unit struct {
	track int
	dts   time.Duration // when it is decoded, by the source's clock
	pts   time.Duration // when it is shown
	data  [][]byte
	gap   bool // something was lost before it
}

// play publishes a transport stream, as it comes. One that brings no unit for o.SilentAfter has failed.
func play(from io.Reader, o Options, begin Begin) error {
	r, err := openTS(from)
	if err != nil {
		return err
	}
	if len(r.missed) > 0 {
		o.Log.Info("tracks left out, since RTP cannot carry them", "track", strings.Join(r.missed, ", "))
	}
	pub, err := begin(described(r.tracks()))
	if err != nil {
		return err
	}
	s := newSender(pub, r.tracks())
	r.patience = o.SilentAfter
	for {
		u, err := r.next()
		if err != nil {
			return err
		}
		now := time.Now()
		if err := s.send(&u, s.clock.follow(u.dts, now), now); err != nil {
			return err
		}
	}
}

// explain says what an error of a connection means.
func explain(err error, silentAfter time.Duration) error {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("has sent nothing for %v", silentAfter)
	case errors.Is(err, io.EOF):
		return errors.New("closed the connection")
	}
	return err
}
