package rtsp

import (
	"context"
	"io"

	"peergate/rtsp/wire"
)

type tunnel struct{}

func (c *conn) serveHTTP(ctx context.Context, m *wire.Request, r *wire.Reader) { _ = io.EOF }
