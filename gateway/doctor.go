package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"peergate/conf"
	"peergate/gateway/web"

	"github.com/spf13/cobra"
)

// doctorTimeout bounds all that the doctor asks others.
const doctorTimeout = 15 * time.Second

// verdict says how a finding is to be taken.
type verdict string

// The verdicts.
const (
	good verdict = "ok"
	fair verdict = "warning" // it works, but not as well as it could
	bad  verdict = "failure" // something does not work
)

// finding is one point that the doctor looked at.
type finding struct {
	Point   string  `json:"point"`
	Verdict verdict `json:"verdict"`
	Text    string  `json:"text"`
	Remedy  string  `json:"remedy,omitempty"`
}

var errUnwell = errors.New("something does not work: see the failures above")

func newDoctor() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "doctor [gateway.yml]",
		Short: "Tell what works from here, and what to do about the rest",
		Long: `Doctor looks at what a gateway needs: its configuration, key and ports, the clock, what the
kernel allows, ffmpeg and its encoders, and each peer. Of a gateway that runs it asks how its peers are connected, how others
reach it and what NAT is before it; without one it tries the TCP addresses of peers by itself. For each point it tells what to do. It changes nothing.

The exit code is 1 when something does not work. Run it as the user that runs the gateway.`,
		Example: `  gateway doctor
  gateway doctor --json /etc/peergate/gateway.yml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), doctorTimeout)
			defer cancel()
			all := examine(ctx, args, os.Getenv)
			if err := report(c.OutOrStdout(), all, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(all, func(f finding) bool { return f.Verdict == bad }) {
				return errUnwell
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return c
}

// report prints the findings.
func report(out io.Writer, all []finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	for _, f := range all {
		fmt.Fprintf(out, "%-8s %s: %s\n", f.Verdict, f.Point, f.Text)
		if f.Remedy != "" {
			fmt.Fprintf(out, "         -> %s\n", f.Remedy)
		}
	}
	return nil
}

// examine looks at everything. Without a valid configuration only the machine is left to look at.
func examine(ctx context.Context, args []string, env func(string) string) []finding {
	cfg, f := examineConfig(args)
	all := []finding{f}
	if f.Verdict == bad {
		return append(all, examineMachine(conf.Default())...)
	}
	folder, err := dataFolder(cfg, env)
	if err != nil {
		return append(all, finding{"data folder", bad, err.Error(), ""})
	}
	all = append(all, examineKey(folder))
	st, err := web.Fetch(ctx, folder)
	switch {
	case err == nil:
		all = append(all, finding{"gateway", good, fmt.Sprintf("runs since %s", age(st.Since, time.Now())), ""})
		all = append(all, examineAnswer(ctx, cfg))
		all = append(all, examineReach(st.Overlay)...)
		all = append(all, examineLinks(ctx, cfg, st.Overlay)...)
		if f, ok := examineUpload(ctx, cfg, folder, st.Overlay); ok {
			all = append(all, f)
		}
	case errors.Is(err, web.ErrNotRunning):
		all = append(all, finding{"gateway", good, "does not run now", ""})
		all = append(all, examinePorts(cfg)...)
		all = append(all, examineLinks(ctx, cfg, nil)...)
	default:
		all = append(all, finding{"gateway", bad, err.Error(), "run the doctor as the user that runs the gateway"})
	}
	all = append(all, examineFFmpeg(ctx, cfg.Transcode)...)
	return append(all, examineMachine(cfg)...)
}

func examineConfig(args []string) (conf.Config, finding) {
	file, err := configFile(args)
	if err != nil {
		return conf.Config{}, finding{"configuration", bad, err.Error(), ""}
	}
	cfg, err := loadConfig(file)
	switch {
	case err != nil:
		text := strings.ReplaceAll(err.Error(), "\n", "\n         ")
		return cfg, finding{"configuration", bad, text, "correct it; \"gateway check\" tells whether all is well"}
	case file == "":
		return cfg, finding{"configuration", good, "there is none: the defaults hold", ""}
	}
	return cfg, finding{"configuration", good, file + " is valid", ""}
}
