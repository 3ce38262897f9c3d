//go:build integration

package lab

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Gateway is a gateway with a folder and ports of its own. It listens on loopback and is configured before Start.
type Gateway struct {
	Name string
	ID   string // its peer ID
	Port int    // of RTSP
	Dir  string

	// OverlayPort is where its overlay listens, at Host unless there are others.
	OverlayPort  int
	OverlayHosts []string

	// Lines of the sections of gateway.yml, without indentation of their own.
	RTSP, Overlay, HLS []string
	// More is appended to gateway.yml as it is.
	More string
	// LogLevel is debug, which tests need to see, unless it is set before Start.
	LogLevel string
	// Host is the address to listen at, 127.0.0.1 unless a namespace has another.
	Host string
	// Listen is what rtsp.listen says, Host and Port unless it is set.
	Listen string
	// Program is the binary to run, the gateway under test unless it is set.
	Program string
	// Prefix is a command to start the gateway with, such as ip netns exec a.
	Prefix []string

	t      testing.TB
	secure int // port of RTSPS
	hls    int // port
	webrtc int // port of HTTP and UDP; TCP has the next
	peers  []string
	proc   *Program
}

// peerID is an ID as "gateway id" prints it.
var peerID = regexp.MustCompile(`12D3KooW[1-9A-HJ-NP-Za-km-z]{44}`)

// NewGateway makes a gateway that is not started yet; its key exists.
func NewGateway(t testing.TB, name string) *Gateway {
	t.Helper()
	g := &Gateway{
		Name: name, Host: "127.0.0.1", Dir: t.TempDir(), Port: freePort(t), OverlayPort: freePort(t), secure: freePort(t), hls: freePort(t), webrtc: freePort(t), t: t,
		LogLevel: "debug",
		Overlay:  []string{"idle_after: 2s", "mdns: false"}, // tests stay on this machine
	}
	g.write()
	out := Run(t, Patience, Binary(t), "id", g.File())
	g.ID = peerID.FindString(string(out))
	if g.ID == "" {
		t.Fatalf("gateway id prints no ID: %q", out)
	}
	return g
}

// File is the path of its configuration.
func (g *Gateway) File() string { return filepath.Join(g.Dir, "gateway.yml") }

// Write writes the configuration, as Start does, and returns its path.
func (g *Gateway) Write() string {
	g.t.Helper()
	g.write()
	return g.File()
}

