package swarm

// reported takes in, at the owner, what a member tells of itself.
func (s *Swarm) reported(p *peer, m *Report) {}

// planned takes in the owner's plan.
func (s *Swarm) planned(p *peer, m *Plan) {}
