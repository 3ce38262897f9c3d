package swarm

// The messages one by one; the numbers of the fields are those in Append.

func (d *decoder) find(b []byte) (m Find) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Self = d.member(f.b)
		case 2:
			m.Want = d.int(f)
		case 3:
			m.Stripes = f.n
		}
	})
	d.self(&m.Self)
	return m
}

func (d *decoder) answer(b []byte) (m Members) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Self = d.member(f.b)
		case 2:
			m.Members = d.members(m.Members, f.b)
		case 3:
			m.Size = d.int(f)
		case 4:
			m.Givers = d.int(f)
		}
	})
	d.self(&m.Self)
	return m
}

func (d *decoder) attach(b []byte) (m Attach) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Epoch = f.n
		case 2:
			m.Stripes = f.n
		case 3:
			m.Resume = f.n != 0
		case 4:
			m.Tries = d.int(f)
		case 5:
			m.Have = d.have(f.b)
		case 6:
			m.Self = d.member(f.b)
		case 7:
			m.Number = f.n
		}
	})
	d.self(&m.Self)
	return m
}

func (d *decoder) attached(b []byte) (m Attached) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Epoch = f.n
		case 2:
			m.Stripes = f.n
		case 3:
			m.Head = f.n
		case 6:
			m.From = f.n
		case 4:
			m.Paths = d.paths(m.Paths, f.b)
		case 5:
			m.Number = f.n
		}
	})
	return m
}

func (d *decoder) refused(b []byte) (m Refused) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Reason = Reason(d.int(f))
		case 2:
			m.Stripes = f.n
		case 3:
			m.Retry = d.int(f)
		case 4:
			m.Members = d.members(m.Members, f.b)
		case 5:
			m.Number = f.n
		}
	})
	return m
}

func (d *decoder) detach(b []byte) (m Detach) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Stripes = f.n
		case 2:
			m.After = d.int(f)
		case 3:
			m.Members = d.members(m.Members, f.b)
		case 4:
			m.Asks = f.n != 0
		}
	})
	return m
}

func (d *decoder) leave(b []byte) (m Leave) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.After = d.int(f)
		case 2:
			m.Backups = d.members(m.Backups, f.b)
		}
	})
	return m
}

func (d *decoder) heartbeat(b []byte) (m Heartbeat) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Epoch = f.n
		case 2:
			m.Ask = f.n != 0
		case 3:
			m.Stamp = f.n
		case 4:
			m.Echo = f.n
		case 5:
			m.Slots = d.int(f)
		case 6:
			m.Spare = d.int(f)
		case 7:
			m.Stripes = f.n
		case 8:
			m.Paths = d.paths(m.Paths, f.b)
		case 9:
			m.Have = d.have(f.b)
		case 10:
			m.Wall = f.n
		case 11:
			m.Error = f.n
		case 12:
			m.Leaves = f.n
		case 13:
			m.Home = f.n
		}
	})
	return m
}

func (d *decoder) listed(b []byte, limit int) (epoch uint64, seqs []uint64) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			epoch = f.n
		case 2:
			seqs = d.seqs(f.b, limit)
		}
	})
	return epoch, seqs
}

func (d *decoder) lack(b []byte) (m Lack) {
	m.Epoch, m.Seqs = d.listed(b, maxWant)
	d.fields(b, func(f field) {
		if f.num == 3 {
			m.Coming = d.seqs(f.b, maxWant)
		}
	})
	return m
}

func (d *decoder) ack(b []byte) (m Ack) {
	m.Epoch, m.Seqs = d.listed(b, MaxStripes)
	d.fields(b, func(f field) {
		switch f.num {
		case 3:
			m.Last = f.n
		case 4:
			m.Stamp = f.n
		}
	})
	return m
}

func (d *decoder) report(b []byte) (m Report) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Self = d.member(f.b)
		case 2:
			m.Used = d.int(f)
		case 3:
			m.Lacks = f.n
		case 4:
			m.Leaves = f.n != 0
		}
	})
	d.self(&m.Self)
	return m
}

func (d *decoder) plan(b []byte) (m Plan) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			m.Every = d.int(f)
		case 2:
			m.Size = d.int(f)
		case 3:
			m.Givers = d.int(f)
		case 4:
			m.Stripes = f.n
		case 5:
			m.Wait = f.n != 0
		}
	})
	return m
}

// self checks that a message which introduces its sender names it.
func (d *decoder) self(m *Member) {
	if m.ID == "" {
		d.fail("a member does not introduce itself")
	}
}
