package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"peergate/media"
)

// silentVideo announces its parameter sets but does not send them.
var silentVideo = media.Track{Kind: "video", Lines: []string{
	"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000",
	"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==",
}}

func TestInstantStart(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video, audio)
		l.picture(false, 3)
		l.picture(true, 5)
		l.write(1, 0, false, 8000, make([]byte, 160))
		l.picture(false, 5)
		c := k.client(t, l, 2)
		c.join(l)
		starts := c.play()
		if !starts[0].HasSeq || !starts[0].HasTime || starts[0].Timestamp != l.base+3000 {
			t.Errorf("start = %+v, want timestamp %d", starts[0], l.base+3000)
		}
		first := c.next(0)
		if first.seq() != starts[0].Seq || first.b[12] != 0x67 {
			t.Errorf("first packet is %d (%x), want %d, a parameter set", first.seq(), first.b[12], starts[0].Seq)
		}
		if got := c.next(2).seq(); got != starts[1].Seq {
			t.Errorf("first packet of audio is %d, want %d", got, starts[1].Seq)
		}
		c.row(first.seq()+1, 10)
	})
}

func TestEveryPacketOnceAndInOrder(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		l.picture(true, 5)
		c := k.client(t, l, 1)
		c.join(l)
		seq := c.play()[0].Seq
		c.row(seq, 6)
		seq += 6
		for i := range 50 {
			n := 1 + i%9*12
			l.picture(false, n)
			c.row(seq, n)
			seq += uint16(n)
		}
		eventually(t, "all packets are counted", func() bool {
			st := c.player.Stats()
			return st.Packets == uint64(seq-c.first) && st.Skipped == 0 && st.Bytes > 1000*st.Packets/2
		})
	})
}

// A key frame that is too old is not used, also by the very first player, for whom the feed has just begun.
func TestOldKeyFrameIsNotUsed(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{Portable: k.portable}, video)
		l.picture(true, 5)
		l.picture(false, 5)
		c := k.client(t, l, 1)
		c.join(l)
		done := make(chan []Start)
		go func() { done <- c.play() }()
		eventually(t, "Play waits", func() bool { return l.waiting(c) })
		l.picture(false, 2)
		select {
		case <-done:
			t.Fatal("Play began without a key frame")
		case <-c.packets[0]:
			t.Fatal("got a packet")
		default:
		}
		key := l.sent(0) + 1
		l.picture(true, 2)
		if starts := <-done; starts[0].Seq != key {
			t.Errorf("begins with %d, want the key frame, %d", starts[0].Seq, key)
		}
		c.row(key, 3)
	})
}

func TestParameterSetsGoAhead(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, silentVideo)
		l.picture(false, 2)
		l.bare = true
		l.picture(true, 200) // several batches
		c := k.client(t, l, 1)
		c.join(l)
		seq := c.play()[0].Seq
		if want := l.sent(0) - 199 - 2; seq != want {
			t.Errorf("begins with %d, want %d, two before the key frame", seq, want)
		}
		for i, nalu := range []byte{0x67, 0x68, 0x65} {
			g := c.next(0)
			if g.seq() != seq+uint16(i) || g.b[12] != nalu || g.ts() != l.base+3000 {
				t.Errorf("packet %d is %d, NAL unit %x at %d, want %d, %x at %d", i, g.seq(), g.b[12], g.ts(), seq+uint16(i), nalu, l.base+3000)
			}
		}
		c.row(seq+3, 199)
		c.player.Pause()
		l.picture(true, 2)
		if got := c.play()[0].Seq; got != seq+202 {
			t.Errorf("after a pause begins with %d, want %d: the client has the sets", got, seq+202)
		}
		c.row(seq+202, 2)
	})
}

