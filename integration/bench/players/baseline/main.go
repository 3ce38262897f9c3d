// Command baseline is a relay on gortsplib's own Server, with its defaults and nothing added: what a gateway in Go would
// cost without a delivery of its own. It prints the address it listens at and ends with its standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"
)

// relay has one stream, whatever its path.
type relay struct {
	server *gortsplib.Server

	mu     sync.RWMutex // guards stream
	stream *gortsplib.ServerStream
}

// status returns an answer, to which the server adds its headers.
func status(code base.StatusCode) *base.Response { return &base.Response{StatusCode: code} }

func (r *relay) current() *gortsplib.ServerStream {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.stream
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (r *relay) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if st := r.current(); st != nil {
		return status(base.StatusOK), st, nil
	}
	return status(base.StatusNotFound), nil, nil
}

// OnAnnounce implements gortsplib.ServerHandlerOnAnnounce.
func (r *relay) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	st := &gortsplib.ServerStream{Server: r.server, Desc: ctx.Description}
	if err := st.Initialize(); err != nil {
		return status(base.StatusInternalServerError), err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = st
	return status(base.StatusOK), nil
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (r *relay) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return status(base.StatusOK), nil, nil
	}
	if st := r.current(); st != nil {
		return status(base.StatusOK), st, nil
	}
	return status(base.StatusNotFound), nil, nil
}

// OnPlay implements gortsplib.ServerHandlerOnPlay.
func (r *relay) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return status(base.StatusOK), nil
}

// OnGetParameter implements gortsplib.ServerHandlerOnGetParameter.
func (r *relay) OnGetParameter(*gortsplib.ServerHandlerOnGetParameterCtx) (*base.Response, error) {
	return status(base.StatusOK), nil
}

// OnRecord implements gortsplib.ServerHandlerOnRecord.
func (r *relay) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	st := r.current()
	ctx.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		_ = st.WritePacketRTP(m, p) // what a player does not take is the players' to count
	})
	return status(base.StatusOK), nil
}

// OnStreamWriteError implements gortsplib.ServerHandlerOnStreamWriteError: a line in the log for each lost packet would be
// most of what an overloaded server does.
func (r *relay) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

func main() {
	port := flag.Int("port", 0, "TCP `port` to listen at on loopback; UDP takes the same and the next")
	flag.Parse()
	addr := fmt.Sprintf("127.0.0.1:%d", *port)
	r := new(relay)
	r.server = &gortsplib.Server{
		Handler: r, RTSPAddress: addr, UDPRTPAddress: addr, UDPRTCPAddress: fmt.Sprintf("127.0.0.1:%d", *port+1),
	}
	if err := r.server.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
	fmt.Println(addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	r.server.Close()
}
