package wire

import "testing"

func TestParseURL(t *testing.T) {
	tests := []struct {
		name, in                      string
		base, path, query, host, text string
		track                         int
	}{
		{"plain", "rtsp://h:8554/live", "rtsp://h:8554/live", "live", "", "h:8554", "rtsp://h:8554/live", -1},
		{"final slash", "rtsp://h/live/", "rtsp://h/live", "live", "", "h", "rtsp://h/live/", -1},
		{"several parts", "RTSP://H/hq/lobby~360p", "RTSP://H/hq/lobby~360p", "hq/lobby~360p", "", "H", "RTSP://H/hq/lobby~360p", -1},
		{"track", "rtsp://h/live/trackID=1", "rtsp://h/live", "live", "", "h", "rtsp://h/live/trackID=1", 1},
		{"track and slash", "rtsp://h/live/trackID=1/", "rtsp://h/live", "live", "", "h", "rtsp://h/live/trackID=1/", 1},
		{"track before a query", "rtsp://h/live/trackID=1?a=b", "rtsp://h/live?a=b", "live", "a=b", "h", "rtsp://h/live/trackID=1?a=b", 1},
		{"track behind a query", "rtsp://h/live?a=b/trackID=0", "rtsp://h/live?a=b", "live", "a=b", "h", "rtsp://h/live?a=b/trackID=0", 0},
		{"track behind a query and slashes", "rtsp://h/live/?a=b/trackID=0/", "rtsp://h/live?a=b", "live", "a=b", "h", "rtsp://h/live/?a=b/trackID=0/", 0},
		{"query with a final slash", "rtsp://h/live?a=b/", "rtsp://h/live?a=b", "live", "a=b", "h", "rtsp://h/live?a=b/", -1},
		{"no such track", "rtsp://h/live/trackID=256", "rtsp://h/live/trackID=256", "live/trackID=256", "", "h", "rtsp://h/live/trackID=256", -1},
		{"track with zeros", "rtsp://h/live/trackID=01", "rtsp://h/live/trackID=01", "live/trackID=01", "", "h", "rtsp://h/live/trackID=01", -1},
		{"other case", "rtsp://h/live/trackid=1", "rtsp://h/live/trackid=1", "live/trackid=1", "", "h", "rtsp://h/live/trackid=1", -1},
		{"percent-encoded", "rtsp://h/l%69ve%20%c3%a4?%20", "rtsp://h/l%69ve%20%c3%a4?%20", "live ä", "%20", "h", "rtsp://h/l%69ve%20%c3%a4?%20", -1},
		{"user", "rtsp://u:p@ss@h/live", "rtsp://h/live", "live", "", "h", "rtsp://h/live", -1},
		{"@ in the path", "rtsp://h/a@b", "rtsp://h/a@b", "a@b", "", "h", "rtsp://h/a@b", -1},
		{"IPv6", "rtsp://[2001:db8::1]:554/a", "rtsp://[2001:db8::1]:554/a", "a", "", "[2001:db8::1]:554", "rtsp://[2001:db8::1]:554/a", -1},
		{"IPv6 with a zone", "rtsp://[fe80::1%25eth0]/a", "rtsp://[fe80::1%25eth0]/a", "a", "", "[fe80::1%25eth0]", "rtsp://[fe80::1%25eth0]/a", -1},
		{"no path", "rtsp://h", "rtsp://h", "", "", "h", "rtsp://h", -1},
		{"root", "rtsp://h/", "rtsp://h", "", "", "h", "rtsp://h/", -1},
		{"path only", "/live/trackID=2", "/live", "live", "", "", "/live/trackID=2", 2},
		{"fragment", "rtsp://h/live#a", "rtsp://h/live", "live", "", "h", "rtsp://h/live", -1},
		{"rtsps", "rtsps://h/a", "rtsps://h/a", "a", "", "h", "rtsps://h/a", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseURL(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if u.Base != tt.base || u.Path != tt.path || u.Query != tt.query || u.Host != tt.host || u.Text != tt.text || u.Track != tt.track {
				t.Errorf("ParseURL = %+v", u)
			}
		})
	}
	if u, err := ParseURL("*"); err != nil || !u.All || u.Track != -1 {
		t.Errorf(`ParseURL("*") = %+v, %v`, u, err)
	}
}

func TestParseURLErrors(t *testing.T) {
	for _, in := range []string{
		"", "live", "http://h/a", "rtsp:/h/a", "rtsp://", "rtsp:///a", "rtsp://h:0/a", "rtsp://h:65536/a", "rtsp://h:a/b",
		"rtsp://[::1/a", "rtsp://[::1]x/a", "rtsp://[1.2.3.4]/a", "rtsp://a b/c", "rtsp://h/a b", "rtsp://h/a\x00", "rtsp://h/%", "rtsp://h/%zz",
		"rtsp://h/../a", "rtsp://h/a/..", "rtsp://h/./a", "/../a", "rtsp://h/%2e%2e/a", "rtsp://h/a%2f..%2fb", "rtsp://h:1:2/a", "rtsp://u@/a",
	} {
		if u, err := ParseURL(in); err == nil {
			t.Errorf("ParseURL(%q) = %+v, want an error", in, u)
		}
	}
}

func TestContentBase(t *testing.T) {
	for in, want := range map[string]string{
		"rtsp://h/a":              "rtsp://h/a/",
		"rtsp://h/a/":             "rtsp://h/a/",
		"rtsp://h/a?b=c":          "rtsp://h/a/?b=c/",
		"rtsp://u:p@h/a/?b=c":     "rtsp://h/a/?b=c/",
		"rtsp://h/a?b/trackID=12": "rtsp://h/a/?b/",
		"/a":                      "/a/",
	} {
		u, err := ParseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.ContentBase(); got != want {
			t.Errorf("ContentBase of %s = %s, want %s", in, got, want)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"*", "/a/trackID=1", "rtsp://u:p@[::1]:8554/a%20b/?q=1/trackID=0/", "rtsp://h?x#y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil || u.All {
			return
		}
		// What a client makes of an answer's URLs leads back to the stream.
		for _, made := range []string{u.TrackURL(7), u.ContentBase() + Control(7)} {
			if made[0] != '/' && u.Host == "" {
				t.Fatalf("%q: made %q", s, made)
			}
			v, err := ParseURL(made)
			if err != nil || v.Track != 7 || v.Path != u.Path || v.Query != u.Query || v.Base != u.Base {
				t.Fatalf("%q: %+v, made %q: %+v, %v", s, u, made, v, err)
			}
		}
	})
}