func TestParameterSets(t *testing.T) {
	h265 := media.Track{Kind: "video", Lines: []string{
		"m=video 0 RTP/AVP 96", "a=rtpmap:96 H265/90000",
		"a=fmtp:96 sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwB4mZgJ; sprop-sps=QgEBAWAAAAMAkAAAAwAAAwB4oAPAgBDllmZpJMrgEAAAAwAQAAADAeCA; sprop-pps=RAHBcrRiQA==",
	}}
	for _, c := range []struct {
		name    string
		track   media.Track
		payload []byte
		want    int
	}{
		{"H.264 picture", silentVideo, []byte{0x65, 1, 2}, 2},
		{"H.264 fragment", silentVideo, []byte{0x7c, 0x85, 2}, 2},
		{"H.264 set", silentVideo, []byte{0x67, 1, 2}, 0},
		{"H.264 aggregated sets", silentVideo, []byte{0x78, 0, 2, 0x67, 1, 0, 1, 0x68}, 0},
		{"H.264 aggregated delimiter, sets", silentVideo, []byte{0x78, 0, 1, 9, 0, 2, 0x67, 1}, 0},
		{"H.264 aggregated others", silentVideo, []byte{0x78, 0, 2, 0x65, 1}, 2},
		{"H.264 unannounced", video, []byte{0x65, 1, 2}, 0},
		{"H.265 picture", h265, []byte{19 << 1, 1, 2}, 3},
		{"H.265 set", h265, []byte{32 << 1, 1, 2}, 0},
		{"H.265 aggregated sets", h265, []byte{48 << 1, 1, 0, 3, 33 << 1, 1, 2}, 0},
		{"H.265 aggregated others", h265, []byte{48 << 1, 1, 0, 3, 19 << 1, 1, 2}, 3},
		{"audio", audio, []byte{1, 2, 3}, 0},
	} {
		p := media.Packet{Data: append(make([]byte, rtpHeader), c.payload...)}
		if got := parameterSets(c.track.Format(), &p); len(got) != c.want {
			t.Errorf("%s: %d sets go ahead, want %d", c.name, len(got), c.want)
		}
	}
}

func FuzzParameterSets(f *testing.F) {
	f.Add([]byte{0x78, 0, 2, 0x67, 1, 0, 1, 0x68})
	f.Add([]byte{48 << 1, 1, 0, 3, 33 << 1, 1, 2})
	h264, h265 := silentVideo.Format(), (&media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H265/90000"}}).Format()
	f.Fuzz(func(t *testing.T, payload []byte) {
		p := media.Packet{Data: append(append(make([]byte, 0, rtpHeader+len(payload)), make([]byte, rtpHeader)...), payload...)}
		if n := len(parameterSets(h264, &p)); n != 0 && n != 2 {
			t.Errorf("%d sets, want 0 or 2", n)
		}
		parameterSets(h265, &p)
	})
}

// A track that has no packet is not waited for when it has been silent for long, and its time is derived.
func TestSilentTrack(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video, audio)
		begun := time.Now()
		l.write(1, 0, false, 8000, make([]byte, 160)) // so that the stream knows its clock
		l.picture(true, 3)
		latest := 8000 + uint32(time.Since(begun).Seconds()*8000) + 1 // the time of the picture on the silent track
		c := k.client(t, l, 2)
		c.join(l)
		starts := c.play()
		if d := time.Since(begun); d < silentTime || d > keyTime {
			t.Errorf("Play took %v, want %v", d, silentTime)
		}
		if s := starts[1]; s.HasSeq || !s.HasTime || s.Timestamp-l.base < 8000 || s.Timestamp-l.base > latest {
			t.Errorf("start of the silent track = %+v, want no packet and a time of %d to %d", s, l.base+8000, l.base+latest)
		}
		c.row(starts[0].Seq, 4)
	})
}

func TestAudioBeginsAnywhere(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		for _, o := range []time.Duration{0, time.Minute} {
			l := newLab(t, Options{StartMaxAge: o, Portable: k.portable}, audio)
			c := k.client(t, l, 1)
			c.join(l)
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for c.ready() == nil {
					l.write(0, 0, false, uint32(l.sent(0))*160, make([]byte, 160))
				}
			}()
			starts := c.play()
			c.begun()
			<-stop
			if g := c.next(0); !starts[0].HasSeq || g.seq() != starts[0].Seq {
				t.Errorf("StartMaxAge %v: first packet is %d, want %+v", o, g.seq(), starts[0])
			}
		}
	})
}

// A player of the audio of a stream with video does not have to wait for a key frame.
func TestAudioOfVideo(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{Portable: k.portable}, video, audio)
		l.picture(true, 3)
		c := k.client(t, l, 2)
		c.outlets = c.outlets[1:]
		c.join(l)
		done := make(chan []Start)
		go func() { done <- c.play() }()
		eventually(t, "Play waits", func() bool { return l.waiting(c) })
		l.picture(false, 3)
		l.write(1, 0, false, 8000, make([]byte, 160))
		if starts, g := <-done, c.next(2); len(starts) != 1 || starts[0].Track != 1 || starts[0].Seq != g.seq() {
			t.Errorf("first packet is %d, want %+v", g.seq(), starts)
		}
	})
}

