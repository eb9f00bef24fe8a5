package tollgate

// #include "shim.h"
// #cgo noescape tg_acquire
// #cgo nocallback tg_acquire
// #cgo noescape tg_acquire_hash
// #cgo nocallback tg_acquire_hash
// #cgo noescape tg_release
// #cgo nocallback tg_release
import "C"

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// Leases are so many at a time for each of many keys. Any number of goroutines may use one
// at the same time, also while it is closed.
type Leases struct {
	handle atomic.Pointer[leasesHandle]
}

type leasesHandle struct {
	c     *C.tollgate_leases
	clock func() time.Time
}

// A LeaseID tells a lease apart: plain bytes, which may be kept anywhere, and released by any
// goroutine, or process where it is in a region.
type LeaseID [16]byte

// A Lease is held until it is released, or its time is over. The zero value holds nothing.
type Lease struct {
	of *Leases
	// ID is what others may release it by.
	ID LeaseID
}

// NewLeases makes a limiter of so many leases at a time for each key, each for ttl at
// most, after which it ends by itself: a holder that died holds nobody up for longer.
// Errors: [ErrBuild], [ErrMemory], [ErrRegion], [ErrUnsupported].
func NewLeases(atOnce uint64, ttl time.Duration, options ...Option) (*Leases, error) {
	s, err := chosen(leases, options)
	if err != nil {
		return nil, err
	}
	region, err := s.region.hold()
	if err != nil {
		return nil, err
	}
	given := s.forC()
	var c *C.tollgate_leases
	err = made(func() C.int32_t {
		return C.tg_leases_new(C.uint64_t(atOnce), nanoseconds(ttl), &given, region.pointer(),
			chars(s.name), C.size_t(len(s.name)), &c)
	})
	runtime.KeepAlive(region)
	if err != nil {
		return nil, err
	}
	h := &leasesHandle{c: c, clock: s.clock}
	live.Add(1)
	runtime.AddCleanup(h, func(c *C.tollgate_leases) {
		C.tollgate_leases_free(c)
		live.Add(-1)
	}, c)
	l := new(Leases)
	l.handle.Store(h)
	return l, nil
}

func (h *leasesHandle) at() C.tg_handle { return C.tg_handle(uintptr(unsafe.Pointer(h.c))) }

func (h *leasesHandle) now() C.uint64_t {
	if h.clock == nil {
		return C.TOLLGATE_NOW
	}
	return C.uint64_t(At(h.clock()))
}

// Acquire asks for a lease of a key. Where the decision allows it, the lease is held until
// it is released; else it is the zero value, whose Release does nothing.
func (l *Leases) Acquire(key string) (Lease, Decision) {
	h := l.handle.Load()
	if h == nil {
		return Lease{}, Decision{}
	}
	said := numbers()
	var lease C.tollgate_lease
	code := C.tg_acquire(h.at(), chars(key), C.size_t(len(key)), h.now(), &lease, &said)
	runtime.KeepAlive(h)
	return l.acquired(code, lease, &said)
}

// AcquireHash is [Leases.Acquire] for a key that the caller has hashed, as for
// [Keyed.CheckHash].
func (l *Leases) AcquireHash(hash uint64) (Lease, Decision) {
	h := l.handle.Load()
	if h == nil {
		return Lease{}, Decision{}
	}
	said := numbers()
	var lease C.tollgate_lease
	code := C.tg_acquire_hash(h.at(), C.uint64_t(hash), h.now(), &lease, &said)
	runtime.KeepAlive(h)
	return l.acquired(code, lease, &said)
}

func (l *Leases) acquired(code C.int32_t, lease C.tollgate_lease, said *C.tollgate_decision) (Lease, Decision) {
	d := decided(code, said)
	if !d.Allowed() {
		return Lease{}, d
	}
	return Lease{of: l, ID: leaseID(lease)}, d
}

// Lease is one that was acquired elsewhere, by its ID.
func (l *Leases) Lease(id LeaseID) Lease { return Lease{of: l, ID: id} }

// Peek is how many leases of a key could be had.
func (l *Leases) Peek(key string) Decision {
	h := l.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_leases_peek(h.at(), chars(key), C.size_t(len(key)), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// PeekHash is [Leases.Peek] for a key that the caller has hashed.
func (l *Leases) PeekHash(hash uint64) Decision {
	h := l.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_leases_peek_hash(h.at(), C.uint64_t(hash), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// ReleaseAllHash is [Leases.ReleaseAll] for a key that the caller has hashed.
func (l *Leases) ReleaseAllHash(hash uint64) (uint64, error) {
	h := l.handle.Load()
	if h == nil {
		return 0, ErrClosed
	}
	var count C.uint64_t
	code := C.tg_release_all_hash(h.at(), C.uint64_t(hash), h.now(), &count)
	runtime.KeepAlive(h)
	return uint64(count), check(code)
}

// ReleaseAll ends all leases of a key, and says how many.
func (l *Leases) ReleaseAll(key string) (uint64, error) {
	h := l.handle.Load()
	if h == nil {
		return 0, ErrClosed
	}
	var count C.uint64_t
	code := C.tg_release_all(h.at(), chars(key), C.size_t(len(key)), h.now(), &count)
	runtime.KeepAlive(h)
	return uint64(count), check(code)
}

// Gauges takes microseconds: not for every request.
func (l *Leases) Gauges() (Gauges, error) {
	h := l.handle.Load()
	if h == nil {
		return Gauges{}, ErrClosed
	}
	g := C.tollgate_gauges{size: C.sizeof_tollgate_gauges}
	code := C.tollgate_leases_gauges(h.c, h.now(), &g)
	runtime.KeepAlive(h)
	return gauged(&g), check(code)
}

// Close ends the limiter, as [Keyed.Close] does. Its leases cannot be released any more.
func (l *Leases) Close() error {
	l.handle.Store(nil)
	return nil
}

// Release ends the lease, and says whether it was still held: a second time does no harm,
// nor does one whose time was over.
func (l Lease) Release() bool {
	if l.of == nil {
		return false
	}
	h := l.of.handle.Load()
	if h == nil {
		return false
	}
	id := l.ID.forC()
	code := C.tg_release(h.at(), &id, h.now())
	runtime.KeepAlive(h)
	return code == C.TOLLGATE_OK
}

// Renew holds the lease for ttl more from now on; 0 means the limiter's own time. It says
// whether the lease was still held. Errors: [ErrRoom] if ttl is longer than the limiter's.
func (l Lease) Renew(ttl time.Duration) (bool, error) {
	if l.of == nil {
		return false, nil
	}
	h := l.of.handle.Load()
	if h == nil {
		return false, ErrClosed
	}
	id := l.ID.forC()
	code := C.tollgate_leases_renew(h.c, &id, nanoseconds(ttl), h.now())
	runtime.KeepAlive(h)
	return code == C.TOLLGATE_OK, check(code)
}

func leaseID(lease C.tollgate_lease) LeaseID {
	return *(*LeaseID)(unsafe.Pointer(&lease.bytes))
}

func (id LeaseID) forC() C.tollgate_lease {
	return *(*C.tollgate_lease)(unsafe.Pointer(&id))
}
