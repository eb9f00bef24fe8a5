package tollgate

// #include "shim.h"
import "C"

import (
	"fmt"
	"time"
)

// An Algorithm is how a limiter counts.
type Algorithm int32

const (
	// GCRA is for smooth traffic with a burst: one word a key.
	GCRA Algorithm = C.TOLLGATE_GCRA
	// SlidingLog never admits more than the units in any window: one word per unit.
	SlidingLog Algorithm = C.TOLLGATE_SLIDING_LOG
	// SlidingCounter admits about the units in any window: two counts, for large limits.
	SlidingCounter Algorithm = C.TOLLGATE_SLIDING_COUNTER
	// Calendar, in policies alone, is so many per unit of the calendar.
	Calendar Algorithm = C.TOLLGATE_CALENDAR
	// LeasesAtOnce, in policies, is so many at a time.
	LeasesAtOnce Algorithm = C.TOLLGATE_LEASES
	// Size, in policies alone, is so large at most.
	Size Algorithm = C.TOLLGATE_SIZE
)

type kind uint8

const (
	limiters kind = 1 << iota
	leases
	policies
)

var kindNames = map[kind]string{limiters: "limiter", leases: "limiter of leases", policies: "policy"}

// An Option says how a limiter, a limiter of leases, or a policy is made. One that means
// nothing for what is made is an error ([ErrUnsupported]).
type Option struct {
	name  string
	of    kind
	apply func(*settings)
}

type settings struct {
	algorithm   Algorithm
	capacity    *uint64
	denyFull    bool
	seed        *uint64
	clock       func() time.Time
	epoch       Instant
	counts      bool
	deniedMost  int
	longestWait time.Duration
	roomFor     []Quota
	region      *Region
	name        string
	shared      bool
}

// WithAlgorithm chooses the algorithm of a limiter; else it is [GCRA].
func WithAlgorithm(algorithm Algorithm) Option {
	return Option{"WithAlgorithm", limiters, func(s *settings) { s.algorithm = algorithm }}
}

// WithCapacity is for how many live keys there is room; else 10,000. Memory is taken when
// the limiter is made, and never again: 24 bytes a key; for a log 35, and 11.3 more for each
// unit. Room for none is an error ([ErrBuild]).
func WithCapacity(keys uint64) Option {
	return Option{"WithCapacity", limiters | leases, func(s *settings) { s.capacity = &keys }}
}

// DenyWhenFull denies a new key when the limiter is full of live ones; else it passes,
// unaccounted.
func DenyWhenFull() Option {
	return Option{"DenyWhenFull", limiters | leases, func(s *settings) { s.denyFull = true }}
}

// WithSeed puts keys where every run puts them. Else a seed is drawn, so that clients
// cannot choose keys that meet.
func WithSeed(seed uint64) Option {
	return Option{"WithSeed", limiters | leases, func(s *settings) { s.seed = &seed }}
}

// WithClock reads the time from a function, which costs more than the library's own
// clock: for tests, such as with time.Now in a bubble of testing/synctest. Time counts from
// what it says when the limiter is made. A time that goes back grants nothing.
func WithClock(now func() time.Time) Option {
	return Option{"WithClock", limiters | leases | policies, func(s *settings) { s.clock = now }}
}

// WithCounts counts decisions, for Counts.
func WithCounts() Option {
	return Option{"WithCounts", limiters, func(s *settings) { s.counts = true }}
}

// WithDeniedMost remembers so many of the keys that are denied most, for DeniedMost: 1024 at
// most, also where more are asked for. Each denial then takes a little longer.
func WithDeniedMost(keys int) Option {
	return Option{"WithDeniedMost", limiters, func(s *settings) { s.deniedMost = max(keys, 0) }}
}

// WithLongestWait is the longest that a reservation may wait; else as long as a spent
// burst takes to come back. With 0 only what need not wait can be reserved. For [GCRA].
func WithLongestWait(wait time.Duration) Option {
	// The library takes 0 for its default: a nanosecond is the shortest that there is.
	return Option{"WithLongestWait", limiters, func(s *settings) { s.longestWait = max(wait, 1) }}
}

// WithRoomFor makes room for quotas that SetQuota is to set.
func WithRoomFor(quotas ...Quota) Option {
	return Option{"WithRoomFor", limiters, func(s *settings) { s.roomFor = append(s.roomFor, quotas...) }}
}

// InRegion puts it into memory that processes share, under that name; whoever makes the
// same there under the same name has the same states. It has the region's clock and hash.
// Limits of a policy are there by their own names, so its name is "".
func InRegion(region *Region, name string) Option {
	return Option{"InRegion", limiters | leases | policies, func(s *settings) {
		s.region, s.name, s.shared = region, name, true
	}}
}

func chosen(what kind, options []Option) (*settings, error) {
	s := new(settings)
	for _, option := range options {
		if option.of&what == 0 {
			return nil, &Error{ErrUnsupported, fmt.Sprintf("%s is not for a %s", option.name, kindNames[what])}
		}
		option.apply(s)
	}
	if s.capacity != nil && *s.capacity == 0 {
		return nil, &Error{ErrBuild, "WithCapacity was given room for no keys"}
	}
	if s.shared && s.region == nil {
		return nil, &Error{ErrRegion, "InRegion was given none"}
	}
	if what == policies && s.name != "" {
		return nil, &Error{ErrUnsupported, "the limits of a policy have names of their own in a region"}
	}
	if s.clock != nil {
		s.epoch = At(s.clock())
	}
	return s, nil
}

func (s *settings) forC() C.tg_options {
	given := C.tg_options{
		algorithm:       C.int32_t(s.algorithm),
		when_full:       C.TOLLGATE_WHEN_FULL_ALLOW,
		longest_wait_ns: nanoseconds(s.longestWait),
		remember_denied: C.size_t(s.deniedMost),
	}
	if s.denyFull {
		given.when_full = C.TOLLGATE_WHEN_FULL_DENY
	}
	if s.capacity != nil {
		given.capacity = C.uint64_t(*s.capacity)
	}
	if s.seed != nil {
		given.seed = C.uint64_t(*s.seed)
		given.flags |= C.TOLLGATE_SEEDED
	}
	if s.clock != nil {
		given.epoch_ns = C.uint64_t(s.epoch)
		given.flags |= C.TOLLGATE_FROM_EPOCH
	}
	if s.counts {
		given.flags |= C.TOLLGATE_COUNT
	}
	return given
}
