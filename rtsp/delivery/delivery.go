// Package delivery sends a stream to thousands of players at the cost of hundreds.
//
// The packets of a stream are collected into batches, which end with a frame or after 2 ms. A batch is marshalled once
// and shared by all players; a few shards, one for each core, own the players and send a batch with few system calls.
// No player has a goroutine, a queue or a timer of its own.
//
//	media.Stream ─► feed ─┬─► shard: flow ─┬─► Player ─► Link ─► pipe          interleaved: one write a batch
//	                      │                └─► Player ─► socket ─► datagrams   over UDP: one call for many players
//	                      └─► shard: flow ─► ...
//
// A feed reads one stream for all its players and makes batches. A flow is a shard's part of it: a log of the batches from
// the newest key packet on and, before that, those that slow players still need. A player is a place in that log, so that
// beginning with the kept key frame, falling behind, skipping and catching up are all the same thing: moving that place.
// A batch is marshalled as a form, once for each layout of tracks and channels in use; forms, batches and their places are
// touched by the loop of one shard at a time, without locks but that of the batch when a form is looked up.
//
// What a connection does not take is kept as a place, too: the rest of a packet that was written in part is copied, and
// the next thing begins at the packet's end.
package delivery

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"peergate/media"
)

// Errors for which a player is ended.
var (
	// ErrStalled means that the player took nothing for Options.WriteTimeout.
	ErrStalled = errors.New("takes nothing any more")
	// ErrClosed means that the link, the player or the sender was closed.
	ErrClosed = errors.New("connection closed")
)

// Options are settings of a Sender.
type Options struct {
	WriteTimeout time.Duration // a player that takes nothing for so long is ended; 0: 10 s
	StartMaxAge  time.Duration // of the key frame a new player begins with; 0: the next key frame is waited for
	Shards       int           // 0: one for each core
	Portable     bool          // one packet a system call, as where the kernel has no better ones; for tests
}

// Outlet says how the packets of one track leave: over UDP, or interleaved on a link.
type Outlet struct {
	Track int // index into the stream's tracks

	RTP, RTCP         *net.UDPConn // the server's sockets, shared by all players; nil when interleaved
	RTPAddr, RTCPAddr netip.AddrPort
	Source            netip.Addr // local address to send from, where the server listens at several; the zero Addr lets the kernel choose

	Link        *Link // interleaved (RFC 2326 §10.12); nil over UDP
	RTPChannel  uint8
	RTCPChannel uint8

	Seal Sealer // not nil: SRTP (RFC 3711)
}

// Sealer encrypts the packets of one player and track. It is called by one goroutine at a time and keeps neither
// argument.
type Sealer interface {
	SealRTP(dst, packet []byte) ([]byte, error)  // appends the sealed packet to dst
	SealRTCP(dst, packet []byte) ([]byte, error) // appends the sealed compound packet to dst
}

// PlayerOptions say what a player gets.
type PlayerOptions struct {
	Stream  *media.Stream
	Outlets []Outlet // all over UDP, or all on one link; at most one for each track
	CNAME   string   // of the sender, in its RTCP (RFC 3550 §6.5.1)
	// Ended is called once, from a shard, when the player ends otherwise than by Close: with io.EOF when the stream has
	// ended (its BYE was sent), ErrStalled, ErrClosed or an error of the connection. It must not block, nor call Pause or
	// Close of a player.
	Ended func(err error)
}

// Start tells with which packet a track begins.
type Start struct {
	Track     int
	HasSeq    bool   // Seq is known; not so for a track that is silent
	Seq       uint16 // of the first packet that will be sent
	HasTime   bool   // Timestamp is known
	Timestamp uint32 // of the instant at which playing begins, the same for all tracks (RFC 2326 §12.33)
}

// Stats counts what a player got.
type Stats struct {
	Packets, Bytes uint64        // RTP sent
	Skipped        uint64        // packets left out because the player could not keep up
	Lag            time.Duration // between a packet's arrival here and its sending, of the newest batch
	Lost           uint32        // cumulative, of all tracks, as the client reports it
	Jitter         time.Duration // the greatest of all tracks, as the client reports it
	RTT            time.Duration // to the client, from its newest receiver report; 0 when unknown
}
