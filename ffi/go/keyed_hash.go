package tollgate

// #include "shim.h"
// #cgo noescape tg_check_hash
// #cgo nocallback tg_check_hash
// #cgo noescape tg_peek_hash
// #cgo nocallback tg_peek_hash
// #cgo noescape tg_refund_hash
// #cgo nocallback tg_refund_hash
// #cgo noescape tg_settle_hash
// #cgo nocallback tg_settle_hash
// #cgo noescape tg_reserve_hash
// #cgo nocallback tg_reserve_hash
// #cgo noescape tg_reset_hash
// #cgo nocallback tg_reset_hash
import "C"

import (
	"runtime"
	"time"
)

// CheckHash is CheckN for a key that the caller has hashed: by a good hash of 64 bits, with
// a seed that clients do not know, such as hash/maphash. It is another key than the text
// was.
func (k *Keyed) CheckHash(hash, n uint64) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_check_hash(h.at(), C.uint64_t(hash), C.uint64_t(n), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// PeekHash is [Keyed.Peek] for a key that the caller has hashed.
func (k *Keyed) PeekHash(hash uint64) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_peek_hash(h.at(), C.uint64_t(hash), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// RefundHash is [Keyed.Refund] for a key that the caller has hashed.
func (k *Keyed) RefundHash(hash uint64, charge Charge) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said, given := numbers(), charge.forC()
	code := C.tg_refund_hash(h.at(), C.uint64_t(hash), &given, h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// SettleHash is [Keyed.Settle] for a key that the caller has hashed.
func (k *Keyed) SettleHash(hash uint64, charge Charge, units uint64) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said, given := numbers(), charge.forC()
	code := C.tg_settle_hash(h.at(), C.uint64_t(hash), &given, C.uint64_t(units), h.now(), &said)
	runtime.KeepAlive(h)
	return settled(code, &said, &given)
}

// ReserveHash is [Keyed.Reserve] for a key that the caller has hashed.
func (k *Keyed) ReserveHash(hash, n uint64, longest time.Duration) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_reserve_hash(h.at(), C.uint64_t(hash), C.uint64_t(n), nanoseconds(longest), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}

// ResetHash is [Keyed.Reset] for a key that the caller has hashed.
func (k *Keyed) ResetHash(hash uint64) Decision {
	h := k.handle.Load()
	if h == nil {
		return Decision{}
	}
	said := numbers()
	code := C.tg_reset_hash(h.at(), C.uint64_t(hash), h.now(), &said)
	runtime.KeepAlive(h)
	return decided(code, &said)
}
