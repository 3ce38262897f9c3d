package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"peergate/overlay/chunk"
)

// View is a ledger to be read, by this process or another one's. Several may be open while a gateway writes.
type View struct {
	db   *sql.DB
	head string
	mine bool // db is to be closed
}

// OpenView opens a ledger to read it. The head is the file of its signed end, "" is none.
func OpenView(ctx context.Context, database, head string) (*View, error) {
	db, err := view(ctx, database)
	if err != nil {
		return nil, err
	}
	return &View{db: db, head: head, mine: true}, nil
}

// View returns the ledger to be read. It is closed with the ledger.
func (l *Ledger) View() *View { return &View{db: l.db, head: l.headFile} }

// Close closes what OpenView has opened.
func (v *View) Close() error {
	if !v.mine {
		return nil
	}
	v.mine = false
	return v.db.Close()
}

// The ways to sum up.
const (
	ByPeer    = "peer"
	ByChannel = "channel"
	ByDay     = "day"
)

// Sum is a line of a report. Amounts are billionths of the unit in which prices are given.
type Sum struct {
	Peer    Peer   // of a report by peer
	Channel string // of a report by channel
	Day     string // of a report by day, in UTC, such as 2026-05-01
	Carried int64  // bytes given to others: of all peers but the owner in a report by channel or day
	Given   int64  // bytes given by the owner itself, in a report by channel or day
	Got     int64  // bytes got from others
	Watched int64  // of these, those for which somebody watched
	Viewing time.Duration
	Charge  int64
	Earned  int64
	Refused int64 // bytes
}

// add adds another sum.
func (s *Sum) add(o *Sum) {
	s.Carried += o.Carried
	s.Given += o.Given
	s.Got += o.Got
	s.Watched += o.Watched
	s.Viewing += o.Viewing
	s.Charge += o.Charge
	s.Earned += o.Earned
	s.Refused += o.Refused
}

// day is how SQLite and PostgreSQL both count days since 1970.
const day = "at / 86400000"

// Report sums up what was credited from one time until before another, by peer, channel or day.
func (v *View) Report(ctx context.Context, by string, from, to time.Time) ([]Sum, error) {
	switch by {
	case ByPeer:
		return v.byPeer(ctx, from, to)
	case ByChannel:
		return v.grouped(ctx, "channel", from, to, func(s *Sum, key any) error { return v.channelOf(ctx, s, key) })
	case ByDay:
		return v.grouped(ctx, day, from, to, func(s *Sum, key any) error {
			n, ok := key.(int64)
			if !ok {
				return fmt.Errorf("a day is %T", key)
			}
			s.Day = time.Unix(n*86400, 0).UTC().Format(time.DateOnly)
			return nil
		})
	}
	return nil, fmt.Errorf("report by %q: must be by %s, %s or %s", by, ByPeer, ByChannel, ByDay)
}

// sums are the columns that are summed up.
func sums(columns ...string) string {
	var all []string
	for _, c := range columns {
		all = append(all, "CAST(COALESCE(SUM("+c+"), 0) AS BIGINT)")
	}
	return strings.Join(all, ", ")
}

