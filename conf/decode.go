package conf

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// faults takes what checks find. The format says what is and what must be.
type faults interface {
	fault(key, format string, args ...any)
}

// decoder reads a YAML tree onto a struct and collects the faults.
type decoder struct {
	file  string
	lines map[string]int  // of each key that the file has
	bad   map[string]bool // keys whose values were not understood: checks must not judge what stands there instead
	errs  []*Error
}

func newDecoder(file string) *decoder {
	return &decoder{file: file, lines: make(map[string]int), bad: make(map[string]bool)}
}

// fault notes a fault of a key; one that the file does not have gets the line of the section it would be in.
func (d *decoder) fault(key, format string, args ...any) {
	line := 0
	for k := key; k != ""; k = k[:max(0, strings.LastIndexAny(k, ".["))] {
		if d.bad[k] {
			return
		}
		if line == 0 {
			line = d.lines[k]
		}
	}
	d.add(line, key, fmt.Sprintf(format, args...))
}

// misread notes that a value is not of the form it must have.
func (d *decoder) misread(n *yaml.Node, key, must string) {
	d.bad[key] = true
	d.add(n.Line, key, fmt.Sprintf("is %s, must %s", describe(n), must))
}

func (d *decoder) add(line int, key, text string) {
	d.errs = append(d.errs, &Error{d.file, line, key, text})
}

// errors returns all faults in the order of their lines, or nil.
func (d *decoder) errors() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return Errors(d.errs)
}

// decode reads the text onto c and reports whether it was YAML at all.
func (d *decoder) decode(b []byte, c *Config) bool {
	if !utf8.Valid(b) {
		d.add(firstGarbage(b), "", "not UTF-8: save the file in that encoding")
		return false
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	err := dec.Decode(&doc)
	if err == io.EOF {
		return true // an empty file: all defaults
	}
	if err == nil {
		if err = dec.Decode(&more); err == io.EOF {
			err = nil
		} else if err == nil {
			d.add(more.Line, "", "a second document begins: put all settings in one")
			return false
		}
	}
	if err != nil {
		d.yamlError(err, b)
		return false
	}
	d.value(doc.Content[0], reflect.ValueOf(c).Elem(), "")
	return true
}

// yamlError takes the line out of yaml's message, "yaml: line 3: did not find ...".
func (d *decoder) yamlError(err error, b []byte) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := firstGarbage(b)
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		num, after, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(num); err == nil {
			line, text = n, after
		}
	}
	d.add(line, "", "not YAML: "+text)
}

// firstGarbage returns the line of the first bytes that are no text, else 1: yaml gives no line of those, nor of what is
// wrong in the first.
func firstGarbage(b []byte) int {
	i := bytes.IndexFunc(b, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
	})
	return 1 + bytes.Count(b[:max(0, i)], []byte("\n"))
}

// value decodes a node into v, whose key is given.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	if d.lines[key] == 0 { // an item of a list; a key's line is known
		d.lines[key] = n.Line
	}
	if n.Kind == yaml.AliasNode {
		d.bad[key] = true
		d.add(n.Line, key, "is an alias (*"+n.Value+"): write the value itself")
		return
	}
	if _, ok := v.Addr().Interface().(yaml.Unmarshaler); ok {
		d.scalar(n, v, key)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.section(n, v, key)
	case reflect.Map:
		d.table(n, v, key)
	case reflect.Slice:
		d.list(n, v, key)
	default:
		d.scalar(n, v, key)
	}
}

// pairs calls f for each key and value of a mapping, and reports keys that stand twice. An empty section is one
// without settings.
func (d *decoder) pairs(n *yaml.Node, key string, f func(k, v *yaml.Node, key string)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.misread(n, key, `have settings of the form "key: value"`)
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		sub := k.Value
		if key != "" {
			sub = key + "." + sub
		}
		if line := seen[k.Value]; line > 0 {
			d.add(k.Line, sub, fmt.Sprintf("stands here again, first in line %d: remove one", line))
			continue
		}
		seen[k.Value] = k.Line
		d.lines[sub] = k.Line
		f(k, n.Content[i+1], sub)
	}
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, key string) {
	fields := make(map[string]int)
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("yaml")] = i
	}
	d.pairs(n, key, func(k, val *yaml.Node, sub string) {
		i, ok := fields[k.Value]
		if !ok {
			d.add(k.Line, sub, "is not a setting"+suggest(k.Value, fields))
			return
		}
		d.value(val, v.Field(i), sub)
	})
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, key string) {
	m := reflect.MakeMap(v.Type())
	d.pairs(n, key, func(k, val *yaml.Node, sub string) {
		e := reflect.New(v.Type().Elem()).Elem()
		if def, ok := e.Addr().Interface().(interface{ setDefaults() }); ok {
			def.setDefaults()
		}
		d.value(val, e, sub)
		m.SetMapIndex(reflect.ValueOf(k.Value), e)
	})
	if m.Len() > 0 {
		v.Set(m)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		v.SetZero()
		return
	}
	if v.Type() == reflect.TypeFor[Sources]() && n.Kind == yaml.ScalarNode {
		item := reflect.New(v.Type().Elem()).Elem()
		d.scalar(n, item, key)
		v.Set(reflect.Append(reflect.Zero(v.Type()), item))
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.misread(n, key, "be a list such as [a, b]")
		return
	}
	l := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, l.Index(i), fmt.Sprintf("%s[%d]", key, i))
	}
	if len(n.Content) == 0 {
		l = reflect.Zero(v.Type())
	}
	v.Set(l)
}

// wanted says what a value of a type looks like.
func wanted(v reflect.Value) string {
	switch p := v.Addr().Interface().(type) {
	case interface{ want() string }:
		return p.want()
	case *time.Duration:
		return "a duration such as 500ms, 10s or 2m"
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	}
	return "text"
}

// scalar decodes a single value. A type that reads itself says by its error what it must be.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && set(n, v.Addr().Interface()) == nil {
		return
	}
	d.misread(n, key, "be "+wanted(v))
}

// set reads a scalar. A duration may be 0 without a unit, and a number must be whole: yaml thinks otherwise.
func set(n *yaml.Node, v any) (err error) {
	switch v := v.(type) {
	case *time.Duration:
		*v, err = time.ParseDuration(n.Value)
	case *int:
		*v, err = strconv.Atoi(n.Value)
	default:
		err = n.Decode(v)
	}
	return err
}

// describe tells what stands in the file.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "empty"
	}
	if len(n.Value) > 64 {
		return strconv.Quote(n.Value[:64] + "...")
	}
	return strconv.Quote(n.Value)
}
