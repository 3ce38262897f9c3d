//go:build integration

package lab

import (
	"crypto/md5"
	"encoding/hex"
	"hash"
	"sync"
)

// frames takes raw pictures from a player's standard output and keeps their sums.
type frames struct {
	want   int
	enough chan struct{} // closed when there are as many as wanted; what comes then is ignored

	mu   sync.Mutex // guards the fields below
	sum  hash.Hash
	left int // bytes of the picture that is coming
	sums []string
}

func newFrames(want int) *frames {
	return &frames{want: want, enough: make(chan struct{}), sum: md5.New(), left: FrameSize}
}

// Write takes what the player writes.
func (f *frames) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(b)
	for len(b) > 0 && len(f.sums) < f.want {
		part := b[:min(len(b), f.left)]
		f.sum.Write(part)
		b = b[len(part):]
		if f.left -= len(part); f.left > 0 {
			break
		}
		f.sums = append(f.sums, hex.EncodeToString(f.sum.Sum(nil)))
		f.sum.Reset()
		f.left = FrameSize
		if len(f.sums) == f.want {
			close(f.enough)
		}
	}
	return n, nil
}

// soFar returns the sums of the pictures that are whole.
func (f *frames) soFar() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.sums...)
}
