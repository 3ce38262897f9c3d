package rtsp

import "peergate/rtsp/wire"

type group struct{}

func (q *request) routeMulticast(ses *session, l *leg, t *wire.Transport) bool { return false }
