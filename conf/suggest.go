package conf

import (
	"fmt"
	"slices"
	"strings"
)

// suggest names the known key nearest to an unknown one, if one is near, else all.
func suggest(key string, fields map[string]int) string {
	best, least := "", 1+max(2, len(key)/3)
	known := make([]string, 0, len(fields))
	for f := range fields {
		known = append(known, f)
	}
	slices.Sort(known)
	for _, f := range known {
		if n := distance(key, f); n < least {
			best, least = f, n
		}
	}
	if best == "" {
		return ", the settings here are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
