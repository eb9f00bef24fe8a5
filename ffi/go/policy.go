package tollgate

// #include "shim.h"
// #cgo noescape tg_policy_check
// #cgo nocallback tg_policy_check
import "C"

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A Policy is limits that were read from a file or a text. All limits that apply to a
// request are decided together: denied by one, it is charged by none.
//
// Any number of goroutines may use one at the same time, also while it is reloaded or
// closed. After Close, and for the zero value, a check's verdict is Failed.
type Policy struct {
	handle atomic.Pointer[policyHandle]
}

type policyHandle struct {
	c        *C.tollgate_policy
	clock    func() time.Time
	names    [2]names
	verdicts *sync.Pool // apart: the runtime holds on to pools for a while
}

// A Moment is an instant by two clocks: one that never steps back, and Unix time.
type Moment struct {
	Monotonic, Unix Instant
}

// MomentOf is an instant of a policy that was made [WithClock].
func MomentOf(t time.Time) Moment { return Moment{At(t), At(t)} }

// LoadPolicy makes a policy of the file of that name, which is TOML. Errors: [ErrPolicy],
// with every mistake; [ErrFile]; [ErrRegion].
func LoadPolicy(path string, options ...Option) (*Policy, error) {
	return newPolicy(path, 1, options)
}

// NewPolicy makes a policy of a text. Errors: as [LoadPolicy].
func NewPolicy(text string, options ...Option) (*Policy, error) {
	return newPolicy(text, 0, options)
}

func newPolicy(text string, isFile C.int, options []Option) (*Policy, error) {
	s, err := chosen(policies, options)
	if err != nil {
		return nil, err
	}
	region, err := s.region.hold()
	if err != nil {
		return nil, err
	}
	var hasEpoch C.int
	if s.clock != nil {
		hasEpoch = 1
	}
	var c *C.tollgate_policy
	err = made(func() C.int32_t {
		return C.tg_policy_new(chars(text), C.size_t(len(text)), isFile, hasEpoch,
			C.uint64_t(s.epoch), region.pointer(), &c)
	})
	runtime.KeepAlive(region)
	if err != nil {
		return nil, err
	}
	h := &policyHandle{c: c, clock: s.clock, verdicts: &sync.Pool{New: newVerdict}}
	live.Add(1)
	runtime.AddCleanup(h, func(c *C.tollgate_policy) {
		C.tollgate_policy_free(c)
		live.Add(-1)
	}, c)
	p := new(Policy)
	p.handle.Store(h)
	return p, nil
}

// Reload replaces the policy by one of another text, from the next check on. Limits and
// penalties that are called the same keep their keys. After an error the present policy
// stays. A request that is being told at that instant may lack an attribute that only the
// new text names. Errors: [ErrPolicy], [ErrClosed].
func (p *Policy) Reload(text string) error {
	return p.replace(func(h *policyHandle) C.int32_t {
		return C.tollgate_policy_reload_text(h.c, chars(text), C.size_t(len(text)))
	})
}

// ReloadFile is Reload with the file of that name. Errors: also [ErrFile].
func (p *Policy) ReloadFile(path string) error {
	return p.replace(func(h *policyHandle) C.int32_t {
		return C.tollgate_policy_reload_file(h.c, chars(path), C.size_t(len(path)))
	})
}

func (p *Policy) replace(call func(*policyHandle) C.int32_t) error {
	h := p.handle.Load()
	if h == nil {
		return ErrClosed
	}
	defer runtime.KeepAlive(h)
	for nth := range h.names {
		h.names[nth].lock.Lock()
		defer h.names[nth].lock.Unlock()
	}
	if err := made(func() C.int32_t { return call(h) }); err != nil {
		return err
	}
	// The new text may name what the old one did not.
	for nth := range h.names {
		h.names[nth].known.Store(nil)
	}
	return nil
}

// Check decides a request, and charges it if it is allowed. The verdict is for its
// Release, when the request is over: by defer, as a rule.
func (p *Policy) Check(request Request) *Verdict { return p.check(request, nil) }

