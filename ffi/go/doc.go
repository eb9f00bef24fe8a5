// Package tollgate decides "may this request pass, and if not, when?" in tens of
// nanoseconds beyond a cgo call, with memory that is fixed when a limiter is made, exactly,
// under any interleaving of goroutines and processes. It is the engine of the Rust crate
// tollgate behind its C interface, linked into the program.
//
//   - [Keyed] holds each of many keys to a quota, [Limiter] one thing: by GCRA (smooth, with
//     a burst), a sliding log (never more in any window) or a sliding counter;
//   - [Leases] are so many at a time;
//   - [Policy] is limits that are written as a file, with routes, tiers, calendars, penalties
//     and header fields, decided all together or not at all;
//   - [Region] is memory that processes share: what is made in one limits all of them.
//
// The subpackage tollgatehttp has middleware for net/http.
//
// # Closing
//
// Everything may be closed at any time, also while others use it, and needs not be: what
// nobody holds any more is freed by the garbage collector. What is closed answers without
// a limiter, so nothing passes: Allow is false, a [Decision] or a [Verdict] is Failed with
// [ErrClosed].
//
// # Errors
//
// A denial is no error. What fails wraps a [Code], for errors.Is, and says more in its
// text; decisions and verdicts have an Err.
//
// # Time
//
// Limiters have a clock of their own, that never steps back; in a region it is the region's.
// Tests give one [WithClock].
package tollgate
