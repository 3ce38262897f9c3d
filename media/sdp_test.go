package media

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const cameraSDP = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=Camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n" +
	"m=video 5004/2 RTP/SAVP 96 97\r\nc=IN IP4 10.0.0.2\r\nb=AS:5000\r\na=control:rtsp://10.0.0.2/trackID=1\r\n" +
	"a=rtpmap:96 H264/90000\r\na=rtpmap:97 rtx/90000\r\na=crypto:1 X inline:secret\r\n" +
	"a=fmtp:96 packetization-mode=1;profile-level-id=4D001F;sprop-parameter-sets=Z00AH5WoFAFuQA==,aO48gA==\n" +
	"a=x-dimensions:1280,720\r\n" +
	"m=audio 0 RTP/AVP 97\r\na=control:trackID=2\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n" +
	"a=fmtp:97 mode=AAC-hbr;config=1190;sizelength=13;indexlength=3;indexdeltalength=3\r\n" +
	"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n"

func TestParseSDP(t *testing.T) {
	d, err := ParseSDP([]byte(cameraSDP))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"m=video 0 RTP/AVP 96 97", "b=AS:5000", "a=rtpmap:96 H264/90000", "a=rtpmap:97 rtx/90000",
		"a=fmtp:96 packetization-mode=1;profile-level-id=4D001F;sprop-parameter-sets=Z00AH5WoFAFuQA==,aO48gA==",
		"a=x-dimensions:1280,720",
	}
	if !reflect.DeepEqual(d.Tracks[0].Lines, want) {
		t.Errorf("video section = %q", d.Tracks[0].Lines)
	}
	if want := []string{"rtsp://10.0.0.2/trackID=1", "trackID=2", ""}; !reflect.DeepEqual(d.Controls, want) {
		t.Errorf("Controls = %q, want %q", d.Controls, want)
	}
	if len(d.Session) != 6 {
		t.Errorf("session part = %q", d.Session)
	}
	for i, c := range []string{"H264 90000 1", "MPEG4-GENERIC 48000 2", "VND.ONVIF.METADATA 90000 1"} {
		tr := &d.Tracks[i]
		if got := strings.Join([]string{tr.Codec(), strconv.Itoa(tr.ClockRate()), strconv.Itoa(tr.Channels())}, " "); got != c {
			t.Errorf("track %d is %q, want %q", i, got, c)
		}
	}
	if f := d.Tracks[0].Format(); f == nil || f.Codec() != "H264" {
		t.Errorf("Format of the video = %v", f)
	}
	again, err := ParseSDP(MarshalTracks(d.Tracks))
	if err != nil || !reflect.DeepEqual(again.Tracks, d.Tracks) {
		t.Errorf("marshalled tracks read back as %q, %v", again.Tracks, err)
	}
}

func TestParseSDPErrorsNameTheLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "no media section",
		"v=0\r\nhello\r\n":                      "line 2",
		"v=0\r\nm=video 0 RTP/AVP\r\n":          "line 2",
		"v=0\r\nm=video 0 RTP/AVP x\r\n":        "payload type",
		"m=video 0 TCP/BFCP *\r\n":              "TCP/BFCP",
		strings.Repeat("m=a 0 RTP/AVP 0\n", 17): "more than 16",
	} {
		if _, err := ParseSDP([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSDP(%.40q) = %v, want an error with %q", in, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	d, _ := ParseSDP([]byte(cameraSDP))
	other := func(from, to string) []Track {
		d, err := ParseSDP([]byte(strings.ReplaceAll(cameraSDP, from, to)))
		if err != nil {
			t.Fatal(err)
		}
		return d.Tracks
	}
	for _, c := range []struct {
		name, from, to string
		want           bool
	}{
		{"same", "x", "x", true},
		{"other parameter sets", "aO48gA==", "aO48gB==", true},
		{"other bitrate", "b=AS:5000", "b=AS:1", true},
		{"other codec", "H264", "H265", false},
		{"other AAC configuration", "config=1190", "config=1210", false},
		{"fewer payload types", "RTP/SAVP 96 97", "RTP/SAVP 96", false},
	} {
		if _, got := match(d.Tracks, other(c.from, c.to)); got != c.want {
			t.Errorf("%s: match = %v, want %v", c.name, got, c.want)
		}
	}
}

// TestMatchFindsTracks has players go on with tracks in another order, with other payload types, and with more of them.
func TestMatchFindsTracks(t *testing.T) {
	video := func(pt string) Track {
		return Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP " + pt, "a=rtpmap:" + pt + " H264/90000", "a=fmtp:" + pt + " packetization-mode=1"}}
	}
	pcmu := Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 99", "a=rtpmap:99 PCMU/8000"}}
	text := Track{Kind: "application", Lines: []string{"m=application 0 RTP/AVP 107", "a=rtpmap:107 vnd.onvif.metadata/90000"}}
	for _, c := range []struct {
		name              string
		stream, publisher []Track
		route             []int
	}{
		{"other order and types", []Track{video("96"), audio}, []Track{pcmu, video("98")}, []int{1, 0}},
		{"more than players have", []Track{video("96")}, []Track{text, video("96"), audio}, []int{-1, 0, -1}},
		{"the same type first", []Track{video("96"), video("97")}, []Track{video("97"), video("96")}, []int{1, 0}},
		{"metadata are missing", []Track{text, audio}, []Track{audio}, []int{1}},
		{"the sound is missing", []Track{video("96"), audio}, []Track{video("96")}, nil},
	} {
		route, ok := match(c.stream, c.publisher)
		if ok != (c.route != nil) || !slices.Equal(route, c.route) {
			t.Errorf("%s: match = %v, %v, want %v", c.name, route, ok, c.route)
		}
	}
}

func TestStaticPayloadTypes(t *testing.T) {
	if audio.Codec() != "PCMU" || audio.ClockRate() != 8000 || audio.Channels() != 1 {
		t.Errorf("payload type 0 is %s/%d/%d", audio.Codec(), audio.ClockRate(), audio.Channels())
	}
}

func FuzzParseSDP(f *testing.F) {
	f.Add([]byte(cameraSDP))
	f.Add([]byte("m=audio 0 RTP/AVP 0 8\na=fmtp:0\na=rtpmap:0 /\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseSDP(b)
		if err != nil {
			return
		}
		again, err := ParseSDP(MarshalTracks(d.Tracks))
		if err != nil {
			t.Fatalf("marshalled tracks do not parse: %v", err)
		}
		if !reflect.DeepEqual(again.Tracks, d.Tracks) {
			t.Fatalf("tracks %q read back as %q", d.Tracks, again.Tracks)
		}
		for i := range d.Tracks {
			tr := &d.Tracks[i]
			_, _, _, _ = tr.Codec(), tr.ClockRate(), tr.Channels(), tr.Format()
		}
		if _, ok := match(d.Tracks, again.Tracks); !ok {
			t.Fatal("tracks do not go on with themselves")
		}
		for i := range d.Tracks {
			_ = d.Tracks[i].renumbered(100)
		}
	})
}
