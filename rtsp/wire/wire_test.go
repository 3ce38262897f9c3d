package wire

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestHeader(t *testing.T) {
	h := Header{{"cseq", "1"}, {"X", "a"}, {"x", "b"}}
	if got := h.Get("CSeq"); got != "1" {
		t.Errorf("Get = %q, want 1", got)
	}
	if got := h.Values("X"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Values = %q, want a and b", got)
	}
	if h.Has("Y") || !h.Has("X") {
		t.Error("Has is wrong")
	}
	h.Set("X", "c")
	if got := h.Values("x"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("Values after Set = %q, want c", got)
	}
	h.Add("Require", "a, b")
	h.Add("require", ` ,c "d, e"`)
	if got, want := h.Tokens("Require"), []string{"a", "b", `c "d, e"`}; !slices.Equal(got, want) {
		t.Errorf("Tokens = %q, want %q", got, want)
	}
	h.Del("REQUIRE")
	if h.Has("Require") {
		t.Error("Del left a line")
	}
}

func TestResponseAppend(t *testing.T) {
	tests := []struct {
		name string
		res  Response
		want string
	}{
		{
			"names",
			Response{Status: 401, Header: Header{{"cseq", "3"}, {"www-authenticate", "Basic"}, {"RTP-INFO", "url=a"}, {"x-Own", "b"}, {"content-base", "c"}}},
			"RTSP/1.0 401 Unauthorized\r\nCSeq: 3\r\nWWW-Authenticate: Basic\r\nRTP-Info: url=a\r\nx-Own: b\r\nContent-Base: c\r\n\r\n",
		},
		{
			"body",
			Response{Status: 200, Header: Header{{"Content-Length", "99"}}, Body: []byte("abc")},
			"RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		},
		{
			"no line can be put in",
			Response{Status: 200, Reason: "a\r\nb", Header: Header{{"CSeq", "1\r\nX: y"}}},
			"RTSP/1.0 200 a  b\r\nCSeq: 1  X: y\r\n\r\n",
		},
		{"tunnel", Response{Proto: "HTTP/1.0", Status: 200}, "HTTP/1.0 200 OK\r\n\r\n"},
		{"unknown status", Response{Status: 299}, "RTSP/1.0 299 \r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(tt.res.Append(nil)); got != tt.want {
				t.Errorf("Append = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStatusText(t *testing.T) {
	for _, status := range []int{
		200, 301, 302, 400, 401, 403, 404, 405, 406, 413, 414, 431, 451, 453, 454, 455, 456, 457, 458,
		459, 460, 461, 462, 463, 500, 501, 503, 505, 551,
	} {
		if StatusText(status) == "" {
			t.Errorf("StatusText(%d) is empty", status)
		}
	}
	if got := StatusText(599); got != "" {
		t.Errorf("StatusText(599) = %q, want none", got)
	}
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		name   string
		accept []string
		want   bool
	}{
		{"none", nil, true},
		{"exact", []string{"application/sdp"}, true},
		{"any case", []string{"Application/SDP;charset=utf-8"}, true},
		{"among others", []string{"text/plain", "application/rtsl, application/sdp;level=-2"}, true},
		{"kind", []string{"application/*"}, true},
		{"all", []string{"*/*"}, true},
		{"other", []string{"text/plain"}, false},
		{"refused", []string{"application/sdp;q=0, */*"}, false},
		{"others refused", []string{"*/*;q=0, application/sdp;q=0.5"}, true},
		{"prefix only", []string{"application/sdpx"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h Header
			for _, a := range tt.accept {
				h.Add("Accept", a)
			}
			if got := h.Accepts("application/sdp"); got != tt.want {
				t.Errorf("Accepts = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseScale(t *testing.T) {
	tests := []struct {
		in   string
		want float64
		ok   bool
	}{
		{"1", 1, true},
		{"2.5", 2.5, true},
		{"-1.0", -1, true},
		{"1.0 - 2.5", 1, true},
		{"1.0-2.5", 1, true},
		{"", 0, false},
		{"inf", 0, false},
		{"0x10", 0, false},
		{"fast", 0, false},
	}
	for _, tt := range tests {
		got, err := ParseScale(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseScale(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

// FuzzAccepts checks that an exact range outweighs all that are not.
func FuzzAccepts(f *testing.F) {
	f.Add("application/*;q=0.5, */*;q=0")
	f.Fuzz(func(t *testing.T, s string) {
		h := Header{{"Accept", s}}
		for _, r := range h.Tokens("Accept") {
			if strings.Contains(strings.ToLower(r), "sdp") {
				return
			}
		}
		h.Add("Accept", "application/sdp")
		if !h.Accepts("application/sdp") {
			t.Errorf("%q outweighs application/sdp", s)
		}
	})
}

func FuzzScale(f *testing.F) {
	f.Add("1.0 - 2.5")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseScale(s)
		if err != nil {
			return
		}
		if again, err := ParseScale(strconv.FormatFloat(v, 'f', -1, 64)); err != nil || again != v {
			t.Errorf("%q: %v, again %v, %v", s, v, again, err)
		}
	})
}
