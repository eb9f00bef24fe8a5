package tollgate

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"runtime"
	"unsafe"
)

// A DeniedKey is one of the keys that were denied most.
type DeniedKey struct {
	// Name is the key's first 63 bytes, which stand for all keys that begin so.
	Name string
	// Hash is what the caller hashed, where Hashed says so; then there is no Name.
	Hash   uint64
	Hashed bool
	// Denials is how often it was denied, or somewhat more: never too few of those that were
	// denied much.
	Denials uint64
	// Excess of Denials, at most, were another key's.
	Excess uint64
}

// mostDenied is how many keys a limiter remembers at most.
const mostDenied = 1024

// DeniedMost are the keys denied most, the first most of all, if the limiter was made
// [WithDeniedMost]; else there are none.
func (k *Keyed) DeniedMost() ([]DeniedKey, error) {
	h := k.handle.Load()
	if h == nil {
		return nil, ErrClosed
	}
	defer runtime.KeepAlive(h)
	if h.deniedMost == 0 {
		return nil, nil
	}
	said := make([]C.tollgate_denied, min(h.deniedMost, mostDenied))
	var count C.size_t
	err := made(func() C.int32_t {
		return C.tollgate_limiter_denied_most(h.c, unsafe.SliceData(said), C.size_t(len(said)), &count)
	})
	if err != nil {
		return nil, err
	}
	keys := make([]DeniedKey, 0, count)
	for nth := range min(int(count), len(said)) {
		one := &said[nth]
		name := C.GoBytes(unsafe.Pointer(&one.name), C.int(min(int(one.length), len(one.name))))
		key := DeniedKey{Denials: uint64(one.denials), Excess: uint64(one.excess), Hashed: one.hashed != 0}
		if key.Hashed && len(name) == 8 {
			key.Hash = binary.LittleEndian.Uint64(name)
		} else {
			key.Name = string(name)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
