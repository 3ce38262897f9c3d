package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/overlay"
	"peergate/overlay/p2p"

	"github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"
)

func newShare() *cobra.Command {
	var ticket string
	var qr bool
	c := &cobra.Command{
		Use:   "share STREAM [gateway.yml]",
		Short: "Print the link of a stream, for others to play",
		Long: `Share asks the running gateway for the link of one of its streams and prints it, in a terminal
as a QR code too. Whoever has the link plays the stream with "gateway play LINK", or gives it to
a gateway that runs with "gateway link LINK".

Who may have the stream is for overlay.channels of gateway.yml to say: without an entry the
gateways under peers alone, with "access: open" everybody.`,
		Example: `  gateway share lobby
  gateway share public/news /etc/peergate/gateway.yml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderOf(args[1:])
			if err != nil {
				return err
			}
			s, err := web.FetchShare(c.Context(), folder, args[0])
			if err != nil {
				return err
			}
			l, err := overlay.ParseShareLink(s.Link)
			if err != nil {
				return err
			}
			if ticket != "" {
				l.Ticket = ticket
			}
			out := c.OutOrStdout()
			fmt.Fprintln(out, l)
			if f, ok := out.(*os.File); qr || ok && isTerminal(f) {
				if err := printQR(out, l.String()); err != nil {
					return err
				}
			}
			for _, hint := range shareHints(s, &l) {
				fmt.Fprintln(c.ErrOrStderr(), hint)
			}
			return nil
		},
	}
	c.Flags().StringVar(&ticket, "ticket", "", "a ticket to put into the link, as \"gateway ticket issue\" prints it: the link is a secret then")
	c.Flags().BoolVar(&qr, "qr", false, "print the QR code though this is no terminal")
	return c
}

// isTerminal tells whether a file is shown to a person.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// printQR prints a text as a QR code, dark on light whatever the colours of the terminal.
func printQR(out io.Writer, text string) error {
	q, err := qrcode.New(text, qrcode.Low)
	if err != nil {
		return fmt.Errorf("QR code of the link: %w", err)
	}
	_, err = fmt.Fprint(out, q.ToSmallString(false))
	return err
}

// shareHints tells what keeps others from playing a stream.
func shareHints(s web.Share, l *overlay.ShareLink) (hints []string) {
	switch s.Access {
	case conf.AccessListed:
		hints = append(hints, "Only gateways under peers may have it. To let everybody who has the link: overlay.channels: [{name: "+
			string(l.Name)+", access: open}]")
	case conf.AccessMembers:
		if l.Ticket == "" {
			hints = append(hints, "It is for those with a ticket: issue one, or put it into the link with --ticket.")
		}
	}
	if !s.Live {
		hints = append(hints, "Nobody publishes it now.")
	}
	if !p2p.AnyPublic(l.Via) {
		hints = append(hints, "The link has addresses of the local network only ("+strings.Join(l.Via, " ")+
			"): who is elsewhere needs one that is reached from there, see \"gateway doctor\".")
	}
	return hints
}
