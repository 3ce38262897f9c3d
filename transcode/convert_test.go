package transcode

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"peergate/media"
)

// alawSample and mulawSample decode as ITU-T G.711 defines it, tables 1 and 2, in 16 bits.
func alawSample(b byte) int16 {
	b ^= 0x55
	v := int16(b&0x0f)<<4 + 8
	if e := b >> 4 & 7; e > 0 {
		v = (v + 0x100) << (e - 1)
	}
	if b&0x80 == 0 {
		return -v
	}
	return v
}

func mulawSample(b byte) int16 {
	b = ^b
	v := (int16(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		return -v
	}
	return v
}

func linear(v int16) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func TestRecodeToLinear(t *testing.T) {
	for i := range 256 {
		b := byte(i)
		if got, want := recode([]byte{b}, pcma, l16), linear(alawSample(b)); !bytes.Equal(got, want) {
			t.Errorf("A-law %#x = % x, want % x", b, got, want)
		}
		if got, want := recode([]byte{b}, pcmu, l16), linear(mulawSample(b)); !bytes.Equal(got, want) {
			t.Errorf("mu-law %#x = % x, want % x", b, got, want)
		}
	}
	// Of the tables of the recommendation: silence and the loudest values.
	for _, c := range []struct {
		from codec
		b    byte
		want int16
	}{
		{pcma, 0xd5, 8},
		{pcma, 0x55, -8},
		{pcma, 0xaa, 32256},
		{pcma, 0x2a, -32256},
		{pcmu, 0xff, 0},
		{pcmu, 0x80, 32124},
		{pcmu, 0x00, -32124},
	} {
		if got := recode([]byte{c.b}, c.from, l16); !bytes.Equal(got, linear(c.want)) {
			t.Errorf("%v %#x = % x, want %d", c.from, c.b, got, c.want)
		}
	}
}

// TestRecodeRoundTrip encodes every sample: what comes back is as near as any value of the law.
func TestRecodeRoundTrip(t *testing.T) {
	for law, decode := range map[codec]func(byte) int16{pcma: alawSample, pcmu: mulawSample} {
		for i := range 256 {
			b := byte(i)
			if got := decode(recode(linear(decode(b)), l16, law)[0]); got != decode(b) {
				t.Errorf("%v %#x comes back as %d, want %d", law, b, got, decode(b))
			}
		}
		for v := -32768; v <= 32767; v++ {
			code := recode(linear(int16(v)), l16, law)[0]
			got, best := distance(v, decode(code)), 1<<16
			for i := range 256 {
				best = min(best, distance(v, decode(byte(i))))
			}
			if got > best+8 { // the table of the encoder has steps of four
				t.Fatalf("%v of %d is off by %d, want %d", law, v, got, best)
			}
		}
	}
}

func distance(v int, w int16) int {
	d := v - int(w)
	return max(d, -d)
}

func TestPlanTrack(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		to   codec
		want []string
	}{
		{"to A-law", []string{"m=audio 0 RTP/AVP 0"}, pcma, []string{"m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000"}},
		{"to mu-law", []string{"m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000/1"}, pcmu, []string{"m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"}},
		{
			"stereo",
			[]string{"m=audio 0 RTP/AVP 98", "i=hall", "a=rtpmap:98 L16/48000/2", "a=fmtp:98 x", "a=x-y"},
			pcmu,
			[]string{"m=audio 0 RTP/AVP 98", "i=hall", "a=rtpmap:98 PCMU/48000/2", "a=x-y"},
		},
		{"static L16", []string{"m=audio 0 RTP/AVP 97", "a=rtpmap:97 PCMA/44100/2"}, l16, []string{"m=audio 0 RTP/AVP 10", "a=rtpmap:10 L16/44100/2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tracks, convert, err := plan([]media.Track{{Kind: "audio", Lines: c.in}}, c.to)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Join(tracks[0].Lines, "\n"), strings.Join(c.want, "\n"); got != want {
				t.Errorf("section = %q, want %q", got, want)
			}
			if convert[0] == nil {
				t.Fatal("the track passes untouched")
			}
			if f := tracks[0].Format(); f == nil || f.PayloadType() != convert[0].out {
				t.Errorf("the section is not understood: %q", tracks[0].Lines)
			}
		})
	}
	many := []media.Track{{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 96", "a=rtpmap:96 L16/8000/100000"}}}
	if _, _, err := plan(many, pcmu); err == nil {
		t.Error("a sample that fits in no packet is converted")
	}
	same := []media.Track{{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 0"}}}
	if _, convert, err := plan(same, pcmu); err != nil || convert[0] != nil {
		t.Errorf("PCMU to PCMU = %v, %v, want untouched", convert, err)
	}
}

// TestSplit converts packets that become too large, with a loss and a late packet among them.
func TestSplit(t *testing.T) {
	c := &converter{from: pcmu, to: l16, in: 97, out: 97, frame: 4}
	var seqs []uint16
	var stamps []uint32
	var total int
	send := func(seq uint16, ts uint32, size int) {
		for _, b := range c.packets(&media.Packet{Data: rtpPacket(97, seq, ts, make([]byte, size))}) {
			p := media.Packet{Data: b}
			if n := len(p.Payload()); n > maxPayload || n%4 != 0 {
				t.Errorf("payload has %d bytes, want whole samples and at most %d", n, maxPayload)
			}
			seqs, stamps = append(seqs, p.Sequence()), append(stamps, p.Timestamp())
			total += len(p.Payload())
		}
	}
	send(65534, 0, 160)   // one packet
	send(65535, 80, 1440) // 2880 bytes: three
	send(1, 1600, 960)    // after a loss: two
	send(0, 800, 960)     // late: dropped, its number has been used
	send(2, 2080, 0)      // nothing in it
	send(3, 2080, 1400+1) // a sample is cut
	wantSeqs := []uint16{65534, 65535, 0, 1, 3, 4, 5, 6, 7}
	wantStamps := []uint32{0, 80, 430, 780, 1600, 1950, 2080, 2080, 2430}
	if len(seqs) != len(wantSeqs) {
		t.Fatalf("sequence numbers %v, want %v", seqs, wantSeqs)
	}
	for i := range seqs {
		if seqs[i] != wantSeqs[i] || stamps[i] != wantStamps[i] {
			t.Errorf("packet %d is %d at %d, want %d at %d", i, seqs[i], stamps[i], wantSeqs[i], wantStamps[i])
		}
	}
	if want := 2 * (160 + 1440 + 960 + 1400); total != want {
		t.Errorf("%d bytes, want %d", total, want)
	}
}

// FuzzConvert feeds packets as an encoder may send them.
func FuzzConvert(f *testing.F) {
	f.Add(uint8(0), uint8(2), []byte{1, 2, 3}, uint16(7))
	f.Add(uint8(2), uint8(1), make([]byte, 5000), uint16(65535))
	f.Fuzz(func(t *testing.T, from, to uint8, payload []byte, seq uint16) {
		c := &converter{from: codec(from % 3), to: codec(to % 3), in: 96, out: 96, frame: codec(to%3).size() * int(1+from/3%8)}
		for _, b := range c.packets(&media.Packet{Data: rtpPacket(96, seq, 1, payload)}) {
			if len(b) > rtpHeader+maxPayload {
				t.Errorf("packet of %d bytes", len(b))
			}
		}
	})
}
