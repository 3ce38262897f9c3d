package main

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"peergate/conf"
	"peergate/rtsp/onvif"
)

// TestPrintedDevices has what is printed of cameras read as gateway.yml, whatever they say.
func TestPrintedDevices(t *testing.T) {
	all := []onvif.Device{
		{
			Address: netip.MustParseAddr("192.0.2.7"), Name: "Front Door: {", Hardware: "C1",
			Streams: []onvif.Stream{{Profile: "main: 1", URL: "rtsp://192.0.2.7/a\"b?c=1#d", Codec: "H264", Width: 1920, Height: 1080}, {URL: "rtsp://192.0.2.7/2"}},
		},
		{Address: netip.MustParseAddr("192.0.2.8"), Err: errors.New("wants a user and password, or others")},
	}
	var out bytes.Buffer
	printDevices(&out, all)
	c, err := conf.Parse("gateway.yml", out.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if got := c.Streams["camera-192-0-2-7-1"].Source; len(c.Streams) != 2 || len(got) != 1 || got[0] != all[0].Streams[0].URL {
		t.Errorf("streams %+v of\n%s", c.Streams, &out)
	}
	if !strings.Contains(out.String(), "192.0.2.8") || !strings.Contains(out.String(), "wants a user and password") {
		t.Errorf("nothing of the camera that wants a password:\n%s", &out)
	}
}

// TestDeviceAddresses reads addresses of cameras, with a port or without.
func TestDeviceAddresses(t *testing.T) {
	got, err := deviceAddresses([]string{"192.0.2.7", "192.0.2.8:8000"})
	if err != nil || len(got) != 2 || got[0].Port() != 3702 || got[1].Port() != 8000 {
		t.Errorf("deviceAddresses = %v, %v", got, err)
	}
	for _, bad := range []string{"camera.local", "192.0.2.7:x", "::1"} {
		if _, err := deviceAddresses([]string{bad}); err == nil || !strings.Contains(err.Error(), "IPv4 address such as") {
			t.Errorf("deviceAddresses(%q) = %v, want an error that tells what is wanted", bad, err)
		}
	}
}
