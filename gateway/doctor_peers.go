package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/overlay/p2p"
)

const (
	// probeTimeout is how long one address may take to answer.
	probeTimeout = 3 * time.Second
	// farRTT is the round trip from which repair of lost packets takes more than the least delay of play-out.
	farRTT = 200 * time.Millisecond
)

// examineKey looks at the key without making one.
func examineKey(folder string) finding {
	const point = "key"
	if !p2p.HasIdentity(folder) {
		return finding{point, good, "will be made at first start in " + folder, ""}
	}
	id, err := p2p.LoadIdentity(folder)
	if err != nil {
		return finding{point, bad, err.Error(), ""}
	}
	return finding{point, good, string(id.ID), ""}
}

// examinePorts tries to listen where the gateway would.
func examinePorts(cfg conf.Config) []finding {
	type port struct{ setting, network, addr string }
	ports := []port{{"rtsp.listen", "tcp", cfg.RTSP.Listen}}
	if a := cfg.RTSP.TLS.Listen; a != "" {
		ports = append(ports, port{"rtsp.tls.listen", "tcp", a})
	}
	if a := cfg.API.Listen; a != "" {
		ports = append(ports, port{"api.listen", "tcp", a})
	}
	if cfg.Overlay.Enabled {
		for _, a := range cfg.Overlay.Listen {
			network, addr := socketAddress(a)
			ports = append(ports, port{"overlay.listen", network, addr})
		}
	}
	optional := []port{{"hls.listen", "tcp", cfg.HLS.Listen}}
	if cfg.WebRTC.Listen != "" {
		optional = append(optional, port{"webrtc.listen", "tcp", cfg.WebRTC.Listen}, port{"webrtc.udp", "udp", cfg.WebRTC.UDP}, port{"webrtc.tcp", "tcp", cfg.WebRTC.TCP})
	}
	var all []finding
	try := func(p port, taken verdict) {
		point := fmt.Sprintf("%s %s/%s", p.setting, p.addr, p.network)
		if err := tryListen(p.network, p.addr); err != nil {
			all = append(all, finding{point, taken, explain(err).Error(), ""})
			return
		}
		all = append(all, finding{point, good, "is free", ""})
	}
	for _, p := range ports {
		try(p, bad)
	}
	for _, p := range optional {
		if p.addr != "" {
			try(p, fair) // the rest of the gateway works without
		}
	}
	return all
}

// socketAddress turns a valid address of the overlay, in either form, into one for package net.
func socketAddress(a string) (network, addr string) {
	p := strings.Split(a, "/")
	if len(p) < 5 {
		return "tcp", a
	}
	return p[3], net.JoinHostPort(p[2], p[4])
}

