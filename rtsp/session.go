package rtsp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"peergate/media"
	"peergate/rtsp/delivery"
	"peergate/rtsp/wire"
)

const (
	// farewellTime is how long a session outlives its stream, for the player to understand the RTCP BYE and say TEARDOWN.
	farewellTime = 5 * time.Second
	// orphanTime is how long a publisher whose connection has ended may be silent.
	orphanTime = 5 * time.Second
	// lateness is what a sign of life may come late, beside a tenth of the timeout: it may have to be sent again by TCP.
	lateness = time.Second
)

var (
	errSilent     = errors.New("gave no sign of life within rtsp.session_timeout")
	errConnection = errors.New("connection ended")
	errSucceeded  = errors.New("somebody else publishes this name now")
)

// state is that of RFC 2326 §A.2. A session that does not exist is in the state Init.
type state int

const (
	ready state = iota
	playing
	recording
	finished // the stream has ended
)

// session is a client's session (RFC 2326 §3): a player's or a publisher's. Its requests are served one at a time.
//
//	SETUP ─► ready ──PLAY──► playing ──stream ends──► finished ──TEARDOWN, farewellTime──► gone
//	          ▲  └──RECORD─► recording                                                      ▲
//	          └──PAUSE───────────┘            TEARDOWN, timeout, connection lost ───────────┘
type session struct {
	srv      *Server
	id       string
	name     media.Name
	remote   netip.AddrPort // of the connection it began on
	user     string         // "" is anybody
	cname    string         // of this server in RTCP (RFC 3550 §6.5.1)
	announce *announcement  // of a publisher, else nil
	stream   *media.Stream  // of a player, else nil
	created  time.Time
	turn     chan struct{} // holds a token while a request is served

	seen  atomic.Int64          // last sign of life of the client, in Unix nanoseconds
	gone  atomic.Pointer[error] // why the player has ended by itself
	pub   atomic.Pointer[media.Publisher]
	bytes atomic.Uint64 // received from a publisher

	mu     sync.Mutex // guards the fields below
	conn   *conn      // that was used last; nil when it has ended
	state  state
	legs   []*leg // the tracks that were set up, in that order
	ended  bool
	player sending
	began  time.Time // the first PLAY
	left   time.Time // when the stream ended
	report time.Time // when the next receiver reports are due
}

// newSession returns a session for the client of a connection.
func newSession(c *conn, name media.Name, user string) *session {
	var id [16]byte         // 64 bits at least (RFC 2326 §3.4); it must not be guessed
	_, _ = rand.Read(id[:]) // never fails
	ses := &session{
		srv: c.srv, id: hex.EncodeToString(id[:]), name: name, remote: c.remote, user: user,
		cname: hex.EncodeToString(id[:4]) + "@peergate", created: time.Now(), turn: make(chan struct{}, 1), conn: c,
	}
	ses.touch()
	return ses
}

// log returns a log that names the session and its client.
func (ses *session) log() *slog.Logger {
	return ses.srv.log.With("remote", ses.remote.String(), "stream", ses.name, "session", ses.id)
}

func (ses *session) touch() { ses.seen.Store(time.Now().UnixNano()) }

// begin waits for the turn of a request.
func (ses *session) begin(ctx context.Context) error {
	select {
	case ses.turn <- struct{}{}:
	case <-ctx.Done():
		return refuse(503, "the server ends")
	}
	if ses.over() {
		ses.done()
		return refuse(454, "the session has ended")
	}
	ses.touch()
	return nil
}

func (ses *session) done() { <-ses.turn }

// over reports whether the session has ended.
func (ses *session) over() bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.ended
}

// move notes that a session goes on over another connection. Interleaved packets stay on theirs, which cannot change.
func (ses *session) move(c *conn) bool {
	if !c.attach(ses) {
		return false
	}
	ses.mu.Lock()
	old := ses.conn
	ses.conn = c
	ses.mu.Unlock()
	if old != nil && !slices.Contains(ses.carriers(), old) {
		old.detach(ses)
	}
	return true
}

// covers tells whether a request may be made on its URL: that of the stream, or that of a track if there is no other.
func (ses *session) covers(q *request) error {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	for _, l := range ses.legs {
		if l.isURL(q.url) {
			if len(ses.legs) > 1 {
				return refuse(460, "the session has %d tracks: ask for all of them", len(ses.legs))
			}
			return nil
		}
	}
	if q.url.All || q.url.Path == string(ses.name) && q.url.Track < 0 {
		return nil
	}
	return refuse(404, "the session is of %s", ses.name)
}

// wrong refuses a method in a state, naming those that are good.
func (st state) wrong(method string, publisher bool) error {
	allow := "OPTIONS, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
	switch {
	case st == ready && publisher:
		allow += ", SETUP, RECORD"
	case st == ready:
		allow += ", SETUP, PLAY"
	case st == playing:
		allow += ", PLAY, PAUSE"
	case st == recording:
		allow += ", RECORD, PAUSE"
	}
	r := refuse(455, "%s is not possible now", method)
	r.header.Add("Allow", allow)
	return r
}

