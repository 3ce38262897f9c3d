package camera

import (
	"encoding/binary"
	"testing"
)

var usual = Format{Bitrate: 4e6, FrameRate: 30, KeyEvery: 30, Payload: 1400}

// packets returns the packets of a frame.
func packets(f *Frame) [][]byte {
	b, sizes := f.Packets(nil, nil)
	var all [][]byte
	for _, n := range sizes {
		all = append(all, b[:n])
		b = b[n:]
	}
	return all
}

func TestFramesAreAStream(t *testing.T) {
	fr := NewFrames(usual)
	var number uint32
	bytes := 0
	for n := range 60 {
		now := int64(n) * 1e9 / 30
		frame := fr.Next(now)
		all := packets(frame)
		for i, p := range all {
			at, got, ok := Sent(p)
			if !ok || at != now || got != number {
				t.Fatalf("frame %d packet %d: Sent = %d, %d, %v, want %d, %d", n, i, at, got, ok, now, number)
			}
			if seq := binary.BigEndian.Uint16(p[2:]); seq != uint16(number) {
				t.Errorf("packet %d has sequence number %d", number, seq)
			}
			if ts := binary.BigEndian.Uint32(p[4:]); ts != uint32(n*3000) {
				t.Errorf("frame %d has timestamp %d", n, ts)
			}
			if marker := p[1]&0x80 != 0; marker != (i == len(all)-1) {
				t.Errorf("frame %d packet %d of %d: marker = %v", n, i, len(all), marker)
			}
			if i == 0 && StartsKeyFrame(p) != (n%30 == 0) {
				t.Errorf("frame %d: StartsKeyFrame = %v", n, StartsKeyFrame(p))
			}
			bytes += len(p) - header
			number++
		}
	}
	if rate := bytes * 8 / 2; rate < 3_950_000 || rate > 4_050_000 {
		t.Errorf("the stream has %d bit/s, want 4000000", rate)
	}
}

func TestFrameIsTheSameInterleaved(t *testing.T) {
	frame := NewFrames(usual).Next(1)
	b := frame.Interleaved()
	for i, p := range packets(frame) {
		if n := int(binary.BigEndian.Uint16(b[2:])); b[0] != '$' || b[1] != 0 || n != len(p) {
			t.Fatalf("packet %d: interleaved header is %x, want $, channel 0, %d", i, b[:4], len(p))
		}
		if string(b[4:4+len(p)]) != string(p) {
			t.Errorf("packet %d differs", i)
		}
		b = b[4+len(p):]
	}
	if len(b) > 0 {
		t.Errorf("%d bytes too many", len(b))
	}
}

func TestFullPacketsAreOfOneSize(t *testing.T) {
	fr := NewFrames(usual)
	for n := range 2 {
		_, sizes := fr.Next(0).Packets(nil, nil)
		if n == 0 {
			sizes = sizes[1:] // the parameter sets
		}
		for i, s := range sizes[:len(sizes)-1] {
			if s != header+usual.Payload {
				t.Errorf("frame %d packet %d has %d bytes, want %d", n, i, s, header+usual.Payload)
			}
		}
	}
}

func TestFormatCheck(t *testing.T) {
	for name, f := range map[string]Format{
		"no frames":     {Bitrate: 4e6, KeyEvery: 30, Payload: 1400},
		"no key frames": {Bitrate: 4e6, FrameRate: 30, Payload: 1400},
		"large packets": {Bitrate: 4e6, FrameRate: 30, KeyEvery: 30, Payload: 9000},
		"low rate":      {Bitrate: 1e5, FrameRate: 30, KeyEvery: 30, Payload: 1400},
	} {
		if f.Check() == nil {
			t.Errorf("%s: Check = nil, want an error", name)
		}
	}
	if err := usual.Check(); err != nil {
		t.Errorf("Check = %v", err)
	}
}
