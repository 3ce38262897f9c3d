package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

// directoryWithin is how long a gateway may take to be reached and to tell its channels.
const directoryWithin = 10 * time.Second

// serveDirectory tells a gateway the channels that this one lists for everybody.
func (n *Node) serveDirectory(_ context.Context, s *p2p.Stream) {
	if n.applies(s) {
		n.host.Refuse(s)
		return
	}
	_ = s.SetDeadline(time.Now().Add(directoryWithin)) // else Write says so
	if _, err := s.Write(n.directory().Sign(n.identity.Key)); err != nil {
		s.Reset()
	}
}

// directory returns what this gateway lists: of patterns the streams that are live.
func (n *Node) directory() *access.Directory {
	d := &access.Directory{Owner: n.ID().Key(), At: time.Now()}
	o := n.options()
	listed := make(map[media.Name]bool)
	list := func(name media.Name, live bool) {
		c := channelOf(&o.Conf, name)
		if _, _, rendition := name.Rendition(); rendition {
			return
		}
		if listed[name] || c == nil || !c.Directory.Lists() || !shares(o.Conf.Share, name) || !n.own(name) {
			return
		}
		listed[name] = true
		d.Listings = append(d.Listings, access.Listing{
			Name: name, Title: c.Directory.Title, Description: c.Directory.Description, Language: c.Directory.Language,
			Tags: c.Directory.Tags, Access: cmp.Or(c.Access, conf.AccessListed), Live: live,
		})
	}
	for _, st := range n.hub.Streams() {
		list(st.Name(), st.Stats().Publishing)
	}
	for name, c := range o.Streams {
		list(media.Name(name), !c.Published()) // it begins when somebody asks for it
	}
	for i := range o.Conf.Channels {
		if name := o.Conf.Channels[i].Name; !strings.ContainsAny(name, "*?[\\") {
			list(media.Name(name), false)
		}
	}
	slices.SortFunc(d.Listings, func(a, b access.Listing) int { return cmp.Compare(a.Name, b.Name) })
	return d
}

// channelOf returns what the configuration says of a stream that is shared, or nil.
func channelOf(c *conf.Overlay, name media.Name) *conf.Channel {
	for i := range c.Channels {
		if shares([]string{c.Channels[i].Name}, name) {
			return &c.Channels[i]
		}
	}
	return nil
}

// Directory asks a gateway for the channels that it lists for everybody. It is reached at these addresses, or where it is
// known to be, and need not be a peer.
func (n *Node) Directory(ctx context.Context, who p2p.ID, addresses []string) (*access.Directory, error) {
	if who == n.ID() {
		return n.directory(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, directoryWithin)
	defer cancel()
	p := n.book.known(who)
	if p == nil {
		if p = n.book.meet(who, chunk.ID{}, false); p == nil {
			return nil, errGuests
		}
		defer n.dismiss(who)
	}
	for _, known := range [][]string{p.dialable(), n.near.all()[who], n.book.addressesOf(who)} {
		addresses = append(addresses, known...)
	}
	d, err := n.readDirectory(ctx, who, addresses)
	if err != nil {
		return nil, fmt.Errorf("%s does not tell its channels: %w", n.book.name(who), err)
	}
	return d, nil
}

// dismiss lets go of a stranger that was met for a directory.
func (n *Node) dismiss(who p2p.ID) {
	if n.book.forgo(who, chunk.ID{}) && n.link(who) == nil {
		n.watch()
		n.host.Drop(who)
	}
}

func (n *Node) readDirectory(ctx context.Context, who p2p.ID, addresses []string) (*access.Directory, error) {
	if n.link(who) == nil {
		if err := n.host.Connect(ctx, who, addresses); err != nil {
			return nil, err
		}
	}
	s, err := n.host.Open(ctx, who, p2p.Directory)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	b, err := io.ReadAll(io.LimitReader(s, access.MaxDirectory+1))
	if err != nil {
		return nil, err
	}
	d, err := access.ParseDirectory(b)
	if err != nil {
		return nil, err
	}
	if !d.Owner.Equal(who.Key()) {
		return nil, errors.New("it sends the directory of another gateway")
	}
	return d, nil
}

// addressesOf returns where links say that a gateway is.
func (b *book) addressesOf(owner p2p.ID) (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.tips {
		if b.tips[i].Owner == owner {
			all = append(all, b.tips[i].Addresses()...)
		}
	}
	return all
}
