package overlay

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"peergate/media"
)

// BenchmarkHops measures, for pictures 30 times a second, the delay from the last packet of a picture at the owner to its
// arrival one and two hops away, and the bytes that the overlay needs for each byte of RTP.
func BenchmarkHops(b *testing.B) {
	for _, mbit := range []int{2, 8} {
		b.Run(fmt.Sprintf("%dMbit", mbit), func(b *testing.B) { benchHops(b, mbit*1_000_000) })
	}
}

func benchHops(b *testing.B, rate int) {
	a, m, c := chain(b)
	pub, err := a.hub.Publish("live", []media.Track{h264}, media.Origin{Kind: "publish"})
	if err != nil {
		b.Fatal(err)
	}
	defer pub.End()
	var mu sync.Mutex // guards sent
	sent := make(map[uint32]time.Time)
	const fps, size = 30, 1200
	packets := rate / 8 / fps / size
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(time.Second / fps)
		defer t.Stop()
		for n, seq := uint32(0), uint16(0); ; n++ {
			key := n%fps == 0
			k := packets
			if key {
				k *= 4
			}
			for i := range k {
				p := make([]byte, size)
				p[0], p[1], p[12] = 0x80, 96, 0x41
				if key {
					p[12] = 0x65
				}
				binary.BigEndian.PutUint16(p[2:], seq)
				binary.BigEndian.PutUint32(p[4:], n*3000)
				binary.BigEndian.PutUint32(p[8:], 7)
				binary.BigEndian.PutUint32(p[16:], n)
				seq++
				if i == k-1 {
					p[1] |= 0x80
					mu.Lock()
					sent[n] = time.Now()
					mu.Unlock()
				}
				_ = pub.WriteRTP(0, p, time.Now())
			}
			select {
			case <-t.C:
			case <-done:
				return
			}
		}
	})
	delays := make([][]time.Duration, 2)
	var bytes [2]uint64
	before, after := make([]Status, 2), make([]Status, 2)
	for i, g := range []*gateway{m, c} {
		v := g.view("a/live")
		v.watch(2 * fps * packets)
		wg.Go(func() {
			before[i] = g.node.Status()
			end := time.Now().Add(8 * time.Second)
			for time.Now().Before(end) {
				pkts, err := v.sub.Next(b.Context())
				if err != nil {
					return
				}
				now := time.Now()
				for _, p := range pkts {
					bytes[i] += uint64(len(p.Data))
					if p.Report || !p.Marker() {
						continue
					}
					mu.Lock()
					at := sent[binary.BigEndian.Uint32(p.Data[16:])]
					mu.Unlock()
					delays[i] = append(delays[i], now.Sub(at))
				}
			}
			after[i] = g.node.Status()
		})
	}
	time.AfterFunc(10*time.Second, func() { close(done) })
	wg.Wait()
	for i := range delays {
		slices.Sort(delays[i])
		n := len(delays[i])
		if n == 0 {
			b.Fatalf("nothing came %d hops away", i+1)
		}
		b.ReportMetric(float64(delays[i][n/2].Microseconds())/1000, fmt.Sprintf("ms-p50-hop%d", i+1))
		b.ReportMetric(float64(delays[i][n*99/100].Microseconds())/1000, fmt.Sprintf("ms-p99-hop%d", i+1))
	}
	b.ReportMetric(float64(after[1].In-before[1].In)/float64(bytes[1]), "bytes/RTP-byte")
	b.ReportMetric(0, "ns/op")
}
