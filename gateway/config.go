package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"peergate/conf"
	"peergate/overlay"
	"peergate/overlay/p2p"
	"peergate/rtsp/auth"

	"github.com/spf13/cobra"
)

// usualFile is the configuration that is read when none is named.
const usualFile = "gateway.yml"

// configFile returns the configuration that the arguments name: the first, else gateway.yml in this folder if there is
// one, else "", which is a gateway with the defaults.
func configFile(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	_, err := os.Stat(usualFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return usualFile, err
}

// loadConfig reads and verifies a configuration; "" is that of a gateway without a file.
func loadConfig(file string) (conf.Config, error) {
	text, err := readConfig(file)
	if err != nil {
		return conf.Config{}, err
	}
	return parseConfig(file, text)
}

// readConfig reads the text of a configuration; "" has none.
func readConfig(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return b, nil
}

// parseConfig reads and verifies a configuration from its text.
func parseConfig(file string, text []byte) (conf.Config, error) {
	c, err := conf.Parse(file, text)
	if err != nil {
		return conf.Config{}, err
	}
	if err := verify(c); err != nil {
		return conf.Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// verify asks the parts of the gateway whether they can work with a configuration.
func verify(c conf.Config) error {
	_, err := newUsers(c)
	errs := []error{err}
	if t := c.RTSP.TLS; t.Certificate != "" && t.Key != "" {
		if _, err := tls.LoadX509KeyPair(t.Certificate, t.Key); err != nil {
			errs = append(errs, fmt.Errorf("rtsp.tls: %w", err))
		}
	}
	for i, l := range c.Overlay.Links {
		if _, err := overlay.ParseShareLink(l.Link); err != nil {
			errs = append(errs, fmt.Errorf("overlay.links[%d].link: %w", i, err))
		}
	}
	errs = append(errs, overlay.CheckTickets(c.Overlay), p2p.CheckBootstrap(c.Overlay.DHT.Bootstrap))
	for name, p := range c.Peers {
		if _, err := p2p.ParseID(p.ID); err != nil {
			errs = append(errs, fmt.Errorf("peers.%s.id: %w", name, err))
		}
		for _, a := range p.Addresses {
			if _, err := p2p.ParseAddrs(a); err != nil {
				errs = append(errs, fmt.Errorf("peers.%s.addresses: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// newUsers prepares the configured users.
func newUsers(c conf.Config) (*auth.Users, error) {
	users := make([]auth.User, len(c.Users))
	for i, u := range c.Users {
		users[i] = auth.User{Name: u.Name, Password: u.Password, Read: u.Read, Publish: u.Publish}
		for _, n := range u.From {
			users[i].From = append(users[i].From, netip.Prefix(n.Prefix))
		}
	}
	u, err := auth.New(users, auth.Options{})
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return u, nil
}

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [gateway.yml]",
		Short: "Tell whether a configuration is valid",
		Long: `Check reads a configuration as "gateway run" would and tells all that is wrong in it at
once, each fault with its file, line, setting and remedy. It starts nothing and changes
nothing. Without a file it reads gateway.yml in this folder.

The exit code is 0 when the configuration is valid and 1 when it is not.`,
		Example: `  gateway check /etc/peergate/gateway.yml && systemctl reload peergate`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := configFile(args)
			if err != nil {
				return err
			}
			if file == "" {
				return errors.New("there is no gateway.yml in this folder: name the file")
			}
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is valid: %s, %s, %s\n", file,
				count(len(cfg.Users), "user"), count(len(cfg.Streams), "stream"), count(len(cfg.Peers), "peer"))
			return nil
		},
	}
}

// count says how many there are of something whose plural has an s.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