func TestPauseAndPlay(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable}, video)
		l.picture(true, 5)
		c := k.client(t, l, 1)
		c.join(l)
		seq := c.play()[0].Seq
		ssrc := binary.BigEndian.Uint32(c.next(0).b[8:])
		c.row(seq+1, 5)
		c.player.Pause()
		before := c.player.Stats().Packets
		l.picture(false, 5)
		done := make(chan []Start)
		go func() { done <- c.play() }()
		eventually(t, "Play waits", func() bool { return l.waiting(c) })
		l.picture(false, 5)
		if got := c.player.Stats().Packets; got != before {
			t.Errorf("%d packets were sent during the pause", got-before)
		}
		key := l.sent(0) + 1
		l.picture(true, 5)
		if starts := <-done; starts[0].Seq != key {
			t.Errorf("goes on with %d, want the next key frame, %d", starts[0].Seq, key)
		}
		g := c.next(0)
		if g.seq() != key || binary.BigEndian.Uint32(g.b[8:]) != ssrc {
			t.Errorf("goes on with %d of %x, want %d of %x", g.seq(), g.b[8:12], key, ssrc)
		}
		c.row(key+1, 5)
	})
}

// The first packets come behind the answer, also when that goes over a link which is not the packets' own.
func TestAnswerComesFirst(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: k.portable, Shards: 2}, video)
		l.picture(true, 5)
		for i := range 2 * busy { // so that all shards are in use
			if i%8 == 7 { // lest the key frame grows too old
				l.picture(true, 5)
			}
			c := k.client(t, l, 1)
			c.join(l)
			c.play()
			c.next(0)
			select {
			case got := <-c.answers:
				if got != "PLAY" {
					t.Errorf("answer = %q", got)
				}
			default:
				if k.name == "tcp" || k.name == "tls" {
					t.Fatal("a packet came before the answer")
				}
				// Over UDP two goroutines of this test may read in the other order.
				if got := <-c.answers; got != "PLAY" {
					t.Errorf("answer = %q", got)
				}
			}
		}
	})
}

func TestPlayEndsWithItsContext(t *testing.T) {
	l := newLab(t, Options{}, video)
	c := tcpClient(t, l, 1)
	c.join(l)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- c.player.Play(ctx, c.link, func([]Start) []byte { t.Error("answered"); return nil })
	}()
	eventually(t, "Play waits", func() bool { return l.waiting(c) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Play = %v, want Canceled", err)
	}
	go func() {
		done <- c.player.Play(t.Context(), c.link, func([]Start) []byte { t.Error("answered"); return nil })
	}()
	eventually(t, "Play waits", func() bool { return l.waiting(c) })
	c.player.Close(true)
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("Play of a closed player = %v, want ErrClosed", err)
	}
	if err := c.player.Play(t.Context(), c.link, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Play after Close = %v, want ErrClosed", err)
	}
}

func TestPlayOfAnEndedStream(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		l := newLab(t, Options{Portable: k.portable}, video)
		c := k.client(t, l, 1)
		c.join(l)
		done := make(chan error)
		go func() {
			done <- c.player.Play(t.Context(), c.link, func([]Start) []byte { t.Error("answered"); return nil })
		}()
		eventually(t, "Play waits", func() bool { return l.waiting(c) })
		l.pub.End()
		if err := <-done; err != io.EOF {
			t.Errorf("Play = %v, want EOF", err)
		}
		if err := c.end(); err != io.EOF {
			t.Errorf("Ended(%v), want EOF", err)
		}
	})
}

// Packets of a stream without video are sent at once.
func TestFeedBatches(t *testing.T) {
	for _, c := range []struct {
		name   string
		tracks []media.Track
		write  func(l *lab)
		want   string
	}{
		{"frames", []media.Track{video}, func(l *lab) { l.picture(true, 3); l.picture(false, 2) }, "K4 2"},
		{"audio in between", []media.Track{video, audio}, func(l *lab) {
			l.picture(true, 3)
			l.write(1, 0, true, 0, make([]byte, 10))
			l.picture(false, 2)
			l.write(1, 0, true, 0, make([]byte, 10))
			l.picture(true, 2)
		}, "K4 3 1 K3"},
		{"large", []media.Track{video}, func(l *lab) { l.picture(true, 100) }, "K61 40"},
	} {
		l := newLab(t, Options{}, c.tracks...)
		f := newFeed(l.sender, l.pub.Stream())
		sub := l.pub.Stream().Subscribe(media.SubscribeOptions{})
		c.write(l)
		f.read(t.Context(), sub)
		f.flush(t.Context())
		var got []string
		for _, b := range f.group {
			s := fmt.Sprint(len(b.packets))
			if b.key {
				s = "K" + s
			}
			got = append(got, s)
		}
		want := c.want
		if i := strings.LastIndex(want, "K"); i > 0 {
			want = want[i:] // the group alone is kept
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: batches %q, want %q", c.name, g, want)
		}
		sub.Close()
		f.drop()
	}
}