// write makes the configuration.
func (g *Gateway) write() {
	g.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "log:\n  level: %s\ndata: %s\n", g.LogLevel, filepath.Join(g.Dir, "data"))
	fmt.Fprintf(&b, "rtsp:\n  listen: %q\n", cmp.Or(g.Listen, g.HostPort()))
	for _, l := range g.RTSP {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	fmt.Fprintf(&b, "hls:\n  listen: %q\n", net.JoinHostPort(g.Host, fmt.Sprint(g.hls)))
	for _, l := range g.HLS {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	fmt.Fprintf(&b, "webrtc:\n  listen: %[1]q\n  udp: %[1]q\n  tcp: %[2]q\n", g.WebHostPort(), net.JoinHostPort(g.Host, fmt.Sprint(g.webrtc+1)))
	b.WriteString("overlay:\n  listen:\n")
	for _, a := range g.Addresses() {
		fmt.Fprintf(&b, "    - %s\n", a)
	}
	for _, l := range g.Overlay {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	if len(g.peers) > 0 {
		b.WriteString("peers:\n" + strings.Join(g.peers, ""))
	}
	b.WriteString(g.More)
	if err := os.WriteFile(g.File(), []byte(b.String()), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// Addresses are where its overlay listens.
func (g *Gateway) Addresses() []string {
	hosts := g.OverlayHosts
	if len(hosts) == 0 {
		hosts = []string{g.Host}
	}
	var all []string
	for _, h := range hosts {
		version := "ip4"
		if strings.Contains(h, ":") {
			version = "ip6"
		}
		for _, form := range []string{"tcp/%d", "udp/%d/quic-v1"} {
			all = append(all, "/"+version+"/"+h+"/"+fmt.Sprintf(form, g.OverlayPort))
		}
	}
	return all
}

// OverlayTCP is where its overlay listens for TCP, as host:port.
func (g *Gateway) OverlayTCP() string { return net.JoinHostPort(g.Host, fmt.Sprint(g.OverlayPort)) }

// Knows adds peers with their addresses, each under its name.
func (g *Gateway) Knows(peers ...*Gateway) {
	for _, p := range peers {
		g.KnowsAt(p, p.Addresses()...)
	}
}

// KnowsAt adds a peer at the given addresses, or without any.
func (g *Gateway) KnowsAt(p *Gateway, addresses ...string) {
	g.AddPeer(p.Name, p.ID, addresses...)
}

// AddPeer adds a peer by petname and ID.
func (g *Gateway) AddPeer(name, id string, addresses ...string) {
	s := fmt.Sprintf("  %s:\n    id: %s\n", name, id)
	if len(addresses) > 0 {
		s += "    addresses:\n"
	}
	for _, a := range addresses {
		s += "      - " + a + "\n"
	}
	g.peers = append(g.peers, s)
}

// Start starts the gateway, again if it ran before, and waits until players can connect.
func (g *Gateway) Start() *Gateway {
	g.t.Helper()
	g.write()
	args := append(append([]string{}, g.Prefix...), cmp.Or(g.Program, Binary(g.t)), "run", g.File())
	g.proc = Spawn(g.t, args[0], args[1:]...)
	if len(g.Prefix) > 0 { // not in reach from here: its log says when it listens
		if !g.proc.Err.wait(0, []string{"listening", fmt.Sprint(g.Port)}, Patience, g.proc.done) {
			g.t.Fatalf("gateway %s does not listen", g.Name)
		}
		return g
	}
	g.waitListens(g.HostPort())
	if strings.Contains(strings.Join(g.RTSP, ""), g.SecureHostPort()) {
		g.waitListens(g.SecureHostPort())
	}
	return g
}

func (g *Gateway) waitListens(hostport string) {
	g.t.Helper()
	Eventually(g.t, Patience, "gateway "+g.Name+" listens at "+hostport, func() bool {
		select {
		case <-g.proc.done:
			g.t.Fatalf("gateway %s ended by itself: %v", g.Name, g.proc.err)
		default:
		}
		c, err := net.Dial("tcp", hostport)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// HostPort is where it serves RTSP.
func (g *Gateway) HostPort() string { return net.JoinHostPort(g.Host, fmt.Sprint(g.Port)) }

// URL returns the URL of a stream at this gateway.
func (g *Gateway) URL(name string) string { return "rtsp://" + g.HostPort() + "/" + name }

// WebHostPort is where it serves pages and WebRTC.
func (g *Gateway) WebHostPort() string { return net.JoinHostPort(g.Host, fmt.Sprint(g.webrtc)) }

// WebURL returns the URL of a path of its pages.
func (g *Gateway) WebURL(path string) string { return "http://" + g.WebHostPort() + "/" + path }

// HLSURL returns the URL of a stream's file for players of HLS.
func (g *Gateway) HLSURL(name, file string) string {
	return "http://" + net.JoinHostPort(g.Host, fmt.Sprint(g.hls)) + "/" + name + "/" + file
}

// HLSPort gives the gateway the port for HLS of another one.
func (g *Gateway) HLSPort(of *Gateway) { g.hls = of.hls }

// SecureHostPort is where it would serve RTSPS.
func (g *Gateway) SecureHostPort() string { return net.JoinHostPort(g.Host, fmt.Sprint(g.secure)) }

// SecureURL returns the URL of a stream at this gateway over TLS.
func (g *Gateway) SecureURL(name string) string { return "rtsps://" + g.SecureHostPort() + "/" + name }

// SelfSigned has the gateway serve RTSPS with a certificate of its own.
func (g *Gateway) SelfSigned() {
	g.RTSP = append(g.RTSP, fmt.Sprintf("tls: {listen: %q, self_signed: true}", g.SecureHostPort()))
}

// Kill ends the gateway as kill -9 does.
func (g *Gateway) Kill() { g.proc.Kill() }

// Stop ends the gateway as an operator does, and fails the test when it takes more than the 10 s it may.
func (g *Gateway) Stop() {
	g.t.Helper()
	g.proc.Signal(syscall.SIGTERM)
	if err := g.proc.Wait(15 * time.Second); err != nil { // 10 s and what a busy machine adds
		g.t.Errorf("gateway %s after SIGTERM: %v", g.Name, err)
	}
}

// Reload writes the configuration anew and sends SIGHUP.
func (g *Gateway) Reload() {
	g.t.Helper()
	g.write()
	g.proc.Signal(syscall.SIGHUP)
}

// Ticket has the running gateway issue a ticket.
func (g *Gateway) Ticket(flags ...string) string {
	g.t.Helper()
	args := append(append([]string{"ticket", "issue"}, flags...), g.File())
	return strings.TrimSpace(string(Run(g.t, Patience, Binary(g.t), args...)))
}

// Process is the running gateway.
func (g *Gateway) Process() *Program { return g.proc }

// Log returns what it has logged since it was started.
func (g *Gateway) Log() string { return g.proc.Err.String() }

// WaitLog waits for a line with all the words after the first from bytes of the log.
func (g *Gateway) WaitLog(from int, words ...string) {
	g.t.Helper()
	if !g.proc.Err.wait(from, words, Patience, g.proc.done) {
		g.t.Fatalf("gateway %s logs no line with %q", g.Name, words)
	}
}

// WaitStream waits until a player would be served a stream.
func (g *Gateway) WaitStream(name string) {
	g.t.Helper()
	c := Dial(g.t, g.HostPort())
	defer c.Close()
	Eventually(g.t, Patience, "gateway "+g.Name+" has "+name, func() bool {
		r, err := c.Do("DESCRIBE", g.URL(name), nil, "")
		if err != nil {
			c = Dial(g.t, g.HostPort())
			return false
		}
		return r.Status == 200
	})
}
