// Package p2p connects gateways: their identities, the transports TCP with TLS and QUIC, the list of those who are let
// in, and streams between them. It stands on libp2p and hides it; nothing else imports that.
//
// Two gateways have at most a few connections and many streams on them. A stream belongs to a protocol, whose ID
// carries its version; two gateways of different versions speak the newest both have, or not at all:
//
//	/peergate/control/1   one for each pair of gateways: length-prefixed messages both ways
//	/peergate/repair/1    one for each direction: requests for single chunks and the answers
//	/peergate/directory/1 one for each question: the channels that a gateway lists for everybody
//	/peergate/gauge/1     one for each measurement: bytes to be counted, and how many came how fast
//	/peergate/push/1      one for each channel and parent, opened by the child: chunks down, acknowledgements up
package p2p

import "errors"

// Protocol names what a stream is for and in which version.
type Protocol string

// The protocols of this version.
const (
	Control Protocol = "/peergate/control/1"
	Repair  Protocol = "/peergate/repair/1"
	Push    Protocol = "/peergate/push/1"

	Directory Protocol = "/peergate/directory/1"
	Gauge     Protocol = "/peergate/gauge/1"
)

var (
	// ErrNotListed means that the peer is not among those this gateway deals with.
	ErrNotListed = errors.New("the peer is not listed in this gateway's configuration")
	// ErrRefused means that the peer was reached and hung up, as a gateway does that does not list us.
	ErrRefused = errors.New("the peer hung up: it may not list this gateway among its peers")
	// ErrStopped means that the host is not running.
	ErrStopped = errors.New("the overlay is not running")
)
