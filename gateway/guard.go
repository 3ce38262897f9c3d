package main

import (
	"context"
	"net/http"
	"time"

	"peergate/gateway/web"
	"peergate/rtsp"
	"peergate/rtsp/auth"
)

// guard lets players over HTTP in by the rules of the RTSP server.
type guard struct{ server *rtsp.Server }

// Admit asks the server.
func (g guard) Admit(ctx context.Context, v web.Visit) (user string, err error) {
	action := auth.Read
	if v.Publish {
		action = auth.Publish
	}
	d := g.server.Admits(ctx, action, v.Name, v.Addr, v.Authorization)
	switch d.Verdict {
	case auth.OK:
		return d.User, nil
	case auth.Challenge:
		return "", &web.Refusal{Status: http.StatusUnauthorized, Text: "user and password are needed"}
	case auth.Wait:
		return "", &web.Refusal{Status: http.StatusServiceUnavailable, Text: d.Reason, Retry: int(d.RetryAfter/time.Second) + 1}
	}
	return "", &web.Refusal{Status: http.StatusForbidden, Text: d.Reason}
}
