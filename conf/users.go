package conf

import (
	"fmt"
	"regexp"
	"strings"
)

// anybody is the name of the user for those who give no credentials.
const anybody = "any"

// User may read or publish streams. As long as there is no user, anybody reads and loopback publishes.
type User struct {
	Name     string    `yaml:"name"`
	Password string    `yaml:"password"` // as it is, or its argon2id or bcrypt hash (which Digest cannot use)
	Read     []string  `yaml:"read"`     // patterns of stream names
	Publish  []string  `yaml:"publish"`
	From     []Network `yaml:"from"` // where the user may come from; empty is anywhere
}

func (u *User) check(f faults, key string) {
	if u.Name == "" {
		f.fault(key+".name", "is missing: write a name, or \"any\" for those who give none")
	}
	if strings.Contains(u.Name, ":") {
		f.fault(key+".name", "is %q: a name must not have a colon, which Basic cannot carry (RFC 7617 §2)", u.Name)
	}
	u.checkPassword(f, key+".password")
	if len(u.Read)+len(u.Publish) == 0 {
		f.fault(key, "may do nothing: add read: [\"**\"] or publish: [\"**\"]")
	}
	for i, n := range u.From {
		if !n.IsValid() {
			f.fault(fmt.Sprintf("%s.from[%d]", key, i), "is empty, must be %s", n.want())
		}
	}
	patterns(f, key+".read", u.Read)
	patterns(f, key+".publish", u.Publish)
}

// hashes tell the beginning of a hashed password and the form of the whole.
var hashes = []struct {
	name         string
	begins, form *regexp.Regexp
}{
	{
		"argon2id", regexp.MustCompile(`^\$argon2`),
		regexp.MustCompile(`^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$`),
	},
	{"bcrypt", regexp.MustCompile(`^\$2[aby]\$`), regexp.MustCompile(`^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$`)},
}

// checkPassword never repeats what it reads.
func (u *User) checkPassword(f faults, key string) {
	if u.Name == anybody && u.Password != "" {
		f.fault(key, "is set, but the user \"any\" stands for those who give none: remove it, or rename the user")
	}
	if u.Name != anybody && u.Password == "" {
		f.fault(key, "is missing: only the user \"any\" has none")
	}
	for _, h := range hashes {
		if h.begins.MatchString(u.Password) && !h.form.MatchString(u.Password) {
			f.fault(key, "begins like a hash but is no whole %s hash: copy all of it, or take a password that begins otherwise", h.name)
		}
	}
}

// checkNames reports users that stand twice.
func checkNames(f faults, users []User) {
	seen := make(map[string]int)
	for i, u := range users {
		if first, ok := seen[u.Name]; ok && u.Name != anybody {
			f.fault(fmt.Sprintf("users[%d].name", i), "is %q as users[%d] is: give each user one entry", u.Name, first)
		}
		seen[u.Name] = i
	}
}
