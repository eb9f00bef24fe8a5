package tollgate

// #include "shim.h"
import "C"

import "time"

// A Quota is so many units per period, and so many at once.
type Quota struct {
	// Units pass in a period; at least 1.
	Units uint64
	// Period is at least a nanosecond.
	Period time.Duration
	// Burst is how many may pass at once (GCRA); 0 means as many as Units.
	Burst uint64
}

// ParseQuota reads a quota from a text such as "10/min", "100/s burst 20" or
// "1000/15min". Errors: [ErrQuota].
func ParseQuota(text string) (Quota, error) {
	var q C.tollgate_quota
	err := made(func() C.int32_t {
		return C.tollgate_quota_parse(chars(text), C.size_t(len(text)), &q)
	})
	return quotaOf(q), err
}

func quotaOf(q C.tollgate_quota) Quota {
	return Quota{Units: uint64(q.units), Period: duration(q.period_ns), Burst: uint64(q.burst)}
}

func (q Quota) forC() C.tollgate_quota {
	return C.tollgate_quota{
		units:     C.uint64_t(q.Units),
		period_ns: nanoseconds(q.Period),
		burst:     C.uint64_t(q.Burst),
	}
}
