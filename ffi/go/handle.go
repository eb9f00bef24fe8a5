package tollgate

import "sync/atomic"

// How handles end, and why no call meets memory that was freed.
//
// What a user has (a Keyed, a Policy) points to a handle, which points to the library's
// memory. Close takes the handle away, and every call that begins after it finds none. A
// call that has begun holds the handle itself until it is over (runtime.KeepAlive), and the
// memory is freed by a cleanup of the handle: when the garbage collector has found that
// nobody holds it any more. So Close races with nothing, checks count no users and share
// no write for it, and who forgets Close loses nothing. The price is that memory comes
// back with the next collection, not in Close.

// live counts handles that were not freed, for tests.
var live atomic.Int64

// alone makes a handle too large to be put together with other objects by the allocator,
// for then it would end with the last of them.
type alone [16]byte
