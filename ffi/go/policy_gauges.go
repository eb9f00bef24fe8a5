package tollgate

// #include "shim.h"
import "C"

import (
	"errors"
	"runtime"
)

// LimitGauges say how full one limit of a policy is.
type LimitGauges struct {
	// Name is what the file calls it.
	Name string
	// Keeps says that it keeps something: a size does not, nor do quotas that are all
	// unlimited. Else the numbers are 0.
	Keeps bool
	Gauges
}

// Gauges are of each limit, in the order of the file. They take microseconds: not for every
// request.
func (p *Policy) Gauges() ([]LimitGauges, error) {
	h := p.handle.Load()
	if h == nil {
		return nil, ErrClosed
	}
	defer runtime.KeepAlive(h)
	// So that nobody replaces the policy between a name and its numbers.
	h.names[attributes].lock.Lock()
	defer h.names[attributes].lock.Unlock()
	var when *C.tollgate_moment
	if moment, given := h.moment(); given {
		when = &moment
	}
	var all []LimitGauges
	for nth, name := range p.limits(h) {
		g := C.tollgate_gauges{size: C.sizeof_tollgate_gauges}
		err := made(func() C.int32_t {
			return C.tollgate_policy_limit_gauges(h.c, C.size_t(nth), when, &g)
		})
		switch {
		case err == nil:
			all = append(all, LimitGauges{name, true, gauged(&g)})
		case errors.Is(err, ErrUnsupported):
			all = append(all, LimitGauges{Name: name})
		default:
			return nil, err
		}
	}
	return all, nil
}
