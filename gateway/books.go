package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/overlay"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
)

// books is a ledger in the words of the API.
type books struct {
	view  *ledger.View
	names map[p2p.ID]string // petnames
	close func() error
}

// openBooks opens the ledger of a configuration, whether a gateway runs with it or not.
func openBooks(ctx context.Context, file string) (*books, error) {
	cfg, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	folder, err := dataFolder(cfg, os.Getenv)
	if err != nil {
		return nil, err
	}
	database := cfg.Ledger.Database
	if database == "" {
		database = filepath.Join(folder, overlay.LedgerFile)
	}
	v, err := ledger.OpenView(ctx, database, filepath.Join(folder, overlay.LedgerHead))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no ledger yet in the data folder %s: a gateway makes it when it runs", folder)
	}
	if err != nil {
		return nil, err
	}
	return &books{v, petnamesOf(cfg), v.Close}, nil
}

// petnamesOf returns the petnames of a configuration's peers.
func petnamesOf(c conf.Config) map[p2p.ID]string {
	m := make(map[p2p.ID]string)
	for name, p := range c.Peers {
		m[p2p.ID(p.ID)] = name
	}
	return m
}

// books returns the ledger of the running gateway.
func (g *gateway) books() (*books, error) {
	if g.node == nil {
		return nil, fmt.Errorf("%w: the overlay is off", web.ErrAsk)
	}
	v, err := g.node.View()
	if err != nil {
		return nil, err
	}
	names := make(map[p2p.ID]string)
	for _, p := range g.node.Status().Peers {
		names[p2p.ID(p.ID)] = p.Name
	}
	return &books{view: v, names: names}, nil
}

// LedgerReport sums up by peer, channel or day.
func (g *gateway) LedgerReport(ctx context.Context, by string, from, to time.Time) ([]web.Sum, error) {
	b, err := g.books()
	if err != nil {
		return nil, err
	}
	return b.report(ctx, by, from, to)
}

// LedgerDisputes returns what was refused.
func (g *gateway) LedgerDisputes(ctx context.Context, from, to time.Time) ([]web.Dispute, error) {
	b, err := g.books()
	if err != nil {
		return nil, err
	}
	return b.disputes(ctx, from, to)
}

// LedgerStatement returns the statement of a peer, or this gateway's own by another owner.
func (g *gateway) LedgerStatement(ctx context.Context, peer, owner string, from, to time.Time) (*web.Statement, error) {
	b, err := g.books()
	if err != nil {
		return nil, err
	}
	if owner == "" {
		return b.statement(ctx, peer, from, to)
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	s, err := g.node.Statement(ctx, owner, from, to)
	if err != nil {
		return nil, err
	}
	return b.told(s), nil
}

// LedgerVerify reads all of it.
func (g *gateway) LedgerVerify(ctx context.Context) (*web.Verified, error) {
	b, err := g.books()
	if err != nil {
		return nil, err
	}
	return b.verify(ctx)
}

// id returns the ID of a gateway, "" of none.
func id(p ledger.Peer) p2p.ID {
	if p == (ledger.Peer{}) {
		return ""
	}
	id, err := p2p.IDOf(p[:])
	if err != nil {
		return p2p.ID(p.String())
	}
	return id
}

// name returns the petname of a gateway, or its ID.
func (b *books) name(p ledger.Peer) string {
	if n, ok := b.names[id(p)]; ok {
		return n
	}
	return string(id(p))
}

func (b *books) report(ctx context.Context, by string, from, to time.Time) ([]web.Sum, error) {
	switch by {
	case ledger.ByPeer, ledger.ByChannel, ledger.ByDay:
	default:
		return nil, fmt.Errorf("%w: reports are by peer, channel or day, not by %q", web.ErrAsk, by)
	}
	list, err := b.view.Report(ctx, by, from, to)
	if err != nil {
		return nil, err
	}
	all := []web.Sum{}
	for i := range list {
		all = append(all, b.sum(&list[i]))
	}
	return all, nil
}

func (b *books) sum(s *ledger.Sum) web.Sum {
	w := web.Sum{
		Channel: s.Channel, Day: s.Day, Carried: s.Carried, Given: s.Given, Got: s.Got, Watched: s.Watched,
		Minutes: s.Viewing.Minutes(), Charge: web.Amount(s.Charge), Credit: web.Amount(s.Earned), Refused: s.Refused,
	}
	if s.Peer != (ledger.Peer{}) {
		w.Peer, w.ID = b.name(s.Peer), string(id(s.Peer))
	}
	return w
}

func (b *books) disputes(ctx context.Context, from, to time.Time) ([]web.Dispute, error) {
	list, err := b.view.Disputes(ctx, from, to)
	if err != nil {
		return nil, err
	}
	all := []web.Dispute{}
	for _, d := range list {
		all = append(all, web.Dispute{
			Entry: d.Entry, At: d.At, Reason: d.Reason, Detail: d.Detail, Channel: d.Channel, Sender: b.name(d.Sender),
			Uploader: b.name(d.Uploader), Downloader: b.name(d.Downloader), Bytes: d.Bytes,
		})
	}
	return all, nil
}

// statement returns the statement of a peer, by petname or ID.
func (b *books) statement(ctx context.Context, peer string, from, to time.Time) (*web.Statement, error) {
	who := p2p.ID(peer)
	for id, name := range b.names {
		if name == peer {
			who = id
		}
	}
	key := who.Key()
	if key == nil {
		return nil, fmt.Errorf("%w: %q is neither the petname nor the ID of a gateway", web.ErrAsk, peer)
	}
	s, err := b.view.Statement(ctx, ledger.PeerOf(key), from, to)
	if err != nil {
		return nil, err
	}
	return b.told(s), nil
}

// told puts a statement into the words of the API.
func (b *books) told(s *ledger.Statement) *web.Statement {
	w := &web.Statement{
		Peer: b.name(s.Peer), ID: string(id(s.Peer)), From: s.From, To: s.To, Total: b.sum(&s.Total),
		Balance: web.Amount(s.Total.Charge - s.Total.Earned), Channels: []web.Sum{}, Proofs: []web.Proof{}, Head: s.Head.String(),
	}
	for i := range s.Channels {
		w.Channels = append(w.Channels, b.sum(&s.Channels[i]))
	}
	for _, p := range s.Proofs {
		w.Proofs = append(w.Proofs, web.Proof{Entry: p.Entry, At: p.At, Hash: p.Hash, Receipt: p.Receipt, Bytes: p.Bytes, Refused: p.Refused})
	}
	return w
}

func (b *books) verify(ctx context.Context) (*web.Verified, error) {
	v, err := b.view.Verify(ctx)
	if err != nil {
		return nil, err
	}
	return &web.Verified{
		Owner: string(id(v.Owner)), Entries: v.Entries, Receipts: v.Receipts, Leases: v.Leases, Disputes: v.Disputes, Head: v.Head.String(),
	}, nil
}
