package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"peergate/transcode/process"
)

// demuxer is an ffmpeg that writes what it reads, as it is, as MPEG-TS.
type demuxer struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{} // closed when ffmpeg has ended
	words  process.Words
	err    error // why it has ended; once done is closed
}

// demux begins an ffmpeg. The arguments say what it reads.
func demux(ctx context.Context, ffmpeg string, input ...string) *demuxer {
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	d := &demuxer{PipeReader: pr, cancel: cancel, done: make(chan struct{})}
	args := append([]string{"-hide_banner", "-nostdin", "-nostats", "-v", "warning"}, input...)
	args = append(args, "-map", "0:v?", "-map", "0:a?", "-c", "copy", "-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1", "-f", "mpegts", "pipe:1")
	cmd := exec.CommandContext(ctx, ffmpeg, args...)
	cmd.Stdout, cmd.Stderr = pw, &process.Lines{Line: d.words.Add}
	go func() {
		defer close(d.done)
		d.err = process.Run(ctx, cmd)
		pw.Close()
	}()
	return d
}

// close ends ffmpeg and waits until it is gone.
func (d *demuxer) close() {
	d.cancel()
	d.PipeReader.Close()
	<-d.done
}

// blame ends ffmpeg and says why it brought nothing, if it has told.
func (d *demuxer) blame(err error) error {
	d.close()
	switch {
	case errors.Is(d.err, exec.ErrNotFound):
		return errors.New("ffmpeg is missing, which reads it: install ffmpeg, or set transcode.ffmpeg")
	case d.words.String() != "":
		return fmt.Errorf("ffmpeg: %s", d.words.String())
	}
	return err
}
