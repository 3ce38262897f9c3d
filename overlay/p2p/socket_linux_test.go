package p2p

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAcceptedSocketsAreTuned checks that the sender's side is tuned even when it was dialled.
func TestAcceptedSocketsAreTuned(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	granted := strings.Contains(string(b), congestion)
	l, err := listenTuned(t.Context(), "tcp", "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	raw, err := in.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		cc, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if granted && cc != congestion {
			t.Errorf("TCP_CONGESTION = %q, %v, want %q", cc, err, congestion)
		}
		if n, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); n != unsent {
			t.Errorf("TCP_NOTSENT_LOWAT = %d, %v, want %d", n, err, unsent)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
