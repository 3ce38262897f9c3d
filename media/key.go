package media

// keyFinder tells the packets of one track at which a decoder can start.
type keyFinder struct {
	starts func(payload []byte) bool // whether a payload belongs to the start of a key frame; nil: codec unknown
	frame  bool                      // codec unknown: the next packet begins a frame
	last   uint32                    // timestamp of the last key packet
	seen   bool                      // last is set
}

// newKeyFinder returns the finder of a video track.
func newKeyFinder(t *Track) *keyFinder {
	k := &keyFinder{frame: true}
	switch t.Codec() {
	case "H264":
		k.starts = h264Key
	case "H265":
		k.starts = h265Key
	case "AV1":
		k.starts = av1Key
	case "VP8":
		k.starts = vp8Key
	case "VP9":
		k.starts = vp9Key
	case "JPEG":
		k.starts = jpegKey
	case "MP4V-ES":
		k.starts = mpeg4Key
	case "MPV":
		k.starts = mpegKey
	}
	return k
}

// key reports whether p is the first packet of a key frame. Of the packets of one timestamp only the first is; of a
// codec it does not know, the first packet of every frame is, for it cannot tell.
func (k *keyFinder) key(p *Packet) bool {
	if k.starts == nil {
		first := k.frame
		k.frame = p.Marker()
		return first
	}
	if k.seen && p.Timestamp() == k.last || !k.starts(p.Payload()) {
		return false
	}
	k.last, k.seen = p.Timestamp(), true
	return true
}

// h264Key finds a sequence parameter set or the beginning of an IDR picture (RFC 6184 §5).
func h264Key(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	key := func(nalu byte) bool { t := nalu & 0x1f; return t == 7 || t == 5 }
	switch t := b[0] & 0x1f; t {
	case 24, 25: // STAP-A, STAP-B
		b = b[1:]
		if t == 25 && len(b) >= 2 {
			b = b[2:]
		}
		return anyUnit(b, func(u []byte) bool { return key(u[0]) })
	case 28, 29: // FU-A, FU-B
		return len(b) > 1 && b[1]&0x80 != 0 && key(b[1])
	default:
		return key(b[0])
	}
}

// h265Key finds a parameter set or the beginning of a random access picture (RFC 7798 §4.4).
func h265Key(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	key := func(t byte) bool { return t >= 16 && t <= 21 || t == 32 || t == 33 }
	switch t := b[0] >> 1 & 0x3f; t {
	case 48: // aggregation packet
		return anyUnit(b[2:], func(u []byte) bool { return key(u[0] >> 1 & 0x3f) })
	case 49: // fragmentation unit
		return b[2]&0x80 != 0 && key(b[2]&0x3f)
	default:
		return key(t)
	}
}

// anyUnit walks units that each follow their 16-bit size.
func anyUnit(b []byte, is func([]byte) bool) bool {
	for len(b) > 2 {
		n := int(b[0])<<8 | int(b[1])
		b = b[2:]
		if n == 0 || n > len(b) {
			return false
		}
		if is(b[:n]) {
			return true
		}
		b = b[n:]
	}
	return false
}

// av1Key reads the N bit of the aggregation header: a coded video sequence begins (AV1 RTP §4.4).
func av1Key(b []byte) bool { return len(b) > 0 && b[0]&0x08 != 0 }

// vp8Key finds the first partition of a frame whose P bit is 0 (RFC 7741 §4.2, §4.3).
func vp8Key(b []byte) bool {
	if len(b) == 0 || b[0]&0x10 == 0 || b[0]&0x07 != 0 {
		return false
	}
	n := 1
	if b[0]&0x80 != 0 { // extended control bits
		if len(b) < 2 {
			return false
		}
		x := b[1]
		n = 2
		if x&0x80 != 0 { // picture ID of one or two bytes
			if len(b) > n && b[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if x&0x40 != 0 {
			n++
		}
		if x&0x30 != 0 {
			n++
		}
	}
	return len(b) > n && b[n]&0x01 == 0
}

// vp9Key finds the begin of a frame that is not predicted from another (RFC 9628 §4.2).
func vp9Key(b []byte) bool { return len(b) > 0 && b[0]&0x48 == 0x08 }

// jpegKey finds the first fragment of a picture; every JPEG stands alone (RFC 2435 §3.1).
func jpegKey(b []byte) bool { return len(b) >= 8 && b[1] == 0 && b[2] == 0 && b[3] == 0 }

// mpeg4Key finds a sequence, a group or an intra picture header at the start of the payload (RFC 6416 §5).
func mpeg4Key(b []byte) bool {
	if len(b) < 5 || b[0] != 0 || b[1] != 0 || b[2] != 1 {
		return false
	}
	switch b[3] {
	case 0xb0, 0xb3:
		return true
	case 0xb6:
		return b[4]>>6 == 0
	}
	return false
}

// mpegKey reads the S bit: a sequence header is present (RFC 2250 §3.4).
func mpegKey(b []byte) bool { return len(b) >= 4 && b[2]&0x20 != 0 }
