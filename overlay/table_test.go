package overlay

import (
	"fmt"
	"slices"
	"testing"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
)

// tabled is how many gateways share the table, fewer under the race detector.
const tabled = min(30, members+1)

// TestTable has thirty gateways that know one of them alone. What one of them opens and lists, another finds by owner and name, and
// in the directory; what is for listed peers is found by nobody.
func TestTable(t *testing.T) {
	t.Parallel()
	first := newGateway(t, "first")
	first.o.Conf.DHT.Enabled = true
	first.start()
	known := first.addresses()[0] + "/p2p/" + string(first.id.ID)
	all := []*gateway{first}
	for i := range tabled - 1 {
		g := newGateway(t, fmt.Sprintf("g%d", i))
		g.o.Conf.DHT = conf.DHT{Enabled: true, Bootstrap: []string{known}}
		if i == 4 {
			g.o.Conf.Channels = []conf.Channel{{Name: "live", Access: conf.AccessOpen, Directory: conf.Directory{Title: "Live"}}}
		}
		all = append(all, g.start())
	}
	owner, viewer := all[5], all[tabled-1]
	owner.film("live")
	owner.film("secret")
	path := media.Name(owner.id.ID) + "/live"
	eventually(t, "the channel is found", func() bool {
		_, err := viewer.open(path)
		return err == nil
	})
	v := viewer.view(path)
	v.watch(100)
	if v.gap > 0 {
		t.Errorf("%d packets are missing", v.gap)
	}
	if _, err := viewer.open(media.Name(owner.id.ID) + "/secret"); err == nil {
		t.Error("a stream for listed peers is found by a stranger")
	}
	eventually(t, "the directory is found", func() bool {
		places, err := all[2].node.Directories(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(places, func(p p2p.Place) bool { return p.ID == owner.id.ID })
	})
	d, err := all[2].node.Directory(t.Context(), owner.id.ID, nil)
	if err != nil || len(d.Listings) != 1 || d.Listings[0].Name != "live" {
		t.Errorf("directory %+v, %v", d, err)
	}
}
