// Package media is the vocabulary all parts of a gateway share: names, tracks, packets, streams and the Hub,
// the table of the streams this gateway has.
//
// A publisher writes a stream, subscribers read it:
//
//	publisher ─► Publisher ─► Stream ─► Subscription ─► subscriber
//
// RTSP, overlay and transcoder put streams into the hub or take them out; none of them knows another. A name that
// nobody publishes is made to appear by an Opener. Packets are immutable from the moment they are published and are
// shared by all subscribers.
package media

import "errors"

var (
	// ErrNotFound means that nobody publishes the name and that no opener makes it.
	ErrNotFound = errors.New("stream not found")
	// ErrEnded means that the stream is over, or that its publisher was closed or replaced.
	ErrEnded = errors.New("stream ended")
	// ErrNotEnoughBandwidth means that those who carry the stream have no upload left for another one (RTSP 453).
	ErrNotEnoughBandwidth = errors.New("not enough bandwidth")
	// ErrForbidden means that this gateway may not have the stream (RTSP 403).
	ErrForbidden = errors.New("not allowed")
	// ErrUnsupported means that the stream cannot be had in the form that was asked for (RTSP 415).
	ErrUnsupported = errors.New("cannot be converted")
)
