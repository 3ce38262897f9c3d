package ledger

import (
	"fmt"
	"time"
)

const (
	// flagFrom is from how many bytes between two members on a pair is looked at.
	flagFrom = 64 << 20
	// flagPart is the part of what was emitted that two members must have given each other to be noted.
	flagPart = 0.9
)

// flag is something that was noted of two members in an epoch; up is the lesser one.
type flag struct {
	pair
	reason string
}

// mutual returns the bytes credited between the two ends of an edge, both ways.
func (e *epoch) mutual(r *Receipt) uint64 {
	return e.flows[pair{r.Uploader, r.Downloader}] + e.flows[pair{r.Downloader, r.Uploader}]
}

// between returns the most that two members can have given each other: a chunk comes to one of them from elsewhere, and is new
// to the other once.
func (e *epoch) between(a, b Peer) uint64 {
	return max(e.mayTake(a), e.mayTake(b)) + margin
}

// suspect notes of the two ends of an edge what an owner may want to look at, once in an epoch.
func (l *Ledger) suspect(b *batch, e *epoch, r *Receipt, now time.Time) {
	up, down := e.flows[pair{r.Uploader, r.Downloader}], e.flows[pair{r.Downloader, r.Uploader}]
	if r.Uploader == l.owner || up+down < flagFrom {
		return
	}
	note := func(reason, detail string) {
		k := flag{pair{r.Uploader, r.Downloader}, reason}
		if k.down.compare(k.up) < 0 {
			k.up, k.down = k.down, k.up
		}
		if e.flagged[k] {
			return
		}
		e.flagged[k] = true
		l.record(b, &dispute{
			at: now, channel: r.Channel, sender: l.owner, uploader: r.Uploader, downloader: r.Downloader, reason: reason, detail: detail,
		})
	}
	if all := e.mayTake(r.Downloader); min(up, down) > margin && float64(up+down) >= flagPart/surplus*float64(all) {
		note(reasonPair, fmt.Sprintf("they gave each other %d and %d bytes, nearly all that there was", up, down))
	}
	if l.auditor == nil {
		return
	}
	if net := l.auditor.Subnet(r.Uploader); net != "" && net == l.auditor.Subnet(r.Downloader) {
		note(reasonSubnet, fmt.Sprintf("both connect from %s; %d bytes between them", net, up+down))
	}
}
