package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"peergate/conf"
	"peergate/gateway/web"
)

// examineReach tells how others reach the running gateway, as far as its peers have found out.
func examineReach(o *web.Overlay) []finding {
	if o == nil {
		return nil
	}
	r := &o.Reach
	all := []finding{natKind(r)}
	reached := false
	for _, way := range []struct{ name, said string }{{"TCP", r.TCP}, {"QUIC", r.QUIC}} {
		f := finding{"reached over " + way.name, good, "", ""}
		switch way.said {
		case "ok":
			reached = true
			f.Text = "a peer could connect from outside"
		case "":
			f.Text = "not known: no peer has tried yet"
		default:
			f.Verdict, f.Text = fair, way.said
			f.Remedy = "lead port 8555, TCP and UDP, of the router here (overlay.port_mapping asks it to), and let the firewall pass it"
		}
		all = append(all, f)
	}
	if len(r.Mapped) > 0 {
		all = append(all, finding{"router", good, "leads here " + strings.Join(r.Mapped, ", "), ""})
	}
	switch {
	case len(r.Relays) > 0:
		all = append(all, finding{"relays", good, "it can be reached through " + strings.Join(r.Relays, ", "), ""})
	case !reached && r.TCP+r.QUIC != "":
		all = append(all, finding{"relays", fair, "there are none: peers that are behind NAT too cannot connect", "have a peer that can be reached set overlay.relay_for"})
	}
	return all
}

// natKind tells what the router before this gateway does to its packets.
func natKind(r *web.Reach) finding {
	f := finding{"NAT", good, "", ""}
	seen := strings.Join(r.Seen, ", ")
	switch r.NAT {
	case "none":
		f.Text = "none: peers see it at an address of this machine"
	case "port-preserving", "endpoint-independent":
		f.Text = fmt.Sprintf("%s, seen at %s: peers can punch holes", r.NAT, seen)
	case "symmetric":
		f.Verdict, f.Text = fair, fmt.Sprintf("symmetric, seen at %s: no holes can be punched to gateways behind one that is symmetric too", seen)
		f.Remedy = "set the router to keep ports (full cone), lead port 8555 here, or have a peer set overlay.relay_for"
	default:
		f.Text = "not known yet: two peers must have told where they see this gateway"
		if seen != "" {
			f.Text += "; one sees it at " + seen
		}
	}
	return f
}

// way tells how a peer is connected.
func way(p *web.Peer) string {
	return fmt.Sprintf("%s over %s", cmp.Or(p.Way, "direct"), strings.ToUpper(cmp.Or(p.Transport, "tcp")))
}

// examineUpload measures what the running gateway can give to others, unless it gives something now: the line is full meanwhile.
func examineUpload(ctx context.Context, cfg conf.Config, folder string, o *web.Overlay) (finding, bool) {
	if o == nil || !slices.ContainsFunc(o.Peers, func(p web.Peer) bool { return p.Connected }) {
		return finding{}, false
	}
	f := finding{"upload", good, "", ""}
	for _, ch := range o.Channels {
		if len(ch.Children) > 0 {
			f.Text = fmt.Sprintf("not measured, since %s is being given to others and would suffer", ch.Name)
			return f, true
		}
	}
	u, err := web.MeasureUpload(ctx, folder)
	if err != nil {
		f.Text = "not measured: " + err.Error()
		return f, true
	}
	return uploadFound(u, cfg.Overlay.Upload), true
}

// uploadFound compares what was measured with what the gateway may give.
func uploadFound(u web.Upload, limit conf.Rate) finding {
	f := finding{"upload", good, fmt.Sprintf("%s to %s", megabits(u.Rate), u.Peer), ""}
	switch {
	case limit == conf.Unlimited || limit == 0:
	case int(limit) > u.Rate:
		f.Verdict, f.Text = fair, f.Text+", less than overlay.upload allows: "+megabits(int(limit))
		f.Remedy = fmt.Sprintf("set overlay.upload to %dkbit or less, so that others are not promised more, or to auto", u.Rate*9/10/1000)
	default:
		f.Text += ", of which overlay.upload allows " + megabits(int(limit))
	}
	return f
}

func megabits(rate int) string { return fmt.Sprintf("%.1f Mbit/s", float64(rate)/1e6) }
