package media

import "testing"

func TestKey(t *testing.T) {
	for _, c := range []struct {
		codec, name string
		payload     []byte
		want        bool
	}{
		{"H264", "SPS", []byte{0x67, 1}, true},
		{"H264", "IDR slice", []byte{0x65, 1}, true},
		{"H264", "predicted slice", []byte{0x41, 1}, false},
		{"H264", "STAP-A of AUD and SPS", []byte{24, 0, 2, 9, 0x10, 0, 1, 0x67}, true},
		{"H264", "STAP-A of two slices", []byte{24, 0, 1, 0x41, 0, 1, 0x41}, false},
		{"H264", "STAP-A cut short", []byte{24, 0, 9, 0x67}, false},
		{"H264", "FU-A beginning an IDR", []byte{28, 0x85}, true},
		{"H264", "FU-A inside an IDR", []byte{28, 0x05}, false},
		{"H264", "empty", nil, false},
		{"H265", "VPS", []byte{32 << 1, 1, 0}, true},
		{"H265", "IDR", []byte{19 << 1, 1, 0}, true},
		{"H265", "trailing picture", []byte{1 << 1, 1, 0}, false},
		{"H265", "FU beginning a CRA", []byte{49 << 1, 1, 0x80 | 21}, true},
		{"H265", "FU inside a CRA", []byte{49 << 1, 1, 21}, false},
		{"H265", "AP with a VPS", []byte{48 << 1, 1, 0, 2, 32 << 1, 1}, true},
		{"AV1", "new sequence", []byte{0x08}, true},
		{"AV1", "other", []byte{0x10}, false},
		{"VP8", "key frame", []byte{0x10, 0x00}, true},
		{"VP8", "key frame with picture ID", []byte{0x90, 0x80, 0x81, 0x02, 0x00}, true},
		{"VP8", "predicted", []byte{0x10, 0x01}, false},
		{"VP8", "not the first", []byte{0x00, 0x00}, false},
		{"VP9", "key frame", []byte{0x88}, true},
		{"VP9", "predicted", []byte{0xc8}, false},
		{"JPEG", "first fragment", []byte{0, 0, 0, 0, 1, 80, 10, 10}, true},
		{"JPEG", "next fragment", []byte{0, 0, 4, 0, 1, 80, 10, 10}, false},
		{"MP4V-ES", "intra picture", []byte{0, 0, 1, 0xb6, 0x10}, true},
		{"MP4V-ES", "predicted picture", []byte{0, 0, 1, 0xb6, 0x50}, false},
		{"MPV", "sequence header", []byte{0, 0, 0x20, 0}, true},
		{"MPV", "none", []byte{0, 0, 0, 0}, false},
	} {
		tr := Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 " + c.codec + "/90000"}}
		p := Packet{Data: rtpPacket(1, 1, c.payload...)}
		if got := newKeyFinder(&tr).key(&p); got != c.want {
			t.Errorf("%s %s: key = %v, want %v", c.codec, c.name, got, c.want)
		}
	}
}

func TestUnknownCodecHasKeyAtEveryFrame(t *testing.T) {
	tr := Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 X/90000"}}
	k := newKeyFinder(&tr)
	a, b := Packet{Data: rtpPacket(1, 1)}, Packet{Data: rtpPacket(2, 1)}
	b.Data[1] |= 0x80
	if got := []bool{k.key(&a), k.key(&b), k.key(&a)}; !got[0] || got[1] || !got[2] {
		t.Errorf("key = %v, want true false true", got)
	}
}
