package rtsp

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"sync"

	"github.com/pion/srtp/v3"

	"peergate/rtsp/wire"
)

const (
	// masterKey and masterSalt are the sizes in bytes of what AES_CM_128_HMAC_SHA1_80 needs (RFC 4568 §6.2).
	masterKey, masterSalt = 16, 14
	// maxKeys bounds the keys that a connection was told and has not used.
	maxKeys = 64
)

// trackKeys are the SRTP keys of one player and track (RFC 3711), told by the description (RFC 4568). Each is for one
// SETUP: with a second one the same key would encrypt different packets of one index.
type trackKeys struct{ material [masterKey + masterSalt]byte }

// wantsKeys reports whether the client has asked for SRTP: by "srtp" in the query, over a connection that keeps the keys
// secret. No player has another way to ask before it has the description.
func (q *request) wantsKeys() bool {
	if !q.conn.secure {
		return false
	}
	for p := range strings.SplitSeq(q.url.Query, "&") {
		if k, _, _ := strings.Cut(p, "="); k == "srtp" {
			return true
		}
	}
	return false
}

// keyName is under what a track's keys are kept.
func (q *request) keyName(track int) string { return q.url.Path + "/" + wire.Control(track) }

// offerKeys makes the keys that a description tells, or returns nil when none are wanted.
func (q *request) offerKeys(track int) *trackKeys {
	if !q.wantsKeys() {
		return nil
	}
	k := new(trackKeys)
	_, _ = rand.Read(k.material[:]) // never fails
	if q.conn.keys == nil || len(q.conn.keys) >= maxKeys {
		q.conn.keys = make(map[string]*trackKeys)
	}
	q.conn.keys[q.keyName(track)] = k
	return k
}

// profile writes an m= line with the secure profile.
func (k *trackKeys) profile(line string) string {
	return strings.Replace(line, " RTP/AVP", " RTP/SAVP", 1)
}

// attribute is the line that tells the keys.
func (k *trackKeys) attribute() string {
	return "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + base64.StdEncoding.EncodeToString(k.material[:])
}

// secureTransport gives a leg its keys when they are wanted; false when the alternative wants some and has none. ffmpeg
// writes RTP/AVP whatever the description says, so the URL counts too.
func (q *request) secureTransport(l *leg, t *wire.Transport) bool {
	asked := strings.HasPrefix(t.Profile, "RTP/SAVP")
	if !asked && !q.wantsKeys() {
		return true
	}
	k := q.conn.keys[q.keyName(l.track)]
	if k == nil || l.intake != nil {
		return false
	}
	s, err := newSealer(k)
	l.seal = s
	return err == nil
}

// sealer encrypts what a player gets and decrypts its reports.
type sealer struct {
	out *srtp.Context

	mu sync.Mutex // guards the field below
	in *srtp.Context
}

func newSealer(k *trackKeys) (*sealer, error) {
	out, err := srtp.CreateContext(k.material[:masterKey], k.material[masterKey:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		return nil, err
	}
	in, err := srtp.CreateContext(k.material[:masterKey], k.material[masterKey:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	return &sealer{out: out, in: in}, err
}

// SealRTP implements delivery.Sealer.
func (s *sealer) SealRTP(dst, packet []byte) ([]byte, error) {
	b, err := s.out.EncryptRTP(dst[len(dst):], packet, nil)
	return append(dst, b...), err
}

// SealRTCP implements delivery.Sealer.
func (s *sealer) SealRTCP(dst, packet []byte) ([]byte, error) {
	b, err := s.out.EncryptRTCP(dst[len(dst):], packet, nil)
	return append(dst, b...), err
}

// open decrypts a report of the player.
func (s *sealer) open(packet []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.DecryptRTCP(nil, packet, nil)
}
