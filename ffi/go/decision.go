package tollgate

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"time"
)

// Forever is a duration without an end: waiting does not help, nothing comes back, or
// nobody knows when.
const Forever time.Duration = math.MaxInt64

// An Outcome is a decision in short.
type Outcome uint8

const (
	// Failed is no decision: it has an Err, and nothing passes.
	Failed Outcome = iota
	// Allowed is a request that may pass, and was charged.
	Allowed
	// Later is one that is denied now; waiting for RetryAfter helps.
	Later
	// Never is one that is denied, and waiting does not help.
	Never
)

// String is the outcome in one word.
func (o Outcome) String() string {
	switch o {
	case Failed:
		return "failed"
	case Allowed:
		return "allowed"
	case Later:
		return "later"
	case Never:
		return "never"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// outcome is that of a code which is no error.
func outcome(code C.int32_t) Outcome {
	switch code {
	case C.TOLLGATE_ALLOWED:
		return Allowed
	case C.TOLLGATE_LATER:
		return Later
	}
	// What later versions say beyond these does not pass either.
	return Never
}

// An Instant is a time by a limiter's clock, in nanoseconds: what its Now returns, or,
// if it was made [WithClock], Unix time ([At]).
type Instant uint64

// At is a time of a limiter that was made [WithClock].
func At(t time.Time) Instant { return Instant(max(t.UnixNano(), 0)) }

// clockNow lets the library read its clock.
const clockNow Instant = C.TOLLGATE_NOW

// A Charge is what was charged to a key: for a refund, or to be settled. It means nothing
// to another limiter.
type Charge struct {
	// Units is how many; 0 if nothing was charged.
	Units uint64
	// At is when.
	At Instant

	weight uint64
}

// A Decision is the whole answer to a check, allowed or denied: plain values that may be
// kept. Durations are from the decision on, and rounded up to a nanosecond.
type Decision struct {
	// Outcome says whether it may pass.
	Outcome Outcome
	// Unaccounted says that the limiter was full of live keys and gave its configured
	// answer; nothing was charged.
	Unaccounted bool
	// Limit is how many units may pass at once (GCRA), or the units of the window.
	Limit uint64
	// Remaining is how many could still pass now, after this decision.
	Remaining uint64
	// RetryAfter is how long to wait before the same request is allowed: exactly so
	// long, if nothing else is charged meanwhile. [Forever] if it never is.
	RetryAfter time.Duration
	// ResetAfter is when the state is as good as new (GCRA), when the oldest units leave
	// the window (log), when one more unit may pass (counter).
	ResetAfter time.Duration
	// NextAfter is when Remaining next rises.
	NextAfter time.Duration
	// FullAfter is when all units are back.
	FullAfter time.Duration
	// Wait is how long to wait before what was reserved is done; else 0.
	Wait time.Duration
	// Charge is what was charged.
	Charge Charge

	code Code
}

// Allowed says whether the request may pass.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }

// Err is why there is no decision, or nil if there is one. A denial is no error.
func (d Decision) Err() error {
	if d.Outcome != Failed {
		return nil
	}
	if d.code == 0 {
		return ErrClosed
	}
	return d.code
}

// RetryAfterSeconds is RetryAfter as HTTP wants it: whole seconds, rounded up.
func (d Decision) RetryAfterSeconds() int64 { return Seconds(d.RetryAfter) }

// Seconds is a duration in whole seconds, rounded up, so that nobody comes back too
// early.
func Seconds(d time.Duration) int64 {
	whole := int64(d / time.Second)
	if d%time.Second > 0 {
		whole++
	}
	return whole
}

// numbers is the place that the library fills, ready for it.
func numbers() C.tollgate_decision {
	return C.tollgate_decision{size: C.sizeof_tollgate_decision}
}

func decided(code C.int32_t, said *C.tollgate_decision) Decision {
	if code < 0 {
		return Decision{code: Code(code)}
	}
	return Decision{
		Outcome:     outcome(code),
		Unaccounted: said.flags&C.TOLLGATE_UNACCOUNTED != 0,
		Limit:       uint64(said.limit),
		Remaining:   uint64(said.remaining),
		RetryAfter:  duration(said.retry_after_ns),
		ResetAfter:  duration(said.reset_after_ns),
		NextAfter:   duration(said.next_after_ns),
		FullAfter:   duration(said.full_after_ns),
		Wait:        duration(said.wait_ns),
		Charge: Charge{
			Units:  uint64(said.charge.units),
			At:     Instant(said.charge.at_ns),
			weight: uint64(said.charge.weight),
		},
	}
}

func (c Charge) forC() C.tollgate_charge {
	return C.tollgate_charge{
		units:  C.uint64_t(c.Units),
		at_ns:  C.uint64_t(c.At),
		weight: C.uint64_t(c.weight),
	}
}
