package web

import "time"

// Status is what a gateway does now. Counters begin when the gateway does; times in milliseconds are 0 when unknown.
type Status struct {
	Version string    `json:"version"` // of the program
	ID      string    `json:"id"`      // "" when the overlay is off
	Since   time.Time `json:"since"`   // when it began
	Streams []Stream  `json:"streams"` // by name
	RTSP    RTSP      `json:"rtsp"`
	HLS     HLS       `json:"hls"`
	WebRTC  WebRTC    `json:"webrtc"`
	Overlay *Overlay  `json:"overlay,omitempty"` // nil when it is off

	Renditions []Rendition `json:"renditions"` // that ffmpeg makes, by name
}

// Rendition is a stream that an ffmpeg of this gateway makes.
type Rendition struct {
	Name     string    `json:"name"`
	Base     string    `json:"base"`    // the stream that it is made from
	Process  int       `json:"process"` // ID of ffmpeg's; 0 while none runs
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"` // of ffmpeg
	Frames   uint64    `json:"frames"`   // pictures made
	Speed    float64   `json:"speed"`    // of the media's clock: 1 keeps up; 0 unknown
	Err      string    `json:"err"`      // why the last ffmpeg ended
}

// Stream is a stream of the hub.
type Stream struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind"`   // publish, rtsp, udp, srt, file, rtmp, exec, stream, demo, overlay or transcode
	Remote      string    `json:"remote"` // where it comes from
	Publishing  bool      `json:"publishing"`
	Since       time.Time `json:"since"`
	Tracks      []string  `json:"tracks"` // codecs
	Subscribers int       `json:"subscribers"`
	Packets     uint64    `json:"packets"`
	Bytes       uint64    `json:"bytes"`
	Lost        uint64    `json:"lost"` // gaps in the publisher's sequence numbers
}

// RTSP tells of the server.
type RTSP struct {
	Players     int       `json:"players"`
	Publishers  int       `json:"publishers"`
	Connections int       `json:"connections"`
	BytesIn     uint64    `json:"bytes_in"`
	BytesOut    uint64    `json:"bytes_out"`
	Sessions    []Session `json:"sessions"` // the oldest first
}

// Session is a player or a publisher. Its RTSP session ID is a secret of the client and not told.
type Session struct {
	Stream    string    `json:"stream"`
	Publisher bool      `json:"publisher"`
	Remote    string    `json:"remote"`
	User      string    `json:"user"`
	Since     time.Time `json:"since"`
	Transport string    `json:"transport"` // udp, tcp or multicast
	Bytes     uint64    `json:"bytes"`     // received of a publisher, sent to a player
	Packets   uint64    `json:"packets"`   // sent
	Skipped   uint64    `json:"skipped"`   // packets, because the player could not keep up
	Lost      uint32    `json:"lost"`      // packets, as the player reports
	LagMS     float64   `json:"lag_ms"`    // of the newest packets, in this gateway
	JitterMS  float64   `json:"jitter_ms"` // as the player reports
	RTTMS     float64   `json:"rtt_ms"`
}

// HLS tells of players over HTTP Live Streaming.
type HLS struct {
	Players  int         `json:"players"` // that have asked within the last 10 s; those of one address and program are one
	BytesOut uint64      `json:"bytes_out"`
	Streams  []HLSStream `json:"streams"` // of which segments are made, by name
}

// HLSStream is a stream of which segments are made.
type HLSStream struct {
	Name    string    `json:"name"`
	Source  string    `json:"source"` // the stream, or the rendition of it that players can play
	Since   time.Time `json:"since"`
	Players int       `json:"players"`
	Bytes   uint64    `json:"bytes"` // given out
}

// WebRTC tells of players (WHEP) and publishers (WHIP) over WebRTC.
type WebRTC struct {
	BytesOut uint64          `json:"bytes_out"` // to players
	Sessions []WebRTCSession `json:"sessions"`  // the oldest first
}

// WebRTCSession is a player or a publisher.
type WebRTCSession struct {
	Stream    string    `json:"stream"`
	Publisher bool      `json:"publisher"`
	Remote    string    `json:"remote"`
	User      string    `json:"user"`
	Since     time.Time `json:"since"`
	Bytes     uint64    `json:"bytes"` // received of a publisher, sent to a player
}