// CheckAt is Check at a moment of the policy's clocks; see [Moment].
func (p *Policy) CheckAt(request Request, at Moment) *Verdict { return p.check(request, &at) }

func (p *Policy) check(request Request, at *Moment) *Verdict {
	h := p.handle.Load()
	if h == nil {
		return &Verdict{err: ErrClosed}
	}
	told, err := h.tell(request)
	if err != nil {
		return &Verdict{err: err}
	}
	defer told.done()
	moment, given := h.moment()
	if at != nil {
		moment, given = at.forC(), true
	}
	var when *C.tollgate_moment
	if given {
		when = &moment
	}
	place, _ := h.verdicts.Get().(*verdictHandle)
	if place == nil {
		return &Verdict{err: ErrMemory}
	}
	var said C.tg_summary
	code := C.tg_policy_check(h.at(), told.text(), &told.lengths[0], told.parts(), C.size_t(len(told.attributes)),
		told.paid(), C.size_t(len(told.costs)), when, place.at(), &said)
	runtime.KeepAlive(h)
	if code < 0 {
		h.verdicts.Put(place)
		return &Verdict{err: Code(code)}
	}
	return &Verdict{
		Outcome:    outcome(code),
		Cause:      Cause(said.cause),
		Status:     int(said.status),
		RetryAfter: duration(said.retry_after_ns),
		binding:    said.binding,
		entries:    int(said.entries),
		place:      place,
		policy:     h,
	}
}

func (h *policyHandle) at() C.tg_handle { return C.tg_handle(uintptr(unsafe.Pointer(h.c))) }

// moment is what the library is told of the time where nobody gave one, if it must be.
func (h *policyHandle) moment() (C.tollgate_moment, bool) {
	if h.clock == nil {
		return C.tollgate_moment{}, false
	}
	return MomentOf(h.clock()).forC(), true
}

func (m Moment) forC() C.tollgate_moment {
	return C.tollgate_moment{monotonic_ns: C.uint64_t(m.Monotonic), unix_ns: C.uint64_t(m.Unix)}
}

// Now is the policy's clocks, for [Policy.CheckAt]; zero after Close.
func (p *Policy) Now() Moment {
	h := p.handle.Load()
	if h == nil {
		return Moment{}
	}
	m, given := h.moment()
	if !given {
		C.tollgate_policy_now(h.c, &m)
	}
	runtime.KeepAlive(h)
	return Moment{Instant(m.monotonic_ns), Instant(m.unix_ns)}
}

// Knows says whether the policy names that attribute. Others are passed over in requests.
func (p *Policy) Knows(attribute string) bool {
	h := p.handle.Load()
	return h != nil && h.names[attributes].id(h, attribute) != C.TOLLGATE_NO_ID
}

// Limits are the names of the policy's limits, in the order of the file.
func (p *Policy) Limits() []string {
	h := p.handle.Load()
	if h == nil {
		return nil
	}
	return p.limits(h)
}

func (*Policy) limits(h *policyHandle) []string {
	defer runtime.KeepAlive(h)
	names := make([]string, 0, C.tollgate_policy_limit_count(h.c))
	for {
		name, err := text(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
			return C.tollgate_policy_limit_name(h.c, C.size_t(len(names)), buffer, size, needed)
		})
		if err != nil {
			return names
		}
		names = append(names, name)
	}
}

// SetOverride gives a value of the attribute that a limit's `overrides` go by a quota of
// its own, as the file would write it, from the next check on. Errors: [ErrName], [ErrQuota];
// [ErrRoom] if the file makes no room for it (`largest`).
func (p *Policy) SetOverride(limit, value, quota string) error {
	return p.override(limit, value, chars(quota), C.size_t(len(quota)), quota == "")
}

// RemoveOverride takes it away. Errors: [ErrName].
func (p *Policy) RemoveOverride(limit, value string) error {
	return p.override(limit, value, nil, 0, false)
}

