package load

import (
	"testing"
	"time"

	"peergate/integration/bench/players/camera"
)

var format = camera.Format{Bitrate: 1e6, FrameRate: 30, KeyEvery: 5, Payload: 1000}

// stream returns the packets of the first frames of a stream, each frame sent 33 ms after the one before.
func stream(frames int) (packets [][]byte, at []int64) {
	fr := camera.NewFrames(format)
	for n := range frames {
		sent := int64(n) * int64(33*time.Millisecond)
		b, sizes := fr.Next(sent).Packets(nil, nil)
		for _, k := range sizes {
			packets, at = append(packets, b[:k]), append(at, sent)
			b = b[k:]
		}
	}
	return packets, at
}

// starts returns the indices of the packets that start a key frame.
func starts(packets [][]byte) (all []int) {
	for i, p := range packets {
		if p[12]&0x1f == 24 {
			all = append(all, i)
		}
	}
	return all
}

func TestFlawlessStream(t *testing.T) {
	packets, at := stream(20)
	var a audit
	w := window{open: true, to: uint32(len(packets))}
	for i, p := range packets {
		a.take(p, at[i]+int64(time.Millisecond), &w)
	}
	if a.packets != uint64(len(packets)) || a.counted != a.packets || a.missing+a.late+a.faults != 0 {
		t.Errorf("%d packets, %d counted, %d missing, %d late, %d faults, want %d and none", a.packets, a.counted, a.missing, a.late, a.faults, len(packets))
	}
	if !a.keyed || a.joined == 0 {
		t.Errorf("keyed = %v, joined = %d, want a start on the key frame", a.keyed, a.joined)
	}
	if got := w.delays.Percentile(0.99); got < time.Millisecond || got > 1100*time.Microsecond {
		t.Errorf("p99 = %v, want 1ms", got)
	}
	if a.delays.Count() != 20 {
		t.Errorf("%d delays of last packets of frames, want 20", a.delays.Count())
	}
}

func TestLossAndRepetitionAreSeen(t *testing.T) {
	packets, at := stream(20)
	var a audit
	w := window{open: true, to: uint32(len(packets))}
	for i, p := range packets {
		switch i {
		case 10, 11, 30:
			continue
		case 40:
			a.take(p, at[i], &w)
			a.take(packets[20], at[i], &w)
		}
		a.take(p, at[i], &w)
	}
	if a.missing != 3 || a.late != 2 || a.faults != 0 {
		t.Errorf("%d missing, %d late, %d faults, want 3, 2, 0", a.missing, a.late, a.faults)
	}
	if want := uint64(len(packets) - 3); a.counted != want {
		t.Errorf("%d counted, want %d", a.counted, want)
	}
}

func TestStartInsideAGroup(t *testing.T) {
	packets, at := stream(20)
	second := starts(packets)[1]
	var a audit
	for i := second - 3; a.joined == 0; i++ {
		a.take(packets[i], at[i]+5, new(window))
		if last := packets[i][1]&0x80 != 0; a.joined != 0 && (!last || i < second) {
			t.Fatalf("joined at packet %d, the key frame starts at %d", i, second)
		}
	}
	if a.keyed {
		t.Error("keyed = true for a start inside a group")
	}
}

func TestForeignPacketsAreFaults(t *testing.T) {
	packets, at := stream(2)
	var a audit
	a.take([]byte("short"), 0, new(window))
	a.take(packets[0], at[0], new(window))
	packets[1][3] += 7 // its sequence number is not the camera's any more
	a.take(packets[1], at[1], new(window))
	if a.faults != 2 {
		t.Errorf("faults = %d, want 2", a.faults)
	}
}

func TestWindowCountsItsNumbersOnly(t *testing.T) {
	w := window{open: true, from: 0xffff_fffe, to: 2}
	for number, want := range map[uint32]bool{0xffff_fffd: false, 0xffff_fffe: true, 1: true, 2: false} {
		if got := w.has(number); got != want {
			t.Errorf("has(%#x) = %v, want %v", number, got, want)
		}
	}
	if new(window).has(0) {
		t.Error("a window that is not open has packet 0")
	}
}
