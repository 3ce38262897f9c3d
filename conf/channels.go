package conf

import (
	"fmt"
	"regexp"
	"strings"
)

// The kinds of access to a shared stream.
const (
	AccessListed = "listed" // the gateways that peers lists
	AccessOpen   = "open"   // whoever has the link

	AccessMembers = "members" // whoever has a ticket; the packets are sealed
)

// Channel says how streams of this gateway are shared on the overlay. Of several that match a stream the first counts.
type Channel struct {
	Name   string `yaml:"name"`   // pattern, as in overlay.share
	Access string `yaml:"access"` // listed, open or members; empty is listed
	Price  Price  `yaml:"price"`  // for each GB that a gateway with players gets
	Hourly Price  `yaml:"hourly"` // for each hour that a player watches
	Credit Price  `yaml:"credit"` // for each GB that a gateway gives to others

	Directory Directory `yaml:"directory"` // what everybody is told of them
}

// Directory is what a gateway tells everybody of a channel, whoever may have it.
type Directory struct {
	Title       string   `yaml:"title"` // empty: nobody is told
	Description string   `yaml:"description"`
	Language    string   `yaml:"language"` // BCP 47, such as en or pt-BR
	Tags        []string `yaml:"tags"`
}

// Lists tells whether everybody is told.
func (d *Directory) Lists() bool { return d.Title != "" }

// language is the form of a language tag (BCP 47, RFC 5646 §2.1), roughly.
var language = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)

// What a directory may have, in bytes and in number.
const maxTitle, maxDescription, maxTags, maxTag = 200, 2000, 20, 50

func (d *Directory) check(f faults, key string) {
	if !d.Lists() && (d.Description != "" || d.Language != "" || len(d.Tags) > 0) {
		f.fault(key+".title", "is missing: without it nobody is told of the channel")
	}
	if len(d.Title) > maxTitle {
		f.fault(key+".title", "has %d bytes, at most %d are allowed", len(d.Title), maxTitle)
	}
	if len(d.Description) > maxDescription {
		f.fault(key+".description", "has %d bytes, at most %d are allowed", len(d.Description), maxDescription)
	}
	if d.Language != "" && !language.MatchString(d.Language) {
		f.fault(key+".language", "is %q, must be a language tag such as en or pt-BR", d.Language)
	}
	if len(d.Tags) > maxTags {
		f.fault(key+".tags", "has %d tags, at most %d are allowed", len(d.Tags), maxTags)
	}
	for i, t := range d.Tags {
		if t == "" || len(t) > maxTag {
			f.fault(fmt.Sprintf("%s.tags[%d]", key, i), "has %d bytes, must have 1 to %d", len(t), maxTag)
		}
	}
}

func (c *Channel) check(f faults, key string) {
	if c.Name == "" {
		f.fault(key+".name", "is missing: write a stream's name, or a pattern such as public/*")
	} else {
		pattern(f, key+".name", c.Name)
	}
	if c.Access != "" {
		oneOf(f, key+".access", c.Access, AccessListed, AccessOpen, AccessMembers)
	}
	c.Directory.check(f, key+".directory")
}

// Link is a channel of a gateway that need not be among the peers, as somebody has shared it.
type Link struct {
	Link    string `yaml:"link"`    // peergate://OWNER/NAME?via=ADDRESS, as "gateway share" prints it there
	Petname string `yaml:"petname"` // of the owner, for players; empty: its ID
}

// Owner returns the ID of the gateway whose channel it is, or "" when it is no link.
func (l *Link) Owner() string {
	owner, _, ok := splitLink(l.Link)
	if !ok {
		return ""
	}
	return owner
}

func (l *Link) check(f faults, key string) {
	if _, _, ok := splitLink(l.Link); !ok {
		plain, _, _ := strings.Cut(l.Link, "?") // behind it there may be a ticket, which is a secret
		f.fault(key+".link", "is %q, must be a link such as peergate://12D3KooW.../lobby?via=..., as \"gateway share\" prints it", plain)
	}
	if l.Petname != "" {
		checkPetname(f, key+".petname", l.Petname)
	}
}

// checkLinks reports petnames of links that hide streams of this gateway or stand for two gateways. The first parts of
// the streams' names and the IDs of the peers by petname are given.
func (c *Config) checkLinks(f faults, first map[string]string) {
	owners := make(map[string]string)
	for name, p := range c.Peers {
		owners[name] = p.ID
	}
	for i, l := range c.Overlay.Links {
		owner := l.Owner()
		if owner == "" || l.Petname == "" {
			continue
		}
		key := fmt.Sprintf("overlay.links[%d].petname", i)
		if s, ok := first[l.Petname]; ok {
			f.fault(key, "is also the first part of the stream %q: choose another one", s)
		}
		if other, ok := owners[l.Petname]; ok && other != owner {
			f.fault(key, "is that of another gateway too: choose another one")
		}
		owners[l.Petname] = owner
	}
}
