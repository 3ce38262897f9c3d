package wire

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseRange(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		in   string
		want Range
		out  string
	}{
		{"npt=now-", Range{Unit: "npt", Now: true}, "npt=now-"},
		{"npt=0-", Range{Unit: "npt"}, "npt=0.000-"},
		{"npt=0.000-", Range{Unit: "npt"}, "npt=0.000-"},
		{"npt=0.000000-", Range{Unit: "npt"}, "npt=0.000-"},
		{"NPT = 1.5 - 3 ;time=19970123T143720Z", Range{Unit: "npt", Start: 1500 * time.Millisecond, End: 3 * time.Second}, "npt=1.500-3.000"},
		{"npt=-20", Range{Unit: "npt", End: 20 * time.Second}, "npt=0.000-20.000"},
		{"npt=1:02:03.25-", Range{Unit: "npt", Start: time.Hour + 2*time.Minute + 3250*time.Millisecond}, "npt=3723.250-"},
		{"npt=now-20", Range{Unit: "npt", Now: true, End: 20 * time.Second}, "npt=now-20.000"},
		{"npt=1-2,3-4", Range{Unit: "npt", Start: time.Second, End: 2 * time.Second}, "npt=1.000-2.000"},
		{"npt=0.1234567890-", Range{Unit: "npt", Start: 123456789}, "npt=0.123456789-"},
		{"clock=20260102T120000Z-", Range{Unit: "clock", From: noon}, "clock=20260102T120000Z-"},
		{"clock=20260102T120000.5Z-20260102T120001Z", Range{Unit: "clock", From: noon.Add(time.Second / 2), Until: noon.Add(time.Second)}, "clock=20260102T120000.5Z-20260102T120001Z"},
		{"smpte=10:12:33:20-", Range{Unit: "smpte", SMPTE: "10:12:33:20-"}, "smpte=10:12:33:20-"},
		{"smpte-25=10:07:00-10:07:33:05.01", Range{Unit: "smpte", SMPTE: "10:07:00-10:07:33:05.01"}, "smpte=10:07:00-10:07:33:05.01"},
	}
	for _, tt := range tests {
		got, err := ParseRange(tt.in)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseRange(%q) = %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
		if s := got.String(); s != tt.out {
			t.Errorf("String of %q = %s, want %s", tt.in, s, tt.out)
		}
	}
	for _, in := range []string{
		"", "npt", "npt=", "npt=-", "npt=1", "bytes=0-", "npt=a-", "npt=1e3-", "npt=1:2-", "npt=1.5:00:00-", "npt=--1", "npt=5-4", "npt=5-5",
		"npt=0-0", "npt=99999999999-", "npt=+1-", "clock=now-", "clock=20260102T120000Z-20260102T120000Z", "clock=20260102T120000Z-x", "smpte=a-", "npt=1..2-",
	} {
		if got, err := ParseRange(in); err == nil {
			t.Errorf("ParseRange(%q) = %+v, want an error", in, got)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"npt=now-", "npt=1:02:03.5-4000", "clock=20260102T120000.25Z-", "smpte=0:0:1-;time=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		if again, err := ParseRange(r.String()); err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%q: %+v, again %+v, %v", s, r, again, err)
		}
	})
}

