package rtsp

import (
	"strings"

	"peergate/rtsp/wire"
)

type trackKeys struct{}

func (q *request) offerKeys(track int) *trackKeys { return nil }
func (k *trackKeys) profile(l string) string      { return l }
func (k *trackKeys) attribute() string            { return "" }

func (q *request) secureTransport(l *leg, t *wire.Transport) bool {
	return !strings.HasPrefix(t.Profile, "RTP/SAVP")
}
