//go:build !linux

package delivery

import "context"

// poller is of use on Linux only.
type poller struct{}

func (*shard) open() error { return nil }

func (*shard) close() {}

func (*shard) watch(context.Context) error { return nil }

// scratch is of use on Linux only.
type scratch struct{}
