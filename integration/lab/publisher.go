//go:build integration

package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
)

// Encode publishes a clip in real time and for ever with ffmpeg over TCP.
func Encode(t testing.TB, c *Clip, url string, extra ...string) *Program {
	t.Helper()
	args := []string{"-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", c.Path, "-c", "copy"}
	args = append(args, extra...)
	return Spawn(t, "ffmpeg", append(args, "-f", "rtsp", "-rtsp_transport", "tcp", url)...)
}

// Publisher publishes packets of the test's own making.
type Publisher struct {
	Conn *Conn
	URL  string
	t    testing.TB
	rtp  []*net.UDPConn // per track, nil when interleaved
	to   []*net.UDPAddr // of the server, likewise
	seq  []uint16
}

// Publish announces a description and records.
func Publish(t testing.TB, address, sdp string, transport Transport) *Publisher {
	t.Helper()
	conn, address := DialURL(t, address)
	p := &Publisher{Conn: conn, URL: address, t: t}
	p.Conn.Must("ANNOUNCE", address, []string{"Content-Type", "application/sdp"}, sdp)
	for i, control := range controls(address, sdp) {
		p.seq = append(p.seq, 65530) // it wraps soon
		p.rtp, p.to = append(p.rtp, nil), append(p.to, nil)
		if transport == TCP {
			h := fmt.Sprintf("RTP/AVP/TCP;unicast;mode=record;interleaved=%d-%d", 2*i, 2*i+1)
			p.Conn.Must("SETUP", control, []string{"Transport", h}, "")
			continue
		}
		rtp, _ := UDPPair(t)
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		r := p.Conn.Must("SETUP", control, []string{"Transport", fmt.Sprintf("RTP/AVP;unicast;mode=record;client_port=%d-%d", port, port+1)}, "")
		to, _, _ := strings.Cut(param(r.Header.Get("Transport"), "server_port"), "-")
		host, _, _ := net.SplitHostPort(conn.conn.RemoteAddr().String())
		server, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(host, to))
		if err != nil {
			t.Fatalf("Transport is %q: %v", r.Header.Get("Transport"), err)
		}
		p.rtp[i], p.to[i] = rtp, server
	}
	p.Conn.Must("RECORD", address, []string{"Range", "npt=0.000-"}, "")
	return p
}

// Write sends one RTP packet of a track.
func (p *Publisher) Write(track int, payloadType uint8, marker bool, timestamp uint32, payload []byte) {
	p.t.Helper()
	b := make([]byte, 12, 12+len(payload))
	b[0], b[1] = 0x80, payloadType
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], p.seq[track])
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], 0xcafe0000+uint32(track))
	p.seq[track]++
	b = append(b, payload...)
	var err error
	if c := p.rtp[track]; c != nil {
		_, err = c.WriteToUDP(b, p.to[track])
	} else {
		err = p.Conn.WritePacket(uint8(2*track), b)
	}
	if err != nil {
		p.t.Errorf("publish to %s: %v", p.URL, err)
	}
}
