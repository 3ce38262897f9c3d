package overlay

import (
	"strings"
	"testing"
)

// TestPrivateNetwork has a gateway let those in who know the network's key, listed or not, and nobody else.
func TestPrivateNetwork(t *testing.T) {
	key := []byte(strings.Repeat("k", 32))
	a, member, outsider := newGateway(t, "a"), newGateway(t, "member"), newGateway(t, "outsider")
	a.o.NetworkKey, member.o.NetworkKey = key, key
	a.knowsAt(outsider).start()
	member.knows(a).start()
	outsider.knows(a).start()
	a.film("cam")
	member.view("a/cam").watch(30)
	if st, err := outsider.open("a/cam"); err == nil {
		t.Errorf("a gateway without the key has %v", st.Name())
	}
	if a.node.link(outsider.id.ID) != nil {
		t.Error("a gateway without the key has a link")
	}
}
