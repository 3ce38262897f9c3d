package conf

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Diff returns the keys in which two configurations differ, such as "rtsp.listen". What has a name, such as a stream or a
// peer, is one key; a list is one.
func Diff(a, b Config) []string {
	return diff(reflect.ValueOf(a), reflect.ValueOf(b), "")
}

func diff(a, b reflect.Value, key string) (keys []string) {
	switch {
	case isSection(a.Type()):
		for i := range a.NumField() {
			name := a.Type().Field(i).Tag.Get("yaml")
			keys = append(keys, diff(a.Field(i), b.Field(i), strings.TrimPrefix(key+"."+name, "."))...)
		}
	case a.Kind() == reflect.Map:
		names := make(map[string]bool)
		for _, m := range []reflect.Value{a, b} {
			for _, k := range m.MapKeys() {
				names[k.String()] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			k := reflect.ValueOf(name)
			if x, y := a.MapIndex(k), b.MapIndex(k); !x.IsValid() || !y.IsValid() || !same(x, y) {
				keys = append(keys, key+"."+name)
			}
		}
	case !same(a, b):
		keys = append(keys, key)
	}
	return keys
}

// isSection tells whether a type is a struct of settings.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("yaml") != ""
}

func same(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }
