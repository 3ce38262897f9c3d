package main

import (
	"errors"
	"fmt"
	"time"

	"peergate/gateway/web"
	"peergate/overlay/access"
	"peergate/overlay/p2p"
)

// errNoOverlay refuses what only a gateway with an overlay can do.
var errNoOverlay = errors.New("the overlay of this gateway is off (overlay.enabled)")

// IssueTicket issues a ticket, as the API asks for it.
func (g *gateway) IssueTicket(o web.TicketOrder) (web.IssuedTicket, error) {
	if g.node == nil {
		return web.IssuedTicket{}, errNoOverlay
	}
	// A hundred years are beyond what anybody means, and within what a Duration holds.
	if o.Seconds < 1 || o.Seconds > 100*365*24*3600 {
		return web.IssuedTicket{}, fmt.Errorf("a ticket cannot be good for %d seconds", o.Seconds)
	}
	t := access.Ticket{
		Channels: o.Channels, Uses: o.Uses, Rights: access.Watch, Expires: time.Now().Add(time.Duration(o.Seconds) * time.Second),
	}
	if o.Gateway != "" {
		id, err := p2p.ParseID(o.Gateway)
		if err != nil {
			return web.IssuedTicket{}, err
		}
		t.Holder, t.Uses = id.Key(), 0
	}
	text, e, err := g.node.IssueTicket(t)
	if err != nil {
		return web.IssuedTicket{}, err
	}
	return web.IssuedTicket{Text: text, Ticket: ticketStatus(e)}, nil
}

// Tickets returns the tickets that were issued, in the words of the API.
func (g *gateway) Tickets() ([]web.Ticket, error) {
	if g.node == nil {
		return nil, errNoOverlay
	}
	entries, err := g.node.Tickets()
	all := make([]web.Ticket, len(entries))
	for i := range entries {
		all[i] = ticketStatus(entries[i])
	}
	return all, err
}

// RevokeTicket ends a ticket.
func (g *gateway) RevokeTicket(serial string) error {
	if g.node == nil {
		return errNoOverlay
	}
	s, err := access.ParseSerial(serial)
	if err != nil {
		return err
	}
	if err = g.node.RevokeTicket(s); errors.Is(err, access.ErrUnknown) {
		return web.ErrNoTicket
	}
	return err
}

func ticketStatus(e access.Entry) web.Ticket {
	w := web.Ticket{
		Serial: e.Serial.String(), Gateway: idText(e.Holder), Channels: some(e.Channels), Issued: e.Issued, Expires: e.Expires, Uses: e.Uses,
	}
	for _, u := range e.Bound {
		w.Used = append(w.Used, web.TicketUse{Gateway: idText(u.Gateway), Since: u.Since})
	}
	if !e.Revoked.IsZero() {
		w.Revoked = &e.Revoked
	}
	return w
}

// idText returns the ID of a key, or "" when there is none.
func idText(key []byte) string {
	id, err := p2p.IDOf(key)
	if err != nil {
		return ""
	}
	return string(id)
}
