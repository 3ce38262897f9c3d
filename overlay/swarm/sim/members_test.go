package sim

import (
	"os"
	"testing"
	"time"
)

// The audience of a channel, with what goes wrong on real networks all at once. The bounds are what must hold on any
// machine; the figures of larger runs are in docs/swarm.md.
func TestMembers(t *testing.T) {
	r := Run(Config{
		Members: members, Seed: 1, Owner: 1.5, Loss: 0.01, Churn: 10 * time.Minute, NAT: 0.1, Liars: 0.01,
		Ramp: 15 * time.Second, Settle: 8 * time.Second, Length: 10 * time.Second,
	})
	if testing.Verbose() {
		r.Print(os.Stdout)
	}
	one, two := r.OnTime()
	if r.Members < members*9/10 || r.Expected < members*100 {
		t.Fatalf("%d members, %d chunks due", r.Members, r.Expected)
	}
	if one < 0.95 || two < 0.98 {
		t.Errorf("on time at 1 s %.4f, at 2 s %.4f, want 0.95 and 0.98 at least", one, two)
	}
	if e := r.Egress(); e > 1.25 {
		t.Errorf("the owner sent %.2f times the payload, want 1.25 at most", e)
	}
	if d := float64(r.Dups) / float64(r.Received); d > 0.05 {
		t.Errorf("%.4f of the chunks were duplicates, want 0.05 at most", d)
	}
	if c := float64(r.Control) / float64(r.Sent); c > 0.05 {
		t.Errorf("control was %.4f of the payload, want 0.05 at most", c)
	}
}
