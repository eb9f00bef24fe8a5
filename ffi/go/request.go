package tollgate

// #include "shim.h"
import "C"

import (
	"math"
	"sync"
)

// A Request is what is known of one. What is zero is not known.
type Request struct {
	// Method is as "GET".
	Method string
	// Host is as the header Host has it: case and port do not matter.
	Host string
	// Path is the target as the client sent it, with its query if you like.
	Path string
	// Attributes are those that the policy names; others are passed over. Of two of one
	// name the last counts.
	Attributes []Attribute
	// Costs are what limits count, beside requests.
	Costs []Cost
}

// An Attribute is something that a policy's limits go by, such as who is asking.
type Attribute struct {
	Name string
	// Value is any bytes. Empty is as good as not given.
	Value string
}

// A Cost is what a request costs in a dimension, such as bytes.
type Cost struct {
	Dimension string
	Units     uint64
}

// Attr is an attribute of that name.
func Attr(name, value string) Attribute { return Attribute{name, value} }

// Costs is a cost of so many units in that dimension.
func Costs(dimension string, units uint64) Cost { return Cost{dimension, units} }

// told is a request as it goes over: all texts one behind the other.
type told struct {
	bytes      []byte
	lengths    [C.TG_TEXTS]C.uint32_t
	attributes []C.tg_part
	costs      []C.tollgate_cost
}

var tolds = sync.Pool{New: func() any { return new(told) }}

func (h *policyHandle) tell(request Request) (*told, error) {
	length := uint64(len(request.Method)) + uint64(len(request.Host)) + uint64(len(request.Path))
	for _, attribute := range request.Attributes {
		length += uint64(len(attribute.Value))
	}
	if length > math.MaxInt32 {
		return nil, ErrLength
	}
	t := tolds.Get().(*told)
	t.bytes = append(append(append(t.bytes[:0], request.Method...), request.Host...), request.Path...)
	t.lengths[C.TG_METHOD] = C.uint32_t(len(request.Method))
	t.lengths[C.TG_HOST] = C.uint32_t(len(request.Host))
	t.lengths[C.TG_PATH] = C.uint32_t(len(request.Path))
	t.attributes = t.attributes[:0]
	for _, attribute := range request.Attributes {
		if id := h.names[attributes].id(h, attribute.Name); id != C.TOLLGATE_NO_ID {
			t.bytes = append(t.bytes, attribute.Value...)
			t.attributes = append(t.attributes, C.tg_part{id: id, length: C.uint32_t(len(attribute.Value))})
		}
	}
	t.costs = t.costs[:0]
	for _, cost := range request.Costs {
		if id := h.names[dimensions].id(h, cost.Dimension); id != C.TOLLGATE_NO_ID {
			t.costs = append(t.costs, C.tollgate_cost{id: id, units: C.uint64_t(cost.Units)})
		}
	}
	return t, nil
}

// done makes room for the next request.
func (t *told) done() {
	if cap(t.bytes) <= keep && cap(t.attributes) <= 100 && cap(t.costs) <= 100 {
		tolds.Put(t)
	}
}

func (t *told) text() *C.char { return (*C.char)(pointer(t.bytes)) }

func (t *told) parts() *C.tg_part {
	if len(t.attributes) == 0 {
		return nil
	}
	return &t.attributes[0]
}

func (t *told) paid() *C.tollgate_cost {
	if len(t.costs) == 0 {
		return nil
	}
	return &t.costs[0]
}
