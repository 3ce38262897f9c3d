package p2p

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

// A private network has a key that its gateways share. libp2p's own way excludes QUIC, so the key is proven inside the
// encrypted connection, over any transport, before libp2p itself sees the connection: whoever cannot, learns nothing but
// that somebody listens. Both sides open a stream with a challenge, and answer the other's:
//
//	challenge  foreign, 28 random bytes
//	answer     HMAC-SHA256 under the key of proofLabel, challenge, and the IDs of who answers and who asks
//
// The IDs, which TLS has proven, keep a stranger from handing a challenge on to a gateway that knows the key.

const (
	// leastKey is the fewest characters of a network's key: who was answered can try keys without asking again.
	leastKey = 32
	// maxKey bounds the file of a network's key in bytes.
	maxKey = 4096
	// proveWithin is how long both proofs may take: some round trips of a slow link and a busy machine.
	proveWithin = 5 * time.Second
	// maxProving bounds the inbound connections that are being proven; others wait to be accepted.
	maxProving = 256
	// proofLabel keeps the answers apart from all else that may be signed with the key.
	proofLabel = "peergate network 1\x00"
)

// foreign begins a challenge: a gateway without a key takes it for the length of a message of libp2p's negotiation, which is
// too long, and gives the stream up at once. Random bytes could be a length for which it would wait.
var foreign = binary.AppendUvarint(nil, 1<<28-1)

// errStranger means that the other side of a connection does not know the network's key.
var errStranger = errors.New("the peer does not know the key of this network (overlay.network_key)")

// LoadNetworkKey reads the file of a private network's key, any text of 32 characters or more that is hard to guess. A
// file that other users could read is refused.
func LoadNetworkKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("overlay.network_key: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("overlay.network_key: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("overlay.network_key: %s can be read by others (mode %#o): run chmod 600 %s", file, mode, file)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, fmt.Errorf("overlay.network_key: %w", err)
	}
	key := strings.TrimSpace(string(b))
	if len(key) < leastKey || len(b) > maxKey {
		return nil, fmt.Errorf("overlay.network_key: %s has %d characters, must be %d to %d: make one with openssl rand -hex 32",
			file, len(key), leastKey, maxKey)
	}
	return []byte(key), nil
}

// private returns a transport whose connections are within the network of the key, if there is one.
func (h *Host) private(t transport.Transport) transport.Transport {
	if len(h.o.NetworkKey) == 0 {
		return t
	}
	return &privateTransport{t, h.o.NetworkKey}
}

// privateTransport lets only connections through on which both sides have proven the key.
type privateTransport struct {
	transport.Transport
	key []byte
}

// Dial connects, and proves.
func (t *privateTransport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	return t.DialWithUpdates(ctx, a, p, nil)
}

// DialWithUpdates is Dial, and tells how it goes.
func (t *privateTransport) DialWithUpdates(
	ctx context.Context, a ma.Multiaddr, p peer.ID, updates chan<- transport.DialUpdate,
) (transport.CapableConn, error) {
	c, err := dialWithUpdates(ctx, t.Transport, a, p, updates)
	if err != nil {
		return nil, err
	}
	if err := t.prove(ctx, c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Listen accepts connections of those who know the key.
func (t *privateTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	inner, err := t.Transport.Listen(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &privateListener{
		Listener: inner, t: t, proven: make(chan transport.CapableConn), over: make(chan struct{}), cancel: cancel,
	}
	l.tasks.Go(func() { l.accept(ctx) })
	return l, nil
}

// prove has both sides prove that they know the key.
func (t *privateTransport) prove(ctx context.Context, c transport.CapableConn) error {
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return t.ask(ctx, c) })
	g.Go(func() error { return t.answer(c) })
	if err := g.Wait(); err != nil {
		if errors.Is(err, errStranger) {
			return err
		}
		return fmt.Errorf("%w: %w", errStranger, err)
	}
	return nil
}

// ask challenges the other side.
func (t *privateTransport) ask(ctx context.Context, c transport.CapableConn) error {
	s, err := c.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	challenge, got := make([]byte, sha256.Size), make([]byte, sha256.Size)
	_, _ = rand.Read(challenge[copy(challenge, foreign):]) // it never fails
	if _, err := s.Write(challenge); err != nil {
		return err
	}
	if _, err := io.ReadFull(s, got); err != nil {
		return err
	}
	if !hmac.Equal(got, proof(t.key, challenge, c.RemotePeer(), c.LocalPeer())) {
		return errStranger
	}
	return nil
}

// answer answers the challenge of the other side.
func (t *privateTransport) answer(c transport.CapableConn) error {
	s, err := c.AcceptStream()
	if err != nil {
		return err
	}
	defer s.Close()
	challenge := make([]byte, sha256.Size)
	if _, err := io.ReadFull(s, challenge); err != nil {
		return err
	}
	_, err = s.Write(proof(t.key, challenge, c.LocalPeer(), c.RemotePeer()))
	return err
}

// proof is the answer to a challenge.
func proof(key, challenge []byte, answers, asks peer.ID) []byte {
	m := hmac.New(sha256.New, key)
	for _, b := range [][]byte{[]byte(proofLabel), challenge, []byte(answers), []byte(asks)} {
		m.Write(b)
	}
	return m.Sum(nil)
}

// privateListener is a transport's listener that hands on what has been proven.
type privateListener struct {
	transport.Listener
	t      *privateTransport
	proven chan transport.CapableConn
	over   chan struct{} // closed when the inner listener has ended
	cancel func()
	tasks  sync.WaitGroup
	err    error // why it has ended; set before over is closed
}

// accept has inbound connections prove themselves, each beside the others.
func (l *privateListener) accept(ctx context.Context) {
	defer close(l.over)
	turns := make(chan struct{}, maxProving)
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.err = err
			return
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			_ = c.Close()
			continue
		}
		l.tasks.Go(func() {
			err := l.t.prove(ctx, c)
			<-turns
			if err != nil {
				_ = c.CloseWithError(network.ConnGated)
				return
			}
			select {
			case l.proven <- c:
			case <-ctx.Done():
				_ = c.Close()
			}
		})
	}
}

// Accept returns the next connection that is within the network.
func (l *privateListener) Accept() (transport.CapableConn, error) {
	select {
	case c := <-l.proven:
		return c, nil
	case <-l.over:
		return nil, l.err
	}
}

// Close ends the listener and the proofs that are under way.
func (l *privateListener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.tasks.Wait()
	return err
}