func TestRTPInfo(t *testing.T) {
	tests := []struct {
		name, in string
		want     []TrackInfo
	}{
		{
			"two", "url=rtsp://h/a/trackID=0;seq=2941;rtptime=952844389,url=rtsp://h/a/trackID=1;seq=236;rtptime=1762263706",
			[]TrackInfo{{"rtsp://h/a/trackID=0", 2941, true, 952844389, true}, {"rtsp://h/a/trackID=1", 236, true, 1762263706, true}},
		},
		{
			"one silent", "url=rtsp://h/a/trackID=0;seq=0;rtptime=0,url=rtsp://h/a/trackID=1",
			[]TrackInfo{{"rtsp://h/a/trackID=0", 0, true, 0, true}, {URL: "rtsp://h/a/trackID=1"}},
		},
		{
			"silent with a time", "url=rtsp://h/a/trackID=0;rtptime=7",
			[]TrackInfo{{URL: "rtsp://h/a/trackID=0", Timestamp: 7, HasTime: true}},
		},
		{
			"marks in the query", "url=rtsp://h/a?b,c;d=e/trackID=0;seq=1;rtptime=2,url=x",
			[]TrackInfo{{"rtsp://h/a?b,c;d=e/trackID=0", 1, true, 2, true}, {URL: "x"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRTPInfo(tt.in)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseRTPInfo = %v, %v, want %v", got, err, tt.want)
			}
			if s := RTPInfo(got); s != tt.in {
				t.Errorf("RTPInfo = %s, want %s", s, tt.in)
			}
		})
	}
	if got, err := ParseRTPInfo(" url=a; rtptime=5 ;seq=6 , url=b "); err != nil || !reflect.DeepEqual(got, []TrackInfo{{"a", 6, true, 5, true}, {URL: "b"}}) {
		t.Errorf("ParseRTPInfo with spaces = %v, %v", got, err)
	}
	for _, in := range []string{"", "seq=1", "url=", "url=a;seq=65536;rtptime=1", "url=a;seq=1;rtptime=-1", "url=;seq=1;rtptime=2"} {
		if got, err := ParseRTPInfo(in); err == nil {
			t.Errorf("ParseRTPInfo(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzRTPInfo(f *testing.F) {
	f.Add("url=rtsp://h/a/trackID=0;seq=2941;rtptime=952844389, url=rtsp://h/a?b,c/trackID=1")
	f.Fuzz(func(t *testing.T, s string) {
		ts, err := ParseRTPInfo(s)
		if err != nil {
			return
		}
		again, err := ParseRTPInfo(RTPInfo(ts))
		if err != nil || !reflect.DeepEqual(ts, again) {
			t.Errorf("%q: %v, again %v, %v", s, ts, again, err)
		}
	})
}

func TestParseSession(t *testing.T) {
	tests := []struct {
		in   string
		want Session
		ok   bool
	}{
		{"abc", Session{ID: "abc"}, true},
		{" abc;timeout=60", Session{"abc", time.Minute}, true},
		{"abc ; foo; Timeout = 60 ", Session{"abc", time.Minute}, true},
		{"abc;timeout=4000000000", Session{ID: "abc"}, false},
		{"abc;timeout=2000000000", Session{"abc", maxTimeout}, true},
		{"abc;timeout=x", Session{ID: "abc"}, false},
		{"", Session{}, false},
		{";timeout=60", Session{}, false},
		{"a b", Session{ID: "a b"}, false},
	}
	for _, tt := range tests {
		got, err := ParseSession(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseSession(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
	if got := (Session{"abc", time.Minute}).String(); got != "abc;timeout=60" {
		t.Errorf("String = %s, want abc;timeout=60", got)
	}
}

func FuzzSession(f *testing.F) {
	f.Add("abc;timeout=60")
	f.Fuzz(func(t *testing.T, v string) {
		s, err := ParseSession(v)
		if err != nil {
			return
		}
		if again, err := ParseSession(s.String()); err != nil || again != s || SessionID(s.String()) != s.ID {
			t.Errorf("%q: %v, again %v, %v", v, s, again, err)
		}
	})
}

func TestParseCredentials(t *testing.T) {
	tests := []struct {
		name, in string
		want     Credentials
		out      string
	}{
		{"basic", "Basic dTpw", Credentials{Scheme: "Basic", Token: "dTpw"}, "Basic dTpw"},
		{"basic, padded", " basic  dQ== ", Credentials{Scheme: "basic", Token: "dQ=="}, "basic dQ=="},
		{
			"digest", `Digest username="a\"b\\", realm="x, y",nc=00000001 , qop=auth, algorithm=SHA-256,,opaque=""`,
			Credentials{Scheme: "Digest", Params: []Param{{"username", `a"b\`, false}, {"realm", "x, y", false}, {"nc", "00000001", true}, {"qop", "auth", true}, {"algorithm", "SHA-256", true}, {"opaque", "", false}}},
			`Digest username="a\"b\\", realm="x, y", nc=00000001, qop=auth, algorithm=SHA-256, opaque=""`,
		},
		{"no parameters", "Digest", Credentials{Scheme: "Digest"}, "Digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCredentials(tt.in)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseCredentials = %+v, %v, want %+v", got, err, tt.want)
			}
			if s := got.String(); s != tt.out {
				t.Errorf("String = %s, want %s", s, tt.out)
			}
		})
	}
	for _, in := range []string{"", "a/b c", `Digest username="a`, "Digest a", "Digest a=1, A=2", "Digest" + strings.Repeat(" a", 3), "Digest " + manyParams()} {
		if got, err := ParseCredentials(in); err == nil && len(got.Token) == 0 {
			t.Errorf("ParseCredentials(%q) = %+v, want an error", in, got)
		}
	}
}

func manyParams() string {
	var sb strings.Builder
	for i := range maxParams + 1 {
		sb.WriteString("a" + strings.Repeat("b", i) + "=1,")
	}
	return sb.String()
}

func FuzzCredentials(f *testing.F) {
	f.Add("Basic dTpw")
	f.Add(`Digest username="a\"b", realm="x, y",nc=00000001 , qop=auth`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCredentials(s)
		if err != nil {
			return
		}
		if again, err := ParseCredentials(c.String()); err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%q: %+v, again %+v, %v", s, c, again, err)
		}
	})
}
