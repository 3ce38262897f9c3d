package ledger

import (
	"fmt"
	"time"
)

// The reasons for which something is refused or noted, as "gateway ledger dispute" prints them.
const (
	reasonForged      = "forged"             // a signature is not that of who is named
	reasonForeign     = "not its own"        // handed in by somebody who has no part in it
	reasonUnknown     = "unknown channel"    // of no channel that this owner has emitted
	reasonReplay      = "replay"             // counted already
	reasonTwoBodies   = "two bodies"         // two receipts for one window
	reasonBackwards   = "totals went back"   // less than in an earlier window
	reasonNoLease     = "no lease"           // the owner has not agreed to the edge
	reasonNotEmitted  = "never emitted"      // chunks that the owner has not made
	reasonPhantom     = "never had the data" // the hash of the last chunk is wrong, or an audit was not passed
	reasonInflated    = "inflated totals"    // more than was emitted in that time
	reasonNoIntake    = "no intake"          // the uploader has not got what it says to have given
	reasonPair        = "reciprocal pair"    // two members give each other more than there was; noted: nearly all that there was
	reasonSubnet      = "shared subnet"      // two members that give each other much are at one place: noted
	reasonUnderstated = "under-reported"     // the downloader acknowledges less than was sent: noted
)

const (
	// surplus is by how much a downloader's sum may exceed what was emitted in its time.
	surplus = 1.05
	// rejoin is what a downloader may get twice each time it joins anew: from the last key picture on.
	rejoin = 10 * time.Second
	// margin is what sums may be off in bytes: a chunk or two on the way.
	margin = 256 << 10
	// settleWithin is how long a receipt may wait for what explains it: another one, or a lease.
	settleWithin = 3 * time.Minute
	// replaysMost is how often one member may hand in the same receipt again by accident, such as when an answer was lost.
	replaysMost = 4
)

// verdict is what becomes of a claim.
type verdict struct {
	reason  string // "" is none
	detail  string
	refused uint64 // bytes; all that is new when credit is false
	credit  bool   // there is something to credit
	later   bool   // it is to be handed in again: something that explains it is missing yet
}

func refuse(reason, detail string, refused uint64) verdict {
	return verdict{reason: reason, detail: detail, refused: refused}
}

// claimed is a claim whose form and signature were looked at.
type claimed struct {
	Claim
	sender  Peer
	receipt *Receipt
	err     error
}

// judge checks a claim against all that the ledger knows of its epoch. It changes only what is remembered of replays and
// of claims that wait.
func (e *epoch) judge(c *claimed, owner Peer, now time.Time) verdict {
	r := c.receipt
	old := e.series[r.Series]
	fresh := r.Bytes
	if old != nil {
		fresh = r.Bytes - min(r.Bytes, old.receipt.Bytes)
		if v, over := e.succeeds(c, old); over {
			return v
		}
	}
	e.claim(r)
	if v := e.emitted(r, fresh); v.reason != "" {
		return v
	}
	if p := (pair{r.Uploader, r.Downloader}); r.Uploader != owner && e.leases[p].IsZero() {
		return e.wait(c, now, refuse(reasonNoLease, "the owner has not agreed that the one serves the other", fresh))
	}
	cap, sum := e.mayTake(r.Downloader), e.intake(r.Downloader).credited
	over := uint64(0)
	if sum+fresh > cap {
		over = min(fresh, sum+fresh-cap)
	}
	v := verdict{credit: true}
	if over > 0 {
		v.reason, v.refused = reasonInflated, over
		v.detail = fmt.Sprintf("%d bytes from all uploaders, at most %d can be", sum+fresh, cap)
	}
	if r.Uploader == owner {
		return v
	}
	if sum, most := e.mutual(r)+fresh-v.refused, e.between(r.Uploader, r.Downloader); sum > most {
		over = min(fresh-v.refused, sum-most)

		v.reason, v.refused = reasonPair, v.refused+over
		v.detail = "a chunk that one of two has got from the other cannot go back: both together can be given at most what was emitted"
	}
	had := e.had(r.Uploader)
	may := had * uint64(max(1, e.leased[r.Uploader]))
	give := e.up[r.Uploader]
	over = 0
	if n := give + fresh - v.refused; n > may+margin {
		over = n - may - margin
	}
	if r.Bytes > had+margin {
		over = max(over, min(fresh-v.refused, r.Bytes-had-margin))
	}
	if over = min(over, fresh-v.refused); over > 0 {
		w := verdict{
			credit: true, reason: reasonNoIntake, refused: v.refused + over,
			detail: fmt.Sprintf("the uploader got %d bytes, and gave %d to %d leased children", had, give+fresh, e.leased[r.Uploader]),
		}
		return e.wait(c, now, w)
	}
	return v
}

