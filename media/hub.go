package media

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Opener makes a missing stream appear on demand.
type Opener interface {
	// Open returns the stream once it is published in the hub. It returns ErrNotFound, perhaps wrapped with a reason,
	// when the name is not the opener's to make; any other error is the reason for the player. The hub calls it
	// concurrently, but only once at a time for a name.
	Open(ctx context.Context, name Name) (*Stream, error)
}

// Hub is the table of the streams this gateway has. It is safe for concurrent use.
type Hub struct {
	log     *slog.Logger
	openers []Opener // set before serving starts

	mu      sync.Mutex // guards the fields below; taken before a stream's
	streams map[Name]*Stream
	opening map[Name]chan struct{} // closed when the call of the openers has returned
}

// NewHub returns an empty hub.
func NewHub(log *slog.Logger) *Hub {
	return &Hub{
		log:     log.With("part", "media"),
		streams: make(map[Name]*Stream), opening: make(map[Name]chan struct{}),
	}
}

// Use sets the openers, which are asked in this order. It must be called before the hub is used.
func (h *Hub) Use(openers ...Opener) { h.openers = openers }

// Stream returns the stream of that name, or nil.
func (h *Hub) Stream(name Name) *Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[name]
}

// Streams returns all streams, sorted by name.
func (h *Hub) Streams() []*Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*Stream, 0, len(h.streams))
	for _, s := range h.streams {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Stream) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Open returns the stream of that name. When there is none, the openers are asked; calls that wait for the same name
// share one attempt. The error wraps ErrNotFound when nobody knows the name.
func (h *Hub) Open(ctx context.Context, name Name) (*Stream, error) {
	for {
		s, wait, mine := h.find(name)
		if s != nil {
			s.touch()
			return s, nil
		}
		if mine {
			return h.ask(ctx, name, wait)
		}
		select {
		case <-wait:
			if s := h.Stream(name); s != nil {
				s.touch()
				return s, nil
			}
			// The other call failed, perhaps only because its caller went away: ask again.
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// find returns the stream, or what to wait for and whether it is the caller who has to ask the openers.
func (h *Hub) find(name Name) (s *Stream, wait chan struct{}, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.streams[name]; s != nil {
		return s, nil, false
	}
	if wait, ok := h.opening[name]; ok {
		return nil, wait, false
	}
	wait = make(chan struct{})
	h.opening[name] = wait
	return nil, wait, true
}

// ask tries the openers in turn and then lets the waiting calls look again.
func (h *Hub) ask(ctx context.Context, name Name, wait chan struct{}) (*Stream, error) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.opening, name)
		close(wait)
	}()
	var reason error
	for _, o := range h.openers {
		s, err := o.Open(ctx, name)
		if err == nil {
			s.touch()
			return s, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if err != ErrNotFound && reason == nil { // wrapped: it says more
			reason = err
		}
	}
	if reason != nil {
		return nil, reason
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
}

// Publish begins to publish a name. A publisher that the name already has is replaced; its players stay when the
// tracks go on with theirs: the same codecs, clocks and AAC configurations, in any order and with any payload types.
// Else their stream ends and another begins.
func (h *Hub) Publish(name Name, tracks []Track, o Origin) (*Publisher, error) {
	p, err := newPublisher(name, tracks)
	if err != nil {
		return nil, err
	}
	h.install(p, name, tracks, o)
	return p, nil
}

// Continues reports whether players of the name could go on with such a publisher, or that it has none.
func (h *Hub) Continues(name Name, tracks []Track, o Origin) bool {
	s := h.Stream(name)
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.route(tracks, o)
	return ok || len(s.subs) == 0
}

func newPublisher(name Name, tracks []Track) (*Publisher, error) {
	if _, err := ParseName(string(name)); err != nil {
		return nil, err
	}
	if len(tracks) == 0 {
		return nil, fmt.Errorf("publish %s: no tracks", name)
	}
	p := &Publisher{done: make(chan struct{}), tracks: make([]publisherTrack, len(tracks)), from: make([]int, len(tracks))}
	for i := range tracks {
		p.tracks[i].to, p.from[i] = i, i
	}
	return p, nil
}

// install makes p the publisher of a name.
func (h *Hub) install(p *Publisher, name Name, tracks []Track, o Origin) {
	if h.enter(p, name, tracks, o) {
		h.log.Info("publisher returned", "stream", name, "remote", o.Remote)
	} else {
		h.log.Info("stream began", "stream", name, "remote", o.Remote)
	}
}

// enter gives p the stream of that name, or a new one; it reports whether players could stay.
func (h *Hub) enter(p *Publisher, name Name, tracks []Track, o Origin) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[name]
	if s != nil && s.replace(p, tracks, o) {
		return true
	}
	if s != nil {
		s.end()
	}
	s = newStream(h, name, tracks, o)
	p.st, s.pub = s, p
	h.streams[name] = s
	return false
}

// replace makes p the stream's publisher if its tracks let players go on.
func (s *Stream) replace(p *Publisher, tracks []Track, o Origin) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	route, ok := s.route(tracks, o)
	if !ok {
		return false
	}
	s.retire()
	p.st, s.pub = s, p
	s.describe(p.follow(s.tracks, tracks, route), o)
	return true
}

// route tells which of the stream's tracks a publisher's would continue; ok is false when players could not go on. What
// is verbatim is changed in nothing, so neither order nor payload types may differ. The lock is held.
func (s *Stream) route(tracks []Track, o Origin) (route []int, ok bool) {
	if s.origin.Verbatim != o.Verbatim {
		return nil, false
	}
	if route, ok = match(s.tracks, tracks); !ok {
		return nil, false
	}
	if !o.Spare && (len(tracks) != len(s.tracks) || slices.Contains(route, -1)) {
		return nil, false
	}
	if o.Verbatim {
		for i, to := range route {
			if i != to || !slices.Equal(s.tracks[i].PayloadTypes(), tracks[i].PayloadTypes()) {
				return nil, false
			}
		}
	}
	return route, true
}

// retire takes the publisher from the stream. The lock is held.
func (s *Stream) retire() {
	if s.vacancy != nil {
		s.vacancy.Stop()
		s.vacancy = nil
	}
	s.absences++
	if s.pub != nil {
		s.pub.closed = true
		close(s.pub.done)
		s.pub = nil
	}
}

// leave ends a publisher's work; its stream waits for another or ends.
func (h *Hub) leave(p *Publisher, linger bool) {
	if absence, now := p.st.vacate(p, linger); now {
		h.expire(p.st, absence)
	}
}

// vacate takes p from its stream. It numbers the absence and reports whether the stream is to end now.
func (s *Stream) vacate(p *Publisher, linger bool) (absence int, now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pub != p {
		return 0, false
	}
	s.retire()
	absence = s.absences
	if linger && s.origin.Linger > 0 {
		s.vacancy = time.AfterFunc(s.origin.Linger, func() { s.hub.expire(s, absence) })
		return absence, false
	}
	return absence, true
}

// expire ends a stream if the absence of its publisher is still the numbered one.
func (h *Hub) expire(s *Stream, absence int) {
	if h.remove(s, absence) {
		h.log.Info("stream ended", "stream", s.name)
	}
}

func (h *Hub) remove(s *Stream, absence int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	back := s.ended || s.pub != nil || s.absences != absence
	s.mu.Unlock()
	if back {
		return false
	}
	delete(h.streams, s.name)
	s.end()
	return true
}

// end closes the publisher and lets the subscribers read to the end.
func (s *Stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.retire()
	for sub := range s.subs {
		sub.end()
	}
	clear(s.subs)
	s.group = nil
	close(s.done)
}
