//go:build integration

package lab

import (
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Dialogue is the client's side of a recorded conversation.
type Dialogue struct {
	Get, Post string // heads of a tunnel's requests, "" without tunnel
	Turns     []Turn
}

// Turn is something the client sent.
type Turn struct {
	Request string // whole, with CRLF; "" when it was a packet
	Channel uint8  // of the packet, which was a receiver report
	Status  int    // of the recorded answer, 200 where there is none
	Second  bool   // on the client's second connection, which is no tunnel: the first has ended
}

var (
	turnHead = regexp.MustCompile(`^--- +(?:[0-9.]+s )?(\S.*)$`)
	turnCSeq = regexp.MustCompile(`(?m)^CSeq: (\d+)\r?$`)
	frame    = regexp.MustCompile(`^\[interleaved frame, channel (\d)`)
	answered = regexp.MustCompile(`^RTSP/1.0 (\d+)`)
)

// ReadDialogue reads a recording; its README tells the format.
func ReadDialogue(t testing.TB, path string) *Dialogue {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := new(Dialogue)
	var who string
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if m := turnHead.FindStringSubmatch(line); m != nil {
			d.add(t, who, text.String())
			who = m[1]
			text.Reset()
			continue
		}
		text.WriteString(line + "\r\n")
	}
	d.add(t, who, text.String())
	if len(d.Turns) == 0 {
		t.Fatalf("%s has no requests", path)
	}
	return d
}

// add takes one block of a recording.
func (d *Dialogue) add(t testing.TB, who, text string) {
	t.Helper()
	text = strings.TrimRight(text, "\r\n") + "\r\n\r\n"
	m := frame.FindStringSubmatch(text)
	switch {
	case who == "C2 base64":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			t.Fatalf("recorded base64: %v", err)
		}
		if b[0] == '$' {
			d.Turns = append(d.Turns, Turn{Channel: b[1]})
			return
		}
		d.Turns = append(d.Turns, Turn{Request: string(b), Status: 200})
	case strings.HasPrefix(who, "C2 "): // the same, decoded
	case (who == "C1" || who == "C2") && m != nil:
		d.Turns = append(d.Turns, Turn{Channel: m[1][0] - '0'})
	case who == "C1" && strings.HasPrefix(text, "GET /"):
		d.Get = text
	case who == "C2" && strings.HasPrefix(text, "POST /"):
		d.Post = text
	case who == "C1" || who == "C2" || who == "C":
		d.Turns = append(d.Turns, Turn{Request: text, Status: 200, Second: who == "C2"})
	case who == "S1":
		d.answer(text)
	}
}

// answer notes a recorded answer other than 200 with its request.
func (d *Dialogue) answer(text string) {
	status, cseq := answered.FindStringSubmatch(text), turnCSeq.FindStringSubmatch(text)
	if status == nil || cseq == nil || status[1] != "401" {
		return
	}
	for i := range d.Turns {
		if m := turnCSeq.FindStringSubmatch(d.Turns[i].Request); m != nil && m[1] == cseq[1] {
			d.Turns[i].Status = 401
		}
	}
}
