package rtsp

import (
	"context"

	"peergate/media"
)

type params struct{}

func newParams() *params { return &params{} }

func (s *Server) described(ctx context.Context, st *media.Stream) []media.Track { return st.Tracks() }