func (p *Policy) override(limit, value string, quota *C.char, length C.size_t, empty bool) error {
	h := p.handle.Load()
	if h == nil {
		return ErrClosed
	}
	if empty {
		// The library takes no text for none.
		return ErrQuota
	}
	defer runtime.KeepAlive(h)
	return made(func() C.int32_t {
		return C.tollgate_policy_set_override(h.c, chars(limit), C.size_t(len(limit)),
			unsafe.Pointer(chars(value)), C.size_t(len(value)), quota, length)
	})
}

// Unblock lifts the block of that penalty from the key of a request, and starts its ladder
// over. It says whether there was one.
func (p *Policy) Unblock(penalty string, request Request) (bool, error) {
	h := p.handle.Load()
	if h == nil {
		return false, ErrClosed
	}
	defer runtime.KeepAlive(h)
	told, err := h.tell(request)
	if err != nil {
		return false, err
	}
	defer told.done()
	moment, given := h.moment()
	var when *C.tollgate_moment
	if given {
		when = &moment
	}
	var code C.int32_t
	err = made(func() C.int32_t {
		code = C.tg_policy_unblock(h.c, chars(penalty), C.size_t(len(penalty)), told.text(), &told.lengths[0],
			told.parts(), C.size_t(len(told.attributes)), when)
		return code
	})
	return code == C.TOLLGATE_OK, err
}

// ReleaseLease ends a lease that a limit of the policy gave ([LimitDecision]), for who ends
// it elsewhere than where its verdict is. It says whether it was still held. Errors:
// [ErrName] if there is no such limit of leases.
func (p *Policy) ReleaseLease(limit string, id LeaseID) (bool, error) {
	h := p.handle.Load()
	if h == nil {
		return false, ErrClosed
	}
	moment, given := h.moment()
	var when *C.tollgate_moment
	if given {
		when = &moment
	}
	lease := id.forC()
	var code C.int32_t
	err := made(func() C.int32_t {
		code = C.tollgate_policy_release(h.c, chars(limit), C.size_t(len(limit)), &lease, when)
		return code
	})
	runtime.KeepAlive(h)
	return code == C.TOLLGATE_OK, err
}

// Explain says which limits apply to a request and why the others do not, for people.
// Nothing is charged.
func (p *Policy) Explain(request Request) (string, error) {
	h := p.handle.Load()
	if h == nil {
		return "", ErrClosed
	}
	defer runtime.KeepAlive(h)
	told, err := h.tell(request)
	if err != nil {
		return "", err
	}
	defer told.done()
	return text(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
		return C.tg_policy_explain(h.c, told.text(), &told.lengths[0], told.parts(), C.size_t(len(told.attributes)),
			told.paid(), C.size_t(len(told.costs)), buffer, size, needed)
	})
}

// Close ends the policy: calls that have begun go through, later ones find it closed.
// Verdicts may outlive it. Its memory is freed by the garbage collector's next cycle,
// unless it is in a region. A second Close does nothing, and the error is always nil.
func (p *Policy) Close() error {
	p.handle.Store(nil)
	return nil
}

// names are the numbers of attributes (the first) and of dimensions, as they are met.
type names struct {
	known atomic.Pointer[map[string]C.uint32_t]
	lock  sync.Mutex
}

const (
	attributes = iota
	dimensions
)

// mostNames are remembered: more than a policy has that people wrote.
const mostNames = 1000

func (n *names) id(h *policyHandle, name string) C.uint32_t {
	if known := n.known.Load(); known != nil {
		if id, ok := (*known)[name]; ok {
			return id
		}
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	var id C.uint32_t = C.TOLLGATE_NO_ID
	if n == &h.names[attributes] {
		C.tollgate_policy_attribute(h.c, chars(name), C.size_t(len(name)), &id)
	} else {
		C.tollgate_policy_dimension(h.c, chars(name), C.size_t(len(name)), &id)
	}
	grown := make(map[string]C.uint32_t)
	if known := n.known.Load(); known != nil {
		if len(*known) >= mostNames {
			return id
		}
		maps.Copy(grown, *known)
	}
	grown[name] = id
	n.known.Store(&grown)
	return id
}
