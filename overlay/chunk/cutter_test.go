package chunk

import (
	"testing"
	"time"

	"peergate/media"
)

var (
	video = media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"}}
	audio = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000/2"}}
)

// frame returns the packets of a video frame of n bytes, at most 1200 in each.
func frame(ts uint32, n int) []media.Packet {
	var ps []media.Packet
	for n > 0 {
		m := min(n, 1200)
		n -= m
		ps = append(ps, packet(0, uint16(len(ps)), ts, n == 0, m-12))
	}
	return ps
}

func TestCutter(t *testing.T) {
	key := func(ps []media.Packet) []media.Packet {
		ps[0].Key = true
		return ps
	}
	join := func(parts ...[]media.Packet) (all []media.Packet) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	sound := func(n, size int) (ps []media.Packet) {
		for i := range n {
			p := packet(1, uint16(i), uint32(i), true, size-12)
			ps = append(ps, p)
		}
		return ps
	}
	alone := func(ps []media.Packet) []media.Packet {
		for i := range ps {
			ps[i].Track, ps[i].Key = 0, true
		}
		return ps
	}
	both := []media.Track{video, audio}
	for _, c := range []struct {
		name   string
		tracks []media.Track
		every  time.Duration // between packets
		in     []media.Packet
		want   []int  // packets of each chunk, the last one by Flush
		vital  string // "v" for each vital one, else "-"
	}{
		{"a frame is a chunk", both, 0, join(frame(1, 3000), frame(2, 2000)), []int{3, 2}, "--"},
		{"audio goes with the frame", both, 0, join(sound(2, 100), frame(1, 1500), sound(1, 100)), []int{4, 1}, "-v"},
		{"a key packet begins a chunk", both, 0, join(sound(1, 100), key(frame(2, 2000)), frame(3, 500)), []int{1, 2, 1}, "vv-"},
		{"a frame of 20 KB is three", both, 0, frame(1, 20_000), []int{6, 6, 5}, "---"},
		{"all parts of a key frame are vital", both, 0, join(key(frame(1, 20_000)), frame(2, 100)), []int{6, 6, 5, 1}, "vvv-"},
		{"40 ms with video", both, 15 * time.Millisecond, sound(8, 100), []int{4, 4}, "vv"},
		{"audio alone is 4 KiB", []media.Track{audio}, 0, alone(sound(9, 1000)), []int{4, 4, 1}, "vvv"},
		{"audio alone is 250 ms", []media.Track{audio}, 20 * time.Millisecond, alone(sound(30, 160)), []int{14, 14, 2}, "vvv"},
		{"a packet above the limit is one alone", both, 0, join(frame(1, 2400)[:1], []media.Packet{packet(0, 5, 1, false, 60_000)}, frame(1, 1200)), []int{1, 1, 1}, "---"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cutter, now := NewCutter(c.tracks), time.Unix(100, 0)
			var got []int
			vital := ""
			emit := func(cut Cut) {
				got = append(got, len(cut.Packets))
				if cut.Vital {
					vital += "v"
				} else {
					vital += "-"
				}
				if !cut.Wall.Equal(now) {
					t.Errorf("Wall = %v, want %v", cut.Wall, now)
				}
			}
			for _, p := range c.in {
				cutter.Add(p, now, emit)
				now = now.Add(c.every)
			}
			cutter.Flush(now, emit)
			if len(got) != len(c.want) {
				t.Fatalf("chunks of %v packets, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("chunks of %v packets, want %v", got, c.want)
				}
			}
			if vital != c.vital {
				t.Errorf("vital = %s, want %s", vital, c.vital)
			}
		})
	}
}

func TestCutterLimitGrowsWithRate(t *testing.T) {
	cutter, now := NewCutter([]media.Track{video}), time.Unix(100, 0)
	largest := 0
	emit := func(cut Cut) {
		n := 0
		for i := range cut.Packets {
			n += len(cut.Packets[i].Data)
		}
		largest = max(largest, n)
	}
	for i := range uint32(90) { // 3 s at 24 Mbit/s
		for _, p := range frame(i, 100_000) {
			cutter.Add(p, now, emit)
		}
		if i == 29 && (largest > limit || largest < limit/2) {
			t.Errorf("before the rate is known chunks have up to %d bytes, want about %d", largest, limit)
		}
		now = now.Add(time.Second / 30)
	}
	if largest > fastLimit || largest < fastLimit-1200 {
		t.Errorf("chunks have up to %d bytes, want about %d", largest, fastLimit)
	}
	if r := cutter.Rate(); r < 23_000_000 || r > 25_000_000 {
		t.Errorf("Rate = %d, want about 24000000", r)
	}
}

func TestCutterDue(t *testing.T) {
	cutter, now := NewCutter([]media.Track{video, audio}), time.Unix(100, 0)
	emit := func(Cut) { t.Error("a chunk was closed") }
	if _, ok := cutter.Due(); ok {
		t.Error("Due before the first packet")
	}
	cutter.Add(packet(1, 1, 1, false, 100), now, emit)
	cutter.Add(packet(1, 2, 2, false, 100), now.Add(time.Millisecond), emit)
	at, ok := cutter.Due()
	if !ok || at.Sub(now) != wait {
		t.Errorf("Due = %v after the packet, %v, want %v", at.Sub(now), ok, wait)
	}
	cutter.Flush(at, func(Cut) {})
	if _, ok := cutter.Due(); ok {
		t.Error("Due after Flush")
	}
}

// What the overlay adds to the RTP packets before TLS, chunks and their frames, stays under 4 % at 2 Mbit/s.
func TestOverhead(t *testing.T) {
	const fps, rate, seconds, sample = 30, 2_000_000, 20, 20 * time.Millisecond
	cutter, now := NewCutter([]media.Track{video, audio}), time.Unix(1_700_000_000, 0)
	begin := now
	var rtp, wire, chunks int
	emit := func(cut Cut) {
		b := Sign(testID(), testKey(2), nil, 1_000, 1_000_000+uint64(chunks), cut)
		chunks++
		wire += len(b) + 3 // a frame's length is a varint: 2 bytes up to 16 KiB, 3 above
	}
	add := func(p media.Packet) {
		rtp += len(p.Data)
		cutter.Add(p, now, emit)
	}
	spoken := now
	for i := range uint32(fps * seconds) {
		size := rate / 8 / fps
		if i%(2*fps) == 0 {
			size *= 8 // a key frame every 2 s
		}
		for j, p := range frame(i*3000, size*52/60) { // so that the key frames are within the rate
			p.Key = j == 0 && i%(2*fps) == 0
			add(p)
		}
		now = begin.Add(time.Duration(i+1) * time.Second / fps)
		for ; spoken.Before(now); spoken = spoken.Add(sample) {
			add(packet(1, 0, 0, true, 160)) // 64 kbit/s
		}
	}
	cutter.Flush(now, emit)
	ratio := float64(wire) / float64(rtp)
	t.Logf("%d bytes of RTP at %d kbit/s in %d chunks, %d on the wire: %.4f", rtp, rtp*8/seconds/1000, chunks, wire, ratio)
	if ratio >= 1.04 {
		t.Errorf("overlay bytes for an RTP byte = %.4f, want under 1.04", ratio)
	}
}
