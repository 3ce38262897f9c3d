package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"peergate/gateway/web"
	"peergate/overlay/access"
	"peergate/overlay/p2p"

	"github.com/spf13/cobra"
)

func newKey() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Keep, bring and change the gateway's key",
		Long: `Key handles the key of the data folder, by which others know this gateway: whoever has it can
pose as this gateway, and without it the gateway is another one to all.`,
		Example: `  gateway key export /media/usb/gateway-key.pem
  gateway key import /media/usb/gateway-key.pem
  gateway key rotate`,
	}
	c.AddCommand(newKeyExport(), newKeyImport(), newKeyRotate())
	return c
}

func newKeyExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE [gateway.yml]",
		Short: "Write a copy of the key into a new file, readable by this user alone",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderOf(args[1:])
			if err != nil {
				return err
			}
			id, err := p2p.Export(folder, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s has the key of %s: whoever reads it can pose as this gateway\n", args[0], id.ID)
			return nil
		},
	}
}

func newKeyImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE [gateway.yml]",
		Short: "Take a key that was exported into a data folder that has none",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := stoppedFolder(c.Context(), args[1:])
			if err != nil {
				return err
			}
			id, err := p2p.Import(folder, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "id: %s\n", id.ID)
			return nil
		},
	}
}

func newKeyRotate() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate [gateway.yml]",
		Short: "Give the stopped gateway a new key, which its peers follow",
		Long: `Rotate gives the gateway a new key and so a new ID. The old key signs that, and is gone then:
export it before if you want a copy. Gateways that list the old ID take the new one in its place
when they next meet this gateway, and remember it; correct their gateway.yml when there is time.
Tickets that were issued before stay good. Whoever has stolen the old key can say the same of a key
of theirs to those who have not met this gateway since: tell these the new ID yourself.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := stoppedFolder(c.Context(), args)
			if err != nil {
				return err
			}
			from, to, err := rotate(folder, time.Now())
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "old id: %s\nid: %s\n", from.ID, to.ID)
			return nil
		},
	}
}

// rotate gives a data folder a new key for which the old one has given its word.
func rotate(folder string, now time.Time) (from, to p2p.Identity, err error) {
	all, err := access.LoadSuccessions(folder)
	if err != nil {
		return from, to, err
	}
	return p2p.Rotate(folder, func(from, to p2p.Identity) error {
		_, err := all.Add(access.SignSuccession(from.Key, to.Key, now))
		return err
	})
}

// stoppedFolder returns the data folder of a configuration with which no gateway runs.
func stoppedFolder(ctx context.Context, args []string) (string, error) {
	folder, err := folderOf(args)
	if err != nil {
		return "", err
	}
	if _, err := web.Fetch(ctx, folder); !errors.Is(err, web.ErrNotRunning) {
		return "", fmt.Errorf("a gateway runs with the data folder %s: stop it first", folder)
	}
	return folder, nil
}
