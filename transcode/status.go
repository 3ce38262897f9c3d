package transcode

import (
	"cmp"
	"slices"
	"time"

	"peergate/media"
)

// originKind is what the hub says of where renditions come from.
const originKind = "transcode"

// Status is a rendition that ffmpeg makes.
type Status struct {
	Name     media.Name
	Base     media.Name
	Process  int       // ID of ffmpeg's; 0 while none runs
	Since    time.Time // when the rendition was begun
	Restarts int       // of ffmpeg
	Frames   uint64    // pictures made
	Speed    float64   // of ffmpeg, of the media's clock: 1 keeps up; 0 unknown
	Err      string    // why the last ffmpeg ended; "" when none has
}

// Status returns the renditions that ffmpeg makes, by name.
func (p *Pool) Status() []Status {
	p.mu.Lock()
	renders := make([]*render, 0, len(p.renders))
	for r := range p.renders {
		renders = append(renders, r)
	}
	p.mu.Unlock()
	all := make([]Status, 0, len(renders))
	for _, r := range renders {
		all = append(all, r.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (r *render) status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	frames, _, speed := r.progress.read()
	st := Status{
		Name: r.name, Base: r.base.Name(), Process: r.pid, Since: r.since, Restarts: max(0, r.starts-1), Frames: r.frames + frames, Speed: speed,
	}
	if r.err != nil {
		st.Err = r.err.Error()
	}
	return st
}

// started notes that an ffmpeg runs, and where it tells of its work.
func (r *render) started(pid int, p *progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pid, r.progress = pid, p
	r.starts++
}

// stopped notes that it runs no more.
func (r *render) stopped(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	frames, _, _ := r.progress.read()
	r.pid, r.err, r.frames, r.progress = 0, err, r.frames+frames, new(progress)
}
