//go:build integration

package swarm

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

const (
	frameRate  = 25   // pictures a second
	keyEvery   = 50   // pictures: a group of pictures is 2 s
	keySize    = 4    // a key picture is so many times as large as another
	packetSize = 1200 // bytes of payload
	minSize    = 6    // bytes of payload that a number needs
	headerSize = 12   // bytes of an RTP header
	clockRate  = 90000
	video      = 96 // payload type
)

const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=swarm\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==; profile-level-id=42C01E\r\n" +
	"a=control:track0\r\n"

// camera publishes packets of its own making: each tells its number, and its other bytes follow from that.
type camera struct {
	p    *lab.Publisher
	size int    // payload bytes of an ordinary picture
	stop func() // ends it

	mu    sync.Mutex // guards the fields below
	sent  []time.Time
	total []int // bytes of RTP before each packet
	all   int
}

// newCamera publishes at a rate in bit/s until the test ends. The caller is on the host of the gateway.
func newCamera(t testing.TB, url string, rate int) *camera {
	t.Helper()
	const share = float64(keyEvery) / (keyEvery - 1 + keySize) // of an ordinary picture in the mean one
	c := &camera{p: lab.Publish(t, url, sdp, lab.TCP), size: int(share * float64(rate) / 8 / frameRate)}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c.run(stop)
	}()
	c.stop = sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	t.Cleanup(c.stop)
	return c
}

func (c *camera) run(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / frameRate)
	defer tick.Stop()
	for picture := uint32(0); ; picture++ {
		left, first := c.size, byte(0x41) // H.264 §7.4.1: a slice
		if picture%keyEvery == 0 {
			left, first = keySize*c.size, 0x65 // a slice of a key picture
		}
		for left > 0 {
			n := max(min(left, packetSize), minSize)
			left -= n
			c.p.Write(0, video, left <= 0, picture*(clockRate/frameRate), payload(first, c.note(n), n))
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		case <-c.p.Conn.Gone():
			return
		}
	}
}

// note counts a packet and returns its number.
func (c *camera) note(size int) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.total = append(c.sent, time.Now()), append(c.total, c.all)
	c.all += headerSize + size
	return uint32(len(c.sent) - 1)
}

// payload is what packet number has after its RTP header.
func payload(first byte, number uint32, size int) []byte {
	b := make([]byte, size)
	b[0] = first
	binary.BigEndian.PutUint32(b[2:], number)
	for i := minSize; i < size; i++ {
		b[i] = byte(number) ^ byte(i*7)
	}
	return b
}

// read returns the number of an RTP packet and whether all of it is as the camera made it.
func read(packet []byte) (number uint32, whole bool) {
	if len(packet) < headerSize+minSize {
		return 0, false
	}
	b := packet[headerSize:]
	number = binary.BigEndian.Uint32(b[2:])
	whole = (b[0] == 0x41 || b[0] == 0x65) && b[1] == 0
	for i := minSize; i < len(b); i++ {
		whole = whole && b[i] == byte(number)^byte(i*7)
	}
	return number, whole
}

// parameters reports whether a packet is a parameter set (H.264 §7.4.1: types 7 and 8), which the camera tells in its SDP alone.
func parameters(packet []byte) bool {
	return len(packet) > headerSize && (packet[headerSize]&0x1f == 7 || packet[headerSize]&0x1f == 8)
}

// next returns the number of the packet that will be sent next.
func (c *camera) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

// slip returns how long the longest pause between pictures was in excess of what it should be, from a packet on: the machine's
// fault, not the swarm's.
func (c *camera) slip(from int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var longest time.Duration
	for i := max(from, 1); i < len(c.sent); i++ {
		longest = max(longest, c.sent[i].Sub(c.sent[i-1]))
	}
	return longest - time.Second/frameRate
}

// at returns when a packet was sent.
func (c *camera) at(number int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[number]
}

// bytes returns how many bytes of RTP were sent before a packet, with their headers.
func (c *camera) bytes(number int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number < len(c.total) {
		return c.total[number]
	}
	return c.all
}
