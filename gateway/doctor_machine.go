package main

import (
	"cmp"
	"fmt"
	"slices"

	"peergate/conf"
)

const (
	// wantedBuffer is the size in bytes that QUIC asks for of a UDP socket's buffers.
	wantedBuffer = 7_500_000
	// otherFiles is how many files a gateway has open beside players' connections: peers, logs, libraries.
	otherFiles = 500
)

// machine is what the doctor finds out about the system. Fields of functions that the system does not have are false.
type machine struct {
	known           bool   // the rest was found out
	bbr, segment    bool   // TCP_CONGESTION bbr is granted; UDP_SEGMENT is
	congestion      string // net.ipv4.tcp_allowed_congestion_control
	receive, send   int    // most bytes of socket buffers; 0 unknown
	files           uint64 // most open files of the doctor's process
	synchronized    bool   // the clock is
	clockKnown      bool
	clockUncertain  float64 // milliseconds
	operatingSystem string
}

func examineMachine(cfg conf.Config) []finding { return judge(lookAround(), cfg) }

// judge tells what a machine means for a gateway.
func judge(m machine, cfg conf.Config) []finding {
	if !m.known {
		return []finding{{"system", fair, m.operatingSystem + " is not looked at more closely", "Linux has the fast ways to send"}}
	}
	var all []finding
	add := func(ok bool, point, yes, no, remedy string) {
		if ok {
			all = append(all, finding{point, good, yes, ""})
			return
		}
		all = append(all, finding{point, fair, no, remedy})
	}
	if cfg.Overlay.Congestion == conf.CongestionBBR {
		add(m.bbr, "congestion control", "BBR is granted", "BBR is refused; allowed are: "+m.congestion,
			"modprobe tcp_bbr, and add bbr to net.ipv4.tcp_allowed_congestion_control (docs/operations.md): it keeps the rate where packets are lost")
	}
	add(m.segment, "UDP_SEGMENT", "the kernel sends many packets at once", "the kernel lacks it: each packet to a player costs a call", "use Linux 4.18 or later")
	if m.receive > 0 {
		add(m.receive >= wantedBuffer && m.send >= wantedBuffer, "socket buffers", fmt.Sprintf("up to %d bytes", min(m.receive, m.send)),
			fmt.Sprintf("%d and %d bytes at most: bursts may be lost", m.receive, m.send),
			fmt.Sprintf("set net.core.rmem_max and net.core.wmem_max to %d (docs/operations.md)", wantedBuffer))
	}
	add(m.files >= uint64(cfg.RTSP.MaxConnections+otherFiles), "open files", fmt.Sprintf("%d", m.files),
		fmt.Sprintf("%d are too few for rtsp.max_connections, which is %d", m.files, cfg.RTSP.MaxConnections),
		"raise the limit (ulimit -n, LimitNOFILE of the service) or set rtsp.max_connections lower")
	if m.clockKnown {
		add(m.synchronized, "clock", fmt.Sprintf("is synchronized within %.0f ms", m.clockUncertain), "is not synchronized with others",
			"let a time service such as chrony or systemd-timesyncd run: sites that play in step need the same time")
	}
	return all
}

// byPoint sorts findings.
func byPoint(all []finding) []finding {
	slices.SortFunc(all, func(a, b finding) int { return cmp.Compare(a.Point, b.Point) })
	return all
}
