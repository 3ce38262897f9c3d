package ledger

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"peergate/overlay/chunk"
)

// Options says how a Ledger is to be.
type Options struct {
	Database string // a file, or a DSN of PostgreSQL's
	Key      ed25519.PrivateKey
	Head     string // file that keeps the signed end of the chain; "" keeps none

	// Now and AuditEvery are for tests.
	AuditEvery time.Duration // 0: five minutes
}

// auditEvery is how often each member is audited.
const auditEvery = 5 * time.Minute

// Ledger is the book of an owner. It is safe for concurrent use.
type Ledger struct {
	db         *sql.DB
	key        ed25519.PrivateKey
	owner      Peer
	headFile   string
	auditEvery time.Duration
	standings  standings

	mu      sync.Mutex // guards the fields below; one writes at a time, also to the database
	head    Head
	stale   bool // a write has failed: what is remembered may not be what the database has
	epochs  map[epochKey]*epoch
	terms   map[chunk.ID]Terms
	members map[Peer]*member
	auditor Audit
	din     noise
	marked  time.Time // when emissions were last written
}

// epochKey names an epoch of a channel.
type epochKey struct {
	channel chunk.ID
	epoch   uint64
}

// epoch is what the ledger remembers of an epoch of a channel.
type epoch struct {
	emission *Emission // nil: of no channel of this owner's
	saved    uint64    // sequence number of the last mark in the database
	marked   bool      // there is one
	used     time.Time // when it was last needed
	series   map[Series]*line
	down     map[Peer]*intake
	up       map[Peer]uint64 // credited bytes by uploader
	flows    map[pair]uint64 // credited bytes by edge
	flagged  map[flag]bool
	leases   map[pair]time.Time
	leased   map[Peer]int // downloaders by uploader
	viewing  map[viewer]time.Duration
	replays  map[handing]replays
	waiting  map[Series]time.Time // since when a claim waits for what explains it
}

type (
	// handing is who hands in the receipts of a series, and replays how often the last one of them that was known already.
	handing struct {
		Series
		sender Peer
	}
	replays struct {
		hash [sha256.Size]byte
		n    int
	}
	pair   struct{ up, down Peer }
	viewer struct {
		peer    Peer
		session uint64
	}
)

// line is the newest receipt of a series.
type line struct {
	receipt  *Receipt
	raw      []byte
	credited uint64
	frozen   bool // it contradicts itself: nothing more is taken
}

// intake is what one downloader has got.
type intake struct {
	credited    uint64
	claimed     map[Series]uint64 // by its own word, also what is not credited yet
	sessions    map[uint64]bool
	first, last uint64
}

// Open opens the ledger of an owner, and makes it when there is none.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	db, err := open(ctx, o.Database)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		db: db, key: o.Key, owner: PeerOf(o.Key.Public().(ed25519.PublicKey)), headFile: o.Head, auditEvery: o.AuditEvery,
		members: make(map[Peer]*member),
	}
	if l.auditEvery == 0 {
		l.auditEvery = auditEvery
	}
	if err := l.load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

// Close closes the database. What was acknowledged is in it.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.db.Close()
}

// Owner returns whose ledger this is.
func (l *Ledger) Owner() Peer { return l.owner }

// load reads the end of the chain and the terms, and forgets all else that was remembered but what this process emits. The
// lock is held, or nobody else knows the ledger yet.
func (l *Ledger) load(ctx context.Context) error {
	live := l.epochs
	l.epochs, l.terms = make(map[epochKey]*epoch), make(map[chunk.ID]Terms)
	for k, e := range live {
		if e.emission != nil && e.emission.lives() {
			l.epochs[k] = &epoch{emission: e.emission, saved: e.saved, marked: e.marked} // the rest is read when it is needed
		}
	}
	first, err := firstEntry(ctx, l.db)
	if err != nil {
		return err
	}
	if first == nil {
		l.standings.of, l.standings.read = make(map[Peer]*carriage), time.Now()
		return l.write(ctx, new(batch).enter(kindBegin, time.Now(), l.owner[:]))
	}
	if Peer(first) != l.owner {
		return fmt.Errorf("ledger: the database is that of another gateway, with the key %x: give each gateway a database of its own", first)
	}
	if l.head, err = lastEntry(ctx, l.db); err != nil {
		return err
	}
	if err := l.loadMembers(ctx, time.Now()); err != nil {
		return err
	}
	if err := l.standings.load(ctx, l.db, time.Now()); err != nil {
		return err
	}
	l.stale = false
	return l.loadTerms(ctx)
}

// firstEntry returns the body of the first entry, or nil.
func firstEntry(ctx context.Context, db *sql.DB) (body []byte, err error) {
	err = db.QueryRowContext(ctx, "SELECT body FROM entries WHERE id = 1").Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && len(body) != ed25519.PublicKeySize {
		err = errors.New("it is not a ledger")
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: read the first entry: %w", err)
	}
	return body, nil
}