// succeeds compares a receipt with the one before; over tells that this decides.
func (e *epoch) succeeds(c *claimed, old *line) (v verdict, over bool) {
	r := c.receipt
	switch {
	case old.frozen:
		return refuse(reasonTwoBodies, "the series has contradicted itself before", r.Bytes-min(r.Bytes, old.receipt.Bytes)), true
	case hashOf(c.Raw) == hashOf(old.raw), r.Window < old.receipt.Window:
		if e.again(c) {
			return refuse(reasonReplay, "window "+fmt.Sprint(r.Window)+" was handed in again and again", r.Bytes), true
		}
		return verdict{}, true
	case r.Window == old.receipt.Window, r.Window == old.receipt.Window+1 && r.Previous != hashOf(old.raw):
		return refuse(reasonTwoBodies, fmt.Sprintf("window %d", r.Window), r.Bytes-min(r.Bytes, old.receipt.Bytes)), true
	case !r.follows(old.receipt):
		return refuse(reasonBackwards, fmt.Sprintf("window %d", r.Window), 0), true
	}
	return verdict{}, false
}

// again tells, once, that a member hands the same receipt in more often than by accident. Both ends of an edge hand in each, so
// that it comes twice at least, and an older one may come after a newer one.
func (e *epoch) again(c *claimed) bool {
	k := handing{c.receipt.Series, c.sender}
	old, hash := e.replays[k], hashOf(c.Raw)
	if old.hash != hash {
		old = replays{hash: hash}
	}
	old.n++
	e.replays[k] = old
	return old.n == replaysMost+1
}

// emitted compares a receipt with what the owner has made.
func (e *epoch) emitted(r *Receipt, fresh uint64) verdict {
	if end := e.emission.end(); r.Chunks > 0 && r.Last >= end.seq {
		return refuse(reasonNotEmitted, fmt.Sprintf("chunk %d, the last one is %d", r.Last, int64(end.seq)-1), fresh)
	}
	if sum, known := e.emission.hash(r.Last); known && r.Chunks > 0 && sum != r.Digest {
		return refuse(reasonPhantom, fmt.Sprintf("the hash of chunk %d is wrong", r.Last), fresh)
	}
	return verdict{}
}

// mayTake returns the most that a downloader can have got: a little more than was emitted in its time, and something for
// each time that it began anew.
func (e *epoch) mayTake(p Peer) uint64 {
	in := e.intake(p)
	if in.first > in.last {
		return margin
	}
	sum, unsure := e.emission.between(in.first, in.last)
	again := uint64(len(in.sessions)-1) * uint64(e.emission.rate()*rejoin.Seconds())
	return uint64(surplus*float64(sum)) + unsure + again
}

// had returns what an uploader has got, by its own word, as far as that can be.
func (e *epoch) had(p Peer) (sum uint64) {
	in := e.intake(p)
	for _, n := range in.claimed {
		sum += n
	}
	return min(sum, e.mayTake(p))
}

// wait puts a claim off that lacks what explains it, when the one who hands it in cannot be the one who knows that. What
// the uploader itself lacks is refused at once: it has told all it knows.
func (e *epoch) wait(c *claimed, now time.Time, v verdict) verdict {
	s := c.receipt.Series
	if c.sender == c.receipt.Uploader {
		delete(e.waiting, s)
		return v
	}
	since, ok := e.waiting[s]
	if !ok {
		e.waiting[s], since = now, now
	}
	if now.Sub(since) < settleWithin {
		return verdict{later: true}
	}
	delete(e.waiting, s)
	return v
}
