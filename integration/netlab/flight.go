//go:build integration

package netlab

import "time"

// packet is one that is under way.
type packet struct {
	at       time.Duration // when it comes to the end of its line
	order    uint64        // keeps packets of the same moment in order
	from, to *Access       // to is nil for an address of nobody
	across   bool          // on its way down from the core, rather than up to it
	b        []byte
}

func (p *packet) before(q *packet) bool {
	return p.at < q.at || p.at == q.at && p.order < q.order
}

// flight holds packets under way, the next to arrive first: a binary heap.
type flight []packet

func (f *flight) push(p packet) {
	*f = append(*f, p)
	h := *f
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (f *flight) pop() packet {
	h := *f
	top, last := h[0], len(h)-1
	h[0], h[last] = h[last], packet{}
	h = h[:last]
	*f = h
	for i := 0; ; {
		next := 2*i + 1
		if next >= last {
			return top
		}
		if next+1 < last && h[next+1].before(&h[next]) {
			next++
		}
		if !h[next].before(&h[i]) {
			return top
		}
		h[i], h[next] = h[next], h[i]
		i = next
	}
}
