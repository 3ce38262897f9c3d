package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"peergate/media"

	srt "github.com/datarhei/gosrt"
)

// hubBegin publishes to a hub of its own.
func hubBegin() (*media.Hub, Begin) {
	hub := media.NewHub(slog.New(slog.DiscardHandler))
	return hub, func(tracks []media.Track) (*media.Publisher, error) { return hub.Publish("x", tracks, media.Origin{}) }
}

func testFeed(t *testing.T, address string, silentAfter time.Duration, alone bool) Feed {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(u, Options{SilentAfter: silentAfter, Alone: alone, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// freeUDP returns a port that nothing listens at.
func freeUDP(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// TestSRTLeavesNothing connects, is cut off, and calls where nobody answers, again and again: no goroutine is left.
func TestSRTLeavesNothing(t *testing.T) {
	port := freeUDP(t)
	stream := testTS(t, 50, 0)
	before := runtime.NumGoroutine()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		hub, begin := hubBegin()
		done := make(chan error, 1)
		go func() {
			done <- testFeed(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port), 5*time.Second, true)(ctx, begin)
		}()
		c := dialSRT(t, port)
		pace := time.NewTicker(5 * time.Millisecond)
		for len(hub.Streams()) == 0 {
			for i := 0; i+1316 <= len(stream); i += 1316 {
				<-pace.C
				if _, err := c.Write(stream[i : i+1316]); err != nil {
					t.Fatal(err)
				}
			}
		}
		pace.Stop()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the feed ends with %v", err)
		}
		hangUp(c)
	}
	quiet, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // takes what is sent and is silent
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	_, begin := hubBegin()
	err = testFeed(t, fmt.Sprintf("srt://%v", quiet.LocalAddr()), time.Second, true)(t.Context(), begin)
	if err == nil || !strings.Contains(err.Error(), "did not answer in 3s") {
		t.Errorf("a silent listener: %v", err)
	}
	err = testFeed(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port), time.Second, false)(t.Context(), begin)
	if err == nil || !strings.Contains(err.Error(), "nobody has called for 1s") {
		t.Errorf("without a caller: %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// dialSRT calls a listener as soon as it is there.
func dialSRT(t *testing.T, port int) srt.Conn {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := knock(ctx, address)
		cancel()
		if err == nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
	c, err := srt.Dial("srt", address, srt.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNewRefuses says what is wrong with a URL.
func TestNewRefuses(t *testing.T) {
	for address, want := range map[string]string{
		"srt://host":                        "no port",
		"srt://host:1?passphrase=short":     "5 characters",
		"srt://host:1?latency=soon":         "latency",
		"udp://example.org:5000":            "such as udp://",
		"udp://239.1.2.3:5000?source=there": "source",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(u, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", address, err, want)
		}
	}
}
