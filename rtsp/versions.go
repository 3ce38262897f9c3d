package rtsp

import (
	"slices"
	"sync"

	"peergate/media"
)

// ntpEpoch is the NTP time, in seconds, of the Unix epoch (RFC 5905 §6): a session is numbered by such times.
const ntpEpoch = 2208988800

// versions numbers the descriptions of streams, for their o= lines (RFC 8866 §5.2).
type versions struct {
	mu  sync.Mutex // guards the field below
	all map[*media.Stream]*version
}

// version is a stream's newest description.
type version struct {
	tracks []media.Track
	number uint64
}

func newVersions() *versions { return &versions{all: make(map[*media.Stream]*version)} }

// of returns the session ID, which is the time when the stream began, and the version, which grows when the tracks
// change.
func (v *versions) of(st *media.Stream, tracks []media.Track) (id, number uint64) {
	id = uint64(st.Stats().Since.Unix() + ntpEpoch)
	v.mu.Lock()
	defer v.mu.Unlock()
	d := v.all[st]
	if d == nil {
		v.forget()
		d = &version{tracks, id}
		v.all[st] = d
	}
	if !slices.EqualFunc(d.tracks, tracks, func(a, b media.Track) bool { return slices.Equal(a.Lines, b.Lines) }) {
		d.tracks, d.number = tracks, d.number+1
	}
	return id, d.number
}

// forget drops streams that have ended.
func (v *versions) forget() {
	for st := range v.all {
		if isDone(st.Done()) {
			delete(v.all, st)
		}
	}
}