// tryListen listens for a moment. IPv6 addresses are for IPv6 alone, as the overlay has them.
func tryListen(network, addr string) error {
	if strings.HasPrefix(addr, "[") {
		network += "6"
	} else if !strings.HasPrefix(addr, ":") {
		network += "4"
	}
	if strings.HasPrefix(network, "udp") {
		c, err := net.ListenPacket(network, addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	l, err := net.Listen(network, addr)
	if err == nil {
		l.Close()
	}
	return err
}

// examineAnswer asks the running gateway something over RTSP.
func examineAnswer(ctx context.Context, cfg conf.Config) finding {
	host, port, err := net.SplitHostPort(cfg.RTSP.Listen)
	if err != nil {
		return finding{"rtsp", bad, err.Error(), ""}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	addr := net.JoinHostPort(host, port)
	begin := time.Now()
	if err := askOptions(ctx, addr); err != nil {
		return finding{"rtsp", bad, err.Error(), "look into the gateway's log; a firewall of this machine may stand between"}
	}
	return finding{"rtsp", good, fmt.Sprintf("answers at %s in %.1f ms", addr, ms(time.Since(begin))), ""}
}

func askOptions(ctx context.Context, addr string) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(c, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: gateway doctor\r\n\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return fmt.Errorf("OPTIONS at %s: %w", addr, err)
	}
	if !strings.HasPrefix(line, "RTSP/1.0 200 ") {
		return fmt.Errorf("OPTIONS at %s: %s", addr, strings.TrimSpace(line))
	}
	return nil
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: probeTimeout}
	return d.DialContext(ctx, "tcp", addr)
}

// examineLinks looks at each peer: as the running gateway sees it, else by trying its addresses.
func examineLinks(ctx context.Context, cfg conf.Config, o *web.Overlay) []finding {
	if !cfg.Overlay.Enabled {
		return []finding{{"overlay", good, "is off", ""}}
	}
	if len(cfg.Peers) == 0 {
		return []finding{{"peers", fair, "none are listed: no stream is exchanged", "list other gateways under peers; \"gateway id\" prints what they need"}}
	}
	var all []finding
	if o == nil {
		for name, p := range cfg.Peers {
			all = append(all, probe(ctx, name, p.Addresses))
		}
		return byPoint(all)
	}
	for _, p := range o.Peers {
		if f := linked(p); f.Verdict == good || len(cfg.Peers[p.Name].Addresses) == 0 {
			all = append(all, f)
		} else {
			tried := probe(ctx, p.Name, cfg.Peers[p.Name].Addresses)
			f.Text += "; " + tried.Text
			all = append(all, f)
		}
	}
	return byPoint(all)
}

// linked tells how the running gateway sees a peer.
func linked(p web.Peer) finding {
	point := "peer " + p.Name
	rtt := time.Duration(p.RTTMS * float64(time.Millisecond))
	switch {
	case p.Connected && p.Way == "relayed":
		return finding{point, fair, fmt.Sprintf("connected at %s, %s, %.1f ms away: media cost another gateway's line twice", p.Remote, way(&p), p.RTTMS), "let one of the two be reached from outside: see the points above there"}
	case p.Connected && rtt > farRTT:
		return finding{point, fair, fmt.Sprintf("connected at %s, %s, but %.0f ms away", p.Remote, way(&p), p.RTTMS), "set overlay.delay to several times the round trip if pictures are missing"}
	case p.Connected:
		return finding{point, good, fmt.Sprintf("connected at %s, %s, %.1f ms away", p.Remote, way(&p), p.RTTMS), ""}
	case strings.Contains(p.Err, p2p.ErrRefused.Error()):
		return finding{point, bad, p.Err, "this gateway's ID must stand under peers there: \"gateway id\" prints it"}
	case strings.Contains(p.Err, "somebody poses as the peer"): // p2p.WrongKeyError
		return finding{point, bad, p.Err, "correct the address or the ID under peers"}
	case p.Err != "":
		return finding{point, bad, p.Err, "see to it that one of the two gateways can reach the other's overlay port (8555), TCP and UDP"}
	}
	return finding{point, fair, "not connected, and no address of it is known", "it has to connect by itself, or write its addresses here"}
}

// probe tries the TCP addresses of a peer.
func probe(ctx context.Context, name string, addrs []string) finding {
	point := "peer " + name
	if len(addrs) == 0 {
		return finding{point, good, "no address is listed: it connects by itself, or other peers know where it is", ""}
	}
	var faults []string
	for _, a := range addrs {
		network, addr := socketAddress(a)
		if network != "tcp" {
			continue
		}
		begin := time.Now()
		c, err := dial(ctx, addr)
		if err == nil {
			c.Close()
			return finding{point, good, fmt.Sprintf("%s answers over TCP in %.1f ms", addr, ms(time.Since(begin))), ""}
		}
		faults = append(faults, err.Error())
	}
	if len(faults) == 0 {
		return finding{point, fair, "only QUIC addresses are listed, which a running gateway alone can try", ""}
	}
	return finding{point, bad, strings.Join(faults, "; "), "the gateway there may not run, or a firewall or router is between: its overlay port (8555), TCP and UDP, must be reachable"}
}
