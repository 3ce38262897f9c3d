package access

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var testNow = time.Unix(1_700_000_000, 0)

func newRegister(t *testing.T, folder string) *Register {
	t.Helper()
	s, err := LoadSuccessions(folder)
	if err != nil {
		t.Fatal(err)
	}
	return NewRegister(folder, s)
}

// issue issues a ticket and reads it.
func issue(t *testing.T, r *Register, edit func(*Ticket)) *Ticket {
	t.Helper()
	ticket := testTicket()
	edit(&ticket)
	b, e, err := r.Issue(testKey(1), ticket, testNow)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseTicket(b)
	if err != nil || got.Serial != e.Serial {
		t.Fatalf("ParseTicket = %+v, %v", got, err)
	}
	return got
}

func TestBearerIsCountedByGateway(t *testing.T) {
	r := newRegister(t, t.TempDir())
	ticket := issue(t, r, func(t *Ticket) { t.Uses = 2 })
	for _, who := range []byte{2, 3, 2, 3, 3} {
		if err := r.Admit(ticket, public(testKey(who)), testNow); err != nil {
			t.Errorf("Admit of %d = %v, want nil", who, err)
		}
	}
	if err := r.Admit(ticket, public(testKey(4)), testNow); !errors.Is(err, ErrUsedUp) {
		t.Errorf("Admit of a third = %v, want ErrUsedUp", err)
	}
}

func TestAdmitRefuses(t *testing.T) {
	r := newRegister(t, t.TempDir())
	for _, tt := range []struct {
		name string
		edit func(*Ticket)
		at   time.Time
		want error
	}{
		{"expired", func(*Ticket) {}, testTicket().Expires, ErrExpired},
		{"another's", func(t *Ticket) { t.Holder = public(testKey(5)) }, testNow, ErrHolder},
		{"no right", func(t *Ticket) { t.Rights = 2 }, testNow, ErrNoRight},
	} {
		if err := r.Admit(issue(t, r, tt.edit), public(testKey(2)), tt.at); !errors.Is(err, tt.want) {
			t.Errorf("%s: Admit = %v, want %v", tt.name, err, tt.want)
		}
	}
	// Signed by the owner, but by one whose register was lost: which of them were revoked nobody knows.
	ticket := testTicket()
	if err := r.Admit(&ticket, public(testKey(2)), testNow); !errors.Is(err, ErrUnknown) {
		t.Errorf("Admit = %v, want ErrUnknown", err)
	}
	ticket = *issue(t, r, func(*Ticket) {})
	if err := r.Revoke(ticket.Serial, testNow); err != nil {
		t.Error(err)
	}
	if err := r.Admit(&ticket, public(testKey(2)), testNow); !errors.Is(err, ErrRevoked) {
		t.Errorf("Admit = %v, want ErrRevoked", err)
	}
	if err := r.Revoke(NewSerial(), testNow); !errors.Is(err, ErrUnknown) {
		t.Errorf("Revoke = %v, want ErrUnknown", err)
	}
	if _, _, err := r.Issue(testKey(1), testTicket(), testTicket().Expires); !errors.Is(err, ErrExpired) {
		t.Errorf("Issue = %v, want ErrExpired", err)
	}
}

func TestRegisterOutlivesTheProcess(t *testing.T) {
	folder := t.TempDir()
	r := newRegister(t, folder)
	used := issue(t, r, func(t *Ticket) { t.Uses = 1 })
	gone := issue(t, r, func(t *Ticket) { t.Holder, t.Uses = public(testKey(2)), 0 })
	if err := r.Admit(used, public(testKey(2)), testNow); err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(gone.Serial, testNow); err != nil {
		t.Fatal(err)
	}
	again := newRegister(t, folder)
	want, _ := r.List()
	got, err := again.List()
	if err != nil || len(got) != 2 {
		t.Fatalf("List = %v, %v", got, err)
	}
	for i := range got {
		if !got[i].Issued.Equal(want[i].Issued) || !got[i].Revoked.Equal(want[i].Revoked) || !reflect.DeepEqual(got[i].Channels, want[i].Channels) {
			t.Errorf("List has %+v, want %+v", got[i], want[i])
		}
	}
	if err := again.Admit(used, public(testKey(3)), testNow); !errors.Is(err, ErrUsedUp) {
		t.Errorf("Admit after a restart = %v, want ErrUsedUp", err)
	}
	if err := again.Admit(gone, public(testKey(2)), testNow); !errors.Is(err, ErrRevoked) {
		t.Errorf("Admit after a restart = %v, want ErrRevoked", err)
	}
	path := filepath.Join(folder, registerFile)
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("Stat = %v, %v, want mode 0600", st, err)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte(TicketText(used.Sign(testKey(1)))[:60])) {
		t.Errorf("the register has the ticket itself, or %v", err)
	}
}

// Without its register an owner does not know which tickets were revoked: it admits nobody.
func TestBrokenRegisterAdmitsNobody(t *testing.T) {
	folder := t.TempDir()
	ticket := issue(t, newRegister(t, folder), func(*Ticket) {})
	if err := os.WriteFile(filepath.Join(folder, registerFile), []byte(`[{"serial"`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRegister(t, folder)
	if err := r.Admit(ticket, public(testKey(2)), testNow); err == nil || !strings.Contains(err.Error(), registerFile) {
		t.Errorf("Admit = %v, want an error that names the file", err)
	}
}
