package rtsp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/transcode/process"
)

const (
	// urlVariable is the variable of a program's environment that has the URL to publish to.
	urlVariable = "PEERGATE_URL"
	// urlMark stands for that URL in the program's arguments.
	urlMark = "{url}"
)

// program is a source that a program of this machine publishes, such as ffmpeg reading a device.
type program struct {
	name        media.Name
	args        []string
	bad         error // why there are none
	silentAfter time.Duration
	server      *Server
}

func newProgram(name media.Name, line string, c conf.Stream, server *Server) *program {
	p := &program{name: name, silentAfter: c.SilentAfter, server: server}
	p.args, p.bad = conf.SplitCommand(line)
	return p
}

// remote names the program without its arguments, which may have passwords.
func (p *program) remote() string {
	if p.bad != nil {
		return conf.SourceExec
	}
	return conf.SourceExec + p.args[0]
}

// feed runs the program, which publishes to this gateway, until it ends or ctx does.
func (p *program) feed(ctx context.Context, begin begin) error {
	if p.bad != nil {
		return p.bad
	}
	var pub atomic.Pointer[media.Publisher]
	to, revoke, err := p.server.PublishPass(ctx, p.name, func(tracks []media.Track) (*media.Publisher, error) {
		p, err := begin(tracks)
		pub.Store(p)
		return p, err
	})
	if err != nil {
		return err
	}
	defer revoke()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watch(ctx, &pub, cancel)
	}()
	defer func() { <-watched }()
	defer cancel(nil)
	args := make([]string, len(p.args))
	for i, a := range p.args {
		args[i] = strings.ReplaceAll(a, urlMark, to)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), urlVariable+"="+to)
	err = process.Run(ctx, cmd)
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("there is no program %q: install it, or write its whole path", args[0])
	}
	return err
}

// watch kills a program that publishes nothing for silentAfter.
func (p *program) watch(ctx context.Context, pub *atomic.Pointer[media.Publisher], kill func(error)) {
	var came uint64
	silent, every := time.Duration(0), p.silentAfter/4
	for wait(ctx, every) {
		silent += every
		if pub := pub.Load(); pub != nil {
			if n, playing := written(pub); !playing || n != came {
				came, silent = n, 0
			}
		}
		if silent >= p.silentAfter {
			kill(fmt.Errorf("has published nothing for %v: the program must publish to {url}, or $%s, by RTSP", p.silentAfter, urlVariable))
			return
		}
	}
}

// written returns how many packets a publisher's stream has had; playing is false while it stands by.
func written(pub *media.Publisher) (packets uint64, playing bool) {
	if entered := pub.Entered(); entered != nil && !isDone(entered) {
		return 0, false
	}
	return pub.Stream().Stats().Packets, true
}
