package wire

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseTransports(t *testing.T) {
	pair := func(a, b int) *Pair { return &Pair{a, b} }
	tests := []struct {
		name string
		in   []string
		want []Transport
	}{
		{"VLC, UDP", []string{"RTP/AVP;unicast;client_port=50326-50327"}, []Transport{{Profile: "RTP/AVP", Client: pair(50326, 50327), Mode: "PLAY"}}},
		{"ffmpeg, UDP", []string{"RTP/AVP/UDP;unicast;client_port=20572-20573"}, []Transport{{Profile: "RTP/AVP", Client: pair(20572, 20573), Mode: "PLAY"}}},
		{"ffmpeg, TCP", []string{"RTP/AVP/TCP;unicast;interleaved=0-1"}, []Transport{{Profile: "RTP/AVP", TCP: true, Interleaved: pair(0, 1), Mode: "PLAY"}}},
		{"ffmpeg records", []string{"RTP/AVP/TCP;unicast;interleaved=2-3;mode=record"}, []Transport{{Profile: "RTP/AVP", TCP: true, Interleaved: pair(2, 3), Mode: "RECORD"}}},
		{"mode receive", []string{"RTP/AVP/TCP;unicast;mode=receive"}, []Transport{{Profile: "RTP/AVP", TCP: true, Mode: "RECORD"}}},
		{"quoted modes", []string{`RTP/AVP;unicast;mode="RECORD,PLAY"`}, []Transport{{Profile: "RTP/AVP", Mode: "RECORD"}}},
		{"single port", []string{"RTP/AVP;unicast;client_port=5000"}, []Transport{{Profile: "RTP/AVP", Client: pair(5000, 5001), Mode: "PLAY"}}},
		{"one port for both", []string{"RTP/AVP;unicast;client_port=5000-5000"}, []Transport{{Profile: "RTP/AVP", Client: pair(5000, 5000), Mode: "PLAY"}}},
		{"in order", []string{"RTP/AVP/TCP;interleaved=4-5, RTP/AVP;multicast"}, []Transport{{Profile: "RTP/AVP", TCP: true, Interleaved: pair(4, 5), Mode: "PLAY"}, {Profile: "RTP/AVP", Multicast: true, Mode: "PLAY"}}},
		{"two lines", []string{"RTP/AVP;unicast", "RTP/AVP/TCP"}, []Transport{{Profile: "RTP/AVP", Mode: "PLAY"}, {Profile: "RTP/AVP", TCP: true, Mode: "PLAY"}}},
		{"an unknown one", []string{"x-real-rdt/udp;client_port=6970,RAW/RAW/UDP;x,,RTP/AVP;unicast;client_port=6970"}, []Transport{{Profile: "RTP/AVP", Client: pair(6970, 6971), Mode: "PLAY"}}},
		{"a malformed one", []string{"RTP/AVP;client_port=abc,RTP/AVP;client_port=0-1,RTP/AVP;client_port=9-8,RTP/AVP/TCP;interleaved=255-256,RTP/AVP;ttl=256,RTP/AVP;mode=x"}, nil},
		{"comma in quotes", []string{`RTP/AVP;destination="a,b;c";unicast;ssrc=0a0b0c0D;x="`}, []Transport{{Profile: "RTP/AVP", Destination: "a,b;c", SSRC: 0x0a0b0c0d, HasSSRC: true, Mode: "PLAY"}}},
		{"multicast", []string{"rtp/avp;multicast;destination=224.2.0.1;port=3456-3457;ttl=16;source=1.2.3.4;append"}, []Transport{{Profile: "RTP/AVP", Multicast: true, Destination: "224.2.0.1", Source: "1.2.3.4", Port: pair(3456, 3457), TTL: 16, Append: true, Mode: "PLAY"}}},
		{"SRTP", []string{"RTP/SAVP;unicast;client_port=1-2"}, []Transport{{Profile: "RTP/SAVP", Client: pair(1, 2), Mode: "PLAY"}}},
		{"feedback over TCP", []string{"RTP/AVPF/TCP;unicast ; interleaved = 0 - 1"}, []Transport{{Profile: "RTP/AVPF", TCP: true, Interleaved: pair(0, 1), Mode: "PLAY"}}},
		{"strange ssrc", []string{"RTP/AVP;ssrc=4294967295"}, []Transport{{Profile: "RTP/AVP", Mode: "PLAY"}}},
		{"none", []string{""}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ParseTransports(tt.in); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseTransports = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTransportString(t *testing.T) {
	tests := []struct {
		in   Transport
		want string
	}{
		{
			Transport{Profile: "RTP/AVP", Client: &Pair{50326, 50327}, Server: &Pair{28000, 28001}, SSRC: 0x4050d02b, HasSSRC: true, Mode: "PLAY"},
			`RTP/AVP;unicast;client_port=50326-50327;server_port=28000-28001;ssrc=4050D02B;mode="PLAY"`,
		},
		{Transport{Profile: "RTP/AVP", TCP: true, Interleaved: &Pair{0, 1}}, "RTP/AVP/TCP;unicast;interleaved=0-1"},
		{
			Transport{Profile: "RTP/AVP", Multicast: true, Destination: "224.2.0.1", Port: &Pair{3456, 3457}, TTL: 16},
			"RTP/AVP;multicast;destination=224.2.0.1;port=3456-3457;ttl=16",
		},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("String = %s, want %s", got, tt.want)
		}
	}
}

func FuzzTransport(f *testing.F) {
	f.Add(`RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1;mode="PLAY",RTP/SAVP/UDP;multicast;destination="a\"b";ttl=3;port=8;append`)
	f.Add("RTP/AVP;unicast;client_port=1-2;server_port=3;source=x")
	f.Fuzz(func(t *testing.T, s string) {
		ts := ParseTransports([]string{s})
		var all []string
		for _, tr := range ts {
			all = append(all, tr.String())
		}
		if again := ParseTransports([]string{strings.Join(all, ", ")}); !reflect.DeepEqual(ts, again) {
			t.Errorf("%q: %v, again %v", s, ts, again)
		}
	})
}
