package overlay

import (
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
)

// TestDirectory has a stranger read what an owner lists, and not what it does not; who lists nothing lets no stranger in.
func TestDirectory(t *testing.T) {
	t.Parallel()
	a, b, c := newGateway(t, "a"), newGateway(t, "b"), newGateway(t, "c")
	a.o.Conf.Channels = []conf.Channel{
		{Name: "hall", Access: conf.AccessOpen, Directory: conf.Directory{Title: "City hall", Language: "en", Tags: []string{"news"}}},
		{Name: "cameras/*", Access: conf.AccessMembers, Directory: conf.Directory{Title: "A camera"}},
		{Name: "**"},
	}
	a.start()
	b.start()
	c.start()
	for _, name := range []media.Name{"cameras/door", "cameras/door~360p", "secret"} {
		a.film(name)
	}
	d, err := b.node.Directory(t.Context(), a.id.ID, a.addresses())
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Listings) != 2 || time.Since(d.At) > time.Minute {
		t.Fatalf("directory %+v, want two channels", d)
	}
	if l := d.Listings[0]; l.Name != "cameras/door" || l.Title != "A camera" || l.Access != "members" || !l.Live {
		t.Errorf("listing %+v", l)
	}
	if l := d.Listings[1]; l.Name != "hall" || l.Title != "City hall" || l.Language != "en" || len(l.Tags) != 1 || l.Access != "open" || l.Live {
		t.Errorf("listing %+v", l)
	}
	if b.node.book.known(a.id.ID) != nil {
		t.Error("the owner is still known after its directory was read")
	}
	if d, err := b.node.Directory(t.Context(), c.id.ID, c.addresses()); err == nil {
		t.Errorf("the directory of who lists nothing = %+v, want an error: strangers may not connect", d)
	}
	if d, err := a.node.Directory(t.Context(), a.id.ID, nil); err != nil || len(d.Listings) != 2 {
		t.Errorf("its own directory = %+v, %v", d, err)
	}
}
