package rtsp

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"peergate/conf"
)

// maxIdle is what an idle connection may cost on the heap, in bytes, with the client's side of it in the same process.
// Thousands are open at once, and anybody can open them.
const maxIdle = 6 << 10

// TestIdleConnectionIsSmall measures connections that have been served a request each.
func TestIdleConnectionIsSmall(t *testing.T) {
	const n = 300
	s := newServer(t, func(c *conf.Config) { c.RTSP.MaxPerAddress = 2 * n })
	answer := make([]byte, 1024)
	open := func() {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: test\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if k, err := c.Read(answer); err != nil || !bytes.HasPrefix(answer[:k], []byte("RTSP/1.0 200 OK")) {
			t.Fatalf("answer = %q, %v", answer[:k], err)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	open()
	before := heap()
	for range n {
		open()
	}
	if each := int64(heap()-before) / n; each > maxIdle {
		t.Errorf("an idle connection takes %d bytes, at most %d are allowed", each, maxIdle)
	} else {
		t.Logf("an idle connection takes %d bytes", each)
	}
}