// players returns how many there are, and how many publishers.
func (w *WebRTC) players() (players, publishers int) {
	for _, s := range w.Sessions {
		if s.Publisher {
			publishers++
		} else {
			players++
		}
	}
	return players, publishers
}

// Overlay tells of the exchange with other gateways.
type Overlay struct {
	BytesIn  uint64    `json:"bytes_in"` // on streams to peers, before encryption
	BytesOut uint64    `json:"bytes_out"`
	Accounts uint64    `json:"bytes_accounts"` // of those out: receipts, letters to owners and their replies
	Peers    []Peer    `json:"peers"`          // by name
	Channels []Channel `json:"channels"`
	Reach    Reach     `json:"reach"`
}

// Reach tells how this gateway can be reached.
type Reach struct {
	NAT      string   `json:"nat"`     // unknown, none, port-preserving, endpoint-independent or symmetric
	Seen     []string `json:"seen"`    // where peers see its QUIC, as host:port
	TCP      string   `json:"tcp"`     // "ok" when a peer could connect anew, else why not; "" unknown
	QUIC     string   `json:"quic"`    // the same
	Mapped   []string `json:"mapped"`  // addresses that the router leads here
	Relays   []string `json:"relays"`  // peers through which it can be reached
	BytesFor uint64   `json:"relayed"` // passed on for others
}

// Peer is a listed peer.
type Peer struct {
	Name      string  `json:"name"`
	ID        string  `json:"id"`
	Connected bool    `json:"connected"`
	Remote    string  `json:"remote"`
	Way       string  `json:"way"`       // direct, punched or relayed
	Transport string  `json:"transport"` // tcp or quic
	Version   string  `json:"version"`
	RTTMS     float64 `json:"rtt_ms"`
	Err       string  `json:"err"` // why it cannot be reached
}

// Channel is a channel that this gateway carries.
type Channel struct {
	Owner    string   `json:"owner"`
	Name     string   `json:"name"`
	Own      bool     `json:"own"`   // this gateway is the owner
	As       []string `json:"as"`    // names under which players have it here
	State    string   `json:"state"` // joining, waiting or joined
	Why      string   `json:"why"`   // it waits
	Parents  []string `json:"parents"`
	Children []string `json:"children"`
	Trackers []string `json:"trackers"` // that the owner has named
	Depth    int      `json:"depth"`    // hops to the owner; -1 without a parent
	Stripes  []Stripe `json:"stripes"`
	BytesIn  uint64   `json:"bytes_in"`
	BytesOut uint64   `json:"bytes_out"`
	Saved    uint64   `json:"bytes_saved"` // of an own channel: what members had from each other, by the ledger
	Spare    uint64   `json:"bytes_spare"` // of those in: chunks that came late or again, which earn nothing
	Rate     int      `json:"rate"`        // bits a second
	Slots    int      `json:"slots"`       // children and stripes that could be served
	Used     int      `json:"used"`
	LagMS    float64  `json:"lag_ms"`   // from the owner to here, median
	DelayMS  float64  `json:"delay_ms"` // what a gap may hold up
	Chunks   Chunks   `json:"chunks"`
}

// Stripe is a stripe of a channel.
type Stripe struct {
	Parent   string   `json:"parent"`
	Backups  []string `json:"backups"`
	Children []string `json:"children"`
	Depth    int      `json:"depth"`
}

// Chunks counts the chunks of a channel.
type Chunks struct {
	Received   uint64 `json:"received"`   // without duplicates
	Duplicates uint64 `json:"duplicates"` // that came again
	Stale      uint64 `json:"stale"`      // that came too late
	Pushed     uint64 `json:"pushed"`     // to children
	Asked      uint64 `json:"asked"`      // of others, since they were missing
	Repaired   uint64 `json:"repaired"`   // of them, those that came
	Given      uint64 `json:"given"`      // to others who asked
	Dropped    uint64 `json:"dropped"`    // since a child's queue was too long
	Released   uint64 `json:"released"`   // to players
	Skipped    uint64 `json:"skipped"`    // given up
	Skips      uint64 `json:"skips"`      // times that this happened
	Switches   uint64 `json:"switches"`   // parents replaced
	Shed       uint64 `json:"shed"`       // stripes taken from children
}
