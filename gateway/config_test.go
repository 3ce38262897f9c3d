package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
	"peergate/rtsp/auth"
)

// TestDataFolder looks for the place of the key in the order that gateway.yml tells.
func TestDataFolder(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		env        map[string]string
		want       string
	}{
		{"configured", "/x", map[string]string{"STATE_DIRECTORY": "/s", "HOME": "/h"}, "/x"},
		{"systemd", "", map[string]string{"STATE_DIRECTORY": "/s", "XDG_DATA_HOME": "/d", "HOME": "/h"}, "/s"},
		{"systemd with several", "", map[string]string{"STATE_DIRECTORY": "/s:/t"}, "/s"},
		{"XDG", "", map[string]string{"XDG_DATA_HOME": "/d", "HOME": "/h"}, "/d/peergate"},
		{"relative XDG is to be ignored", "", map[string]string{"XDG_DATA_HOME": "d", "HOME": "/h"}, "/h/.local/share/peergate"},
		{"home", "", map[string]string{"HOME": "/h"}, "/h/.local/share/peergate"},
	} {
		got, err := dataFolder(conf.Config{Data: tt.data}, func(k string) string { return tt.env[k] })
		if got != tt.want || err != nil {
			t.Errorf("%s: dataFolder = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	got, err := dataFolder(conf.Config{}, func(string) string { return "" })
	if root := os.Geteuid() == 0; (err == nil) != root || root && got != systemData {
		t.Errorf("without HOME: dataFolder = %q, %v", got, err)
	}
}

// TestConfigFile prefers the named file to the one in the folder, and the defaults to neither.
func TestConfigFile(t *testing.T) {
	t.Chdir(t.TempDir())
	check := func(args []string, want string) {
		t.Helper()
		if got, err := configFile(args); got != want || err != nil {
			t.Errorf("configFile(%q) = %q, %v, want %q", args, got, err, want)
		}
	}
	check(nil, "")
	check([]string{"x"}, "x")
	if err := os.WriteFile(usualFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(nil, usualFile)
	check([]string{"x"}, "x")
}

// TestVerify has configurations that are well formed, and yet a part of the gateway could not work with them.
func TestVerify(t *testing.T) {
	const cheap = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, tt := range []struct{ name, text, want string }{
		{"costly hash", "users: [{name: u, password: '" + strings.Replace(cheap, "m=8", "m=99999999", 1) + "', read: ['**']}]", "users: user 1"},
		{"no certificate", "rtsp: {tls: {listen: ':8322', certificate: /does/not/exist, key: k}}", "rtsp.tls: open /does/not/exist"},
		{"not an ID", "peers: {hq: {id: 12D3KooW" + strings.Repeat("z", 44) + "}}", "peers.hq.id: "},
	} {
		_, err := parseConfig("g.yml", []byte(tt.text))
		if err == nil || !strings.HasPrefix(err.Error(), "g.yml: "+tt.want) {
			t.Errorf("%s: %v, want g.yml: %s...", tt.name, err, tt.want)
		}
	}
}

// TestUsers proves that the configured users are those who are let in.
func TestUsers(t *testing.T) {
	c, err := parseConfig("g.yml", []byte("users: [{name: any, read: [open/*], from: [10.0.0.0/8]}]"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := newUsers(c)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]auth.Verdict{"10.1.2.3": auth.OK, "192.0.2.1": auth.Challenge} {
		r := auth.Request{Action: auth.Read, Name: "open/x", Addr: netip.MustParseAddr(addr)}
		if d := users.Allow(t.Context(), r); d.Verdict != want {
			t.Errorf("anybody from %s: %v (%s), want %v", addr, d.Verdict, d.Reason, want)
		}
	}
}

// TestCommands runs what needs no gateway.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.yml", "data: data\nstreams: {a: , b: }\n")
	write("bad.yml", "log: {level: loud}\nx: 1\n")
	for _, tt := range []struct {
		args     string
		code     int
		out, err string // what must be in them
	}{
		{"check good.yml", 0, "good.yml is valid: 0 users, 2 streams, 0 peers", ""},
		{"check bad.yml", 1, "", "bad.yml:1: log.level: is \"loud\", must be one of debug, info, warn, error\nbad.yml:2: x: "},
		{"run bad.yml", 1, "", "bad.yml:1: log.level"},
		{"run missing.yml", 1, "", "gateway: configuration: open missing.yml"},
		{"check", 1, "", "there is no gateway.yml in this folder"},
		{"check a b", 1, "", "accepts at most 1 arg"},
		{"id good.yml", 0, "id: 12D3KooW", ""},
		{"version", 0, "peergate ", ""},
		{"nonsense", 1, "", `unknown command "nonsense"`},
		{"run --nonsense", 1, "", "unknown flag: --nonsense"},
		{"--help", 0, "Usage:", ""},
		{"demo --help", 0, "Usage:", ""},
	} {
		var out, errOut strings.Builder
		code := execute(strings.Fields(tt.args), &out, &errOut)
		if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errOut.String(), tt.err) {
			t.Errorf("gateway %s: code %d, out %q, err %q, want %d, %q, %q", tt.args, code, &out, &errOut, tt.code, tt.out, tt.err)
		}
		if (code == 0) != (errOut.Len() == 0) {
			t.Errorf("gateway %s: code %d, and on standard error %q", tt.args, code, &errOut)
		}
	}
	st, err := os.Stat(filepath.Join("data", "identity.pem"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", st, err)
	}
}

// FuzzAgreement proves that conf accepts only names and addresses that the other parts understand, which conf must not ask.
func FuzzAgreement(f *testing.F) {
	for _, s := range []string{
		"lobby", "hq/lobby~360p", "a b", "..", "ä", "[::1]:8555", "hq.example.org:8555", "/ip4/192.0.2.1/tcp/8555",
		"/ip6/::1/udp/1/quic-v1", "/dns4/example.org/tcp/443", "/ip4/1.2.3.4/udp/5", "/ip6zone/x/ip6/fe80::1/tcp/1", "/dns/a_b/tcp/1",
		"/ip4/1.2.3.4/tcp/5/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", "1.2.3.4:0", "::1:5", "/ip4/01.2.3.4/tcp/1",
	} {
		f.Add(s)
	}
	const peer = "peers: {p: {id: 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA, addresses: ["
	f.Fuzz(func(t *testing.T, s string) {
		q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
		if c, err := conf.Parse("", []byte("streams: {"+q+": }")); err == nil {
			for name := range c.Streams {
				if _, err := media.ParseName(name); err != nil {
					t.Errorf("conf takes the stream name %q: %v", name, err)
				}
			}
		}
		if c, err := conf.Parse("", []byte(peer+q+"]}}")); err == nil {
			for _, a := range c.Peers["p"].Addresses {
				if _, err := p2p.ParseAddrs(a); err != nil {
					t.Errorf("conf takes the address %q: %v", a, err)
				}
			}
		}
		if c, err := conf.Parse("", []byte("users: [{name: any, read: ["+q+"]}]")); err == nil {
			if _, err := newUsers(c); err != nil {
				t.Errorf("conf takes the pattern %q: %v", s, err)
			}
		}
	})
}
