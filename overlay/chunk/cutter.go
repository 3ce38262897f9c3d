package chunk

import (
	"time"

	"peergate/media"
)

// How large chunks get and how long a packet may wait in one. With video a chunk ends with the frame, so that the
// limits matter to large frames and to tracks beside the video only.
const (
	// limit is the size in bytes at which a chunk is closed. On lossy paths 8 KiB arrives in a third of the time that
	// 16 KiB takes; above fastRate the signatures would cost more than that is worth.
	limit, fastLimit = 8 << 10, 16 << 10
	fastRate         = 8_000_000 / 8 // bytes a second
	wait             = 40 * time.Millisecond
	// Without video, the signature of a chunk every 40 ms would double the bytes of a 64 kbit/s track.
	audioLimit = 4 << 10
	audioWait  = 250 * time.Millisecond
	// rateWindow is how long the rate is measured for.
	rateWindow = time.Second
)

// Cut is what a chunk is to be made of.
type Cut struct {
	Packets []media.Packet // at least one
	Vital   bool           // a part of a key frame is among them, or none is of a video track
	Wall    time.Time      // owner's clock when it was closed
}

// Cutter divides the packets of a stream into chunks. It is for one goroutine.
type Cutter struct {
	video []bool // by track
	any   bool   // there is a video track
	open  []media.Packet
	size  int
	due   time.Time // when the open chunk is to be closed at the latest
	rate  meter

	moving bool // the open chunk has a packet of a video track
	vital  bool // and one of a key frame

	key      bool   // a key packet was seen, of which the fields below tell
	keyTrack int    // its track
	keyTime  uint32 // its RTP timestamp: packets that share it are of the same frame
}

// NewCutter returns a cutter for a stream of these tracks.
func NewCutter(tracks []media.Track) *Cutter {
	c := &Cutter{video: make([]bool, len(tracks))}
	for i := range tracks {
		c.video[i] = tracks[i].Kind == "video"
		c.any = c.any || c.video[i]
	}
	return c
}

// Add takes a packet and calls emit for each chunk that it closes, at most twice.
func (c *Cutter) Add(p media.Packet, now time.Time, emit func(Cut)) {
	c.rate.add(len(p.Data), now)
	if c.any && p.Key || c.size+len(p.Data) > c.limit() || len(c.open) == maxPackets {
		c.Flush(now, emit)
	}
	if len(c.open) == 0 {
		c.due = now.Add(c.wait())
	}
	c.note(&p)
	c.open = append(c.open, p)
	c.size += len(p.Data)
	if !p.Report && c.video[p.Track] && p.Marker() || c.size >= c.limit() || !now.Before(c.due) {
		c.Flush(now, emit)
	}
}

// note learns from a packet whether the open chunk is vital.
func (c *Cutter) note(p *media.Packet) {
	if p.Report || !c.video[p.Track] {
		return
	}
	c.moving = true
	if p.Key {
		c.key, c.keyTrack, c.keyTime = true, p.Track, p.Timestamp()
	}
	c.vital = c.vital || c.key && p.Track == c.keyTrack && p.Timestamp() == c.keyTime
}

// Due returns when Flush is to be called; ok is false while no chunk is open.
func (c *Cutter) Due() (at time.Time, ok bool) { return c.due, len(c.open) > 0 }

// Flush closes the open chunk, if there is one.
func (c *Cutter) Flush(now time.Time, emit func(Cut)) {
	if len(c.open) == 0 {
		return
	}
	cut := Cut{c.open, c.vital || !c.moving, now}
	c.open, c.size, c.vital, c.moving = nil, 0, false, false
	emit(cut)
}

func (c *Cutter) limit() int {
	switch {
	case !c.any:
		return audioLimit
	case c.rate.perSecond > fastRate:
		return fastLimit
	}
	return limit
}

func (c *Cutter) wait() time.Duration {
	if c.any {
		return wait
	}
	return audioWait
}

// Rate returns the bit rate of the packets, in bits a second over the last whole second.
func (c *Cutter) Rate() int { return c.rate.perSecond * 8 }

// meter measures bytes a second in whole windows.
type meter struct {
	from      time.Time
	bytes     int
	perSecond int
}

func (m *meter) add(n int, now time.Time) {
	if d := now.Sub(m.from); d >= rateWindow {
		m.perSecond = int(int64(m.bytes) * int64(time.Second) / int64(d))
		m.from, m.bytes = now, 0
	}
	m.bytes += n
}
