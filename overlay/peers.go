package overlay

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"peergate/conf"
	"peergate/overlay/p2p"
)

// banFor is how long a peer that sent a bad chunk or a malformed message is kept out.
const banFor = 10 * time.Minute

// peer is a gateway that the configuration lists.
type peer struct {
	id        p2p.ID
	name      string   // under which players find its streams
	addresses []string // where it is dialled; more are learnt

	kick chan struct{} // has a token when the keeper is to dial at once

	mu      sync.Mutex // guards the fields below
	learnt  []string   // addresses that others told
	reason  error      // why the last dial failed; nil while there is a link
	waiters []func(error)
}

func newPeer(id p2p.ID, name string, addresses []string) *peer {
	return &peer{
		id: id, name: name, addresses: slices.Clone(addresses),
		kick: make(chan struct{}, 1),
	}
}

// want asks the keeper to dial at once, also at these addresses; done is told what came of it.
func (p *peer) want(addresses []string, done func(error)) {
	p.mu.Lock()
	for _, a := range addresses {
		if len(p.learnt) < maxLearnt && !slices.Contains(p.learnt, a) {
			p.learnt = append(p.learnt, a)
		}
	}
	if done != nil {
		p.waiters = append(p.waiters, done)
	}
	p.mu.Unlock()
	p.poke()
}

// maxLearnt bounds the addresses kept of a peer that others told.
const maxLearnt = 32

func (p *peer) poke() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// dialable returns the addresses to dial.
func (p *peer) dialable() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(p.addresses, p.learnt)
}

// hopeless tells whether a dial can only fail, when these addresses are what the network knows of the peer.
func (p *peer) hopeless(known []string) bool { return len(known) == 0 && len(p.dialable()) == 0 }

// settle notes what a dial came to and tells those who wait for it.
func (p *peer) settle(err error) {
	p.mu.Lock()
	waiters := p.waiters
	p.waiters, p.reason = nil, err
	p.mu.Unlock()
	for _, f := range waiters {
		f(err)
	}
}

// fault returns why the last dial failed.
func (p *peer) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// book is the table of the peers this gateway deals with. It is safe for concurrent use.
type book struct {
	private bool // whoever knows the network's key is let in, which p2p sees to

	mu     sync.Mutex // guards the fields below
	byID   map[p2p.ID]*peer
	byName map[string]*peer
	banned map[p2p.ID]time.Time // until when
}

func newBook(peers map[string]conf.Peer, private bool) *book {
	b := &book{private: private, banned: make(map[p2p.ID]time.Time)}
	b.set(peers)
	return b
}

// set replaces the configuration. It returns the peers that are new or were changed, and those that are gone or were.
func (b *book) set(peers map[string]conf.Peer) (added, removed []*peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	byID, byName := make(map[p2p.ID]*peer), make(map[string]*peer)
	for name, c := range peers {
		id := p2p.ID(c.ID)
		p := b.byID[id]
		if p == nil || p.name != name || !slices.Equal(p.addresses, c.Addresses) {
			p = newPeer(id, name, c.Addresses)
			added = append(added, p)
		}
		byID[id], byName[name] = p, p
	}
	for id, p := range b.byID {
		if byID[id] != p {
			removed = append(removed, p)
		}
	}
	b.byID, b.byName = byID, byName
	return added, removed
}

// all returns the peers, sorted by petname.
func (b *book) all() []*peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*peer, 0, len(b.byID))
	for _, p := range b.byID {
		list = append(list, p)
	}
	slices.SortFunc(list, func(x, y *peer) int { return cmp.Compare(x.name, y.name) })
	return list
}

// peer returns the peer of that ID, or nil.
func (b *book) peer(id p2p.ID) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byID[id]
}

// named returns the peer of that petname, or nil.
func (b *book) named(name string) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byName[name]
}

// name returns the petname of a peer, or the short form of its ID.
func (b *book) name(id p2p.ID) string {
	if p := b.peer(id); p != nil {
		return p.name
	}
	return id.Short()
}

// allow tells whether a gateway may connect.
func (b *book) allow(id p2p.ID) bool { return (b.private || b.peer(id) != nil) && b.banLeft(id) == 0 }

// ban keeps a peer out; it reports false when it is kept out already.
func (b *book) ban(id p2p.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.banned[id]) {
		return false
	}
	b.banned[id] = time.Now().Add(banFor)
	return true
}

// banLeft returns for how long a peer is still kept out.
func (b *book) banLeft(id p2p.ID) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, ok := b.banned[id]
	if !ok {
		return 0
	}
	if left := time.Until(until); left > 0 {
		return left
	}
	delete(b.banned, id)
	return 0
}
