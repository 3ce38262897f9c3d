package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"peergate/media"
)

// maxLate is how far behind its deadlines a channel may be, as on a busy machine or while a program begins to read the next file.
// When it is later, because the machine slept, it leaves out what it missed instead of sending it all at once.
const maxLate = 2 * time.Second

// channel is a file, or the files of a folder in the order of their names, played in real time again and again.
type channel struct {
	path string
	Options
	told map[string]string // what was complained of, by file
}

func newChannel(path string, o Options) *channel {
	return &channel{path: filepath.Clean(path), Options: o}
}

// feed plays until ctx ends. Files that cannot be played are skipped; it fails when none can.
func (c *channel) feed(ctx context.Context, begin Begin) error {
	p := &projector{channel: c, begin: begin}
	c.told = make(map[string]string)
	for {
		files, err := c.files()
		if err != nil {
			return err
		}
		played := false
		var first error
		for _, f := range files {
			began, err := p.play(ctx, f)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, media.ErrEnded), p.refused != nil:
				return err
			case err != nil:
				c.complain(f, began, err)
			}
			played = played || began
			if first == nil {
				first = err
			}
		}
		if !played {
			return fmt.Errorf("none of its %d files can be played: %s: %w", len(files), filepath.Base(files[0]), first)
		}
	}
}

// files returns what is to be played now. Of a folder, it is all but hidden files.
func (c *channel) files() ([]string, error) {
	st, err := os.Stat(c.path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return []string{c.path}, nil
	}
	entries, err := os.ReadDir(c.path) // sorted
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		file := filepath.Join(c.path, e.Name())
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, file)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the folder %s has no files: put films there", c.path)
	}
	return all, nil
}

// complain says, once, what is wrong with a file.
func (c *channel) complain(file string, began bool, err error) {
	if c.told[file] == err.Error() {
		return
	}
	c.told[file] = err.Error()
	if began {
		c.Log.Warn("file breaks off", "file", file, "err", err)
		return
	}
	c.Log.Warn("file skipped", "file", file, "err", err)
}

// projector shows files one after the other, on one timeline.
type projector struct {
	*channel
	begin   Begin
	refused error // why begin has not taken the tracks
	sender  *sender
	start   time.Time     // when time 0 of the timeline is due
	end     time.Duration // of what was shown so far
}

var errDiffers = errors.New("its tracks are not those of the file that the channel began with, whose players could not go on: convert it to the same codecs, sampling rate and channels")

// play shows a file; began is false when nothing of it was shown. Its end is no error.
func (p *projector) play(ctx context.Context, file string) (began bool, err error) {
	r, closeFile, err := p.open(ctx, file)
	if err != nil {
		return false, err
	}
	defer closeFile()
	if p.sender == nil {
		pub, err := p.begin(described(r.tracks()))
		if err != nil {
			p.refused = err
			return false, err
		}
		p.sender, p.start = newSender(pub, r.tracks()), time.Now()
	}
	route := p.route(r.tracks())
	if route == nil {
		return false, errDiffers
	}
	ends := make([]time.Duration, len(r.tracks())) // of the last unit of each track
	for {
		u, err := r.next()
		if errors.Is(err, io.EOF) && began {
			return true, nil
		}
		if err != nil {
			return began, err
		}
		if !began {
			p.sender.clock.splice(u.pts, p.end) // the first picture is shown when the last one has been
			began = true
		}
		dts := p.sender.clock.read(u.dts)
		step := dts - ends[u.track]
		if ends[u.track] == 0 || step <= 0 || step > maxJump {
			step = seam
		}
		p.end = max(p.end, dts+u.pts-u.dts+step) // units of a track follow each other evenly
		ends[u.track] = dts
		if to := route[u.track]; to >= 0 {
			if err := p.show(ctx, to, r.tracks()[u.track], &u, dts); err != nil {
				return true, err
			}
		}
	}
}

// show sends a unit when it is due.
func (p *projector) show(ctx context.Context, to int, t *track, u *unit, dts time.Duration) error {
	due := p.start.Add(dts)
	if late := time.Since(due); late > maxLate {
		p.start = p.start.Add(late)
		due = due.Add(late)
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return p.sender.sendAs(to, t, u, dts, time.Now())
}

// route tells for each track of a file which announced one it goes on with, or -1. It is nil when one of those is missing.
func (p *projector) route(tracks []*track) []int {
	route := make([]int, len(tracks))
	for i := range route {
		route[i] = -1
	}
	for to, want := range p.sender.tracks {
		i := slices.IndexFunc(tracks, func(t *track) bool { return t.continues(want) })
		for i >= 0 && route[i] >= 0 {
			next := slices.IndexFunc(tracks[i+1:], func(t *track) bool { return t.continues(want) })
			if i += 1 + next; next < 0 {
				i = -1
			}
		}
		if i < 0 {
			return nil
		}
		route[i] = to
	}
	return route
}

// open opens a file: MP4 and MPEG-TS as they are, and whatever else through ffmpeg.
func (p *projector) open(ctx context.Context, file string) (r reader, closeFile func(), err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".mp4", ".m4v", ".mov", ".m4a":
		if r, err := openMP4(f); err == nil {
			return r, func() { f.Close() }, nil
		}
	case ".ts":
		if r, err := openTS(f); err == nil {
			return r, func() { f.Close() }, nil
		}
	}
	f.Close()
	pr := demux(ctx, p.FFmpeg, "-i", file)
	ts, err := openTS(pr)
	if err != nil {
		return nil, nil, pr.blame(err)
	}
	return ts, pr.close, nil
}
