package tollgate

// #include "shim.h"
import "C"

import (
	"io/fs"
	"runtime"
	"sync/atomic"
)

// A Region is memory that several processes have, by a file. What is made [InRegion] is of
// all processes that make the same there: together they admit what one would.
//
// A process that is killed at any instant holds nobody up, and leaves at worst one key
// that starts afresh. Any number of goroutines may use a Region at the same time.
type Region struct {
	handle atomic.Pointer[regionHandle]
}

type regionHandle struct {
	c *C.tollgate_region
	_ alone
}

// OpenRegion opens the region of the file of that name, or makes it, for this user alone.
// In /dev/shm it lives until the system restarts, elsewhere longer. Errors: [ErrRegion].
func OpenRegion(path string) (*Region, error) { return OpenRegionMode(path, 0o600) }

// OpenRegionMode is OpenRegion with the permissions of a file that is made now.
func OpenRegionMode(path string, mode fs.FileMode) (*Region, error) {
	var c *C.tollgate_region
	err := made(func() C.int32_t {
		return C.tollgate_region_open(chars(path), C.size_t(len(path)), C.uint32_t(mode.Perm()), &c)
	})
	return newRegion(c, err)
}

// RestoreRegion makes a region of a snapshot, in the file of that name, which must not be
// there yet. Time has gone on since by what the wall clock says. Errors: [ErrRegion].
func RestoreRegion(path string, snapshot []byte) (*Region, error) {
	var c *C.tollgate_region
	err := made(func() C.int32_t {
		return C.tg_region_restore(chars(path), C.size_t(len(path)),
			(*C.char)(pointer(snapshot)), C.size_t(len(snapshot)), &c)
	})
	return newRegion(c, err)
}

func newRegion(c *C.tollgate_region, err error) (*Region, error) {
	if err != nil {
		return nil, err
	}
	h := &regionHandle{c: c}
	live.Add(1)
	runtime.AddCleanup(h, func(c *C.tollgate_region) {
		C.tollgate_region_free(c)
		live.Add(-1)
	}, c)
	r := new(Region)
	r.handle.Store(h)
	return r, nil
}

// Size is how many bytes of the region are in use; 0 after Close.
func (r *Region) Size() uint64 {
	h := r.handle.Load()
	if h == nil {
		return 0
	}
	size := C.tollgate_region_size(h.c)
	runtime.KeepAlive(h)
	return uint64(size)
}

// Snapshot is all that is in the region, to be stored and restored. Others may decide
// meanwhile: what is on its way is as if its process had been killed.
func (r *Region) Snapshot() ([]byte, error) {
	h := r.handle.Load()
	if h == nil {
		return nil, ErrClosed
	}
	defer runtime.KeepAlive(h)
	var buffer []byte
	for {
		var needed C.size_t
		err := made(func() C.int32_t {
			return C.tollgate_region_snapshot(h.c, (*C.uint8_t)(pointer(buffer)), C.size_t(len(buffer)), &needed)
		})
		if err != Code(C.TOLLGATE_ERROR_BUFFER) {
			return buffer[:min(len(buffer), int(needed))], err
		}
		buffer = make([]byte, needed)
	}
}

// Close ends the use of the region here. What is in it stays, and what was made in it can
// be used on. A second Close does nothing.
func (r *Region) Close() error {
	r.handle.Store(nil)
	return nil
}

// hold is the handle, for a call; of no region it is nil.
func (r *Region) hold() (*regionHandle, error) {
	if r == nil {
		return nil, nil
	}
	h := r.handle.Load()
	if h == nil {
		return nil, ErrClosed
	}
	return h, nil
}

func (h *regionHandle) pointer() *C.tollgate_region {
	if h == nil {
		return nil
	}
	return h.c
}
