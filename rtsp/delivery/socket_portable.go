package delivery

import (
	"errors"
	"net"
	"os"
	"time"
)

// writeWait is how long the portable path waits for room in the buffer of a UDP socket.
const writeWait = 2 * time.Millisecond

// singles sends datagrams one by one.
type singles struct {
	shard *shard
	conn  *net.UDPConn
}

func newSingles(s *shard, c *net.UDPConn) *singles { return &singles{shard: s, conn: c} }

func (*singles) segments() bool { return false }

func (k *singles) send(entries []entry) (int, error) {
	if err := k.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return 0, err
	}
	for i := range entries {
		e := &entries[i]
		_, _, err := k.conn.WriteMsgUDPAddrPort(e.data, e.to.oob, e.to.addr)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return i, errAgain
		case err != nil:
			return i, err
		}
	}
	return len(entries), nil
}

// await tries again soon: there is nothing to wait with.
func (k *singles) await(id uint64) { time.AfterFunc(paceTime, func() { k.shard.notify(id) }) }
