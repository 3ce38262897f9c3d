package conf

import (
	"errors"
	"strings"
	"testing"
)

// TestFaults has one fault in each row; the message must be exactly the wanted one.
func TestFaults(t *testing.T) {
	const id = aPeer
	for _, tt := range []struct{ name, text, want string }{
		{"not YAML", "a: b: c", ":1: not YAML: mapping values are not allowed in this context"},
		{"tab", "rtsp:\n\tlisten: x", ":2: not YAML: found character that cannot start any token"},
		{"two documents", "log:\n---\nlog:\n", ":2: a second document begins: put all settings in one"},
		{"broken second document", "log:\n---\n[", ":3: not YAML: did not find expected node content"},
		{"UTF-16", "\xff\xfel\x00", ":1: not UTF-8: save the file in that encoding"},
		{"Latin-1", "log:\n  level: \xe4\n", ":2: not UTF-8: save the file in that encoding"},
		{"no text", "log:\n  level: \x01\n", ":2: not YAML: control characters are not allowed"},
		{"no sections", "hello", `:1: is "hello", must have settings of the form "key: value"`},
		{"list instead of sections", "[rtsp]", `:1: is a list, must have settings of the form "key: value"`},
		{"unknown section", "\nrstp: {}", `:2: rstp: is not a setting, did you mean "rtsp"?`},
		{"unknown key", "rtsp:\n  sesion_timeout: 1s", `:2: rtsp.sesion_timeout: is not a setting, did you mean "session_timeout"?`},
		{"far from any key", "log: {zzzzzzzzz: 1}", ":1: log.zzzzzzzzz: is not a setting, the settings here are format, level"},
		{"unknown key of a stream", "streams:\n  cam:\n    souce: x", `:3: streams.cam.souce: is not a setting, did you mean "source"?`},
		{"key twice", "log:\n  level: info\n  level: warn", ":3: log.level: stands here again, first in line 2: remove one"},
		{"alias", "log: &l {level: info}\nrtsp: *l", ":2: rtsp: is an alias (*l): write the value itself"},
		{"merge", "log:\n  <<: {level: info}", ":2: log.<<: is not a setting, the settings here are format, level"},
		{"text instead of a section", "rtsp: 8554", `:1: rtsp: is "8554", must have settings of the form "key: value"`},
		{"section instead of text", "log: {level: {a: b}}", ":1: log.level: is a section, must be text"},
		{"list instead of a number", "rtsp: {max_connections: [1]}", ":1: rtsp.max_connections: is a list, must be a whole number"},
		{"text instead of a list", "overlay: {share: all}", `:1: overlay.share: is "all", must be a list such as [a, b]`},
		{"empty value", "rtsp:\n  listen:\n", ":2: rtsp.listen: is empty, must be text"},
		{"price of a letter", "overlay: {channels: [{name: x, price: 0.0000001}]}", `:1: overlay.channels[0].price: is "0.0000001", must be a number such as 0.02, of at most six decimals`},
		{"negative price", "overlay: {channels: [{name: x, credit: -1}]}", `:1: overlay.channels[0].credit: is "-1", must be a number such as 0.02, of at most six decimals`},
		{"ledger in a file", "ledger: {database: /tmp/x}", ":1: ledger.database: must be a URL such as postgres://user:password@host/database, or empty"},
		{"fraction", "rtsp: {max_connections: 1.5}", `:1: rtsp.max_connections: is "1.5", must be a whole number`},
		{"too large", "rtsp: {max_connections: 99999999999999999999}", `:1: rtsp.max_connections: is "99999999999999999999", must be a whole number`},
		{"long value", "rtsp: {max_connections: " + strings.Repeat("x", 70) + "}", `:1: rtsp.max_connections: is "` + strings.Repeat("x", 64) + `...", must be a whole number`},
		{"tracker", "overlay: {trackers: [help]}", `:1: overlay.trackers[0]: is "help", must be the petname of one of the peers`},
		{"bool", "overlay: {enabled: maybe}", `:1: overlay.enabled: is "maybe", must be true or false`},
		{"duration", "overlay: {idle_after: soon}", `:1: overlay.idle_after: is "soon", must be a duration such as 500ms, 10s or 2m`},
		{"duration without unit", "overlay: {idle_after: 5}", `:1: overlay.idle_after: is "5", must be a duration such as 500ms, 10s or 2m`},
		{"negative duration", "overlay: {idle_after: -1s}", ":1: overlay.idle_after: is -1s, must be at least 0s"},
		{"delay", "overlay: {delay: 0}", `:1: overlay.delay: is "0", must be auto or a duration such as 800ms`},
		{"rate without unit", "overlay: {upload: 20}", `:1: overlay.upload: is "20", must be auto, 0, or a rate such as 800kbit or 20Mbit`},
		{"rate not a number", "overlay: {upload: NaNbit}", `:1: overlay.upload: is "NaNbit", must be auto, 0, or a rate such as 800kbit or 20Mbit`},
		{"ports", "rtsp: {udp_ports: 8001-8002}", `:1: rtsp.udp_ports: is "8001-8002", must be 0, or an even port and the next, such as 8000-8001`},
		{"network", "users: [{name: u, password: p, read: [a], from: [home]}]", `:1: users[0].from[0]: is "home", must be an address or a network such as 192.168.1.0/24`},
		{"empty network", "users: [{name: u, password: p, read: [a], from: ['']}]", `:1: users[0].from[0]: is empty, must be an address or a network such as 192.168.1.0/24`},
		{"no source", "streams: {a: {source: []}}", ":1: streams.a.source: is an empty list, must have a source"},
		{"publish beside others", "streams: {a: {source: [publish, 'demo:']}}", ":1: streams.a.source[0]: is publish, beside others: leave it out, a publisher replaces them while he is there"},
		{"fallback of publish", "streams: {a: {fallback: 'demo:'}}", ":1: streams.a.fallback: is for a stream that is fetched: make it the source, which a publisher replaces while he is there"},
		{"stream of itself", "streams: {a: {source: ['demo:', 'stream:a']}}", ":1: streams.a.source[1]: is the stream itself: name another one"},
		{"source a section", "streams: {a: {source: {exec: x}}}", ":1: streams.a.source: is a section, must be a list such as [a, b]"},
		{"udp without port", "streams: {a: {source: 'udp://239.1.2.3'}}", `:1: streams.a.source: is "udp://239.1.2.3", must be a group or an own address and a port, such as udp://239.1.2.3:5000 or udp://:5000`},
		{"srt without port", "streams: {a: {source: 'srt://h'}}", ":1: streams.a.source: is an srt:// URL without a port, must be such as srt://host:9000 or srt://:9000?mode=listener"},
		{"open quotation", "streams: {a: {source: \"exec: ffmpeg 'x\"}}", ":1: streams.a.source: is a command line that ends within a quotation"},
		{"no program", "streams: {a: {source: 'exec: '}}", ":1: streams.a.source: is a command line that has no program"},
		{"part of a path", "streams: {a: {source: 'file:film.mp4'}}", `:1: streams.a.source: is "file:film.mp4", must have a whole path, such as file:///srv/film.mp4 or file:///srv/films`},
		{"rtmp without key", "streams: {a: {source: 'rtmp://:1935/live'}}", ":1: streams.a.source: is of rtmp://:1935, must have an application and a key, such as rtmp://:1935/live/key"},
		{"redirect to itself", "streams: {a: {redirect: 'rtsp://localhost:8554/a'}}", ":1: streams.a.redirect: leads back to itself: name the gateway that has the stream"},
		{
			"circle of redirects", "streams: {a: {redirect: 'rtsp://127.0.0.1:8554/b'}, b: {redirect: 'rtsp://[::1]:8554/a/'}, c: {redirect: 'rtsp://127.0.0.1:8554/a'}, d: {redirect: 'rtsp://127.0.0.1:8555/d'}}",
			":1: streams.a.redirect: leads back to itself: name the gateway that has the stream\ng.yml:1: streams.b.redirect: leads back to itself: name the gateway that has the stream",
		},
		{"nice", "transcode: {nice: 20}", ":1: transcode.nice: is 20, must be 0 to 19"},
		{"accelerator", "transcode: {hwaccel: gpu}", `:1: transcode.hwaccel: is "gpu", must be one of vaapi, nvenc, qsv, videotoolbox, v4l2m2m`},
		{"program", "transcode: {ffmpeg: ''}", ":1: transcode.ffmpeg: is empty, must be a path or a name such as ffmpeg"},
		{"profile of nothing", "transcode: {profiles: {x: {}}}", ":1: transcode.profiles.x: has a codec neither for video nor for audio: nothing would be left"},
		{"own profile", "transcode: {profiles: {pcma: {audio: {codec: aac}}}}", ":1: transcode.profiles.pcma: is made without ffmpeg and cannot be changed: choose another name"},
		{"name of a profile", "transcode: {profiles: {a/b: {audio: {codec: aac}}}}", ":1: transcode.profiles.a/b: is no name of a profile: it must not have ~ or /"},
		{"codec", "transcode: {profiles: {x: {audio: {codec: mp3}}}}", `:1: transcode.profiles.x.audio.codec: is "mp3", must be one of aac, opus, copy`},
		{"height", "transcode: {profiles: {x: {video: {codec: h264, height: 361}}}}", ":1: transcode.profiles.x.video.height: is 361, must be an even number of 16 to 8640, or 0"},
		{"bitrate", "transcode: {profiles: {x: {audio: {codec: aac, bitrate: 0}}}}", ":1: transcode.profiles.x.audio.bitrate: is 0, must be auto or a rate such as 800kbit"},
		{"H.264 profile", "transcode: {profiles: {x: {video: {codec: h265, profile: main}}}}", ":1: transcode.profiles.x.video.profile: is of h264 alone: remove it, or set codec to h264"},
		{"always of no name", "transcode: {profiles: {x: {audio: {codec: aac}, always: ['a b']}}}", ":1: transcode.profiles.x.always[0]: is no stream name: use letters, digits and . _ - ~ + @, with / between the parts"},
		{"level", "log: {level: loud}", `:1: log.level: is "loud", must be one of debug, info, warn, error`},
		{"too small", "rtsp: {max_connections: 0}", ":1: rtsp.max_connections: is 0, must be at least 1"},
		{"listen without colon", `rtsp: {listen: "8554"}`, `:1: rtsp.listen: is "8554", must be host:port or :port, such as :8554 or [::1]:8554`},
		{"listen at a large port", `rtsp: {listen: ":85540"}`, `:1: rtsp.listen: is ":85540", must be host:port or :port, such as :8554 or [::1]:8554`},
		{"listen at no host", `rtsp: {listen: "a b:1"}`, `:1: rtsp.listen: is "a b:1", must be host:port or :port, such as :8554 or [::1]:8554`},
		{"nowhere to listen", "overlay:\n  listen: []", ":2: overlay.listen: is empty: list at least one address, or set overlay.enabled to false"},
		{"multiaddress", "overlay:\n  listen:\n  - /ip4/1.2.3/tcp/1", `:3: overlay.listen[0]: is "/ip4/1.2.3/tcp/1", must be of the form ` + addressForm},
		{"pattern", "overlay: {share: ['a//b']}", `:1: overlay.share[0]: is "a//b", must be a stream name, in which * stands for one part and ** for any`},
		{"pattern of no characters", "overlay: {share: ['[']}", `:1: overlay.share[0]: is "[", must be a stream name, in which * stands for one part and ** for any`},
		{"channel without name", "overlay: {channels: [{access: open}]}", ":1: overlay.channels[0].name: is missing: write a stream's name, or a pattern such as public/*"},
		{"ticket", "overlay: {tickets: [secret]}", `:1: overlay.tickets[0]: is no ticket: it must be what "gateway ticket issue" printed, which begins with pgt1_`},
		{"access", "overlay: {channels: [{name: a, access: all}]}", `:1: overlay.channels[0].access: is "all", must be one of listed, open, members`},
		{"link", "overlay: {links: [{link: 'peergate://hq/x'}]}", `:1: overlay.links[0].link: is "peergate://hq/x", must be a link such as peergate://12D3KooW.../lobby?via=..., as "gateway share" prints it`},
		{"petname of a link with a slash", "overlay: {links: [{link: 'peergate://" + id + "/x', petname: a/b}]}", ":1: overlay.links[0].petname: is a petname with a slash: it must be the first part of a path"},
		{"petname of a link and a stream", "streams: {a/b: }\noverlay: {links: [{link: 'peergate://" + id + "/x', petname: a}]}", `:2: overlay.links[0].petname: is also the first part of the stream "a/b": choose another one`},
		{"petname of two owners", "overlay:\n  links:\n  - {link: 'peergate://" + id + "/x', petname: a}\n  - {link: 'peergate://12D3KooWG8D4aUXaGkuXSgWVKjU6QJiT5YnUTpFUKFMg9tRHUHDr/x', petname: a}", ":4: overlay.links[1].petname: is that of another gateway too: choose another one"},
		{"user without name", "users: [{password: p, read: [a]}]", `:1: users[0].name: is missing: write a name, or "any" for those who give none`},
		{"user without password", "users:\n- name: u\n  read: [a]", `:2: users[0].password: is missing: only the user "any" has none`},
		{"anybody with password", "users: [{name: any, password: x, read: [a]}]", `:1: users[0].password: is set, but the user "any" stands for those who give none: remove it, or rename the user`},
		{"half a hash", "users: [{name: u, password: $argon2id$v=19, read: [a]}]", ":1: users[0].password: begins like a hash but is no whole argon2id hash: copy all of it, or take a password that begins otherwise"},
		{"half a bcrypt hash", "users: [{name: u, password: $2b$10$abc, read: [a]}]", ":1: users[0].password: begins like a hash but is no whole bcrypt hash: copy all of it, or take a password that begins otherwise"},
		{"colon", "users: [{name: 'a:b', password: p, read: [a]}]", `:1: users[0].name: is "a:b": a name must not have a colon, which Basic cannot carry (RFC 7617 §2)`},
		{"user without rights", "users: [{name: u, password: p}]", `:1: users[0]: may do nothing: add read: ["**"] or publish: ["**"]`},
		{"user twice", "users: [{name: u, password: p, read: [a]}, {name: u, password: q, read: [a]}]", `:1: users[1].name: is "u" as users[0] is: give each user one entry`},
		{"stream name", "streams: {'a b': }", ":1: streams.a b: is no stream name: use letters, digits and . _ - ~ + @, with / between the parts"},
		{"stream name too long", "streams: {" + strings.Repeat("a", 256) + ": }", ":1: streams." + strings.Repeat("a", 256) + ": is no stream name: it must be UTF-8 of at most 255 bytes"},
		{"stream like an ID", "streams: {12D3KooWx: }", ":1: streams.12D3KooWx: looks like a gateway's ID: names must not begin with 12D3KooW"},
		{"source of another scheme", "streams: {a: {source: 'http://u:geheim@h/geheim'}}", ":1: streams.a.source: is of http://h, must be what docs/sources.md lists, such as publish, demo: or rtsp://user:password@camera/stream"},
		{"source mistyped", "streams: {a: {source: publsh}}", `:1: streams.a.source: is "publsh", must be what docs/sources.md lists, such as publish, demo: or rtsp://user:password@camera/stream`},
		{"source without host", "streams: {a: {source: 'rtsp:u:geheim@h'}}", ":1: streams.a.source: is a URL without a host, must be what docs/sources.md lists, such as publish, demo: or rtsp://user:password@camera/stream"},
		{"source with a percent sign", "streams: {a: {source: 'rtsp://u:gehe%im@h'}}", ":1: streams.a.source: is no URL, perhaps since a mark in user, password or path is not percent-encoded: must be what docs/sources.md lists, such as publish, demo: or rtsp://user:password@camera/stream"},
		{"redirect", "streams: {a: {redirect: elsewhere}}", `:1: streams.a.redirect: is "elsewhere", must be a URL such as rtsp://media.example.org:8554/stream`},
		{"redirect with a password", "streams: {a: {redirect: 'rtsp://u:geheim@h/x'}}", ":1: streams.a.redirect: has a user, whom players must know by themselves: remove it from the URL"},
		{"redirect of a source", "streams: {a: {redirect: 'rtsp://h/x', source: 'demo:'}}", ":1: streams.a.source: is set, but the stream is elsewhere by its redirect: remove one"},
		{"RTSPS without certificate", "rtsp: {tls: {listen: ':8322'}}", ":1: rtsp.tls.certificate: is missing: name the files of certificate and key, or set rtsp.tls.self_signed to true"},
		{"certificate without key", "rtsp: {tls: {certificate: c.pem}}", ":1: rtsp.tls.key: is not set together with rtsp.tls.certificate: name both files"},
		{"certificate twice", "rtsp: {tls: {certificate: c.pem, key: k.pem, self_signed: true}}", ":1: rtsp.tls.self_signed: is true, but a certificate is named too: choose one"},
		{"no multicast group", "rtsp: {multicast: {groups: 10.0.0.0/8}}", ":1: rtsp.multicast.groups: is 10.0.0.0/8, must be multicast addresses such as 239.255.42.0/24"},
		{"odd multicast port", "rtsp: {multicast: {port: 5001}}", ":1: rtsp.multicast.port: is 5001, must be an even port of 1024 to 65500"},
		{"multicast TTL", "rtsp: {multicast: {ttl: 0}}", ":1: rtsp.multicast.ttl: is 0, must be 1 to 255"},
		{"API", "api: {listen: 80}", `:1: api.listen: is "80", must be host:port or :port, such as :8554 or [::1]:8554`},
		{"fingerprint", "streams: {a: {fingerprint: ab}}", `:1: streams.a.fingerprint: is "ab", must be the 64 hexadecimal digits of a certificate's SHA-256`},
		{"peer without ID", "peers:\n  hq:\n    addresses: []", `:2: peers.hq.id: is missing: "gateway id" prints it at the peer`},
		{"peer with half an ID", "peers: {hq: {id: 12D3KooW}}", `:1: peers.hq.id: is "12D3KooW", must be an ID such as 12D3KooW..., as "gateway id" prints it at the peer`},
		{"petname with a slash", "peers: {h/q: {id: " + id + "}}", ":1: peers.h/q: is a petname with a slash: it must be the first part of a path"},
		{"petname of a stream", "streams: {hq/x: }\npeers: {hq: {id: " + id + "}}", `:2: peers.hq: is also the first part of the stream "hq/x": rename one`},
		{"two petnames", "peers:\n  b: {id: " + id + "}\n  a: {id: " + id + "}", `:2: peers.b.id: is the ID of the peer "a" too: a gateway has one petname`},
		{"address without port", "peers: {a: {id: " + id + ", addresses: [h]}}", `:1: peers.a.addresses[0]: is "h", must be of the form ` + addressForm},
		{"address with port 0", "peers: {a: {id: " + id + ", addresses: [/ip4/1.2.3.4/tcp/0]}}", `:1: peers.a.addresses[0]: is "/ip4/1.2.3.4/tcp/0", must be of the form ` + addressForm},
		{"address of another", "peers: {a: {id: " + id + ", addresses: [/ip4/1.2.3.4/tcp/1/p2p/12D3KooWG8D4aUXaGkuXSgWVKjU6QJiT5YnUTpFUKFMg9tRHUHDr]}}", `:1: peers.a.addresses[0]: is "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWG8D4aUXaGkuXSgWVKjU6QJiT5YnUTpFUKFMg9tRHUHDr", which ends in another ID than the peer's: correct one of them`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("g.yml", []byte(tt.text))
			if err == nil {
				t.Fatal("Parse finds no fault")
			}
			if got := err.Error(); got != "g.yml"+tt.want {
				t.Errorf("Parse:\n%s\nwant\ng.yml%s", got, tt.want)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("a password is shown: %v", err)
			}
		})
	}
}

