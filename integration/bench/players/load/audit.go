package load

import (
	"encoding/binary"
	"time"

	"peergate/integration/bench/players/camera"
)

// audit checks the packets of one player.
type audit struct {
	packets uint64 // all that came
	missing uint64 // sequence numbers that were left out
	late    uint64 // packets behind a later one, or twice
	faults  uint64 // packets that are not the camera's, or whose sequence number and number do not go together
	newest  uint32 // number of the newest packet
	keyed   bool   // the first packet started a key frame
	joined  int64  // when the first key frame was complete; 0: not yet
	counted uint64 // packets of the window
	delays  Histogram

	began bool
	seq   uint16
	key   bool   // inside the first key frame
	keyTS uint32 // its timestamp
}

// window is what is measured: packets of some numbers.
type window struct {
	open     bool
	from, to uint32 // numbers; to is beyond the last
	delays   Histogram
}

func (w *window) has(number uint32) bool {
	return w.open && int32(number-w.from) >= 0 && int32(number-w.to) < 0
}

// take checks one packet that came at a time of camera.Now.
func (a *audit) take(p []byte, now int64, w *window) {
	at, number, ok := camera.Sent(p)
	if !ok || p[0]>>6 != 2 {
		a.faults++
		return
	}
	a.packets++
	seq, marker := binary.BigEndian.Uint16(p[2:]), p[1]&0x80 != 0
	if !a.began {
		a.began, a.keyed = true, camera.StartsKeyFrame(p)
		a.seq, a.newest = seq-1, number-1
	}
	if a.joined == 0 {
		a.join(p, now, marker)
	}
	step := int16(seq - a.seq)
	if uint16(step) != uint16(number-a.newest) {
		a.faults++
	}
	if step <= 0 {
		a.late++
		return
	}
	a.missing += uint64(step - 1)
	a.seq, a.newest = seq, number
	if !w.has(number) {
		return
	}
	a.counted++
	w.delays.Add(time.Duration(now - at))
	if marker {
		a.delays.Add(time.Duration(now - at))
	}
}

// join looks for the end of the first key frame.
func (a *audit) join(p []byte, now int64, marker bool) {
	ts := binary.BigEndian.Uint32(p[4:])
	if camera.StartsKeyFrame(p) {
		a.key, a.keyTS = true, ts
	}
	if a.key && ts == a.keyTS && marker {
		a.joined = now
	}
}
