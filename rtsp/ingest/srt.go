package ingest

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"

	srt "github.com/datarhei/gosrt"
)

const (
	// srtTimeout bounds the answer of a listener.
	srtTimeout = 3 * time.Second
	// leastPhrase and mostPhrase bound a passphrase in bytes (SRTO_PASSPHRASE).
	leastPhrase, mostPhrase = 10, 79
	// srtBuffer is the size in bytes of the largest payload.
	srtBuffer = 1500
)

// srtSource is MPEG-TS over SRT: this gateway calls a listener, or listens for a caller.
type srtSource struct {
	address string
	listens bool
	config  srt.Config
	Options
}

// newSRT returns the source of a URL such as srt://198.51.100.7:9000?streamid=live&passphrase=0123456789 or
// srt://:9000?mode=listener.
func newSRT(u *url.URL, o Options) (*srtSource, error) {
	q := u.Query()
	s := &srtSource{address: u.Host, listens: q.Get("mode") == "listener" || u.Hostname() == "", config: srt.DefaultConfig(), Options: o}
	if u.Port() == "" {
		return nil, errors.New("the source's URL has no port: it must be such as srt://host:9000 or srt://:9000?mode=listener")
	}
	s.config.ConnectionTimeout, s.config.PeerIdleTimeout = srtTimeout, o.SilentAfter
	s.config.StreamId, s.config.Passphrase = q.Get("streamid"), q.Get("passphrase")
	if n := len(s.config.Passphrase); n > 0 && (n < leastPhrase || n > mostPhrase) {
		return nil, fmt.Errorf("the source's passphrase has %d characters, it must have %d to %d", n, leastPhrase, mostPhrase)
	}
	if v := q.Get("latency"); v != "" {
		ms, err := strconv.Atoi(v)
		if err != nil || ms < 0 || ms > 60_000 {
			return nil, fmt.Errorf("the source's latency is %.20q, it must be milliseconds", v)
		}
		s.config.Latency = time.Duration(ms) * time.Millisecond
		s.config.ReceiverLatency, s.config.PeerLatency = s.config.Latency, s.config.Latency
	}
	return s, nil
}

// feed publishes what comes until ctx ends or the connection does.
func (s *srtSource) feed(ctx context.Context, begin Begin) error {
	connect := s.call
	if s.listens {
		connect = s.listen
	}
	c, closeAll, err := connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	defer closeAll()
	w := &watched{conn: c, after: s.SilentAfter}
	w.timer = time.AfterFunc(s.SilentAfter, func() { c.Close() })
	defer w.timer.Stop()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	err = play(w, s.Options, begin)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNoProgram):
		return err
	}
	return explain(err, s.SilentAfter)
}

// call connects to a listener.
func (s *srtSource) call(ctx context.Context) (c srt.Conn, closeAll func(), err error) {
	if err := knock(ctx, s.address); err != nil {
		return nil, nil, err
	}
	c, err = srt.Dial("srt", s.address, s.config)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the listener may want another passphrase or streamid, or have enough callers", err)
	}
	return c, func() { hangUp(c) }, nil
}

// hangUp closes a connection that was dialled. The library's reader ends only when somebody takes its error.
func hangUp(c srt.Conn) {
	c.Close()
	for range 100 {
		if _, err := c.Read(nil); err != nil && !errors.Is(err, io.EOF) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// knock looks whether a listener answers, by the first message of the handshake: the library would leave something behind
// when none does (draft-sharabayko-srt §3.2.1, §4.3.1.1).
func knock(ctx context.Context, address string) error {
	c, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	b := make([]byte, 16, 64)
	b[0] = 0x80                                                // control packet of type handshake
	for _, v := range []uint32{4, 2, 1, 1500, 8192, 1, 1, 0} { // version, extension, sequence, MTU, window, induction, socket, cookie
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, make([]byte, 16)...) // address
	end := time.Now().Add(srtTimeout)
	answer := make([]byte, srtBuffer)
	for time.Now().Before(end) {
		if _, err := c.Write(b); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(srtTimeout / 6)); err != nil {
			return err
		}
		n, err := c.Read(answer)
		var timeout net.Error
		switch {
		case err == nil && n >= 16 && answer[0] == 0x80 && answer[1] == 0:
			return nil
		case errors.As(err, &timeout) && timeout.Timeout(), err == nil:
		default:
			return err
		}
	}
	return fmt.Errorf("did not answer in %v", srtTimeout)
}

// listen waits for a caller with the right stream ID and passphrase. While that one is connected, others are refused.
func (s *srtSource) listen(ctx context.Context) (c srt.Conn, closeAll func(), err error) {
	l, err := srt.Listen("srt", s.address, s.config)
	if err != nil {
		return nil, nil, err
	}
	callers, done := make(chan srt.Conn, 1), make(chan struct{})
	go func() {
		defer close(done)
		s.accept(l, callers)
	}()
	stop := func() {
		l.Close()
		<-done
	}
	var patience <-chan time.Time
	if !s.Alone {
		t := time.NewTimer(s.SilentAfter)
		defer t.Stop()
		patience = t.C
	}
	select {
	case c := <-callers:
		return c, func() { c.Close(); stop() }, nil
	case <-patience:
		err = fmt.Errorf("nobody has called for %v", s.SilentAfter)
	case <-ctx.Done():
		err = ctx.Err()
	}
	stop()
	select {
	case c := <-callers:
		c.Close()
	default:
	}
	return nil, nil, err
}

// accept lets one caller in and refuses all others, until the listener is closed.
func (s *srtSource) accept(l srt.Listener, callers chan<- srt.Conn) {
	taken := false
	for {
		q, err := l.Accept2()
		if err != nil {
			return
		}
		reason, complaint := s.judge(q)
		if complaint == "" && taken {
			reason, complaint = srt.REJX_CONFLICT, "there is a caller already"
		}
		if complaint != "" {
			q.Reject(reason)
			s.Log.Warn("caller refused", "remote", q.RemoteAddr().String(), "err", complaint)
			continue
		}
		c, err := q.Accept()
		if err != nil {
			s.Log.Warn("caller refused", "remote", q.RemoteAddr().String(), "err", err)
			continue
		}
		taken = true
		callers <- c
	}
}

// judge tells why a caller is refused, or "".
func (s *srtSource) judge(q srt.ConnRequest) (reason srt.RejectionReason, complaint string) {
	if want := s.config.StreamId; want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(q.StreamId())) != 1 {
		return srt.REJX_NOTFOUND, "its streamid is not the source's"
	}
	switch want := s.config.Passphrase; {
	case want == "" && q.IsEncrypted():
		return srt.REJ_UNSECURE, "it encrypts, but the source has no passphrase"
	case want != "" && !q.IsEncrypted():
		return srt.REJ_UNSECURE, "it does not encrypt, but the source has a passphrase"
	case want != "" && q.SetPassphrase(want) != nil:
		return srt.REJ_BADSECRET, "its passphrase is not the source's"
	}
	return 0, ""
}

// watched reads a connection, which has no deadlines: silence closes it.
type watched struct {
	conn  srt.Conn
	after time.Duration
	timer *time.Timer
}

// Read reads what the other side has sent.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.conn.Read(b)
	if err != nil && !w.timer.Stop() {
		return 0, fmt.Errorf("has sent nothing for %v", w.after)
	}
	w.timer.Reset(w.after)
	return n, err
}
