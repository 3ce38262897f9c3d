package delivery

import "time"

// wheelSlots is how many ticks a wheel looks ahead; 12.8 s are more than the longest interval of reports.
const wheelSlots = 128

// wheel has the players whose reports are due, by tick.
type wheel struct {
	slots [wheelSlots][]*Player
	tick  int64
	at    time.Time // of tick
}

// add has a player report after d.
func (w *wheel) add(p *Player, d time.Duration) {
	n := min(max(int64(d/tickTime), 1), wheelSlots-1)
	p.due = w.tick + n
	i := p.due % wheelSlots
	w.slots[i] = append(w.slots[i], p)
}

// advance goes on to now.
func (w *wheel) advance(now time.Time) {
	if w.at.IsZero() {
		w.at = now
	}
	for now.Sub(w.at) >= tickTime {
		w.at = w.at.Add(tickTime)
		w.tick++
		i := w.tick % wheelSlots
		due := w.slots[i]
		w.slots[i] = due[:0]
		for j, p := range due {
			due[j] = nil
			if p.due == w.tick {
				p.reports()
			}
		}
	}
}
