//go:build integration

// Command cmd builds a network lab by hand and keeps it until its input ends or it is killed. As root:
//
//	go run -tags integration ./integration/netlab/cmd -up 4 -down 20 -delay 10ms a b home=symmetric home/tv home/pc
//
// makes two hosts on the core and two behind a box with NAT (open, port-preserving or symmetric), and prints how to start a
// program on each. Then it takes commands, one a line:
//
//	split a b      cut these sites off from the others
//	heal           end all splits
//	loss a 0.05    lose so much of what a sends and gets
//	unplug a       take a's link away; plug a brings it back
//	traffic        show what each link has carried
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"peergate/integration/netlab"
)

// person is who builds the lab: told of failures, and cleaned up after in the end.
type person struct{ last []func() }

func (*person) Helper()            {}
func (p *person) Cleanup(f func()) { p.last = append(p.last, f) }

func (*person) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (p *person) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	p.cleanUp()
	os.Exit(1)
}

func (p *person) cleanUp() {
	for _, f := range slices.Backward(p.last) {
		f()
	}
}

// lab is the lab with its sites by name.
type lab struct {
	*netlab.Lab
	p     *person
	link  netlab.Link
	order []string
	sites map[string]*netlab.Access
	boxes map[string]*netlab.Box
}

func main() {
	up := flag.Float64("up", 0, "rate up in Mbit/s; 0 has no limit")
	down := flag.Float64("down", 0, "rate down in Mbit/s")
	delay := flag.Duration("delay", 10*time.Millisecond, "of each access link, each way")
	jitter := flag.Duration("jitter", 0, "added to the delay")
	loss := flag.Float64("loss", 0, "share of the packets lost on each way")
	congestion := flag.String("congestion", "bbr", "congestion control of TCP")
	flag.Parse()
	way := netlab.Way{Delay: *delay, Jitter: *jitter, Loss: *loss}
	link := netlab.Both(way)
	link.Up.Rate, link.Down.Rate = int(*up*netlab.Mbit), int(*down*netlab.Mbit)
	p := new(person)
	defer p.cleanUp()
	l := &lab{
		Lab: netlab.New(p), p: p, link: link,
		sites: make(map[string]*netlab.Access), boxes: make(map[string]*netlab.Box),
	}
	for _, arg := range flag.Args() {
		l.add(arg, *congestion)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if f := strings.Fields(in.Text()); len(f) > 0 {
			l.do(f[0], f[1:])
		}
	}
}

// add makes what an argument asks for.
func (l *lab) add(arg, congestion string) {
	if name, nat, ok := strings.Cut(arg, "="); ok {
		l.boxes[name] = l.Box(name, l.link, netlab.NAT(nat))
		l.sites[name] = l.boxes[name].Access
		l.order = append(l.order, name)
		return
	}
	var h *netlab.Host
	if box, name, ok := strings.Cut(arg, "/"); ok {
		if l.boxes[box] == nil {
			l.p.Fatalf("%s: there is no box %s yet: write %s=symmetric before", arg, box, box)
		}
		h = l.boxes[box].Host(name)
	} else {
		h = l.Host(arg, l.link)
		l.sites[arg] = h.Access
		l.order = append(l.order, arg)
	}
	h.Congestion(congestion)
	fmt.Printf("%s: %v %v: %s bash\n", arg, h.Addr, h.Addr6, strings.Join(h.Prefix(), " "))
}

// do carries out a command.
func (l *lab) do(command string, args []string) {
	var sites []*netlab.Access
	for _, a := range args {
		if s := l.sites[a]; s != nil {
			sites = append(sites, s)
		}
	}
	switch {
	case command == "split":
		l.Split(sites...)
	case command == "heal":
		l.Heal()
	case command == "traffic":
		for _, name := range l.order {
			fmt.Printf("%s: sent %+v, received %+v\n", name, l.sites[name].Sent(), l.sites[name].Received())
		}
	case command == "loss" && len(sites) == 1:
		share, err := strconv.ParseFloat(args[len(args)-1], 64)
		if err != nil {
			fmt.Println(err)
			return
		}
		link := l.link
		link.Up.Loss, link.Down.Loss = share, share
		sites[0].Set(link)
	case command == "plug" || command == "unplug":
		for _, s := range sites {
			s.Unplug(command == "unplug")
		}
	default:
		fmt.Println("commands: split SITE..., heal, loss SITE SHARE, unplug SITE, plug SITE, traffic")
	}
}