// TestAllFaultsAtOnce proves that one fault does not hide another, and that they come in the order of the file.
func TestAllFaultsAtOnce(t *testing.T) {
	const text = `rtsp:
  listen: "8554"
  max_conections: 5
  open_timeout: 1
streams:
  b: {source: http://x}
  a: {transport: pigeon}
nonsense: 1
`
	_, err := Parse("dir/g.yml", []byte(text))
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("Parse = %v, want Errors", err)
	}
	want := []struct {
		line int
		key  string
	}{
		{2, "rtsp.listen"},
		{3, "rtsp.max_conections"},
		{4, "rtsp.open_timeout"},
		{6, "streams.b.source"},
		{7, "streams.a.transport"},
		{8, "nonsense"},
	}
	if len(all) != len(want) {
		t.Fatalf("%d faults, want %d:\n%v", len(all), len(want), err)
	}
	for i, w := range want {
		if e := all[i]; e.Line != w.line || e.Key != w.key || e.File != "dir/g.yml" {
			t.Errorf("fault %d is %v, want %s in line %d", i, e, w.key, w.line)
		}
	}
}

// FuzzParse proves that any text is either a configuration or a list of faults, each with its place, that the same text
// gives the same answer, and that nothing panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "rtsp:\n  listen: :8554\n", "log: {level: debug}\n---\n", "streams: {a: {source: 'rtsp://x/y'}}",
		"peers: {hq: {id: " + aPeer + ", addresses: [/dns4/x/tcp/1]}}", "users: [{name: u, password: p, read: ['**'], from: [::1/64]}]",
		"overlay: {upload: 20Mbit, delay: 1s}", "? [a]\n: b", "a: &b [*b]", "!!binary a: !!int x", "\xff", "a:\n a:\n  a: [",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("g.yml", b)
		again, err2 := Parse("g.yml", b)
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("Parse: %v, the second time %v", err, err2)
		}
		if err == nil {
			if c.RTSP != again.RTSP || c.RTSP.MaxConnections < 1 {
				t.Fatalf("Parse accepts %+v", c.RTSP)
			}
			return
		}
		all, ok := err.(Errors)
		if !ok || len(all) == 0 {
			t.Fatalf("Parse = %T, want Errors", err)
		}
		lines := 1
		for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // YAML 1.1 §4.2
			lines += strings.Count(string(b), end)
		}
		for _, e := range all {
			if e.File != "g.yml" || e.Text == "" || e.Line < 0 || e.Line > lines {
				t.Fatalf("fault without its place: %#v", e)
			}
		}
	})
}
