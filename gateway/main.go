// Command gateway is Peergate: it takes in live streams over RTSP, exchanges them with other gateways over a peer-to-peer
// overlay, and serves them to players over RTSP.
//
// This package is the command line, and what puts the parts of a gateway together, reloads its configuration and ends it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"peergate/conf"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs a command line and returns the exit code: 0 when all went well or a signal ended the command, else 1.
func execute(args []string, out, errOut io.Writer) int {
	c := newRoot()
	c.SetArgs(args)
	c.SetOut(out)
	c.SetErr(errOut)
	err := c.Execute()
	var faults conf.Errors
	switch {
	case err == nil:
		return 0
	case errors.As(err, &faults): // each begins with its file and line, as compilers have it
		fmt.Fprintln(errOut, faults)
	default:
		fmt.Fprintln(errOut, "gateway:", err)
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gateway",
		Short: "Live streams over RTSP, from gateway to gateway over a peer-to-peer overlay",
		Long: `Peergate takes in live streams over RTSP, exchanges them with other gateways over a
peer-to-peer overlay, and serves them to players at every site over RTSP.

"gateway demo" shows it on this machine, with nothing else installed. "gateway run"
runs a gateway: encoders publish to rtsp://HOST:8554/NAME, players play the same URL,
and streams of another gateway are at rtsp://HOST:8554/PETNAME/NAME.`,
		Example: `  gateway demo
  gateway run
  gateway run /etc/peergate/gateway.yml`,
		SilenceErrors:     true, // execute prints them
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newRun(), newCheck(), newID(), newShare(), newPlay(), newLink(), newTerms(), newChannels(), newStatus(), newTicket(), newKey(), newDoctor(), newLedger(), newDiscover(), newDemo(), newVersion())
	return root
}