// lastEntry returns the end of the chain.
func lastEntry(ctx context.Context, db *sql.DB) (h Head, err error) {
	var hash []byte
	err = db.QueryRowContext(ctx, "SELECT id, hash FROM entries ORDER BY id DESC LIMIT 1").Scan(&h.ID, &hash)
	if err == nil && len(hash) != sha256.Size {
		err = errors.New("its hash has a wrong size")
	}
	if err != nil {
		return h, fmt.Errorf("ledger: read the last entry: %w", err)
	}
	h.Hash = [sha256.Size]byte(hash)
	return h, nil
}

func (l *Ledger) loadTerms(ctx context.Context) error {
	rs, err := l.db.QueryContext(ctx, "SELECT id, name, price, hourly, credit FROM channels")
	if err != nil {
		return fmt.Errorf("ledger: read the channels: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var id []byte
		var t Terms
		if err := rs.Scan(&id, &t.Name, &t.Price, &t.Hourly, &t.Credit); err != nil {
			return fmt.Errorf("ledger: read the channels: %w", err)
		}
		l.terms[chunk.ID(id)] = t
	}
	return rs.Err()
}

// Begin begins an epoch of a channel at these terms. What is emitted of it is written from time to time.
func (l *Ledger) Begin(ctx context.Context, e *Emission, t Terms) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.setTerms(ctx, e.Channel, t); err != nil {
		return err
	}
	k := epochKey{e.Channel, e.Epoch}
	if l.epochs[k] == nil {
		l.epochs[k] = newEpoch(e)
	}
	return nil
}

// SetTerms changes what a channel costs, from now on.
func (l *Ledger) SetTerms(ctx context.Context, ch chunk.ID, t Terms) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.setTerms(ctx, ch, t)
}

func (l *Ledger) setTerms(ctx context.Context, ch chunk.ID, t Terms) error {
	if old, ok := l.terms[ch]; ok && old == t {
		return nil
	}
	if err := l.fresh(ctx); err != nil {
		return err
	}
	var m message
	m.hash(1, ch)
	m.bytes(2, []byte(t.Name))
	m.number(3, uint64(t.Price))
	m.number(4, uint64(t.Hourly))
	m.number(5, uint64(t.Credit))
	b := new(batch).enter(kindTerms, time.Now(), m)
	b.terms(ch, t)
	if err := l.write(ctx, b); err != nil {
		return err
	}
	l.terms[ch] = t
	return nil
}

// fresh reads anew what is remembered when a write has failed. The lock is held.
func (l *Ledger) fresh(ctx context.Context) error {
	if !l.stale {
		return nil
	}
	return l.load(ctx)
}

func newEpoch(e *Emission) *epoch {
	return &epoch{
		emission: e, series: make(map[Series]*line), down: make(map[Peer]*intake), up: make(map[Peer]uint64),
		flows: make(map[pair]uint64), flagged: make(map[flag]bool), leases: make(map[pair]time.Time), leased: make(map[Peer]int), viewing: make(map[viewer]time.Duration),
		replays: make(map[handing]replays), waiting: make(map[Series]time.Time),
	}
}

// epoch returns what is known of an epoch, read from the database when it is not remembered. It is nil when the channel
// is none of the owner's. The lock is held.
func (l *Ledger) epoch(ctx context.Context, k epochKey) (*epoch, error) {
	e := l.epochs[k]
	if e != nil && e.series != nil {
		e.used = time.Now()
		return e, nil
	}
	if e == nil {
		m, err := loadEmission(ctx, l.db, k)
		if err != nil || m == nil {
			return nil, err
		}
		e = &epoch{emission: m, saved: m.now.seq, marked: true}
	}
	saved, marked := e.saved, e.marked
	e = newEpoch(e.emission)
	e.saved, e.marked, e.used = saved, marked, time.Now()
	if err := e.load(ctx, l.db, k); err != nil {
		return nil, err
	}
	l.epochs[k] = e
	return e, nil
}

// amounts returns what a credit is worth at these terms, in billionths of the unit.
func (c *credit) amounts(t Terms, owner Peer) {
	c.charge = scale(uint64(c.watched), t.Price, 1e6) + scale(uint64(c.viewing.Milliseconds()), t.Hourly, 3600)
	c.earned = 0
	if c.uploader != owner {
		c.earned = scale(uint64(c.bytes), t.Credit, 1e6)
	}
}

// scale returns n * price / by, without overflow on the way.
func scale(n uint64, price int64, by uint64) int64 {
	hi, lo := bits.Mul64(n, uint64(price))
	if hi >= by {
		return maxNumber
	}
	q, _ := bits.Div64(hi, lo, by)
	return int64(min(q, maxNumber))
}
