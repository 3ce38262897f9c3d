package transcode

import (
	"context"
	"slices"
	"time"

	"peergate/media"
)

const (
	// rateWait is how long pictures are awaited to find out their rate: ten of a slow camera's.
	rateWait = 500 * time.Millisecond
	// rateFrames is how many are enough.
	rateFrames = 10
	// usualRate is taken, in pictures a second, when too few came.
	usualRate = 25
	// fastest is the highest rate, in pictures a second, that is believed.
	fastest = 240
)

// frameRate finds out how many pictures a second a stream has, by the timestamps of those it keeps and the next ones.
func frameRate(ctx context.Context, st *media.Stream) float64 {
	tracks := st.Tracks()
	video := slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == "video" })
	if video < 0 || tracks[video].ClockRate() == 0 {
		return usualRate
	}
	ctx, cancel := context.WithTimeout(ctx, rateWait)
	defer cancel()
	sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
	defer sub.Close()
	var stamps []uint32
	for len(stamps) < rateFrames {
		pkts, err := sub.Next(ctx)
		if err != nil {
			break
		}
		for i := range pkts {
			if p := &pkts[i]; p.Track == video && !p.Report && !slices.Contains(stamps, p.Timestamp()) && len(stamps) < 4*rateFrames {
				stamps = append(stamps, p.Timestamp())
			}
		}
	}
	return rateOf(stamps, tracks[video].ClockRate())
}

// rateOf returns the rate of pictures with these timestamps, in any order: the median counts, so that a pause or a
// missing picture does not.
func rateOf(stamps []uint32, clock int) float64 {
	if len(stamps) < 3 {
		return usualRate
	}
	first := stamps[0]
	slices.SortFunc(stamps, func(a, b uint32) int { return int(int32(a-first)) - int(int32(b-first)) })
	var steps []uint32
	for i := 1; i < len(stamps); i++ {
		steps = append(steps, stamps[i]-stamps[i-1])
	}
	slices.Sort(steps)
	rate := float64(clock) / float64(max(1, steps[len(steps)/2]))
	return min(max(rate, 1), fastest)
}
