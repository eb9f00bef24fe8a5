package tollgate

// #include "shim.h"
import "C"

import (
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// A Cause is why a policy said what it said.
type Cause int32

const (
	// CauseLimits is what the limits say.
	CauseLimits Cause = C.TOLLGATE_CAUSE_LIMITS
	// CauseExempt is an exemption.
	CauseExempt Cause = C.TOLLGATE_CAUSE_EXEMPT
	// CauseRefused is a refusal.
	CauseRefused Cause = C.TOLLGATE_CAUSE_REFUSED
	// CauseBlocked is a penalty's block.
	CauseBlocked Cause = C.TOLLGATE_CAUSE_BLOCKED
	// CauseMissing is an attribute that is missing, and that a limit needs.
	CauseMissing Cause = C.TOLLGATE_CAUSE_MISSING
)

// A Verdict is what a policy says of one request. It is never nil. Any number of goroutines
// may use one at the same time, one after the other.
type Verdict struct {
	// Outcome says whether it may pass.
	Outcome Outcome
	// Cause says why.
	Cause Cause
	// Status is the HTTP status of a denial, as the policy has it; 0 if it was allowed.
	Status int
	// RetryAfter is how long to wait before the same request is allowed; [Forever] if
	// waiting does not help or nobody knows.
	RetryAfter time.Duration

	binding C.uint32_t
	entries int
	err     error

	lock   sync.Mutex
	place  *verdictHandle
	policy *policyHandle
}

// A verdictHandle is the library's place for what a policy says, used again and again.
type verdictHandle struct {
	c *C.tollgate_verdict
	_ alone
}

func newVerdict() any {
	var c *C.tollgate_verdict
	if C.tollgate_verdict_new(&c) != C.TOLLGATE_OK {
		return nil
	}
	h := &verdictHandle{c: c}
	live.Add(1)
	runtime.AddCleanup(h, func(c *C.tollgate_verdict) {
		C.tollgate_verdict_free(c)
		live.Add(-1)
	}, c)
	return h
}

func (h *verdictHandle) at() C.tg_handle { return C.tg_handle(uintptr(unsafe.Pointer(h.c))) }

// Allowed says whether the request may pass.
func (v *Verdict) Allowed() bool { return v.Outcome == Allowed }

// Err is why there is no verdict, or nil if there is one. A denial is no error.
func (v *Verdict) Err() error { return v.err }

// use does something with the library's verdict, unless it was given back.
func (v *Verdict) use(do func(*C.tollgate_verdict) error) error {
	if v.err != nil {
		return v.err
	}
	v.lock.Lock()
	defer v.lock.Unlock()
	if v.place == nil {
		return ErrReleased
	}
	defer runtime.KeepAlive(v.place)
	return do(v.place.c)
}

// Name is what Cause names: the exemption, refusal or penalty, or the limit that an
// attribute was missing for. "" where the limits decided, and after Release.
func (v *Verdict) Name() string { return v.named(0) }

// Missing is the attribute that was missing; else "".
func (v *Verdict) Missing() string { return v.named(1) }

func (v *Verdict) named(attribute C.int) (name string) {
	_ = v.use(func(c *C.tollgate_verdict) (err error) {
		name, err = copied(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
			return C.tg_verdict_name(c, attribute, buffer, size, needed)
		})
		return err
	})
	return name
}

// copied has a text copied that may be longer than there is room for.
func copied(write func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t) (string, error) {
	room := 128
	for {
		buffer := make([]byte, room)
		var needed C.size_t
		if code := write((*C.char)(pointer(buffer)), C.size_t(room), &needed); code < 0 {
			return "", Code(code)
		}
		if int(needed) <= room {
			return string(buffer[:needed]), nil
		}
		room = int(needed)
	}
}

// A LimitDecision is what one limit of a policy said.
type LimitDecision struct {
	// Name is what the file calls it.
	Name string
	// Algorithm is how it counts.
	Algorithm Algorithm
	// Violated says that it said no.
	Violated bool
	// Shadow says that it only reports.
	Shadow bool
	// Unlimited says that this key has no quota here; the numbers mean nothing.
	Unlimited bool
	// Unaccounted says that the limit was full of live keys and gave its configured answer;
	// nothing was charged.
	Unaccounted bool
	// Leased says that the request holds Lease.
	Leased bool
	// Binds says that of all, this is the one that binds.
	Binds bool
	// Units are what it was asked for.
	Units uint64
	// Limit, Remaining, RetryAfter, ResetAfter, NextAfter and FullAfter are as in
	// [Decision].
	Limit, Remaining                             uint64
	RetryAfter, ResetAfter, NextAfter, FullAfter time.Duration
	// Lease is for [Policy.ReleaseLease].
	Lease LeaseID
}

