//go:build unix

package delivery

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	perFrame = 12 // packets: 30 frames a second are 4 Mbit/s
	gop      = 30 // frames of a group of pictures
)

// BenchmarkDeliver publishes frames and waits until all players have got them; an operation is one delivered packet.
// cpu-ns/op is the processor time of the process, with the kernel's work and, over TCP, the reading of the data; UDP
// packets that find their buffer full are thrown away there. The time of an operation is of no use where the packets are
// paced. Allocations are those of the whole process.
func BenchmarkDeliver(b *testing.B) {
	for _, network := range []string{"udp", "tcp"} {
		for _, way := range []string{"", "/portable"} {
			for _, players := range []int{1, 100, 400} {
				b.Run(fmt.Sprintf("%s%s/%d", network, way, players), func(b *testing.B) {
					benchmarkDeliver(b, network, way != "", players)
				})
			}
		}
	}
}

func benchmarkDeliver(b *testing.B, network string, portable bool, players int) {
	l := newLab(b, Options{StartMaxAge: time.Minute, Portable: portable}, video)
	l.picture(true, perFrame)
	rtp, rtcp := listenUDP(b, ""), listenUDP(b, "")
	var all []*Player
	for range players {
		o := Outlet{RTP: rtp, RTCP: rtcp}
		if network == "tcp" {
			s, u := pair(b)
			go io.CopyBuffer(io.Discard, struct{ io.Reader }{u}, make([]byte, 1<<16))
			o = Outlet{Link: l.sender.Link(s), RTCPChannel: 1}
		} else {
			u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			defer u.Close()
			o.RTPAddr = u.LocalAddr().(*net.UDPAddr).AddrPort()
			o.RTCPAddr = o.RTPAddr
		}
		p := l.sender.Player(PlayerOptions{Stream: l.pub.Stream(), Outlets: []Outlet{o}, CNAME: "gate"})
		defer p.Close(false)
		if err := p.Play(b.Context(), nil, func([]Start) []byte { return nil }); err != nil {
			b.Fatal(err)
		}
		all = append(all, p)
	}
	timer := time.NewTimer(0)
	wait := func(each uint64) {
		for _, p := range all {
			for p.count.packets.Load() < each {
				timer.Reset(50 * time.Microsecond)
				<-timer.C
				if n := p.count.skipped.Load(); n > 0 {
					b.Fatalf("a player skipped %d packets", n)
				}
			}
		}
	}
	each := uint64(perFrame + 1)
	wait(each)
	frames := benchFrames()
	b.ReportAllocs()
	b.ResetTimer()
	begun, delivered := processorTime(b), 0
	for n := 0; n < b.N; n += players * perFrame {
		for _, data := range frames[l.frame%len(frames)] {
			binary.BigEndian.PutUint16(data[2:], uint16(l.seq[0].Add(1)))
			binary.BigEndian.PutUint32(data[4:], uint32(l.frame)*3000)
			binary.BigEndian.PutUint32(data[8:], 1)
			if err := l.pub.WriteRTP(0, data, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
		l.frame++
		each += perFrame
		wait(each)
		delivered += players * perFrame
	}
	b.ReportMetric(float64(processorTime(b)-begun)/float64(delivered), "cpu-ns/op")
}

// processorTime returns how long this process has kept processors busy.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchFrames returns the packets of several groups of pictures. They are used again and again, so that the publisher
// allocates nothing; nobody keeps a packet for so long.
func benchFrames() [8 * gop][][]byte {
	var frames [8 * gop][][]byte
	for i := range frames {
		for j := range perFrame {
			data := make([]byte, 1412)
			data[0], data[1], data[12] = 0x80, 96, 0x41
			if j == 0 && i%gop == 0 {
				data[12] = 0x67
			}
			if j == perFrame-1 {
				data[1] |= 0x80
			}
			frames[i] = append(frames[i], data)
		}
	}
	return frames
}
