package conf

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// shipped is the file that users begin with.
const shipped = "../gateway.yml"

// example is a line of an example: it has two spaces at least behind the mark, as prose has not.
var example = regexp.MustCompile(`(?m)^#(  .*)$`)

// TestShippedDefaults proves that the shipped file decodes to exactly the defaults.
func TestShippedDefaults(t *testing.T) {
	got, err := Load(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if want := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("gateway.yml =\n%+v\nwant\n%+v", got, want)
	}
}

// TestShippedExamples proves that the examples are valid, that settings of examples which are not about one's own
// surroundings stand with their defaults, and that the file names every setting there is.
func TestShippedExamples(t *testing.T) {
	b, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	b = example.ReplaceAll(b, []byte("$1"))
	c, err := Parse(shipped, b)
	if err != nil {
		t.Fatalf("with the examples: %v", err)
	}
	if len(c.Users) == 0 || len(c.Streams) == 0 || len(c.Peers) == 0 {
		t.Errorf("no example of users, streams or peers: %+v", c)
	}
	var def Stream
	def.setDefaults()
	for name, s := range c.Streams {
		if s.Redirect != "" {
			continue // has nothing else
		}
		s.Source = def.Source
		if !reflect.DeepEqual(s, def) {
			t.Errorf("stream %s = %+v, want the defaults %+v", name, s, def)
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	missing := unnamed(reflect.TypeFor[Config](), []*yaml.Node{doc.Content[0]}, "")
	if len(missing) > 0 {
		t.Errorf("gateway.yml does not name %s", strings.Join(missing, ", "))
	}
}

// unnamed returns the settings of a type that none of the nodes has.
func unnamed(typ reflect.Type, nodes []*yaml.Node, key string) (missing []string) {
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			name := typ.Field(i).Tag.Get("yaml")
			if name == "" { // a type that reads itself
				continue
			}
			sub := strings.TrimPrefix(key+"."+name, ".")
			values := values(nodes, name)
			if len(values) == 0 {
				missing = append(missing, sub)
				continue
			}
			missing = append(missing, unnamed(typ.Field(i).Type, values, sub)...)
		}
	case reflect.Map, reflect.Slice:
		var items []*yaml.Node
		for _, n := range nodes {
			for i, item := range n.Content {
				if typ.Kind() == reflect.Slice || i%2 == 1 {
					items = append(items, item)
				}
			}
		}
		return unnamed(typ.Elem(), items, key+".*")
	}
	return slices.Compact(missing)
}

// values returns what stands behind a key in the nodes.
func values(nodes []*yaml.Node, key string) (all []*yaml.Node) {
	for _, n := range nodes {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				all = append(all, n.Content[i+1])
			}
		}
	}
	return all
}
