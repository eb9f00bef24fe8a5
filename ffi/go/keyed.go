package tollgate

// #include "shim.h"
// #cgo noescape tg_allow
// #cgo nocallback tg_allow
// #cgo noescape tg_check
// #cgo nocallback tg_check
// #cgo noescape tg_peek
// #cgo nocallback tg_peek
// #cgo noescape tg_refund
// #cgo nocallback tg_refund
// #cgo noescape tg_settle
// #cgo nocallback tg_settle
// #cgo noescape tg_reserve
// #cgo nocallback tg_reserve
// #cgo noescape tg_reset
// #cgo nocallback tg_reset
// #cgo noescape tg_now
// #cgo nocallback tg_now
import "C"

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// A Keyed limiter holds each of many keys to one quota. Its memory is fixed when it is
// made. Any number of goroutines may use one at the same time, also while it is closed.
//
// After Close, and for the zero value, Allow says no, and decisions have Failed as their
// outcome and ErrClosed as their Err.
type Keyed struct {
	handle atomic.Pointer[limiterHandle]
}

type limiterHandle struct {
	c          *C.tollgate_limiter
	clock      func() time.Time
	deniedMost int
}

// NewKeyed makes a limiter of a quota such as "10/min" or "100/s burst 20". Errors:
// [ErrQuota], [ErrBuild], [ErrMemory], [ErrRegion], [ErrUnsupported].
func NewKeyed(quota string, options ...Option) (*Keyed, error) {
	q, err := ParseQuota(quota)
	if err != nil {
		return nil, err
	}
	return NewKeyedOf(q, options...)
}

// NewKeyedOf is NewKeyed for a quota in numbers.
func NewKeyedOf(quota Quota, options ...Option) (*Keyed, error) {
	s, err := chosen(limiters, options)
	if err != nil {
		return nil, err
	}
	region, err := s.region.hold()
	if err != nil {
		return nil, err
	}
	rooms := make([]C.tollgate_quota, len(s.roomFor)+1)
	for nth, room := range s.roomFor {
		rooms[nth] = room.forC()
	}
	q, given := quota.forC(), s.forC()
	var c *C.tollgate_limiter
	err = made(func() C.int32_t {
		return C.tg_limiter_new(&q, &given, &rooms[0], C.size_t(len(s.roomFor)), region.pointer(),
			chars(s.name), C.size_t(len(s.name)), &c)
	})
	runtime.KeepAlive(region)
	if err != nil {
		return nil, err
	}
	h := &limiterHandle{c: c, clock: s.clock, deniedMost: s.deniedMost}
	live.Add(1)
	runtime.AddCleanup(h, func(c *C.tollgate_limiter) {
		C.tollgate_limiter_free(c)
		live.Add(-1)
	}, c)
	k := new(Keyed)
	k.handle.Store(h)
	return k, nil
}

// at is the address, for calls that are to cost little: what cgo takes for a pointer it
// looks up before each call.
func (h *limiterHandle) at() C.tg_handle { return C.tg_handle(uintptr(unsafe.Pointer(h.c))) }

// now is what the library is told of the time where nobody gave one.
func (h *limiterHandle) now() C.uint64_t {
	if h.clock == nil {
		return C.TOLLGATE_NOW
	}
	return C.uint64_t(At(h.clock()))
}

// Allow says whether one unit of the key may pass, and charges it. The cheapest question.
func (k *Keyed) Allow(key string) bool {
	h := k.handle.Load()
	if h == nil {
		return false
	}
	if h.clock != nil {
		return k.CheckN(key, 1).Allowed()
	}
	code := C.tg_allow(h.at(), chars(key), C.size_t(len(key)))
	runtime.KeepAlive(h)
	return code == C.TOLLGATE_ALLOWED
}

// AllowN is Allow for n units, all or none.
func (k *Keyed) AllowN(key string, n uint64) bool {
	h := k.handle.Load()
	if h == nil {
		return false
	}
	code := C.tg_check(h.at(), chars(key), C.size_t(len(key)), C.uint64_t(n), h.now(), nil)
	runtime.KeepAlive(h)
	return code == C.TOLLGATE_ALLOWED
}

// Check decides one unit of the key.
func (k *Keyed) Check(key string) Decision { return k.CheckN(key, 1) }

// CheckN decides n units of the key, all or none. No units is a look: always allowed, and
// nothing is written.
func (k *Keyed) CheckN(key string, n uint64) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	return h.check(key, n, h.now())
}

// CheckAt is CheckN at an instant of the limiter's clock, for who reads it once for many
// checks; see [Instant].
func (k *Keyed) CheckAt(key string, n uint64, at Instant) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	return h.check(key, n, C.uint64_t(at))
}

