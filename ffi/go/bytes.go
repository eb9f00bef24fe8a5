package tollgate

// #include "shim.h"
import "C"

import (
	"math"
	"time"
	"unsafe"
)

// chars is where a text is, for a call that borrows it.
func chars(text string) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(text)))
}

func pointer(buffer []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(buffer))
}

// nanoseconds is how the library is told a duration; a negative one is none.
func nanoseconds(d time.Duration) C.uint64_t {
	return C.uint64_t(max(d, 0))
}

// duration is how it tells one: what is longer than Go's longest is [Forever].
func duration(ns C.uint64_t) time.Duration {
	return time.Duration(min(ns, math.MaxInt64))
}
