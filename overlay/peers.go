package overlay

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"peergate/conf"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

// banFor is how long a peer that sent a bad chunk or a malformed message is kept out.
const banFor = 10 * time.Minute

// peer is a gateway that the configuration lists, or a stranger that this gateway dials.
type peer struct {
	id        p2p.ID
	name      string   // under which players find its streams; of a stranger "" or by a link
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
	p.learn(addresses)
	if done != nil {
		p.mu.Lock()
		p.waiters = append(p.waiters, done)
		p.mu.Unlock()
	}
	p.poke()
}

// learn notes addresses that others told.
func (p *peer) learn(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range addresses {
		if len(p.learnt) < maxLearnt && !slices.Contains(p.learnt, a) {
			p.learnt = append(p.learnt, a)
		}
	}
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

// book is the table of the gateways this one deals with. It is safe for concurrent use.
type book struct {
	private bool        // whoever knows the network's key is let in, which p2p sees to
	doors   atomic.Bool // strangers may connect
	heirs   atomic.Bool // a listed peer is missing: its successor may connect and say so

	mu     sync.Mutex // guards the fields below
	byID   map[p2p.ID]*peer
	byName map[string]*peer
	met    map[p2p.ID]*stranger
	tips   []tip
	banned map[p2p.ID]time.Time // until when
}

// stranger is a gateway that is not listed and that this gateway dials.
type stranger struct {
	*peer
	wanted map[chunk.ID]bool // channels that need it; true: however often it fails
}

// maxMet bounds the strangers that are dialled: 24 links for each of twenty channels.
const maxMet = 480

func newBook(peers map[string]conf.Peer, tips []tip, private bool) *book {
	b := &book{private: private, met: make(map[p2p.ID]*stranger), tips: tips, banned: make(map[p2p.ID]time.Time)}
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

// all returns the listed peers, sorted by petname.
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

// dialled returns all that are to be dialled: the listed peers, and strangers that channels need.
func (b *book) dialled() []*peer {
	list := b.all()
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, s := range b.met {
		if b.byID[id] == nil {
			list = append(list, s.peer)
		}
	}
	return list
}

// meet has a stranger dialled for a channel; a listed peer is what it is. It returns nil when there are too many.
func (b *book) meet(id p2p.ID, who chunk.ID, keep bool) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byID[id]; p != nil {
		return p
	}
	s := b.met[id]
	if s == nil {
		if len(b.met) >= maxMet {
			return nil
		}
		s = &stranger{newPeer(id, b.tipName(id), nil), make(map[chunk.ID]bool)}
		b.met[id] = s
	}
	s.wanted[who] = s.wanted[who] || keep
	return s.peer
}

// needs tells whether a channel has a stranger dialled.
func (b *book) needs(id p2p.ID, who chunk.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.met[id]
	if s == nil {
		return false
	}
	_, ok := s.wanted[who]
	return ok
}

// forgo ends that a stranger is dialled for a channel, unless it is kept. It reports whether it is dialled for none now.
func (b *book) forgo(id p2p.ID, who chunk.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.met[id]
	if s == nil {
		return false
	}
	if keep, ok := s.wanted[who]; !ok || keep {
		return false
	}
	delete(s.wanted, who)
	if len(s.wanted) > 0 {
		return false
	}
	delete(b.met, id)
	return true
}

// part ends that strangers are dialled for a channel. It reports whether some are dialled for none now.
func (b *book) part(who chunk.ID) (some bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, s := range b.met {
		delete(s.wanted, who)
		if len(s.wanted) == 0 {
			delete(b.met, id)
			some = true
		}
	}
	return some
}

// metFor returns the strangers that are dialled for a channel.
func (b *book) metFor(who chunk.ID) (list []*peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.met {
		if _, ok := s.wanted[who]; ok {
			list = append(list, s.peer)
		}
	}
	return list
}

// known returns the listed peer or the stranger of that ID, or nil.
func (b *book) known(id p2p.ID) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byID[id]; p != nil {
		return p
	}
	if s := b.met[id]; s != nil {
		return s.peer
	}
	return nil
}

// peer returns the listed peer of that ID, or nil.
func (b *book) peer(id p2p.ID) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byID[id]
}

// named returns the gateway of that petname, of a peer or of a link's owner; "" when there is none.
func (b *book) named(name string) p2p.ID {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byName[name]; p != nil {
		return p.id
	}
	for i := range b.tips {
		if b.tips[i].petname == name && name != "" {
			return b.tips[i].Owner
		}
	}
	return ""
}

// name returns the petname of a gateway, or the short form of its ID.
func (b *book) name(id p2p.ID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byID[id]; p != nil {
		return p.name
	}
	return cmp.Or(b.tipName(id), id.Short())
}

// trusts tells whether a gateway is served like a listed peer: it is one, or knows the network's key.
func (b *book) trusts(id p2p.ID) bool { return b.private || b.peer(id) != nil }

// allow tells whether a gateway may be connected.
func (b *book) allow(id p2p.ID) bool {
	return (b.private || b.doors.Load() || b.heirs.Load() || b.known(id) != nil) && b.banLeft(id) == 0
}

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
