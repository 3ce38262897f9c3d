package ledger

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"peergate/overlay/chunk"
)

// victimEnv and victimKey name the database of a process that is to be killed, and its owner's key.
const victimEnv, victimKey = "PEERGATE_TEST_VICTIM", "PEERGATE_TEST_VICTIM_KEY"

// victim keeps a ledger and prints, after each batch, how many bytes each of its members has been acknowledged. It goes on
// until it is killed.
func victim(database string) int {
	seed, err := hex.DecodeString(os.Getenv(victimKey))
	if err == nil {
		err = keepUntilKilled(database, ed25519.NewKeyFromSeed(seed))
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func keepUntilKilled(database string, key ed25519.PrivateKey) error {
	ctx := context.Background()
	l, err := Open(ctx, Options{Database: database, Key: key, Head: os.Getenv(victimHead)})
	if err != nil {
		return err
	}
	e := NewEmission(chunk.ID{9}, uint64(time.Now().UnixNano()))
	if err := l.Begin(ctx, e, Terms{Name: "live"}); err != nil {
		return err
	}
	type one struct {
		id   Peer
		edge *Edge
	}
	var members []one
	for range 20 {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		id := PeerOf(k.Public().(ed25519.PublicKey))
		members = append(members, one{id, NewEdge(Series{e.Channel, e.Epoch, l.Owner(), id, 1}, k)})
	}
	for n := uint64(0); ; n++ {
		now := time.Now()
		raw := fmt.Appendf(nil, "chunk %d", n)
		e.Count(n, raw, now)
		var letters []*Letter
		for _, m := range members {
			m.edge.Fresh(n, raw, false, now)
			_, receipt := m.edge.Sign(0, now)
			letters = append(letters, &Letter{Owner: l.Owner(), Sender: m.id, Claims: []Claim{{Raw: receipt}}})
		}
		replies, err := l.Take(ctx, letters, now)
		if err != nil {
			return err
		}
		for i, m := range members {
			if len(replies[i].Settled) == 1 {
				fmt.Printf("%x %d\n", m.id[:], m.edge.r.Bytes)
			}
		}
	}
}

const victimHead = "PEERGATE_TEST_VICTIM_HEAD"

// TestKilled kills a process that keeps a ledger at random moments: what it has acknowledged is there, and the chain is
// whole.
func TestKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		key := newKey(t)
		head := filepath.Join(t.TempDir(), "head")
		acked := make(map[string]int64)
		for range 5 {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), victimEnv+"="+database, victimKey+"="+hex.EncodeToString(key.Seed()), victimHead+"="+head)
			c.Stderr = os.Stderr
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			die := 1 + mathrand.IntN(400)
			for n := 0; lines.Scan(); n++ {
				var id string
				var bytes int64
				if _, err := fmt.Sscan(lines.Text(), &id, &bytes); err != nil {
					t.Fatal(err)
				}
				acked[id] = bytes
				if n == die {
					_ = c.Process.Kill()
				}
			}
			_ = c.Wait() // killed
		}
		l, err := Open(t.Context(), Options{Database: database, Key: key, Head: head})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.View().Verify(t.Context()); err != nil {
			t.Errorf("Verify = %v", err)
		}
		list, err := l.View().Report(t.Context(), ByPeer, time.UnixMilli(0), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		kept := make(map[string]int64)
		for _, s := range list {
			kept[fmt.Sprintf("%x", s.Peer[:])] = s.Got
		}
		lost := 0
		for id, n := range acked {
			if kept[id] < n {
				lost++
			}
		}
		if lost > 0 || len(acked) < 20 {
			t.Errorf("of %d members %d have lost what was acknowledged", len(acked), lost)
		}
	})
}
