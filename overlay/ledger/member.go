package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"peergate/overlay/chunk"
)

// member is what the ledger knows of a member as one who can prove what it has.
type member struct {
	// The fields below are kept in the database.
	passed time.Time // when it last passed an audit, or first acknowledged anything
	asked  time.Time // when it was last challenged
	missed int       // challenges in a row that it did not answer
	wrong  int       // challenges in a row that it answered wrong
	failed bool
	liedAt time.Time
	of     epochKey // what it acknowledged last

	wrote   time.Time // when its last letter came, or this process began
	pending *pendingAudit
	noise   noise
}

// loadMembers reads what an earlier process knew of members. Challenges that it had sent are void, and nobody has been silent
// while it was away. The lock is held, or nobody else knows the ledger yet.
func (l *Ledger) loadMembers(ctx context.Context, now time.Time) error {
	for _, m := range l.members {
		m.pending = nil
	}
	rs, err := l.db.QueryContext(ctx, "SELECT peer, passed, asked, missed, wrong, failed, lied, channel, epoch FROM members")
	if err != nil {
		return fmt.Errorf("ledger: read the members: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var peer, channel []byte
		var passed, asked, lied, epoch int64
		var m member
		if err := rs.Scan(&peer, &passed, &asked, &m.missed, &m.wrong, &m.failed, &lied, &channel, &epoch); err != nil {
			return fmt.Errorf("ledger: read the members: %w", err)
		}
		if len(peer) != len(Peer{}) || len(channel) != len(chunk.ID{}) {
			return errors.New("ledger: read the members: a name has a wrong size")
		}
		m.passed, m.asked, m.liedAt, m.wrote = timeOf(passed), timeOf(asked), timeOf(lied), now
		m.of, m.noise = epochKey{chunk.ID(channel), uint64(epoch)}, l.member(Peer(peer)).noise
		l.members[Peer(peer)] = &m
	}
	return rs.Err()
}

// values are the columns of a member.
func (m *member) values(p Peer) []any {
	return []any{p[:], millis(m.passed), millis(m.asked), m.missed, m.wrong, m.failed, millis(m.liedAt), m.of.channel[:], int64(m.of.epoch)}
}

// millis is how the database keeps a time that may be zero, and timeOf reads it again.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// pendingAudit is a challenge without an answer yet.
type pendingAudit struct {
	challenge Challenge
	own       Proof
	at        time.Time
}

const (
	// distrust is for how long a member gets no leases that has signed two bodies for one window.
	distrust = time.Hour
	// missedMost is how many challenges in a row may be lost, and how many audits' time a member may be silent.
	missedMost = 2
	// wrongMost is how many wrong answers in a row prove that a member does not have what it acknowledges, and auditAgain the
	// least time between these: one that has just begun anew, or whose line was cut, lacks what it is asked for too.
	wrongMost  = 3
	auditAgain = 10 * time.Second
	// answerWithin is how long the answer to a challenge may take: less than it takes to find somebody who has the chunks.
	answerWithin = 30 * time.Second
)

func (l *Ledger) member(p Peer) *member {
	m := l.members[p]
	if m == nil {
		m = new(member)
		l.members[p] = m
	}
	return m
}

// lied notes that a member has signed what contradicts itself.
func (l *Ledger) lied(b *batch, p Peer, now time.Time) {
	l.member(p).liedAt = now
	b.member(p, l.member(p))
}

func (l *Ledger) distrusted(p Peer, now time.Time) bool {
	m := l.members[p]
	return m != nil && (m.failed || !m.liedAt.IsZero() && now.Sub(m.liedAt) < distrust)
}

// maxNoise is how many disputes a sender may cause in an hour, and maxDin all senders together: more would fill the disk
// and tell nothing new.
const maxNoise, maxDin = 1000, 20_000

// noise counts disputes.
type noise struct {
	since time.Time
	n     int
}

// louder counts one more; it reports whether there are too many in the hour.
func (c *noise) louder(most int, now time.Time) bool {
	if now.Sub(c.since) > time.Hour {
		c.since, c.n = now, 0
	}
	c.n++
	return c.n > most
}

// acknowledged notes that a member acknowledges something, and so must be able to prove that it has it.
func (l *Ledger) acknowledged(b *batch, r *Receipt, now time.Time) {
	m, of := l.member(r.Downloader), epochKey{r.Channel, r.Epoch}
	if !m.passed.IsZero() && m.of == of {
		return
	}
	if m.passed.IsZero() {
		m.passed = now
	}
	m.of = of
	b.member(r.Downloader, m)
}

// failing tells whether a member has failed an audit, or evades them: it writes no letters, or does not answer.
func (l *Ledger) failing(p Peer, e *epoch, now time.Time) bool {
	m := l.members[p]
	switch {
	case m == nil || l.auditor == nil:
		return false
	case m.failed || m.missed >= missedMost:
		return true
	}
	heard := m.passed
	if m.wrote.After(heard) {
		heard = m.wrote
	}
	return e.emission.lives() && !heard.IsZero() && now.Sub(heard) > missedMost*l.auditEvery+answerWithin
}

// Audit is how the owner asks for proofs, and where it learns who is where.
type Audit interface {
	// Subnet returns the network from which a member connects, "" when that is not known.
	Subnet(p Peer) string
	// Recent returns chunks of an epoch, as they were sent, that a member should have now; the first has the number from.
	Recent(ctx context.Context, ch chunk.ID, epoch uint64) (from uint64, chunks [][]byte)
}

// fewest is how many chunks there must be to choose from.
const fewest = 4

// UseAudit sets where audits get their chunks; without it there are none.
func (l *Ledger) UseAudit(a Audit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.auditor = a
}

// audit takes the proofs of a letter, and adds a challenge to the reply when it is time.
func (l *Ledger) audit(ctx context.Context, b *batch, letter *Letter, r *Reply, now time.Time) error {
	for i := range letter.Proofs {
		if err := l.proved(ctx, b, letter.Sender, &letter.Proofs[i], now); err != nil {
			return err
		}
	}
	m := l.members[letter.Sender]
	if l.auditor == nil || m == nil {
		return nil
	}
	m.wrote = now
	every := l.auditEvery
	if m.wrong > 0 && !m.failed {
		every = auditAgain
	}
	if m.passed.IsZero() || now.Sub(m.asked) < every {
		return nil
	}
	from, chunks := l.auditor.Recent(ctx, m.of.channel, m.of.epoch)
	if len(chunks) < fewest {
		return nil
	}
	c := Challenge{Channel: m.of.channel, Epoch: m.of.epoch, From: from, To: from + uint64(len(chunks))}
	if _, err := rand.Read(c.Seed[:]); err != nil {
		return err
	}
	if m.pending != nil {
		m.missed++
	}
	m.asked = now
	own := c.Prove(func(seq uint64) []byte { return chunks[seq-from] })
	m.pending = &pendingAudit{challenge: c, own: own, at: now}
	b.member(letter.Sender, m)
	r.Challenges = append(r.Challenges, c)
	return nil
}

// proved takes in a proof.
func (l *Ledger) proved(ctx context.Context, b *batch, p Peer, proof *Proof, now time.Time) error {
	m := l.member(p)
	a := m.pending
	if a == nil || a.challenge.Seed != proof.Seed {
		return nil
	}
	m.pending, m.missed = nil, 0
	b.member(p, m)
	if proof.Passes(&a.own) && now.Sub(a.at) < answerWithin {
		m.failed, m.wrong, m.passed = false, 0, now
		return nil
	}
	if m.wrong++; m.wrong < wrongMost {
		return nil
	}
	since := m.passed
	m.failed, m.passed = true, now
	return l.takeBack(ctx, b, p, epochKey{a.challenge.Channel, a.challenge.Epoch}, since, now)
}

// takeBack takes back what was credited to a downloader, and to those who say to have given it something, since a time.
func (l *Ledger) takeBack(ctx context.Context, b *batch, p Peer, k epochKey, since, now time.Time) error {
	const sum = "CAST(SUM(%s) AS BIGINT)"
	q := "SELECT uploader"
	for _, column := range []string{"bytes", "watched", "viewing", "charge", "earned"} {
		q += ", " + fmt.Sprintf(sum, column)
	}
	q += " FROM credits WHERE channel = $1 AND epoch = $2 AND downloader = $3 AND at >= $4 GROUP BY uploader ORDER BY uploader"
	rs, err := l.db.QueryContext(ctx, q, k.channel[:], int64(k.epoch), p[:], since.UnixMilli())
	if err != nil {
		return fmt.Errorf("ledger: read what to take back: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var up []byte
		var ms int64
		c := credit{at: now, channel: k.channel, epoch: k.epoch, downloader: p}
		if err := rs.Scan(&up, &c.bytes, &c.watched, &ms, &c.charge, &c.earned); err != nil {
			return fmt.Errorf("ledger: read what to take back: %w", err)
		}
		if c.bytes <= 0 {
			continue
		}
		c.uploader, c.refused = Peer(up), uint64(c.bytes)
		c.bytes, c.watched, c.viewing = -c.bytes, -c.watched, -time.Duration(ms)*time.Millisecond
		c.charge, c.earned = -c.charge, -c.earned
		b.back(&dispute{
			at: now, channel: k.channel, sender: l.owner, uploader: c.uploader, downloader: p, reason: reasonPhantom,
			detail: "the audit was not passed: what was credited since the last one is taken back", bytes: c.refused,
		}, &c)
		l.standings.credit(&c, l.owner)
	}
	return rs.Err()
}
