package rtsp

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"strings"
	"testing"

	"peergate/media"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"
)

// unit is a NAL unit of n bytes with a given header.
func nalUnit(n int, header ...byte) []byte {
	b := append([]byte{}, header...)
	for i := len(b); i < n; i++ {
		b = append(b, byte(i*7))
	}
	return b
}

func rtpOf(seq uint16, marker bool, payload ...byte) []byte {
	p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: 7, SSRC: 9, Marker: marker}, Payload: payload}
	b, err := p.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

// TestFit cuts large packets so that a decoder gets the same units (RFC 6184 §5.8, RFC 7798 §4.4.3), all small enough,
// with one row of sequence numbers and the marker on the last.
func TestFit(t *testing.T) {
	h264Unit, h265Unit := nalUnit(5000, 0x65), nalUnit(5000, 0x26, 0x01)
	sps := nalUnit(20, 0x67)
	size := func(b []byte) []byte { return binary.BigEndian.AppendUint16(nil, uint16(len(b))) }
	for _, tt := range []struct {
		name  string
		codec string
		in    [][]byte // payloads of the frame's packets
		want  [][]byte // units
	}{
		{"H264 unit", "H264", [][]byte{h264Unit}, [][]byte{h264Unit}},
		{"H264 aggregation", "H264", [][]byte{bytes.Join([][]byte{{0x78}, size(sps), sps, size(h264Unit), h264Unit}, nil)}, [][]byte{sps, h264Unit}},
		{"H264 fragments", "H264", [][]byte{append([]byte{0x7c, 0x85}, h264Unit[1:3000]...), append([]byte{0x7c, 0x45}, h264Unit[3000:]...)}, [][]byte{h264Unit}},
		{"H264 small ones too", "H264", [][]byte{sps, h264Unit}, [][]byte{sps, h264Unit}},
		{"H265 unit", "H265", [][]byte{h265Unit}, [][]byte{h265Unit}},
		{"H265 aggregation", "H265", [][]byte{bytes.Join([][]byte{{0x60, 0x01}, size(h265Unit), h265Unit}, nil)}, [][]byte{h265Unit}},
		{"H265 fragments", "H265", [][]byte{append([]byte{0x62, 0x01, 0x93}, h265Unit[2:4000]...), append([]byte{0x62, 0x01, 0x53}, h265Unit[4000:]...)}, [][]byte{h265Unit}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFitter(&media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 " + tt.codec + "/90000"}}, nil)
			var out [][]byte
			for i, p := range tt.in {
				f.fit(rtpOf(65534+uint16(i), i == len(tt.in)-1, p...), func(b []byte) { out = append(out, b) })
			}
			f.fit(rtpOf(65534+uint16(len(tt.in)), true, sps...), func(b []byte) { out = append(out, b) })
			units := decode(t, tt.codec, out)
			if len(units) != len(tt.want)+1 {
				t.Fatalf("%d units, want %d", len(units), len(tt.want)+1)
			}
			for i := range tt.want {
				if !bytes.Equal(units[i], tt.want[i]) {
					t.Errorf("unit %d has %d bytes, want %d", i, len(units[i]), len(tt.want[i]))
				}
			}
		})
	}
}

// decode puts packets together with gortsplib's decoders.
func decode(t *testing.T, codec string, packets [][]byte) [][]byte {
	t.Helper()
	var add func(*rtp.Packet) ([][]byte, error)
	if codec == "H264" {
		d, err := (&format.H264{PayloadTyp: 96, PacketizationMode: 1}).CreateDecoder()
		if err != nil {
			t.Fatal(err)
		}
		add = d.Decode
	} else {
		d, err := (&format.H265{PayloadTyp: 96}).CreateDecoder()
		if err != nil {
			t.Fatal(err)
		}
		add = d.Decode
	}
	var units [][]byte
	for i, b := range packets {
		var p rtp.Packet
		if err := p.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if len(b) > maxPacket || p.SequenceNumber != 65534+uint16(i) || p.SSRC != 9 || p.Timestamp != 7 {
			t.Errorf("packet %d: %d bytes, %+v", i, len(b), p.Header)
		}
		us, err := add(&p)
		for _, u := range us {
			units = append(units, bytes.Clone(u))
		}
		if err != nil && !strings.Contains(err.Error(), "need more") {
			t.Errorf("packet %d: %v", i, err)
		}
	}
	return units
}

// TestFitRefuses drops what cannot be cut, and says so once.
func TestFitRefuses(t *testing.T) {
	var log bytes.Buffer
	f := newFitter(&pcmuTrack, slog.New(slog.NewTextHandler(&log, nil)))
	n := 0
	for range 3 {
		f.fit(rtpOf(1, true, nalUnit(3000, 1)...), func([]byte) { n++ })
	}
	f.fit(rtpOf(2, true, nalUnit(maxPacket-rtpHeader, 1)...), func([]byte) { n++ })
	if n != 1 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "PCMU") {
		t.Errorf("%d packets, log:\n%s", n, log.String())
	}
}

// FuzzFit wants packets that fit, whatever comes.
func FuzzFit(f *testing.F) {
	f.Add(rtpOf(1, true, nalUnit(4000, 0x65)...), true)
	f.Add(rtpOf(1, true, append([]byte{0x78, 7, 0xd0}, nalUnit(4000, 0x78)...)...), true)
	f.Add(rtpOf(1, true, append([]byte{0x60, 1, 0xf, 0xa0}, nalUnit(4000, 0x26, 1)...)...), false)
	f.Fuzz(func(t *testing.T, b []byte, avc bool) {
		codec := "H265"
		if avc {
			codec = "H264"
		}
		ft := newFitter(&media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 " + codec + "/90000"}}, slog.New(slog.DiscardHandler))
		total := 0
		ft.fit(bytes.Clone(b), func(p []byte) {
			total += len(p)
			if len(p) > maxPacket {
				t.Errorf("packet of %d bytes", len(p))
			}
		})
		if total > 8*len(b)+64 {
			t.Errorf("%d bytes became %d", len(b), total)
		}
		p := &paramSets{codec: codec, units: make(map[byte][]byte)}
		p.take(b)
		newIntake(&h264Track, nil).received(b, deadline())
	})
}