// Limits are what each limit said that was asked. Nil after Release.
func (v *Verdict) Limits() []LimitDecision {
	var all []LimitDecision
	for nth := range v.entries {
		if one, ok := v.limit(nth); ok {
			all = append(all, one)
		}
	}
	return all
}

// Binding is the limit that binds: of a denial the one with the longest wait, else the one
// with the least left. False if there is none, and after Release.
func (v *Verdict) Binding() (LimitDecision, bool) {
	if v.err != nil || v.binding == C.TOLLGATE_NO_ID {
		return LimitDecision{}, false
	}
	return v.limit(int(v.binding))
}

func (v *Verdict) limit(nth int) (LimitDecision, bool) {
	var said C.tg_entry
	var name string
	err := v.use(func(c *C.tollgate_verdict) (err error) {
		name, err = copied(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
			return C.tg_verdict_entry(c, C.size_t(nth), &said, buffer, size, needed)
		})
		return err
	})
	return LimitDecision{
		Name:        name,
		Unaccounted: said.flags&C.TOLLGATE_TABLE_FULL != 0,
		Algorithm:   Algorithm(said.algorithm),
		Violated:    said.flags&C.TOLLGATE_VIOLATED != 0,
		Shadow:      said.flags&C.TOLLGATE_SHADOW != 0,
		Unlimited:   said.flags&C.TOLLGATE_UNLIMITED != 0,
		Leased:      said.flags&C.TOLLGATE_LEASED != 0,
		Binds:       said.flags&C.TOLLGATE_BINDS != 0,
		Units:       uint64(said.units),
		Limit:       uint64(said.limit),
		Remaining:   uint64(said.remaining),
		RetryAfter:  duration(said.retry_after_ns),
		ResetAfter:  duration(said.reset_after_ns),
		NextAfter:   duration(said.next_after_ns),
		FullAfter:   duration(said.full_after_ns),
		Lease:       leaseID(said.lease),
	}, err == nil
}

// Fields tells each header field for the response, whether the request was allowed or not.
func (v *Verdict) Fields(tell func(name, value string)) error {
	var lines string
	err := v.use(func(c *C.tollgate_verdict) (err error) {
		lines, err = text(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
			return C.tollgate_verdict_headers(c, buffer, size, needed)
		})
		return err
	})
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(lines, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			tell(name, value)
		}
	}
	return nil
}

// Body is the body of a denial, as the policy has it; "" if it has none, or it was
// allowed. Its type is among the fields.
func (v *Verdict) Body() (body string, err error) {
	err = v.use(func(c *C.tollgate_verdict) (err error) {
		body, err = text(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
			return C.tollgate_verdict_body(c, buffer, size, needed)
		})
		return err
	})
	return body, err
}

// Settle corrects an estimate: what the request cost in a dimension, now that it is known.
// Every limit that counts the dimension is corrected, beyond its quota if need be. Errors:
// [ErrName] if the policy has no such dimension; [ErrReleased].
func (v *Verdict) Settle(dimension string, units uint64) error {
	return v.use(func(c *C.tollgate_verdict) error {
		id := v.policy.names[dimensions].id(v.policy, dimension)
		if id == C.TOLLGATE_NO_ID {
			return ErrName
		}
		moment, given := v.policy.moment()
		var when *C.tollgate_moment
		if given {
			when = &moment
		}
		return check(C.tollgate_verdict_settle(c, id, C.uint64_t(units), when))
	})
}

// Refund gives back what the request was charged by every limit, because it was not served
// after all, and ends its leases; a second time gives nothing back. Errors:
// [ErrReleased].
func (v *Verdict) Refund() error {
	return v.use(func(c *C.tollgate_verdict) error {
		moment, given := v.policy.moment()
		var when *C.tollgate_moment
		if given {
			when = &moment
		}
		return check(C.tollgate_verdict_refund(c, when))
	})
}

// Release ends the leases that the request holds, because it is over, and gives the
// verdict's memory to the next one. A second Release does nothing. Who forgets it loses
// nothing but the leases until their time is over.
func (v *Verdict) Release() {
	_ = v.use(func(c *C.tollgate_verdict) error {
		moment, given := v.policy.moment()
		var when *C.tollgate_moment
		if given {
			when = &moment
		}
		C.tollgate_verdict_release(c, when)
		v.policy.verdicts.Put(v.place)
		v.place, v.policy = nil, nil
		return nil
	})
}
