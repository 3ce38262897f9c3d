package delivery

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Sender sends the streams of a hub to players.
type Sender struct{}

// New returns a sender that does nothing until Run.
func New(o Options, log *slog.Logger) *Sender { panic("delivery: being written") }

// Run sends until ctx ends; then the players that are left get their RTCP BYE and it returns nil. Whatever else is
// called must not wait for Run to begin, and may be called before.
func (s *Sender) Run(ctx context.Context) error { panic("delivery: being written") }

// Link is the sending side of a client's connection. Answers, the packets of the players that have theirs interleaved
// and nothing else go over it, each whole and in order.
type Link struct{}

// Link takes over the writing on a connection, which must have no write deadline. A *net.TCPConn is written without
// blocking; anything else, such as TLS or the answer side of an HTTP tunnel over TLS, has a goroutine of its own and a
// bounded queue.
func (s *Sender) Link(c net.Conn) *Link { panic("delivery: being written") }

// Send queues a message, such as an answer, behind what is on its way. It does not block and keeps b. The error is
// ErrClosed, or ErrStalled when the client leaves too much unread.
func (l *Link) Send(b []byte) error { panic("delivery: being written") }

// Flush waits until all that was sent so far has been handed to the kernel, or ctx ends.
func (l *Link) Flush(ctx context.Context) error { panic("delivery: being written") }

// Close ends the link without closing the connection; what was not flushed is lost. Players on it are ended with
// ErrClosed. It is idempotent.
func (l *Link) Close() error { panic("delivery: being written") }

// Player is one receiver of a stream.
type Player struct{}

// Player adds a player, which gets nothing until Play.
func (s *Sender) Player(o PlayerOptions) *Player { panic("delivery: being written") }

// Play begins, or goes on after Pause. It fixes the first packets, calls answer in the shard, sends what that returns
// over the link, which may be nil for a client whose answer goes elsewhere, and only then the first packet. A track
// that is silent is waited for 2 s at most, a key frame for 10 s. answer must not block; it is called once at most, and
// exactly when Play returns nil. Play returns io.EOF when the stream has ended.
func (p *Player) Play(ctx context.Context, l *Link, answer func([]Start) []byte) error {
	panic("delivery: being written")
}

// Pause stops sending; when it returns no packet is sent any more but those handed to the kernel. A later Play begins
// with a key frame that was not sent yet.
func (p *Player) Pause() { panic("delivery: being written") }

// Close ends the player, with an RTCP BYE if wanted; it is idempotent, and when it returns nothing is sent any more.
func (p *Player) Close(bye bool) { panic("delivery: being written") }

// Reported takes a receiver report that the client sent about a track (RFC 3550 §6.4.2).
func (p *Player) Reported(track int, rtcp []byte, at time.Time) { panic("delivery: being written") }

// Stats returns the counters, without taking a lock of the sending path.
func (p *Player) Stats() Stats { panic("delivery: being written") }
