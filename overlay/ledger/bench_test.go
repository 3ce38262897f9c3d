package ledger

import "testing"

// BenchmarkTake verifies and stores receipts, 32 letters of 64 at a time.
func BenchmarkTake(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			database := b.TempDir() + "/ledger.db"
			if kind == "postgres" {
				database = shared.database(b)
			}
			r := newRig(b, database).emit(100)
			var members []*actor
			for range 64 {
				members = append(members, r.member())
			}
			n := 0
			for b.Loop() {
				b.StopTimer()
				r.emit(1)
				var letters []*Letter
				for range 32 {
					var raws [][]byte
					m := members[n%len(members)]
					for range MaxClaims {
						m.session = uint64(n)
						m.edges = make(map[Peer]*Edge)
						raws = append(raws, m.gets(r.l.Owner(), len(r.chunks)-1, len(r.chunks)))
						n++
					}
					letters = append(letters, m.letter(raws...))
				}
				b.StartTimer()
				r.take(letters...)
			}
			b.ReportMetric(float64(b.N*32*MaxClaims)/b.Elapsed().Seconds(), "receipts/s")
			if v := r.verified(); v.Receipts != int64(n) {
				b.Errorf("%d receipts are kept of %d", v.Receipts, n)
			}
		})
	}
}
