//go:build integration

package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"peergate/integration/lab"
	"peergate/integration/netlab"
)

// multicastViewers are the players that can be told to use multicast.
var multicastViewers = []lab.Viewer{lab.FFmpeg("udp_multicast"), lab.GStreamer("udp_multicast"), lab.FFmpeg("tcp")}

// TestMulticast plays by multicast from one host of a LAN to another one (RFC 2326 §12.39): each player decodes every picture,
// and each packet is on the wire once, whatever their number.
func TestMulticast(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	box := netlab.New(t).Box("lan", netlab.Link{}, netlab.Open)
	server, viewer := box.Host("server"), box.Host("viewer")
	g := lab.NewGateway(t, "a")
	g.Host, g.Prefix = server.Addr.String(), server.Prefix()
	g.RTSP = []string{"multicast: {groups: 239.255.42.0/24, port: 5004, ttl: 3}"}
	g.More = "users: [{name: any, read: [\"**\"], publish: [\"**\"]}]\n" // the encoder does not come from loopback
	g.Start()
	encoder := []string{
		"ffmpeg", "-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", clip.Path, "-c", "copy",
		"-f", "rtsp", "-rtsp_transport", "tcp", g.URL("live"),
	}
	args := append(server.Prefix(), encoder...)
	lab.Spawn(t, args[0], args[1:]...)
	conn, err := viewer.DialContext(t.Context(), "tcp", g.HostPort())
	if err != nil {
		t.Fatal(err)
	}
	c := lab.RawOver(t, conn)
	lab.Eventually(t, lab.Patience, "the stream is there", func() bool { return c.Ask("DESCRIBE", g.URL("live")).Status == 200 })
	watching := make([]*lab.Watching, 0, 2*len(multicastViewers))
	for range 2 {
		for _, v := range multicastViewers {
			watching = append(watching, v.Watch(t, g.URL("live"), 100, viewer.Prefix()...))
		}
	}
	checkMulticast(t, c, g, viewer)
	for _, w := range watching {
		pictures := clip.Settled(w.Pictures()) // all but those over TCP join in the middle of a group of pictures
		if w.Lossy() && drops(t, viewer) > 0 {
			clip.Mostly(t, w.String(), pictures, 100-lab.FrameRate, mostly)
		} else {
			clip.Verify(t, w.String(), pictures, 100-lab.FrameRate)
		}
	}
}

// drops returns how many packets the kernel of a host has dropped for want of room in their receivers' buffers.
func drops(t *testing.T, h *netlab.Host) (n int) {
	t.Helper()
	if err := h.Do(func() error { n = lab.UDPDrops(t); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// checkMulticast looks at the server's answers to those who ask for multicast, on the viewer's host.
func checkMulticast(t *testing.T, c *lab.Raw, g *lab.Gateway, viewer *netlab.Host) {
	t.Helper()
	groups := make(map[string]bool)
	for i, track := range tracksOf(t, c, g.URL("live")) {
		m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP;multicast")
		c.Session, _ = m.SessionID()
		group, _ := m.Param("destination")
		ip := net.ParseIP(group)
		_, network, _ := net.ParseCIDR("239.255.42.0/24")
		if ip == nil || !network.Contains(ip) {
			t.Errorf("destination is %q, want an address of %v", group, network)
		}
		port, _ := m.Param("port")
		if want := fmt.Sprintf("%d-%d", 5004+2*i, 5005+2*i); port != want {
			t.Errorf("port is %q, want %s", port, want)
		}
		if ttl, _ := m.Param("ttl"); ttl != "3" {
			t.Errorf("ttl is %q, want 3", ttl)
		}
		if !strings.Contains(m.Header.Get("Transport"), ";multicast") {
			t.Errorf("Transport is %q", m.Header.Get("Transport"))
		}
		groups[group] = true
	}
	if len(groups) != 1 {
		t.Errorf("groups are %v, want one for the stream", groups)
	}
	c.Want(200, "PLAY", g.URL("live"))
	for group := range groups {
		checkOnce(t, viewer, &net.UDPAddr{IP: net.ParseIP(group), Port: 5004})
	}
	c.Want(200, "TEARDOWN", g.URL("live"))
}

// checkOnce joins a group beside all others and wants each packet once.
func checkOnce(t *testing.T, viewer *netlab.Host, group *net.UDPAddr) {
	t.Helper()
	var conn *net.UDPConn
	err := viewer.Do(func() (err error) {
		conn, err = net.ListenMulticastUDP("udp4", nil, group)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	seen := make(map[uint16]bool)
	for range 300 {
		seq := binary.BigEndian.Uint16(receive(t, conn)[2:])
		if seen[seq] {
			t.Fatalf("packet %d comes twice", seq)
		}
		seen[seq] = true
	}
}
