package tollgate

// #include "shim.h"
// #cgo noescape tg_check_many
// #cgo nocallback tg_check_many
import "C"

import (
	"runtime"
	"sync"
)

// batch is how many keys go over in one call.
const batch = C.TG_BATCH

// batches are places to put keys together in, which C may read: it may not follow the
// pointers in a slice of strings.
var batches = sync.Pool{New: func() any { return new(batching) }}

type batching struct {
	text      []byte
	lengths   [batch]C.size_t
	outcomes  [batch]C.int32_t
	decisions [batch]C.tollgate_decision
}

// keep is how much text is kept for the next batch.
const keep = 1 << 16

// CheckMany decides one unit for each of many keys, in their order and at one reading of
// the clock, and appends the decisions to those given: into[:0] makes it allocate nothing.
// It costs much less than one by one.
func (k *Keyed) CheckMany(into []Decision, keys ...string) []Decision {
	k.many(keys, true, func(b *batching, nth int) {
		if b == nil {
			into = append(into, Decision{})
			return
		}
		into = append(into, decided(b.outcomes[nth], &b.decisions[nth]))
	})
	return into
}

// AllowMany is CheckMany for outcomes alone, which costs less.
func (k *Keyed) AllowMany(into []bool, keys ...string) []bool {
	k.many(keys, false, func(b *batching, nth int) {
		into = append(into, b != nil && b.outcomes[nth] == C.TOLLGATE_ALLOWED)
	})
	return into
}

// many tells the outcome of each key, or nothing of it if the limiter is closed.
func (k *Keyed) many(keys []string, all bool, tell func(*batching, int)) {
	h := k.handle.Load()
	if h == nil {
		for nth := range keys {
			tell(nil, nth)
		}
		return
	}
	now := h.now()
	if h.clock == nil {
		now = C.tg_now(h.at())
	}
	b := batches.Get().(*batching)
	defer batches.Put(b)
	for len(keys) > 0 {
		some := keys[:min(len(keys), batch)]
		keys = keys[len(some):]
		b.text = b.text[:0]
		for nth, key := range some {
			b.text = append(b.text, key...)
			b.lengths[nth] = C.size_t(len(key))
		}
		var decisions *C.tollgate_decision
		if all {
			decisions = &b.decisions[0]
			decisions.size = C.sizeof_tollgate_decision
		}
		code := C.tg_check_many(h.at(), (*C.char)(pointer(b.text)), &b.lengths[0],
			C.size_t(len(some)), now, &b.outcomes[0], decisions)
		for nth := range some {
			if code < 0 {
				b.outcomes[nth] = code
			}
			tell(b, nth)
		}
	}
	if cap(b.text) > keep {
		b.text = nil
	}
	runtime.KeepAlive(h)
}
