//go:build integration

package swarm

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"
	"time"

	"peergate/integration/lab"
)

const (
	// churnEvery is how often a member goes and comes back at least, and churnMost how often at most in a window.
	churnEvery, churnMost = 5 * time.Second, 30
	// signed is the time within which what a gateway got is acknowledged: what it may lose when it is killed.
	signed = 25 * time.Second
	// credited is the part by which the ledger may differ from what came, and onTheWay what else may in bytes: chunks that
	// came while a channel ended.
	credited, onTheWay = 0.001, 64 << 10
	// settled is how long the last receipts may take to the owner.
	settled = 90 * time.Second
)

// left is what a gateway logs of a channel when it leaves it.
var left = regexp.MustCompile(`msg="channel ended".* stream=owner/cam .*bytes_in=(\d+) bytes_spare=(\d+)`)

// own is what a gateway itself says to have got, and how often it was killed meanwhile.
type own struct {
	got   float64
	kills int
}

// note adds the channels that the present process has left.
func (o *own) note(t *testing.T, a *site) {
	t.Helper()
	for _, m := range left.FindAllStringSubmatch(a.Log(), -1) {
		in, err1 := strconv.ParseFloat(m[1], 64)
		spare, err2 := strconv.ParseFloat(m[2], 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("%s logs %q", a.Name, m[0])
		}
		o.got += in - spare
	}
}

// noteNow adds the channel that it is in.
func (o *own) noteNow(t *testing.T, a *site) {
	t.Helper()
	var st struct {
		Overlay struct {
			Channels []struct {
				In    float64 `json:"bytes_in"`
				Spare float64 `json:"bytes_spare"`
			} `json:"channels"`
		} `json:"overlay"`
	}
	ask(t, &st, "status", "--json", a.File())
	for _, ch := range st.Overlay.Channels {
		o.got += ch.In - ch.Spare
	}
}

// ask runs a command of the gateway and reads the JSON that it prints.
func ask(t *testing.T, v any, args ...string) {
	t.Helper()
	out := lab.Run(t, lab.Patience, lab.Binary(t), args...)
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("gateway %v: %v\n%s", args, err, out)
	}
}

// sum is a line of a report.
type sum struct {
	ID      string `json:"id"`
	Carried int64  `json:"carried_bytes"`
	Got     int64  `json:"got_bytes"`
	Refused int64  `json:"refused_bytes"`
}

// TestLedger has members restart, be killed and leave while they carry a stream: the owner's ledger says what each got, by its own
// word, and never more than came over its line.
func TestLedger(t *testing.T) {
	t.Parallel()
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: link(4*ratio, 20, hop, 0), member: link(6*ratio, 20, hop, 0), debug: true})
	s.audience(s.members())
	all := make(map[*site]*own)
	for _, a := range s.members() {
		all[a] = new(own)
	}
	accounts := 0.0
	step := max(*window/churnMost, churnEvery)
	for i := range max(3, int(*window/step)) {
		s.wait(step)
		a := s.members()[i%len(s.members())]
		s.on(a, func(a *site) {
			a.reader.Stop()
			accounts += accountsOf(t, a)
			switch i % 3 {
			case 0:
				a.Stop()
				all[a].note(t, a)
			case 1:
				all[a].noteNow(t, a)
				a.Kill()
				all[a].note(t, a)
				all[a].kills++
			}
			if i%3 < 2 {
				a.Start()
			}
			a.WaitStream(owner + "/cam")
			a.reader = newReader(t, a.Name, a.URL(owner+"/cam"))
		})
	}
	s.wait(step)
	s.sound()
	s.camera.stop()
	s.camera.p.Conn.Close()
	for _, a := range s.members() {
		lab.Eventually(t, lab.Patience, a.Name+" has left the channel", func() bool {
			var o own
			o.noteNow(t, a)
			return o.got == 0
		})
		all[a].note(t, a)
		accounts += accountsOf(t, a)
	}
	accounts += accountsOf(t, s.sites[0])

	var worst string
	lab.Eventually(t, settled, "the ledger says what each has got", func() bool {
		worst = ""
		sums := make(map[string]sum)
		var list []sum
		ask(t, &list, "ledger", "report", "--format", "json", s.sites[0].File())
		for _, l := range list {
			sums[l.ID] = l
		}
		for _, a := range s.members() {
			want, got := all[a].got, float64(sums[a.ID].Got)
			may := credited*want + onTheWay + float64(all[a].kills)*signed.Seconds()*float64(rate)/8
			if math.Abs(got-want) > may {
				worst += fmt.Sprintf("%s: %.0f bytes are credited, %.0f came, %d times killed\n", a.Name, got, want, all[a].kills)
			}
		}
		return worst == ""
	})
	s.books(all, accounts)
}

// accountsOf returns the bytes that a gateway has sent for the accounts.
func accountsOf(t *testing.T, a *site) float64 {
	t.Helper()
	var st struct {
		Overlay struct {
			Accounts float64 `json:"bytes_accounts"`
		} `json:"overlay"`
	}
	ask(t, &st, "status", "--json", a.File())
	return st.Overlay.Accounts
}

// books compares the ledger with the lines, and looks for what was refused.
func (s *stage) books(all map[*site]*own, accounts float64) {
	s.t.Helper()
	var list []sum
	ask(s.t, &list, "ledger", "report", "--format", "json", s.sites[0].File())
	byID := make(map[string]sum)
	var got, carried, came float64
	for _, l := range list {
		byID[l.ID] = l
		got, carried = got+float64(l.Got), carried+float64(l.Carried)
	}
	for i, a := range s.sites {
		l, sent, received := byID[a.ID], float64(a.host.Access.Sent().Bytes), float64(a.host.Access.Received().Bytes)
		if float64(l.Got) > received || float64(l.Carried) > sent {
			s.t.Errorf("%s: credited with %d bytes got and %d carried, its line carried %.0f and %.0f", a.Name, l.Got, l.Carried, received, sent)
		}
		if i == 0 {
			s.t.Logf("%s: carried %d bytes, its line %.3f times that", a.Name, l.Carried, sent/float64(l.Carried))
			continue
		}
		came += all[a].got
		s.t.Logf("%s: got %d bytes, %+.3f %% of what came, its line %.3f times that; carried %d; killed %d times", a.Name, l.Got,
			100*(float64(l.Got)/all[a].got-1), received/float64(l.Got), l.Carried, all[a].kills)
	}
	if got != carried {
		s.t.Errorf("%.0f bytes are credited as got, %.0f as carried", got, carried)
	}
	s.t.Logf("in all: %+.4f %% of what came; receipts and letters are %.3f %% of the payload", 100*(got/came-1), 100*accounts/came)
	target(s.t, "receipts and letters over payload", accounts/came, 0.001)
	var disputes []struct {
		Reason string `json:"reason"`
		Detail string `json:"detail"`
		Bytes  int64  `json:"refused_bytes"`
	}
	ask(s.t, &disputes, "ledger", "dispute", "--format", "json", s.sites[0].File())
	for _, d := range disputes {
		if d.Bytes > 0 {
			s.t.Errorf("%d bytes of honest gateways are refused: %s: %s", d.Bytes, d.Reason, d.Detail)
		} else {
			s.t.Logf("noted: %s: %s", d.Reason, d.Detail)
		}
	}
	lab.Run(s.t, lab.Patience, lab.Binary(s.t), "ledger", "verify", s.sites[0].File())
}
