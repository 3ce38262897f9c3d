package overlay

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFrames(t *testing.T) {
	var b []byte
	bodies := []string{"", "a", string(bytes.Repeat([]byte("chunk"), 2000))}
	for _, s := range bodies {
		b = appendFrame(b, []byte(s))
	}
	r := newFrameReader(bytes.NewReader(b), 10000)
	for _, want := range bodies {
		if got, err := r.next(); err != nil || string(got) != want {
			t.Fatalf("next = %d bytes, %v, want %d bytes", len(got), err, len(want))
		}
	}
	if _, err := r.next(); err != io.EOF {
		t.Errorf("next at the end = %v, want io.EOF", err)
	}
	if _, err := newFrameReader(bytes.NewReader(b[:len(b)-1]), 10000).skip(2); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("next of a frame cut short = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if _, err := newFrameReader(bytes.NewReader(b), 9999).skip(2); err == nil {
		t.Errorf("next of a frame too long = nil error")
	}
}

// skip reads n frames and returns the one after them.
func (f *frameReader) skip(n int) ([]byte, error) {
	for range n {
		if _, err := f.next(); err != nil {
			return nil, err
		}
	}
	return f.next()
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(nil, []byte("hello")))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newFrameReader(bytes.NewReader(b), 100)
		for {
			body, err := r.next()
			if err != nil {
				return
			}
			if len(body) > 100 {
				t.Fatalf("next = %d bytes, at most 100 are allowed", len(body))
			}
		}
	})
}
