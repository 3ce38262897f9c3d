//go:build integration

package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NAT is what a box does to the packets of its LAN.
type NAT string

// The kinds of boxes. Those with NAT let nothing in, over IPv4 and IPv6, but what belongs to a flow from inside; what is refused
// gets no answer.
const (
	// Open routes public addresses and filters nothing.
	Open NAT = "open"
	// Preserving keeps a flow's port whatever its destination, so that two hosts behind such boxes can punch holes.
	Preserving NAT = "port-preserving"
	// Symmetric chooses a port at random for each destination.
	Symmetric NAT = "symmetric"
)

// Box is a router with a LAN: a bridge.
type Box struct {
	Name   string
	NAT    NAT
	Addr   netip.Addr // IPv4 towards the outside
	Access *Access    // the link of its site

	lab      *Lab
	space    *space
	number   int // of the site
	lan      int // of the LAN, unique in the lab
	hosts    int
	wan6     netip.Addr
	forwards []string // rules
	hairpin  bool
	maps     bool // it opens ports for hosts that ask
}

// Box makes a site that is a LAN behind a router.
func (l *Lab) Box(name string, link Link, nat NAT) *Box {
	l.t.Helper()
	b := l.newBox(name, nat)
	b.Access = l.access(b.space, link)
	b.number = l.sites
	b.Addr, b.wan6 = address4(b.number), address6(b.number, 0, 1)
	lines := []string{fmt.Sprintf("addr add %v/128 dev wan0 nodad", b.wan6)}
	if nat != Open {
		lines = append(lines, fmt.Sprintf("addr add %v/32 dev wan0", b.Addr))
	}
	b.open(append(lines, "route add default dev wan0", "route add ::/0 dev wan0"))
	return b
}

// Box makes a box behind this one: NAT in two levels.
func (b *Box) Box(name string, nat NAT) *Box {
	b.lab.t.Helper()
	if nat == Open {
		b.lab.t.Fatalf("netlab: %s: a box behind a box has NAT", name)
	}
	in := b.lab.newBox(name, nat)
	in.Access, in.number = b.Access, b.number
	in.Addr, in.wan6 = b.wire(in.space, "wan0")
	b.lab.must(b.Name, b.space.ip(fmt.Sprintf("route add %v/64 via %v", address6(in.number, in.lan, 0), in.wan6)))
	in.open(nil)
	return in
}

func (l *Lab) newBox(name string, nat NAT) *Box {
	l.t.Helper()
	if l.boxes++; l.boxes > maxSites {
		l.t.Fatalf("netlab: more than %d boxes", maxSites)
	}
	if nat != Open && nat != Preserving && nat != Symmetric {
		l.t.Fatalf("netlab: %s: there is no NAT %q, but %s, %s and %s", name, nat, Open, Preserving, Symmetric)
	}
	return &Box{Name: name, NAT: nat, lab: l, space: l.namespace(name), lan: l.boxes, hosts: 1}
}

// lan4 is the address of machine m in the LAN; the box itself is 1.
func (b *Box) lan4(m int) netip.Addr {
	if b.NAT == Open {
		return netip.AddrFrom4([4]byte{11, 7, byte(b.number), byte(m)})
	}
	return netip.AddrFrom4([4]byte{192, 168, byte(b.lan), byte(m)})
}

// open brings the bridge, the routes and the rules up.
func (b *Box) open(lines []string) {
	b.lab.t.Helper()
	lines = append([]string{
		"link add lan0 type bridge mcast_snooping 0", "link set lan0 up",
		fmt.Sprintf("addr add %v/24 dev lan0", b.lan4(1)),
		fmt.Sprintf("addr add %v/64 dev lan0 nodad", address6(b.number, b.lan, 1)),
	}, lines...)
	b.lab.must(b.Name, b.space.ip(lines...))
	for _, c := range []string{
		"net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1",
		// What one host of the LAN sends to another is no business of the rules.
		"net/bridge/bridge-nf-call-iptables=0", "net/bridge/bridge-nf-call-ip6tables=0",
	} {
		b.lab.must(b.Name, b.space.sysctl(c))
	}
	b.filter()
}

// filter loads the rules anew. Packets to the box itself are dropped before conntrack keeps them: else one that comes too early
// would take the port of the flow that is about to go out.
func (b *Box) filter() {
	b.lab.t.Helper()
	if b.NAT == Open {
		return
	}
	masquerade := "masquerade"
	if b.NAT == Symmetric {
		masquerade = "masquerade random,fully-random"
	}
	lan, hairpin := b.lan4(0).String()+"/24", ""
	if b.hairpin {
		hairpin = fmt.Sprintf("ip saddr %s ip daddr %s ct status dnat masquerade", lan, lan)
	}
	b.lab.must(b.Name, b.space.run(fmt.Sprintf(`table inet lab
delete table inet lab
table inet lab {
	chain input {
		type filter hook input priority 0; policy accept;
		ct state established,related accept
		meta l4proto ipv6-icmp accept
		iifname "wan0" drop
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		jump maps
		ct state established,related accept
		iifname "lan0" accept
		ct status dnat accept
	}
	chain prerouting {
		type nat hook prerouting priority -100;
		jump maps_in
		%s
	}
	chain postrouting {
		type nat hook postrouting priority 100;
		jump maps_out
		oifname "wan0" ip saddr %s %s
		%s
	}
	chain maps {
	}
	chain maps_in {
	}
	chain maps_out {
	}
}
`, strings.Join(b.forwards, "\n\t\t"), lan, masquerade, hairpin), "nft", "-f", "-"))
}

