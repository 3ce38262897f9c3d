//go:build !linux

package delivery

import "net"

func (s *Sender) newPipe(c net.Conn, l *Link) pipe { return s.newWriter(c, l) }
