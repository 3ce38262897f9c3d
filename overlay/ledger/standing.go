package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"peergate/overlay/chunk"
)

const (
	// standingFor is for how long what was carried counts for a member's standing, and standingEvery how often what is older
	// is left out.
	standingFor   = 30 * 24 * time.Hour
	standingEvery = 24 * time.Hour
	// maxStanding bounds a standing in percent: gateways that only carry for others have no other bound.
	maxStanding = 1000
)

// standings is what members have carried and got of all channels of the owner lately. It is safe for concurrent use, also
// while the ledger is being written.
type standings struct {
	mu   sync.Mutex // guards the fields below
	of   map[Peer]*carriage
	read time.Time
	// saved is what members carried of each channel since the ledger was opened, in credited bytes.
	saved map[chunk.ID]int64
}

// carriage is in credited bytes.
type carriage struct{ got, carried int64 }

// Standing returns how many percent of what a member got it has given to others, by what was credited in the last 30 days; 0
// when it is not known.
func (l *Ledger) Standing(p Peer) int { return l.standings.standing(p) }

func (s *standings) standing(p Peer) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.of[p]
	if c == nil || c.carried <= 0 {
		return 0
	}
	return int(min(maxStanding, float64(c.carried)*100/float64(max(1, c.got))))
}

// Saved returns the bytes of a channel that members have got from others than the owner since the ledger was opened, as far as
// that was credited.
func (l *Ledger) Saved(ch chunk.ID) uint64 {
	l.standings.mu.Lock()
	defer l.standings.mu.Unlock()
	return uint64(max(0, l.standings.saved[ch]))
}

// credit counts what was credited or, below 0, taken back.
func (s *standings) credit(c *credit, owner Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved == nil {
		s.saved = make(map[chunk.ID]int64)
	}
	if c.uploader != owner {
		s.saved[c.channel] += c.bytes
	}
	s.at(c.uploader).carried += c.bytes
	s.at(c.downloader).got += c.bytes
}

// at returns the carriage of a member. The lock is held.
func (s *standings) at(p Peer) *carriage {
	c := s.of[p]
	if c == nil {
		c = new(carriage)
		s.of[p] = c
	}
	return c
}

// load reads what was credited lately.
func (s *standings) load(ctx context.Context, db *sql.DB, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of
	s.of, s.read = make(map[Peer]*carriage), now
	err := s.sum(ctx, db, "uploader", now, func(c *carriage, n int64) { c.carried = n })
	if err == nil {
		err = s.sum(ctx, db, "downloader", now, func(c *carriage, n int64) { c.got = n })
	}
	if err != nil {
		s.of = of
		return fmt.Errorf("ledger: read what members have carried: %w", err)
	}
	return nil
}

// sum reads the credited bytes by uploader or downloader. The lock is held.
func (s *standings) sum(ctx context.Context, db *sql.DB, column string, now time.Time, set func(*carriage, int64)) error {
	rs, err := db.QueryContext(ctx, "SELECT "+column+", "+sums("bytes")+" FROM credits WHERE at >= $1 GROUP BY "+column,
		now.Add(-standingFor).UnixMilli())
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var p []byte
		var n int64
		if err := rs.Scan(&p, &n); err != nil {
			return err
		}
		if len(p) == len(Peer{}) {
			set(s.at(Peer(p)), n)
		}
	}
	return rs.Err()
}

// old tells whether it is time to read anew.
func (s *standings) old(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.read) > standingEvery
}
