package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/media"
	"peergate/overlay"
	"peergate/overlay/p2p"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// playing is how a link is to be played.
type playing struct {
	petname string
	data    string
	upload  string
	open    bool
	mdns    bool
}

func newPlay() *cobra.Command {
	p := &playing{}
	c := &cobra.Command{
		Use:   "play LINK",
		Short: "Play a link that somebody has shared",
		Long: `Play runs a gateway for a link alone, which "gateway share" has printed elsewhere, and prints the
URL that players on this machine open. It needs no configuration, keeps its key in the user's
configuration folder, takes free ports when the usual ones are taken, and ends with Ctrl-C.

Who plays an open channel also hands it on to others who do, as far as the line allows: --upload
limits that, and --upload 0 hands on nothing.`,
		Example: `  gateway play 'peergate://12D3KooW.../lobby?via=/ip4/192.0.2.7/tcp/8555'
  gateway play --open 'peergate://12D3KooW.../lobby?via=/ip4/192.0.2.7/tcp/8555'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			link, err := overlay.ParseShareLink(args[0])
			if err != nil {
				return err
			}
			log, _ := newLog(conf.Log{Level: "warn", Format: "text"}, c.ErrOrStderr())
			v, err := p.prepare(c.Context(), link, log)
			if err != nil {
				return err
			}
			ends := make(chan os.Signal, 2)
			signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(ends)
			return serve(c.Context(), ends, log, func(ctx context.Context) error { return v.run(ctx, c.OutOrStdout()) })
		},
	}
	c.Flags().BoolVar(&p.open, "open", false, "start a player, and end when it does")
	c.Flags().StringVar(&p.petname, "petname", "", "what the owner is called in the URL; without it, by its ID")
	c.Flags().StringVar(&p.data, "data", "", "folder of the key; without it, one in the user's configuration folder")
	c.Flags().StringVar(&p.upload, "upload", "auto", "what is handed on to others at most, such as 5Mbit; 0: nothing")
	c.Flags().BoolVar(&p.mdns, "mdns", true, "look for gateways in the local network")
	return c
}

// viewing is a gateway that plays one link.
type viewing struct {
	*gateway
	name media.Name // of the stream here
	url  string
	open bool
}

// prepare puts the gateway together.
func (p *playing) prepare(ctx context.Context, link overlay.ShareLink, log *slog.Logger) (*viewing, error) {
	folder, err := p.folder(ctx)
	if err != nil {
		return nil, err
	}
	var ports freePorts
	rtsp, err := ports.take(8554)
	if err != nil {
		return nil, err
	}
	at, err := ports.take(8555)
	if err != nil {
		return nil, err
	}
	cfg, err := parseConfig("gateway play", []byte(p.config(link, folder, rtsp, at)))
	if err != nil {
		return nil, err
	}
	id, err := p2p.LoadIdentity(folder)
	if err != nil {
		return nil, err
	}
	v := &viewing{name: media.Name(link.Path(p.petname)), open: p.open}
	v.url = "rtsp://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(rtsp)) + "/" + string(v.name)
	v.gateway, err = newGateway(cfg, folder, id, log)
	return v, err
}

// config is the text of the gateway's configuration.
func (p *playing) config(link overlay.ShareLink, folder string, rtsp, at int) string {
	return fmt.Sprintf(`data: %q
rtsp: {listen: "127.0.0.1:%d"}
hls: {listen: ""}
webrtc: {listen: ""}
overlay:
  listen: [/ip4/0.0.0.0/tcp/%d, /ip4/0.0.0.0/udp/%d/quic-v1, /ip6/::/tcp/%d, /ip6/::/udp/%d/quic-v1]
  share: []
  upload: %q
  mdns: %t
  links: [{link: %q, petname: %q}]
`, folder, rtsp, at, at, at, at, p.upload, p.mdns, link.String(), p.petname)
}

// maxViewings bounds how many links are played at once by one user: each has a folder of its own.
const maxViewings = 16

// folder returns a folder that no running gateway uses.
func (p *playing) folder(ctx context.Context) (string, error) {
	if p.data != "" {
		return p.data, nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w: say with --data where to keep the key", err)
	}
	for i := range maxViewings {
		folder := filepath.Join(base, "peergate", "play")
		if i > 0 {
			folder += "-" + strconv.Itoa(i+1)
		}
		if _, err := web.Fetch(ctx, folder); errors.Is(err, web.ErrNotRunning) {
			return folder, nil
		}
	}
	return "", fmt.Errorf("%d links are played already: end some", maxViewings)
}

// run runs the gateway until ctx ends, or until the player has ended that it has started.
func (v *viewing) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return v.Run(ctx) })
	g.Go(func() error {
		select {
		case <-v.server.Ready():
		case <-ctx.Done():
			return nil
		}
		fmt.Fprintln(out, v.url)
		g.Go(func() error {
			v.fetch(ctx)
			return nil
		})
		if v.open {
			return v.watch(ctx, cancel, out)
		}
		return nil
	})
	return explain(g.Wait())
}

// fetch brings the stream here before a player asks for it, which spares it the wait, and tells what keeps it away.
func (v *viewing) fetch(ctx context.Context) {
	if _, err := v.hub.Open(ctx, v.name); err != nil && ctx.Err() == nil {
		v.log.Warn("stream cannot be played yet", "stream", v.name, "err", err)
	}
}

// watch starts a player; when it ends, so does all.
func (v *viewing) watch(ctx context.Context, end func(), out io.Writer) error {
	cmd, stays := player(ctx, v.url)
	if cmd == nil {
		return errors.New("no player was found: open the URL in one, such as VLC, mpv or ffplay")
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a player: %w", err)
	}
	fmt.Fprintf(out, "opened in %s\n", strings.TrimSuffix(filepath.Base(cmd.Path), ".exe"))
	err := cmd.Wait()
	if stays {
		end()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return nil
}
