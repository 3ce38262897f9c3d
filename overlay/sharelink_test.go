package overlay

import (
	"reflect"
	"strings"
	"testing"
)

const (
	linkOwner = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	linkOther = "12D3KooWG8D4aUXaGkuXSgWVKjU6QJiT5YnUTpFUKFMg9tRHUHDr"
)

func TestShareLink(t *testing.T) {
	for _, tt := range []struct {
		text string
		want ShareLink
	}{
		{"peergate://" + linkOwner + "/lobby", ShareLink{Owner: linkOwner, Name: "lobby"}},
		{
			"peergate://" + linkOwner + "/hall/main~360p?via=/ip4/192.0.2.7/tcp/8555&via=tv.example.org:8555&ticket=a-b_c",
			ShareLink{
				Owner: linkOwner, Name: "hall/main~360p", Via: []string{"/ip4/192.0.2.7/tcp/8555", "tv.example.org:8555"}, Ticket: "a-b_c",
			},
		},
		{
			"peergate://" + linkOwner + "/s%C3%BCd?via=/ip6/2001:db8::7/udp/8555/quic-v1/p2p/" + linkOther,
			ShareLink{Owner: linkOwner, Name: "süd", Via: []string{"/ip6/2001:db8::7/udp/8555/quic-v1/p2p/" + linkOther}},
		},
		{ // the owner, behind a relay
			"peergate://" + linkOwner + "/x?via=/ip4/192.0.2.7/tcp/8555/p2p/" + linkOther + "/p2p-circuit",
			ShareLink{Owner: linkOwner, Name: "x", Via: []string{"/ip4/192.0.2.7/tcp/8555/p2p/" + linkOther + "/p2p-circuit"}},
		},
	} {
		got, err := ParseShareLink(" " + tt.text + "\n")
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseShareLink %s = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
		for _, via := range got.Via {
			if id, _, err := got.dial(via); err != nil || strings.HasSuffix(via, "/p2p-circuit") && id != got.Owner {
				t.Errorf("dial %s = %s, %v", via, id, err)
			}
		}
		if s := got.String(); s != tt.text {
			t.Errorf("String = %s, want %s", s, tt.text)
		}
	}
	// What a later version adds is no fault.
	if _, err := ParseShareLink("peergate://" + linkOwner + "/x?new=1"); err != nil {
		t.Error(err)
	}
}

func TestShareLinkRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                           "not of the form",
		"rtsp://host/lobby":                          "not of the form",
		"peergate://hq/lobby":                        "does not begin with",
		"peergate://" + linkOwner:                    "name",
		"peergate://%zz/":                            "escape",
		"peergate://x@" + linkOwner:                  "not of the form",
		"peergate://" + linkOwner + "/a//b":          "name",
		"peergate://" + linkOwner + "x/lobby":        "mistyped",
		"peergate://" + linkOwner + "/x?via=nowhere": "neither host:port nor a multiaddr",
		"peergate://" + linkOwner + "/x?via=/ip4/1.2.3.4/tcp/1/p2p/x":           "does not begin with",
		"peergate://" + linkOwner + "/x?via=%zz":                                "escape",
		"peergate://" + linkOwner + "/x?" + strings.Repeat("via=h:1&", 17):      "at most 16",
		"peergate://" + linkOwner + "/x?ticket=" + strings.Repeat("x", maxLink): "at most",
	} {
		if l, err := ParseShareLink(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseShareLink %s = %+v, %v, want an error with %q", clip(text), l, err, want)
		}
	}
}

// FuzzShareLink proves that any text is a link or an error, and that a link written is the one read.
func FuzzShareLink(f *testing.F) {
	for _, s := range []string{
		"peergate://" + linkOwner + "/lobby?via=/ip4/192.0.2.7/tcp/8555&ticket=x", "peergate://" + linkOwner + "/a/b?via=[::1]:1&x=y",
		"peergate://" + linkOwner + "/s%C3%BCd", "peergate:///?;", "://", "peergate://" + linkOwner + "/x?via=/dns4/h/tcp/1/p2p/" + linkOther,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseShareLink(s)
		if err != nil {
			return
		}
		again, err := ParseShareLink(l.String())
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%q is %+v, written %q and read %+v, %v", s, l, l.String(), again, err)
		}
	})
}
