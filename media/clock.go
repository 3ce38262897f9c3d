package media

import (
	"encoding/binary"
	"time"
)

const (
	// defaultRate is the clock rate in Hz assumed of a track that states none; it is that of video (RFC 3551 §5).
	defaultRate = 90000
	// ntpEpoch is the NTP time, in seconds, of the Unix epoch (RFC 5905 §6).
	ntpEpoch = 2208988800
	// reportEvery is the time between two sender reports of a track, the minimum of RFC 3550 §6.2.
	reportEvery = 5 * time.Second
	// reportSoon is the least time between reports: one follows each key packet, so that a subscriber that begins
	// there knows the clock at once.
	reportSoon = time.Second
	// senderReport is the size in bytes of a sender report without report blocks (RFC 3550 §6.4.1).
	senderReport = 28
	// clockStep is the error from which a source's clock is taken to have been set, not to have drifted.
	clockStep = time.Second
	// clockGain divides the error by which a drifting clock is corrected each report. One report in 5 s and a gain of
	// 1/16 follow a drift of 100 ppm within 8 ms and smooth the jitter of arrival.
	clockGain = 16
)

// Clock relates a track's RTP timestamps to the wall clock of the stream's owner.
type Clock struct {
	Wall time.Time // the owner's time at which RTP was sampled
	RTP  uint32    // a timestamp of the track
	Rate int       // timestamps a second
}

// At returns the wall time of a timestamp within 2^31 units of RTP.
func (c Clock) At(rtp uint32) time.Time {
	return c.Wall.Add(ticks(int64(int32(rtp-c.RTP)), c.Rate))
}

// Timestamp returns the timestamp of a wall time.
func (c Clock) Timestamp(t time.Time) uint32 {
	d := t.Sub(c.Wall)
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	return c.RTP + uint32(sec*int64(c.Rate)+rest*int64(c.Rate)/int64(time.Second))
}

// ticks converts n timestamps at rate into a duration without overflow.
func ticks(n int64, rate int) time.Duration {
	r := int64(rate)
	return time.Duration(n/r)*time.Second + time.Duration(n%r)*time.Second/time.Duration(r)
}

// NTP returns t as a 64-bit NTP timestamp: seconds since 1900, and the fraction in units of 2^-32 s (RFC 5905 §6).
func NTP(t time.Time) uint64 {
	sec := uint64(t.Unix() + ntpEpoch)
	return sec<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// FromNTP returns the time of a 64-bit NTP timestamp of the era that began in 1900.
func FromNTP(v uint64) time.Time {
	return time.Unix(int64(v>>32)-ntpEpoch, int64((v&0xffffffff)*uint64(time.Second)>>32))
}

// appendReport appends a sender report without report blocks (RFC 3550 §6.4.1).
func appendReport(b []byte, ssrc uint32, wall time.Time, rtp, packets, octets uint32) []byte {
	b = append(b, 0x80, 200, 0, senderReport/4-1)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = binary.BigEndian.AppendUint64(b, NTP(wall))
	b = binary.BigEndian.AppendUint32(b, rtp)
	b = binary.BigEndian.AppendUint32(b, packets)
	return binary.BigEndian.AppendUint32(b, octets)
}

// parseReport reads the sender report at the start of an RTCP packet.
func parseReport(b []byte) (ntp uint64, rtp uint32, ok bool) {
	if len(b) < senderReport || b[0]>>6 != 2 || b[1] != 200 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:]), true
}
