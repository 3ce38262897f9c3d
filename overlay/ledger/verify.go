package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Verified is what a whole ledger was found to hold.
type Verified struct {
	Owner    Peer
	Entries  int64
	Receipts int64 // each with the signature of its downloader
	Leases   int64
	Disputes int64
	Head     Head
}

// ErrTampered means that the ledger is not what its owner wrote.
var ErrTampered = errors.New("the ledger was tampered with, or is damaged")

// Verify reads the whole chain: each entry is chained to the one before, each receipt and lease is signed, and the
// tables from which reports are made say the same. The error names the first entry that is wrong and wraps ErrTampered.
func (v *View) Verify(ctx context.Context) (*Verified, error) {
	tx, err := v.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelDefault})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	first, err := firstEntry(ctx, v.db)
	if err != nil {
		return nil, err
	}
	if first == nil {
		return nil, fmt.Errorf("%w: there is no entry", ErrTampered)
	}
	c := &checker{found: Verified{Owner: Peer(first)}}
	if c.signed, err = readHead(v.head, c.found.Owner); err != nil { // before the chain, which grows
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	if err := c.chain(ctx, tx); err != nil {
		return nil, err
	}
	if err := c.tables(ctx, tx); err != nil {
		return nil, err
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return &c.found, nil
}

// checker is a verification under way.
type checker struct {
	found  Verified
	signed Head // the end, as the file beside the database says; zero: there is none
}

func (c *checker) chain(ctx context.Context, tx *sql.Tx) error {
	rs, err := tx.QueryContext(ctx, "SELECT id, kind, at, body, hash FROM entries ORDER BY id")
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var id, at int64
		var k kind
		var body, hash []byte
		if err := rs.Scan(&id, &k, &at, &body, &hash); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if id != c.found.Entries+1 {
			return fmt.Errorf("%w: after entry %d comes %d", ErrTampered, c.found.Entries, id)
		}
		sum := entryHash(c.found.Head.Hash, id, k, at, body)
		if !bytes.Equal(sum[:], hash) {
			return fmt.Errorf("%w: entry %d does not follow from what was before", ErrTampered, id)
		}
		c.found.Entries, c.found.Head = id, Head{id, sum}
		if id == c.signed.ID && sum != c.signed.Hash {
			return fmt.Errorf("%w: entry %d is not the one that was signed", ErrTampered, id)
		}
		if err := c.entry(k, body); err != nil {
			return fmt.Errorf("%w: entry %d: %w", ErrTampered, id, err)
		}
	}
	return rs.Err()
}

// entry checks what an entry says by itself.
func (c *checker) entry(k kind, body []byte) error {
	switch k {
	case kindReceipt:
		_, raw, err := decodeCredit(body)
		if err == nil {
			_, err = ParseReceipt(raw)
		}
		c.found.Receipts++
		return err
	case kindLease:
		c.found.Leases++
		_, err := ParseLease(body, c.found.Owner)
		return err
	case kindDispute, kindAudit:
		c.found.Disputes++
		_, _, err := decodeDispute(body)
		return err
	}
	return nil
}

// tables compares what reports are made from with the chain.
func (c *checker) tables(ctx context.Context, tx *sql.Tx) error {
	if err := c.credits(ctx, tx); err != nil {
		return err
	}
	rs, err := tx.QueryContext(ctx, `SELECT e.id, e.kind, e.body, d.reason, d.bytes, d.uploader, d.downloader, d.sender
		FROM entries e LEFT JOIN disputes d ON d.entry = e.id WHERE e.kind IN ($1, $2) ORDER BY e.id`, int(kindDispute), int(kindAudit))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var id int64
		var k kind
		var body, up, down, sender []byte
		var reason sql.NullString
		var n sql.NullInt64
		if err := rs.Scan(&id, &k, &body, &reason, &n, &up, &down, &sender); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		d, _, err := decodeDispute(body)
		if err != nil || d.reason != reason.String || int64(d.bytes) != n.Int64 || !bytes.Equal(d.uploader[:], up) ||
			!bytes.Equal(d.downloader[:], down) || !bytes.Equal(d.sender[:], sender) {
			return fmt.Errorf("%w: the table of disputes does not say what entry %d says", ErrTampered, id)
		}
	}
	if err := rs.Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return c.strays(ctx, tx)
}

func (c *checker) credits(ctx context.Context, tx *sql.Tx) error {
	rs, err := tx.QueryContext(ctx, `SELECT e.id, e.kind, e.body, c.at, c.channel, c.uploader, c.downloader, c.bytes, c.watched, c.viewing,
		c.refused, c.charge, c.earned
		FROM entries e LEFT JOIN credits c ON c.entry = e.id WHERE e.kind IN ($1, $2) ORDER BY e.id`, int(kindReceipt), int(kindAudit))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var id int64
		var k kind
		var body, ch, up, down []byte
		var row [7]sql.NullInt64
		err := rs.Scan(&id, &k, &body, &row[0], &ch, &up, &down, &row[1], &row[2], &row[3], &row[4], &row[5], &row[6])
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if !sameCredit(k, body, ch, up, down, row) {
			return fmt.Errorf("%w: the table of credits does not say what entry %d says", ErrTampered, id)
		}
	}
	return rs.Err()
}

// sameCredit tells whether a row of the table says what an entry says.
func sameCredit(k kind, body, ch, up, down []byte, row [7]sql.NullInt64) bool {
	var who *Receipt
	if k == kindAudit {
		d, evidence, err := decodeDispute(body)
		if err != nil || len(evidence) != 1 {
			return false
		}
		who = &Receipt{Series: Series{Channel: d.channel, Uploader: d.uploader, Downloader: d.downloader}}
		body = evidence[0]
	}
	c, raw, err := decodeCredit(body)
	if err != nil {
		return false
	}
	if who == nil {
		if who, _, _, err = decodeReceipt(raw); err != nil {
			return false
		}
	}
	want := [7]int64{c.at.UnixMilli(), c.bytes, c.watched, c.viewing.Milliseconds(), int64(c.refused), c.charge, c.earned}
	for i, n := range row {
		if !n.Valid || n.Int64 != want[i] {
			return false
		}
	}
	return bytes.Equal(who.Channel[:], ch) && bytes.Equal(who.Uploader[:], up) && bytes.Equal(who.Downloader[:], down)
}

// strays finds rows of the tables that no entry has.
func (c *checker) strays(ctx context.Context, tx *sql.Tx) error {
	for table, kinds := range map[string][2]kind{
		"credits": {kindReceipt, kindAudit}, "disputes": {kindDispute, kindAudit}, "leases": {kindLease, kindLease},
	} {
		var n int64
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table+
			" t WHERE NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = t.entry AND e.kind IN ($1, $2))", int(kinds[0]), int(kinds[1])).Scan(&n)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if n > 0 {
			return fmt.Errorf("%w: the table of %s has %d rows of which the chain knows nothing", ErrTampered, table, n)
		}
	}
	return nil
}

// end compares the end of the chain with the signed one beside it.
func (c *checker) end() error {
	if n := c.signed.ID - c.found.Entries; n > 0 {
		return fmt.Errorf("%w: the last %d entries are missing, by the signed end of the chain", ErrTampered, n)
	}
	return nil
}
