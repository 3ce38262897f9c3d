package swarm

import "time"

// doubtful tells whether a child may be dead: it does not acknowledge what it was sent, nor say anything else.
func (s *Swarm) doubtful(p *peer) bool { return s.quietFor(p) > s.doubt() }

// quietFor returns for how much longer than an answer takes a child has said nothing.
func (s *Swarm) quietFor(p *peer) time.Duration {
	quiet := s.now.Sub(p.heard)
	if len(p.flight) > 0 {
		quiet = min(quiet, s.now.Sub(p.flight[0].out))
	} else {
		quiet -= 2 * heartbeatEvery
	}
	return quiet - p.distance() - 4*p.rtt.dev
}

// doubt returns for how long a child may be quiet. At the owner of many, whose children have all others below them, it is
// less, unless several are quiet at once: then the own line or machine is what is slow. It is found once for an event.
func (s *Swarm) doubt() time.Duration {
	if s.doubting > 0 {
		return s.doubting
	}
	s.doubting = childDoubt
	if s.owner() && s.size >= fewMembers {
		n := 0
		for _, p := range s.kids {
			if s.quietFor(p) > rootDoubt {
				n++
			}
		}
		if rootsQuiet*n <= len(s.kids) {
			s.doubting = rootDoubt
		}
	}
	return s.doubting
}

const (
	// childDoubt is how long a child may say nothing, neither heartbeat nor acknowledgement, beyond what an answer takes,
	// before others get its slots, and childSilence before it is given up.
	childDoubt   = 400 * time.Millisecond
	childSilence = 4 * time.Second
	// rootDoubt is how long one of the owner's children may, while no more than one in rootsQuiet do.
	rootDoubt  = 250 * time.Millisecond
	rootsQuiet = 4
)
