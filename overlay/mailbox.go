package overlay

import "sync"

const (
	// maxMail bounds the messages of peers that wait for a channel's loop, which is busy for a moment at most.
	maxMail = 4096
	// maxChunks bounds the chunks that wait for a channel's loop. Who brings more waits.
	maxChunks = 64
)

// mailbox brings work to a channel's loop. Nobody waits for the loop but those who bring chunks.
type mailbox struct {
	ready chan struct{} // has a token when there is work
	room  chan struct{} // has a token for each chunk that waits

	mu   sync.Mutex // guards the fields below
	mail []func()   // what to do, in order
	shut bool       // the loop is over
}

func newMailbox() *mailbox {
	return &mailbox{ready: make(chan struct{}, 1), room: make(chan struct{}, maxChunks)}
}

// put adds work. It reports false when the loop is over.
func (m *mailbox) put(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shut {
		return false
	}
	m.mail = append(m.mail, f)
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return true
}

// offer adds work that a peer causes. It reports false when too much waits.
func (m *mailbox) offer(f func()) bool {
	m.mu.Lock()
	full := len(m.mail) >= maxMail
	m.mu.Unlock()
	return !full && m.put(f)
}

// chunk adds work that a chunk causes, and waits for room; done gives up.
func (m *mailbox) chunk(done <-chan struct{}, f func()) bool {
	select {
	case m.room <- struct{}{}:
	case <-done:
		return false
	}
	return m.put(func() {
		<-m.room
		f()
	})
}

// take returns the work that has come.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.mail
	m.mail = nil
	return w
}

// close ends the mailbox: work that has not been done is forgotten.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mail, m.shut = nil, true
}