func (h *limiterHandle) check(key string, n uint64, now C.uint64_t) Decision {
	said := numbers()
	code := C.tg_check(h.at(), chars(key), C.size_t(len(key)), C.uint64_t(n), now, &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// Peek is how a key stands; nothing is charged or written.
func (k *Keyed) Peek(key string) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_peek(h.at(), chars(key), C.size_t(len(key)), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// Refund gives a charge back to the key that it was made to, because what it was for did
// not happen; once. The decision tells how the key stands then.
func (k *Keyed) Refund(key string, charge Charge) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said, given := numbers(), charge.forC()
	code := C.tg_refund(h.at(), chars(key), C.size_t(len(key)), &given, h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// Settle corrects a charge that was an estimate to units, now that they are known: gives
// back what was too much, or charges what is missing, beyond the limit if need be. The
// decision's Charge is what is charged then, and takes the place of the one given.
func (k *Keyed) Settle(key string, charge Charge, units uint64) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said, given := numbers(), charge.forC()
	code := C.tg_settle(h.at(), chars(key), C.size_t(len(key)), &given, C.uint64_t(units), h.now(), &said)
	runtime.KeepAlive(h)
	return settled(code, &said, &given)
}

// settled is a decision whose charge is what is charged then.
func settled(code C.int32_t, said *C.tollgate_decision, given *C.tollgate_charge) Decision {
	d := decided(code, said)
	if code >= 0 {
		d.Charge = Charge{Units: uint64(given.units), At: Instant(given.at_ns), weight: uint64(given.weight)}
	}
	return d
}

// Reserve charges n units now, for something that is to be done after the decision's Wait,
// at most longest; it is denied if that is too soon. A refund takes it back. For [GCRA];
// else the Err is [ErrUnsupported].
func (k *Keyed) Reserve(key string, n uint64, longest time.Duration) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_reserve(h.at(), chars(key), C.size_t(len(key)), C.uint64_t(n), nanoseconds(longest), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// Reset makes a key as good as new.
func (k *Keyed) Reset(key string) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_reset(h.at(), chars(key), C.size_t(len(key)), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// Now is the limiter's clock, for [Keyed.CheckAt]. 0 after Close.
func (k *Keyed) Now() Instant {
	h := k.handle.Load()
	switch {
	case h == nil:
		return 0
	case h.clock != nil:
		return At(h.clock())
	}
	now := C.tg_now(h.at())
	runtime.KeepAlive(h)
	return Instant(now)
}

// SetQuota replaces the quota of all keys, from the next decision on; what was charged
// before stays charged. There must be room for it ([WithRoomFor]). Errors: [ErrQuota],
// [ErrRoom].
func (k *Keyed) SetQuota(quota Quota) error {
	h := k.handle.Load()
	if h == nil {
		return ErrClosed
	}
	q := quota.forC()
	err := made(func() C.int32_t { return C.tollgate_limiter_set_quota(h.c, &q) })
	runtime.KeepAlive(h)
	return err
}

// Quota is the quota that keys have now.
func (k *Keyed) Quota() (Quota, error) {
	h := k.handle.Load()
	if h == nil {
		return Quota{}, ErrClosed
	}
	var q C.tollgate_quota
	code := C.tollgate_limiter_quota(h.c, &q)
	runtime.KeepAlive(h)
	return quotaOf(q), check(code)
}

// Gauges say how full a limiter is.
type Gauges struct {
	// LiveKeys are not as good as new: exact in small tables, an estimate in large ones.
	LiveKeys uint64
	// Slots are places for keys.
	Slots uint64
	// Saturated is how often a new key found no place.
	Saturated uint64
	// Capacity is how many live keys it was made for.
	Capacity uint64
	// Memory is in bytes, all taken when it was made.
	Memory uint64
}

func gauged(g *C.tollgate_gauges) Gauges {
	return Gauges{uint64(g.live_keys), uint64(g.slots), uint64(g.saturated), uint64(g.capacity), uint64(g.memory)}
}

// Gauges takes microseconds: not for every request.
func (k *Keyed) Gauges() (Gauges, error) {
	h := k.handle.Load()
	if h == nil {
		return Gauges{}, ErrClosed
	}
	g := C.tollgate_gauges{size: C.sizeof_tollgate_gauges}
	code := C.tollgate_limiter_gauges(h.c, h.now(), &g)
	runtime.KeepAlive(h)
	return gauged(&g), check(code)
}

// Counts are decisions since a limiter was made.
type Counts struct {
	Allowed, Denied uint64
	// Unaccounted are those of both that were not accounted.
	Unaccounted uint64
}

// Counts are there if the limiter was made [WithCounts]; else [ErrUnsupported].
func (k *Keyed) Counts() (Counts, error) {
	h := k.handle.Load()
	if h == nil {
		return Counts{}, ErrClosed
	}
	n := C.tollgate_counts{size: C.sizeof_tollgate_counts}
	code := C.tollgate_limiter_counts(h.c, &n)
	runtime.KeepAlive(h)
	return Counts{uint64(n.allowed), uint64(n.denied), uint64(n.unaccounted)}, check(code)
}

// Close ends the limiter: calls that have begun go through, later ones find it closed.
// Its memory is freed by the garbage collector's next cycle, unless it is in a region. A
// second Close does nothing, and the error is always nil.
func (k *Keyed) Close() error {
	k.handle.Store(nil)
	return nil
}

// check is the error that a code is.
func check(code C.int32_t) error {
	if code < 0 {
		return Code(code)
	}
	return nil
}
