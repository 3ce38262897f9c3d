package overlay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// All streams between gateways carry frames: the length of the body as an unsigned varint (2 bytes for a chunk of
// 8 KiB), then the body. A frame is whole or its stream is over.

const (
	// maxControl bounds a control message in bytes: a description of 64 KiB, or 24 members with their addresses.
	maxControl = 128 << 10
	// readBuffer is the size in bytes of a stream's read buffer: the length of a frame and its start come in one read.
	readBuffer = 4 << 10
)

var errTooLong = errors.New("frame is too long")

// frameReader reads the frames of a stream.
type frameReader struct {
	r   *bufio.Reader
	max int // longest body in bytes
}

func newFrameReader(r io.Reader, maxBody int) *frameReader {
	return &frameReader{bufio.NewReaderSize(r, readBuffer), maxBody}
}

// next returns the body of the next frame in memory of its own. It returns io.EOF only between frames.
func (f *frameReader) next() ([]byte, error) {
	fr, err := f.whole()
	return fr.body(), err
}

// whole returns the next frame in memory of its own.
func (f *frameReader) whole() (frame, error) {
	n, err := binary.ReadUvarint(f.r)
	if err != nil {
		return frame{}, err
	}
	if n > uint64(f.max) {
		return frame{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", errTooLong, n, f.max)
	}
	var head [binary.MaxVarintLen64]byte
	at := binary.PutUvarint(head[:], n)
	b := make([]byte, at+int(n))
	copy(b, head[:at])
	if _, err := io.ReadFull(f.r, b[at:]); err != nil {
		return frame{}, fmt.Errorf("frame of %d bytes: %w", n, noEOF(err))
	}
	return frame{b, at}, nil
}

// frame is a frame as it goes over the wire.
type frame struct {
	wire []byte // the whole of it
	at   int    // where its body begins
}

// newFrame returns the frame with this body.
func newFrame(body []byte) frame {
	b := appendFrame(make([]byte, 0, len(body)+binary.MaxVarintLen32), body)
	return frame{b, len(b) - len(body)}
}

func (f frame) body() []byte { return f.wire[f.at:] }

// noEOF makes the end of a stream inside a frame the error it is.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame appends a frame to b.
func appendFrame(b, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}