// pause serves PAUSE.
func (q *request) pause() (*wire.Response, error) {
	ses := q.ses
	ses.mu.Lock()
	st, player := ses.state, ses.player
	ses.mu.Unlock()
	switch st {
	case playing:
		player.Pause()
	case recording:
		ses.pub.Load().Close()
	default:
		return nil, st.wrong(q.Method, ses.announce != nil)
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.state == st {
		ses.state = ready
	}
	return &wire.Response{Status: 200}, nil
}

// take takes a packet of the client: over UDP or interleaved.
func (ses *session) take(l *leg, rtcp bool, b []byte, now time.Time) {
	if rtcp || ses.announce != nil {
		ses.seen.Store(now.UnixNano())
	}
	switch {
	case ses.announce != nil:
		ses.publish(l, rtcp, b, now)
	case rtcp:
		if l.seal != nil {
			var err error
			if b, err = l.seal.open(b); err != nil {
				return
			}
		}
		if player, ok := ses.playerNow().(*delivery.Player); ok {
			player.Reported(l.track, b, now)
		}
	}
}

// playerEnded is called from a shard when the player has ended by itself.
func (ses *session) playerEnded(err error) {
	ses.gone.Store(&err)
	select {
	case ses.srv.over <- ses:
	default:
	}
}

// tick does what is due.
func (ses *session) tick(now time.Time) {
	why, hangUp := ses.due(now)
	if why == nil {
		if ses.announce != nil {
			ses.sendReports(now)
		}
		return
	}
	conns := ses.carriers()
	ses.end(why)
	if hangUp {
		for _, c := range conns {
			c.useless.Store(true)
		}
	}
}

// due returns why the session is to end, or nil, and whether connections that carry its packets are of no more use.
func (ses *session) due(now time.Time) (why error, hangUp bool) {
	timeout := ses.srv.settings().SessionTimeout
	silent := now.Sub(time.Unix(0, ses.seen.Load()))
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if gone := ses.gone.Load(); gone != nil && ses.left.IsZero() {
		if !errors.Is(*gone, io.EOF) {
			return *gone, true
		}
		ses.state, ses.left = finished, now
	}
	if ses.state == ready && ses.stream != nil && isDone(ses.stream.Done()) { // a paused player is told by nobody
		ses.state, ses.left = finished, now
	}
	switch pub := ses.pub.Load(); {
	case !ses.left.IsZero() && now.Sub(ses.left) > farewellTime:
		return io.EOF, true
	case silent > timeout+timeout/10+lateness:
		return errSilent, true
	case pub != nil && ses.state == recording && isDone(pub.Done()):
		return errSucceeded, true
	case pub != nil && ses.conn == nil && silent > orphanTime:
		return errConnection, true
	}
	return nil, false
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// carriers returns the connections that carry interleaved packets of the session.
func (ses *session) carriers() []*conn {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	var cs []*conn
	for _, l := range ses.legs {
		if l.conn != nil {
			cs = append(cs, l.conn)
		}
	}
	return cs
}

// lose notes that a connection has ended. A session whose packets went over it ends; others can go on over another.
func (ses *session) lose(c *conn) {
	if slices.Contains(ses.carriers(), c) {
		ses.end(errConnection)
		return
	}
	ses.mu.Lock()
	empty := len(ses.legs) == 0
	if ses.conn == c {
		ses.conn = nil
	}
	ses.mu.Unlock()
	c.detach(ses)
	if empty {
		ses.end(errConnection)
	}
}

// end ends the session; why is nil when the client wanted it.
func (ses *session) end(why error) {
	ses.mu.Lock()
	if ses.ended {
		ses.mu.Unlock()
		return
	}
	ses.ended = true
	legs, c := ses.legs, ses.conn
	ses.mu.Unlock()

	var t traffic
	if player := ses.playerNow(); player != nil {
		player.Close(!errors.Is(why, io.EOF))
		st := player.Stats()
		t.out = st.Bytes
	}
	if pub := ses.pub.Load(); pub != nil {
		pub.Close()
	}
	t.in = ses.bytes.Load()
	for _, l := range legs {
		l.release(ses.srv)
		if l.conn != nil {
			l.conn.detach(ses)
		}
	}
	if c != nil {
		c.detach(ses)
	}
	ses.srv.leave(ses, t)
	ses.tell(why)
}

// tell logs the end of a session. One that never played or recorded concerns nobody, and could be made without end.
func (ses *session) tell(why error) {
	ses.mu.Lock()
	level := slog.LevelInfo
	if ses.began.IsZero() && ses.pub.Load() == nil {
		level = slog.LevelDebug
	}
	ses.mu.Unlock()
	var args []any
	if why != nil {
		args = []any{"err", why}
	}
	ses.log().Log(context.Background(), level, "session ended", args...)
}

// playerNow returns the player, or nil before the first PLAY.
func (ses *session) playerNow() sending {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.player
}