// Forward opens a port of the box, TCP and UDP, and leads it to the same port of a host in its LAN. With hairpin the box's outer
// address and this port can be reached from inside, too.
func (b *Box) Forward(h *Host, port int, hairpin bool) {
	b.lab.t.Helper()
	if b.maps {
		b.lab.t.Fatalf("netlab: %s: Forward comes before MapPorts", b.Name) // it would forget what is mapped
	}
	from := `iifname "wan0" `
	if hairpin {
		from, b.hairpin = "", true
	}
	for _, proto := range []string{"tcp", "udp"} {
		b.forwards = append(b.forwards, fmt.Sprintf("%sip daddr %v %s dport %d dnat ip to %v", from, b.Addr, proto, port, h.Addr))
	}
	b.filter()
}

// MapPorts has the box open ports for hosts of its LAN that ask for them by UPnP (IGD) or NAT-PMP, as a router at home does. The
// program is miniupnpd, which many of these run. It returns a function that tells which ports are open, as lines of rules.
func (b *Box) MapPorts() (opened func() string) {
	b.lab.t.Helper()
	b.maps = true
	folder, err := os.MkdirTemp("", "netlab")
	if err != nil {
		b.lab.t.Fatalf("netlab: %s: %v", b.Name, err)
	}
	file := filepath.Join(folder, "miniupnpd.conf")
	text := fmt.Sprintf(`ext_ifname=wan0
listening_ip=lan0
enable_natpmp=yes
enable_upnp=yes
ipv6_disable=yes
uuid=8e3c0b3e-6a55-4a43-9c0b-%012x
upnp_table_name=lab
upnp_nat_table_name=lab
upnp_forward_chain=maps
upnp_nat_chain=maps_in
upnp_nat_postrouting_chain=maps_out
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, b.lan)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.lab.t.Fatalf("netlab: %s: %v", b.Name, err)
	}
	all := append(b.space.prefix(), "miniupnpd", "-d", "-f", file, "-P", file+".pid")
	cmd := exec.Command(all[0], all[1:]...)
	if err := cmd.Start(); err != nil {
		b.lab.t.Fatalf("netlab: %s: %v", b.Name, err)
	}
	b.lab.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(folder)
	})
	return func() string {
		all := append(b.space.prefix(), "nft", "list", "chain", "inet", "lab", "maps_in")
		out, err := exec.Command(all[0], all[1:]...).CombinedOutput()
		if err != nil {
			b.lab.t.Fatalf("netlab: %s: nft: %v: %s", b.Name, err, out)
		}
		return string(out)
	}
}

// Host makes a machine in the box's LAN.
func (b *Box) Host(name string) *Host {
	b.lab.t.Helper()
	h := &Host{Name: name, lab: b.lab, space: b.lab.namespace(name)}
	b.plug(h)
	return h
}

// plug connects a host to the LAN.
func (b *Box) plug(h *Host) {
	b.lab.t.Helper()
	h.Addr, h.Addr6 = b.wire(h.space, "eth0")
	h.Box, h.Access = b, b.Access
}

// wire lays a cable from the bridge to a device of another namespace, which gets addresses and a way out.
func (b *Box) wire(to *space, device string) (netip.Addr, netip.Addr) {
	b.lab.t.Helper()
	if b.hosts++; b.hosts > maxSites {
		b.lab.t.Fatalf("netlab: more than %d hosts behind %s", maxSites, b.Name)
	}
	a4, a6 := b.lan4(b.hosts), address6(b.number, b.lan, b.hosts)
	b.lab.must(b.Name, b.space.ip(
		fmt.Sprintf("link add to%d type veth peer name %s netns %s", b.hosts, device, to.path()),
		fmt.Sprintf("link set to%d master lan0 up", b.hosts),
	))
	b.lab.must(b.Name, to.ip(
		fmt.Sprintf("addr add %v/24 dev %s", a4, device),
		fmt.Sprintf("addr add %v/64 dev %s nodad", a6, device),
		fmt.Sprintf("link set %s up", device),
		fmt.Sprintf("route add default via %v", b.lan4(1)),
		fmt.Sprintf("route add ::/0 via %v", address6(b.number, b.lan, 1)),
	))
	return a4, a6
}
