package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"peergate/overlay/chunk"
)

// member is what the ledger knows of a member as one who can prove what it has. It is not kept across restarts.
type member struct {
	passed  time.Time // when it last passed an audit, or first acknowledged anything
	wrote   time.Time // when its last letter came
	asked   time.Time // when it was last challenged
	missed  int       // challenges in a row that it did not answer
	failed  bool
	liedAt  time.Time
	pending *pendingAudit
	noise   noise
	of      epochKey // what it acknowledged last
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
func (l *Ledger) lied(p Peer, now time.Time) { l.member(p).liedAt = now }

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
func (l *Ledger) acknowledged(r *Receipt, now time.Time) {
	m := l.member(r.Downloader)
	if m.passed.IsZero() {
		m.passed = now
	}
	m.of = epochKey{r.Channel, r.Epoch}
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

// Audit is how the owner asks for proofs.
type Audit interface {
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
	if m.passed.IsZero() || now.Sub(m.asked) < l.auditEvery {
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
	if proof.Passes(&a.own) && now.Sub(a.at) < answerWithin {
		m.failed, m.passed = false, now
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
		l.standings.credit(&c)
	}
	return rs.Err()
}