func (v *View) byPeer(ctx context.Context, from, to time.Time) ([]Sum, error) {
	all := make(map[Peer]*Sum)
	of := func(p []byte) (*Sum, error) {
		if len(p) != len(Peer{}) {
			return nil, errors.New("a peer has a wrong size")
		}
		s := all[Peer(p)]
		if s == nil {
			s = &Sum{Peer: Peer(p)}
			all[Peer(p)] = s
		}
		return s, nil
	}
	err := v.rows(ctx, "SELECT uploader, "+sums("bytes", "earned")+" FROM credits WHERE at >= $1 AND at < $2 GROUP BY uploader",
		from, to, func(rs *sql.Rows) error {
			var p []byte
			var carried, earned int64
			if err := rs.Scan(&p, &carried, &earned); err != nil {
				return err
			}
			s, err := of(p)
			if err == nil {
				s.Carried, s.Earned = carried, earned
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	err = v.rows(ctx, "SELECT downloader, "+sums("bytes", "watched", "viewing", "charge", "refused")+
		" FROM credits WHERE at >= $1 AND at < $2 GROUP BY downloader", from, to, func(rs *sql.Rows) error {
		var p []byte
		var got, watched, ms, charge, refused int64
		if err := rs.Scan(&p, &got, &watched, &ms, &charge, &refused); err != nil {
			return err
		}
		s, err := of(p)
		if err == nil {
			s.Got, s.Watched, s.Viewing, s.Charge, s.Refused = got, watched, time.Duration(ms)*time.Millisecond, charge, refused
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var list []Sum
	for _, s := range all {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Sum) int { return a.Peer.compare(b.Peer) })
	return list, nil
}

// grouped sums up by a column.
func (v *View) grouped(ctx context.Context, column string, from, to time.Time, name func(*Sum, any) error) ([]Sum, error) {
	owner, err := firstEntry(ctx, v.db)
	if err != nil {
		return nil, err
	}
	q := "SELECT " + column + ", " + sums("CASE WHEN uploader = $3 THEN 0 ELSE bytes END", "CASE WHEN uploader = $3 THEN bytes ELSE 0 END",
		"bytes", "watched", "viewing", "charge", "earned", "refused") +
		" FROM credits WHERE at >= $1 AND at < $2 GROUP BY " + column + " ORDER BY " + column
	var list []Sum
	err = v.rows(ctx, q, from, to, func(rs *sql.Rows) error {
		var s Sum
		var key any
		var ms int64
		err := rs.Scan(&key, &s.Carried, &s.Given, &s.Got, &s.Watched, &ms, &s.Charge, &s.Earned, &s.Refused)
		if err != nil {
			return err
		}
		s.Viewing = time.Duration(ms) * time.Millisecond
		if err := name(&s, key); err != nil {
			return err
		}
		list = append(list, s)
		return nil
	}, owner)
	return list, err
}

// channelOf fills in the name of a channel.
func (v *View) channelOf(ctx context.Context, s *Sum, key any) error {
	id, ok := key.([]byte)
	if !ok {
		return fmt.Errorf("a channel is %T", key)
	}
	var err error
	s.Channel, err = v.channel(ctx, id)
	return err
}

func (v *View) channel(ctx context.Context, id []byte) (name string, err error) {
	err = v.db.QueryRowContext(ctx, "SELECT name FROM channels WHERE id = $1", id).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Sprintf("%x", id[:min(len(id), 4)]), nil
	}
	return name, err
}

// rows asks for rows of a time and hands each to f.
func (v *View) rows(ctx context.Context, q string, from, to time.Time, f func(*sql.Rows) error, more ...any) error {
	args := append([]any{from.UnixMilli(), to.UnixMilli()}, more...)
	rs, err := v.db.QueryContext(ctx, q, args...)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		if err := f(rs); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	if err := rs.Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// Dispute is something that was refused or noted.
type Dispute struct {
	Entry                        int64 // of the chain: there is the evidence
	At                           time.Time
	Channel                      string
	Sender, Uploader, Downloader Peer // zero: unknown
	Reason, Detail               string
	Bytes                        int64 // refused
}

// Disputes returns what was refused from one time until before another.
func (v *View) Disputes(ctx context.Context, from, to time.Time) (list []Dispute, err error) {
	names := make(map[chunk.ID]string)
	var ids [][]byte
	err = v.rows(ctx, `SELECT entry, at, channel, sender, uploader, downloader, reason, detail, bytes FROM disputes
		WHERE at >= $1 AND at < $2 ORDER BY entry`, from, to, func(rs *sql.Rows) error {
		var d Dispute
		var at int64
		var ch, sender, up, down []byte
		if err := rs.Scan(&d.Entry, &at, &ch, &sender, &up, &down, &d.Reason, &d.Detail, &d.Bytes); err != nil {
			return err
		}
		d.At = time.UnixMilli(at)
		copy(d.Sender[:], sender)
		copy(d.Uploader[:], up)
		copy(d.Downloader[:], down)
		list, ids = append(list, d), append(ids, ch)
		return nil
	})
	for i, id := range ids {
		if err != nil {
			break
		}
		var key chunk.ID
		copy(key[:], id)
		if key == (chunk.ID{}) {
			continue
		}
		name, ok := names[key]
		if !ok {
			name, err = v.channel(ctx, id)
			names[key] = name
		}
		list[i].Channel = name
	}
	return list, err
}
