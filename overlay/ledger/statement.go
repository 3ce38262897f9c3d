package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"
)

// Statement is what one peer is charged and credited, with what proves it.
type Statement struct {
	Peer     Peer
	From, To time.Time
	Total    Sum
	Channels []Sum
	Proofs   []Receipted // newest first
	Head     Head        // end of the chain that holds them
}

// Receipted is an entry of the chain for a receipt in which the peer has a part.
type Receipted struct {
	Entry   int64
	At      time.Time
	Hash    string // of the entry, in hexadecimal
	Receipt []byte // as its downloader has signed it
	Bytes   int64  // credited
	Refused int64
}

// maxProofs is how many receipts a statement brings: with it, it fits into a reply.
const maxProofs = 64

// Statement returns the statement of a peer.
func (v *View) Statement(ctx context.Context, p Peer, from, to time.Time) (*Statement, error) {
	s := &Statement{Peer: p, From: from, To: to, Channels: []Sum{}, Proofs: []Receipted{}}
	q := "SELECT channel, " + sums(
		"CASE WHEN uploader = $3 THEN bytes ELSE 0 END", "CASE WHEN uploader = $3 THEN earned ELSE 0 END",
		"CASE WHEN downloader = $3 THEN bytes ELSE 0 END", "CASE WHEN downloader = $3 THEN watched ELSE 0 END",
		"CASE WHEN downloader = $3 THEN viewing ELSE 0 END", "CASE WHEN downloader = $3 THEN charge ELSE 0 END",
		"CASE WHEN downloader = $3 THEN refused ELSE 0 END",
	) + " FROM credits WHERE at >= $1 AND at < $2 AND (uploader = $3 OR downloader = $3) GROUP BY channel ORDER BY channel"
	var ids [][]byte
	err := v.rows(ctx, q, from, to, func(rs *sql.Rows) error {
		var c Sum
		var id []byte
		var ms int64
		if err := rs.Scan(&id, &c.Carried, &c.Earned, &c.Got, &c.Watched, &ms, &c.Charge, &c.Refused); err != nil {
			return err
		}
		c.Peer, c.Viewing = p, time.Duration(ms)*time.Millisecond
		s.Channels, ids = append(s.Channels, c), append(ids, id)
		s.Total.add(&c)
		return nil
	}, p[:])
	if err != nil {
		return nil, err
	}
	s.Total.Peer = p
	for i, id := range ids {
		if s.Channels[i].Channel, err = v.channel(ctx, id); err != nil {
			return nil, err
		}
	}
	if s.Proofs, err = v.proofs(ctx, p, from, to); err != nil {
		return nil, err
	}
	s.Head, err = lastEntry(ctx, v.db)
	return s, err
}

// proofs returns the newest receipts in which a peer has a part.
func (v *View) proofs(ctx context.Context, p Peer, from, to time.Time) ([]Receipted, error) {
	list := []Receipted{}
	err := v.rows(ctx, `SELECT e.id, e.at, e.hash, e.body FROM credits c JOIN entries e ON e.id = c.entry
		WHERE c.at >= $1 AND c.at < $2 AND (c.uploader = $3 OR c.downloader = $3) AND e.kind = $4 ORDER BY c.entry DESC LIMIT $5`,
		from, to, func(rs *sql.Rows) error {
			var r Receipted
			var at int64
			var hash, body []byte
			if err := rs.Scan(&r.Entry, &at, &hash, &body); err != nil {
				return err
			}
			c, raw, err := decodeCredit(body)
			if err != nil {
				return err
			}
			r.At, r.Hash, r.Receipt = time.UnixMilli(at), hex.EncodeToString(hash), raw
			r.Bytes, r.Refused = c.bytes, int64(c.refused)
			list = append(list, r)
			return nil
		}, p[:], int(kindReceipt), maxProofs)
	return list, err
}

// Check checks the receipts of a statement: that they are signed, and that the peer has a part in each.
func (s *Statement) Check() error {
	for _, p := range s.Proofs {
		r, err := ParseReceipt(p.Receipt)
		if err == nil && r.Uploader != s.Peer && r.Downloader != s.Peer {
			err = fmt.Errorf("%w: it is of others", ErrFormat)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", p.Entry, err)
		}
	}
	return nil
}

// String returns the end of a chain in one word.
func (h Head) String() string {
	return fmt.Sprintf("%d:%s", h.ID, hex.EncodeToString(h.Hash[:sha256.Size/2]))
}
