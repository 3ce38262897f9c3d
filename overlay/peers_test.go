package overlay

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"peergate/conf"
)

func TestBook(t *testing.T) {
	b := newBook(map[string]conf.Peer{"hq": {ID: "1", Addresses: []string{"x"}}, "lab": {ID: "2"}}, nil, false)
	hq := b.peer("1")
	if hq == nil || b.named("hq") != "1" || b.named("x") != "" || b.name("1") != "hq" || !b.allow("1") || b.allow("3") {
		t.Errorf("book = %+v", b)
	}
	added, removed := b.set(map[string]conf.Peer{"hq": {ID: "1", Addresses: []string{"x"}}, "den": {ID: "3"}})
	if len(added) != 1 || added[0].name != "den" || len(removed) != 1 || removed[0].name != "lab" || b.peer("1") != hq {
		t.Errorf("set = %v, %v", added, removed)
	}
	added, removed = b.set(map[string]conf.Peer{"hq": {ID: "1", Addresses: []string{"y"}}})
	if len(added) != 1 || len(removed) != 2 || b.peer("1") == hq {
		t.Errorf("set with another address = %v, %v", added, removed)
	}
}

func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(map[string]conf.Peer{"hq": {ID: "1"}}, nil, false)
		if !b.ban("1") || b.ban("1") {
			t.Error("ban tells a second one apart wrongly")
		}
		if b.allow("1") || b.banLeft("1") != banFor {
			t.Errorf("allow = %v, banLeft = %v", b.allow("1"), b.banLeft("1"))
		}
		time.Sleep(banFor)
		if !b.allow("1") || b.banLeft("1") != 0 {
			t.Errorf("after the ban: allow = %v, banLeft = %v", b.allow("1"), b.banLeft("1"))
		}
	})
}

func TestPeerWaiters(t *testing.T) {
	p := newPeer("1", "hq", nil)
	var got []error
	failed := errors.New("no")
	p.want([]string{"x", "x"}, func(err error) { got = append(got, err) })
	if !p.hopeless(nil) == (len(p.dialable()) != 1) {
		t.Errorf("dialable = %q", p.dialable())
	}
	p.settle(failed)
	p.settle(nil)
	if len(got) != 1 || got[0] != failed || p.fault() != nil {
		t.Errorf("waiters were told %v, fault = %v", got, p.fault())
	}
}

func TestRedialAfter(t *testing.T) {
	for _, tt := range []struct {
		failures int
		r        float64
		want     time.Duration
	}{
		{1, 0, redialFirst},
		{1, 1, redialFirst / 2},
		{2, 0, 2 * redialFirst},
		{7, 0, redialMax},
		{1000, 1, redialMax / 2},
	} {
		if got := redialAfter(tt.failures, tt.r); got != tt.want {
			t.Errorf("redialAfter(%d, %v) = %v, want %v", tt.failures, tt.r, got, tt.want)
		}
	}
}
