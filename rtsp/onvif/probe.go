package onvif

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	// probeAgain is when the probe is sent again, since datagrams get lost.
	probeAgain = 500 * time.Millisecond
	// maxAnswers bounds the devices that are listed.
	maxAnswers = 1000
)

// everybody is where devices hear probes (WS-Discovery 1.0 §2.4).
var everybody = netip.MustParseAddrPort("239.255.255.250:3702")

// Find asks for devices, at all interfaces or at the given addresses alone, and returns those that answer until ctx ends.
func Find(ctx context.Context, at []netip.AddrPort) ([]Device, error) {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := probe(c, at); err != nil {
		return nil, err
	}
	again := time.AfterFunc(probeAgain, func() { _ = probe(c, at) }) // the first may have been heard
	defer again.Stop()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var all []Device
	buf := make([]byte, 64<<10)
	for len(all) < maxAnswers {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			continue // one that does not hear probes
		}
		all = append(all, parseAnswer(buf[:n], from.Addr().Unmap())...)
	}
	return sortDevices(all), nil
}

// probe sends a probe. That one interface cannot send is no failure.
func probe(c *net.UDPConn, at []netip.AddrPort) error {
	msg := probeMessage()
	if len(at) > 0 {
		for _, a := range at {
			if _, err := c.WriteToUDPAddrPort(msg, a); err != nil {
				return err
			}
		}
		return nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	sent, last := false, errors.New("no interface can send to groups: give the address of a camera")
	p := ipv4.NewPacketConn(c)
	for i := range interfaces {
		itf := &interfaces[i]
		if itf.Flags&net.FlagUp == 0 || itf.Flags&net.FlagMulticast == 0 {
			continue
		}
		err := p.SetMulticastInterface(itf)
		if err == nil {
			_, err = c.WriteToUDPAddrPort(msg, everybody)
		}
		if err == nil {
			sent = true
		} else {
			last = fmt.Errorf("%s: %w", itf.Name, err)
		}
	}
	if !sent {
		return last
	}
	return nil
}

// probeMessage asks for network video transmitters (ONVIF Core Specification §7.3).
func probeMessage() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header><w:MessageID>uuid:%x-%x-%x-%x-%x</w:MessageID><w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To><w:Action e:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header><e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>`,
		id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
