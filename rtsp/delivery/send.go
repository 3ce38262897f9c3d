package delivery

import "io"

// send sends what can be sent.
func (p *Player) send() {
	switch {
	case p.state == waiting:
		p.begin()
	case p.state != playing && p.state != idle:
	case p.link != nil:
		p.link.run()
	default:
		if p.state == playing {
			p.queue()
		}
		p.finish()
	}
}

// finish ends the player when it has got all of a stream that has ended.
func (p *Player) finish() {
	if !p.flow.ended || p.state == over {
		return
	}
	if p.state == playing {
		p.shard.flush()
		if p.next < p.flow.head() {
			return
		}
	}
	if p.state != answering {
		p.end(io.EOF, true)
	}
}

// tick does what is due.
func (p *Player) tick() {
	if p.own != nil && p.ownOf < p.next {
		p.own = nil
	}
	switch {
	case !p.failing.IsZero() && p.shard.now.Sub(p.failing) >= p.sender.writeTimeout():
		p.end(p.failure, false)
	case p.state == waiting, p.state == playing && p.next < p.flow.head(), p.flow.ended:
		p.send()
	}
}

// catchUp has a player that is too far behind skip to a key packet.
func (p *Player) catchUp() {
	fl := p.flow
	if p.next == fl.head() {
		p.allow = 0
		return
	}
	now := p.shard.now
	if !p.skip && now.Sub(fl.at(p.next).arrived) <= p.allow+maxLag {
		return
	}
	p.skip = true
	n, ok := p.entry()
	if !ok || n < p.next || n == p.next && p.pkt > 0 || now.Sub(fl.at(n).arrived) > maxLag {
		p.skipTo(fl.head())
		return
	}
	p.skipTo(n)
	p.skip, p.allow = false, 0
	p.lead()
}

// entry returns the newest batch with which the player can begin.
func (p *Player) entry() (uint64, bool) {
	fl := p.flow
	if !p.keyed && p.feed.keys >= 0 {
		return fl.head() - 1, len(fl.log) > 0
	}
	return fl.start, fl.keyed && fl.start >= fl.first
}

// skipTo leaves out what comes before batch n.
func (p *Player) skipTo(n uint64) {
	if !p.sent {
		p.next, p.pkt = n, 0
		return
	}
	for p.next < n {
		skipped := p.flow.at(p.next).count(&p.layout)
		if p.pkt > 0 {
			skipped = max(0, skipped-p.pkt)
		}
		p.count.skipped.Add(uint64(skipped))
		p.next, p.pkt = p.next+1, 0
	}
}

// form returns a batch as this player gets it.
func (p *Player) form(b *batch) *form {
	if p.own != nil && p.ownOf == b.number {
		return p.own
	}
	if p.seal == nil {
		return b.form(&p.layout)
	}
	f := &form{}
	f.build(&p.layout, b.packets, p.seal)
	return f
}

// gather adds the player's next packets to what its link writes.
func (p *Player) gather(g *gather) {
	if p.state != playing {
		return
	}
	p.catchUp()
	fl := p.flow
	pkt := p.pkt
	for n := p.next; n < fl.head() && !g.full(); n++ {
		b := fl.at(n)
		f := p.form(b)
		if pkt >= len(f.packets) {
			if n == p.next {
				p.next, p.pkt = n+1, 0
			} else {
				g.add(piece{}, source{player: p, form: f, number: n})
			}
			pkt = 0
			continue
		}
		last, due := p.untilReport(f, pkt)
		of := b
		if f == p.own || p.seal != nil {
			of = nil
		}
		g.add(piece{b: f.buf[f.start(pkt):f.packets[last-1].end], of: of},
			source{player: p, form: f, number: n, first: pkt, last: last})
		if due {
			return
		}
		pkt = 0
	}
}

// untilReport returns up to which packet the form can be sent at once, and whether a first sender report is due then.
func (p *Player) untilReport(f *form, from int) (last int, due bool) {
	if p.unreported != 0 {
		for i := from; i < len(f.packets); i++ {
			if t := f.packets[i].track; p.unreported&(1<<t) != 0 && p.flow.known(t) {
				return i + 1, true
			}
		}
	}
	return len(f.packets), false
}

// wrote notes that the packets of a source before last have been written.
func (p *Player) wrote(src *source, last int) {
	f := src.form
	p.next, p.pkt = src.number, last
	if last == len(f.packets) {
		p.next, p.pkt = src.number+1, 0
	}
	if src.first == last || p.state == over {
		return
	}
	for i := range p.outlets {
		o := &p.outlets[i]
		p.add(o, f.total(o.track, src.first, last))
	}
	p.delivered(src.number)
	if p.unreported != 0 {
		p.reportFirst()
	}
}

// add counts packets of an outlet.
func (p *Player) add(o *outlet, s sum) {
	if s.packets == 0 {
		return
	}
	o.packets += s.packets
	o.octets += s.octets
	p.sent = true
	p.count.packets.Add(uint64(s.packets))
	p.count.bytes.Add(uint64(s.bytes))
}

// delivered notes the lag with which a batch was sent.
func (p *Player) delivered(n uint64) {
	if fl := p.flow; n >= fl.first && n < fl.head() {
		p.count.lag.Store(int64(p.shard.now.Sub(fl.at(n).arrived)))
	}
}
