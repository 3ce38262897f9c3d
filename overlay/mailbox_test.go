package overlay

import (
	"testing"
	"testing/synctest"
)

// do does what has come.
func (m *mailbox) do() (n int) {
	for _, f := range m.take() {
		f()
		n++
	}
	return n
}

func TestMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox()
		done := make(chan struct{})
		chunks := 0
		for range maxChunks {
			if !m.chunk(done, func() { chunks++ }) {
				t.Fatal("no room for a chunk")
			}
		}
		waits := make(chan bool)
		go func() { waits <- m.chunk(done, func() { chunks++ }) }()
		synctest.Wait()
		select {
		case <-waits:
			t.Error("a chunk more than there is room for does not wait")
		default:
		}
		m.do()
		if !<-waits {
			t.Error("a chunk that waited is lost")
		}
		m.do()
		if chunks != maxChunks+1 {
			t.Errorf("%d chunks came, want %d", chunks, maxChunks+1)
		}
		for range maxMail {
			m.offer(func() {})
		}
		if m.offer(func() {}) {
			t.Error("more mail than is allowed is taken from peers")
		}
		if !m.put(func() {}) || m.do() != maxMail+1 {
			t.Error("mail of this gateway's own is refused")
		}
		for range maxChunks {
			m.chunk(done, func() {})
		}
		close(done)
		if m.chunk(done, func() {}) {
			t.Error("a chunk is taken although its bringer gave up")
		}
		m.close()
		if m.put(func() {}) || m.do() != 0 {
			t.Error("a closed mailbox takes or gives mail")
		}
	})
}
