package rtsp

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"peergate/media"

	"github.com/pion/rtcp"
)

// reportEvery is the mean time between receiver reports, the minimum of RFC 3550 §6.2.
const reportEvery = 5 * time.Second

// maxMisorder is how far a sequence number may be behind to be a late packet and not a new beginning, as of RFC 3550
// §A.1.
const maxMisorder = 100

// intake is what is known of the packets of a publisher's track, for receiver reports (RFC 3550 §6.4.1).
type intake struct {
	index atomic.Int32 // of the track in the stream
	rate  float64      // timestamps a second
	own   uint32       // SSRC of this receiver
	fit   *fitter

	mu       sync.Mutex // guards the fields below
	ssrc     uint32
	begun    bool
	base     uint32 // first sequence number, extended
	highest  uint32 // highest one, extended
	packets  uint32
	expected uint32 // when the last report was made
	had      uint32
	transit  float64 // of the last packet, in timestamps
	jitter   float64
	ntp      uint32    // middle of the last sender report's
	at       time.Time // when that came
}

func newIntake(t *media.Track, log *slog.Logger) *intake {
	rate := t.ClockRate()
	if rate <= 0 {
		rate = 90000 // as for video (RFC 3551 §5)
	}
	return &intake{rate: float64(rate), own: rand.Uint32(), fit: newFitter(t, log)}
}

// received counts an RTP packet (RFC 3550 §A.1, §A.8).
func (in *intake) received(b []byte, now time.Time) {
	if len(b) < 12 {
		return
	}
	seq, ts, ssrc := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	in.mu.Lock()
	defer in.mu.Unlock()
	step := int16(seq - uint16(in.highest))
	if !in.begun || ssrc != in.ssrc || step < -maxMisorder {
		in.begun, in.ssrc = true, ssrc
		in.base, in.highest = uint32(seq), uint32(seq)
		in.packets, in.expected, in.had, in.jitter = 1, 0, 0, 0
		in.transit = in.transitOf(ts, now)
		return
	}
	if step > 0 {
		in.highest += uint32(step)
	}
	in.packets++
	transit := in.transitOf(ts, now)
	d := transit - in.transit
	in.transit = transit
	if d < 0 {
		d = -d
	}
	if d < 10*in.rate { // more is a jump of the timestamps, not of the network
		in.jitter += (d - in.jitter) / 16
	}
}

// transitOf is the relative transit time of a packet in timestamps.
func (in *intake) transitOf(ts uint32, now time.Time) float64 {
	return float64(now.UnixNano())/1e9*in.rate - float64(ts)
}

// reported notes a sender report.
func (in *intake) reported(b []byte, now time.Time) {
	if len(b) < 20 || b[0]>>6 != 2 || b[1] != 200 {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ntp, in.at = uint32(binary.BigEndian.Uint64(b[8:])>>16), now
}

// report returns a compound packet with a receiver report, or nil when nothing has come.
func (in *intake) report(cname string, now time.Time) []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.begun {
		return nil
	}
	expected := in.highest - in.base + 1
	r := rtcp.ReceptionReport{
		SSRC: in.ssrc, LastSequenceNumber: in.highest, Jitter: uint32(in.jitter), LastSenderReport: in.ntp,
		TotalLost: uint32(min(max(int64(expected)-int64(in.packets), 0), 0x7fffff)),
	}
	if interval, had := expected-in.expected, in.packets-in.had; interval > had {
		r.FractionLost = uint8(min(uint64(interval-had)<<8/uint64(interval), 255))
	}
	in.expected, in.had = expected, in.packets
	if !in.at.IsZero() {
		r.Delay = uint32(now.Sub(in.at).Seconds() * 65536)
	}
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: in.own, Reports: []rtcp.ReceptionReport{r}},
		rtcp.NewCNAMESourceDescription(in.own, cname),
	})
	if err != nil {
		return nil
	}
	return b
}
