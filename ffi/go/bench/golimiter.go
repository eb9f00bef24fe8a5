//go:build golimiter

package main

import (
	"context"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
)

func init() {
	more = append(more, func(keys []string) contender {
		store, err := memorystore.New(&memorystore.Config{Tokens: 1 << 40, Interval: time.Second, InitialAlloc: len(keys)})
		if err != nil {
			panic(err)
		}
		ctx := context.Background()
		return contender{"go-limiter", func(n int) {
			_, _, _, ok, err := store.Take(ctx, keys[n])
			must(ok && err == nil)
		}, 1}
	})
}
