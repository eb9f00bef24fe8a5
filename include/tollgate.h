/*
 * tollgate: may this request pass, and if not, when? For C99 and later, and C++11 and later.
 *
 * Generated from ffi/src; never edited by hand.
 *
 * tollgate_limiter_...  one limit on each of many keys
 * tollgate_leases_...   so many at a time of each key
 * tollgate_policy_...   many limits, written as a file;
 * tollgate_verdict_...  what a policy says of one request: numbers, header fields, body
 * tollgate_region_...   memory in which several processes have any of these together
 * tollgate_quota_parse, tollgate_seconds, tollgate_status_text, tollgate_last_error,
 * tollgate_version_...
 *
 * What holds for all of it
 * ------------------------
 *
 * Handles. tollgate_limiter, tollgate_leases, tollgate_policy, tollgate_verdict and
 *     tollgate_region are opaque.
 *     A function that makes one puts it into its last argument; the caller ends it with the
 *     _free of its name, once. Freeing NULL does nothing. Using a handle after it was freed
 *     is the caller's fault, and a build with the feature "checked", or with debug
 *     assertions, catches it: TOLLGATE_ERROR_HANDLE, and a line on stderr.
 *
 * Answers. Functions return an int32_t: negative is an error (TOLLGATE_ERROR_...), and then
 *     nothing was changed; TOLLGATE_OK is 0. A check returns TOLLGATE_ALLOWED (also 0),
 *     TOLLGATE_LATER or TOLLGATE_NEVER: what is not 0 does not pass. Later versions may
 *     return more codes. tollgate_status_text has a text for each, and after an error
 *     tollgate_last_error says why. Every function may return TOLLGATE_ERROR_NULL, _SIZE,
 *     _LENGTH, _ALIGNMENT, _UTF8, _UNKNOWN and _HANDLE for arguments that it has, and _PANIC;
 *     "Errors:" at a function names the others.
 *
 * Structs. Those that begin with `size` may grow at their end in later versions. The caller
 *     sets `size` to sizeof before each struct is used for the first time; a library that
 *     knows more fills what there is room for, one that knows less fills what it knows and
 *     leaves the rest as it was. Of a struct that is read, fields that the library does not
 *     know must be 0. All others never grow.
 *
 * Bytes and texts are a pointer and a length; NULL with length 0 is empty, and the length
 *     TOLLGATE_TERMINATED means that a NUL ends them. Texts are UTF-8. They are borrowed
 *     for the call alone.
 *
 * Buffers. A text is written to `buffer` of `size` bytes with a NUL after it. `needed`, which
 *     may be NULL, is its length without the NUL. Where it does not fit, the answer is
 *     TOLLGATE_ERROR_BUFFER and the buffer has an empty text: with `buffer` NULL and `size`
 *     0 one asks for the length.
 *
 * Times are nanoseconds. `now_ns` is an instant of the limiter's clock, or TOLLGATE_NOW. A time
 *     that goes back grants nothing.
 *
 * Threads. "Threads: any" means that a function may be called at any time from any thread,
 *     also for one handle at once. No function calls back, starts a thread, or waits for a
 *     request of another; none leaves by an exception.
 *
 * Processes. State lives in one process: after fork(), both have their own from there on.
 *     What is made in a region (`region` in its options) is of all processes that make the
 *     same there, and of both after fork().
 */

#ifndef TOLLGATE_H
#define TOLLGATE_H

#include <stddef.h>
#include <stdint.h>

/* No function leaves by an exception. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define TOLLGATE_NOEXCEPT noexcept
#else
#define TOLLGATE_NOEXCEPT
#endif

// As a length: a NUL ends the text or the key.
#define TOLLGATE_TERMINATED SIZE_MAX

// The first number of the version of this header.
#define TOLLGATE_VERSION_MAJOR 0

// The second.
#define TOLLGATE_VERSION_MINOR 1

// The third.
#define TOLLGATE_VERSION_PATCH 0

// It was done.
#define TOLLGATE_OK 0

// A check's answer: the request may pass, and was charged. The same as TOLLGATE_OK.
#define TOLLGATE_ALLOWED 0

// A check's answer: denied now; waiting for `retry_after_ns` helps.
#define TOLLGATE_LATER 1

// A check's answer: denied, and waiting does not help.
#define TOLLGATE_NEVER 2

// There was nothing, or not any more: no lease that lives, no block.
#define TOLLGATE_GONE 3

// A pointer that must not be NULL is.
#define TOLLGATE_ERROR_NULL (-1)

// The `size` of a struct is none that it ever had, or was not set.
#define TOLLGATE_ERROR_SIZE (-2)

// A length is larger than any memory.
#define TOLLGATE_ERROR_LENGTH (-3)

// A pointer is not aligned as its type wants.
#define TOLLGATE_ERROR_ALIGNMENT (-4)

// A text is not UTF-8.
#define TOLLGATE_ERROR_UTF8 (-5)

// A code, a flag, or a field beyond the known size that this version does not know.
#define TOLLGATE_ERROR_UNKNOWN (-6)

// No attribute, dimension or entry has this number.
#define TOLLGATE_ERROR_ID (-7)

// Nothing is called so.
#define TOLLGATE_ERROR_NAME (-8)

// A buffer is too small. What is needed was told; nothing was written but a NUL.
#define TOLLGATE_ERROR_BUFFER (-9)

// No quota: the text or the numbers of one are wrong.
#define TOLLGATE_ERROR_QUOTA (-10)

// A limiter like this cannot be built.
#define TOLLGATE_ERROR_BUILD (-11)

// There is no room for this quota in the limiter that there is.
#define TOLLGATE_ERROR_ROOM (-12)

// The memory could not be had.
#define TOLLGATE_ERROR_MEMORY (-13)

// A file could not be read.
#define TOLLGATE_ERROR_FILE (-14)

// A policy is wrong; tollgate_last_error says where.
#define TOLLGATE_ERROR_POLICY (-15)

// The verdict holds no decision.
#define TOLLGATE_ERROR_EMPTY (-16)

// This limiter does not do that: it was not told to, or its algorithm cannot.
#define TOLLGATE_ERROR_UNSUPPORTED (-17)

// A build that checks handles: it was freed, or is of another kind.
#define TOLLGATE_ERROR_HANDLE (-18)

// A fault of the library, which it survived. Please report it.
#define TOLLGATE_ERROR_PANIC (-19)

// Memory that processes share could not be had, is damaged, or has something else in it.
#define TOLLGATE_ERROR_REGION (-20)

// As `now_ns`: the limiter reads its clock.
#define TOLLGATE_NOW UINT64_MAX

// As a time: there is none. Waiting does not help, nothing comes back, nobody knows.
#define TOLLGATE_FOREVER UINT64_MAX

// A flag of a decision: the limiter was full of live keys and gave its configured answer;
// nothing was charged.
#define TOLLGATE_UNACCOUNTED 1

// An algorithm: smooth traffic with a burst, one word a key.
#define TOLLGATE_GCRA 0

// An algorithm: never more than the units in any window, one word per unit.
#define TOLLGATE_SLIDING_LOG 1

// An algorithm: about the units in any window, two counts, for large limits.
#define TOLLGATE_SLIDING_COUNTER 2

// When a table is full of live keys, a new key passes, unaccounted.
#define TOLLGATE_WHEN_FULL_ALLOW 0

// When a table is full of live keys, a new key is denied.
#define TOLLGATE_WHEN_FULL_DENY 1

// A flag of options: `seed` is to be used. Else the table's hash is seeded at random.
#define TOLLGATE_SEEDED 1

// A flag of options: time counts from `epoch_ns`, not from when the handle is made. For those
// who give `now_ns` by a clock of their own: then always, and TOLLGATE_NOW is an error.
#define TOLLGATE_FROM_EPOCH 2

// A flag of options: decisions are counted, for tollgate_limiter_counts.
#define TOLLGATE_COUNT 4

// As the number of an attribute or a dimension: one that the policy does not name, and
// that a request passes over.
#define TOLLGATE_NO_ID UINT32_MAX

// An algorithm of a policy's limit: so many per unit of the calendar.
#define TOLLGATE_CALENDAR 3

// An algorithm of a policy's limit: so many at a time.
#define TOLLGATE_LEASES 4

// An algorithm of a policy's limit: so large at most.
#define TOLLGATE_SIZE 5

// A cause: what the limits say.
#define TOLLGATE_CAUSE_LIMITS 0

// A cause: it is exempt, by the rule in `name`.
#define TOLLGATE_CAUSE_EXEMPT 1

// A cause: it is refused, by the rule in `name`.
#define TOLLGATE_CAUSE_REFUSED 2

// A cause: its key is blocked, by the penalty in `name`.
#define TOLLGATE_CAUSE_BLOCKED 3

// A cause: it lacks `attribute`, which the limit in `name` needs.
#define TOLLGATE_CAUSE_MISSING 4

// A flag of an entry: the limit said no.
#define TOLLGATE_VIOLATED 1

// A flag of an entry: the limit only reports.
#define TOLLGATE_SHADOW 2

// A flag of an entry: this key has no quota here, and the numbers mean nothing.
#define TOLLGATE_UNLIMITED 4

// A flag of an entry: the request holds `lease`.
#define TOLLGATE_LEASED 8

// A flag of an entry: of all entries, this is the one that binds.
#define TOLLGATE_BINDS 16

// A flag of an entry: the limit's table is full of live keys, so the request was not accounted,
// and the limit's `when_full` decided.
#define TOLLGATE_TABLE_FULL 32

// So many at a time of each of many keys: each a lease, which ends when it is released or
// its time is over.
//
// Threads: any number may use one at the same time. Only tollgate_leases_free must come
// after all others.
typedef struct tollgate_leases tollgate_leases;

// One limit on each of many keys; its memory is fixed when it is made.
//
// Threads: any number may use one at the same time, without a lock of theirs. Only
// tollgate_limiter_free must come after all others.
typedef struct tollgate_limiter tollgate_limiter;

// Limits that were read from a file or a text, with the memory in which they keep their
// keys. It can be replaced while requests are decided.
//
// Threads: any number may use one at the same time. Only tollgate_policy_free must come
// after all others; verdicts may outlive it.
typedef struct tollgate_policy tollgate_policy;

// Memory that several processes have: a file, or memory of the host such as a zone of nginx.
// Limiters, leases and policies are made in it by the `region` of their options; whoever
// makes the same under the same name has the same states.
//
// A process that is killed at any instant holds nobody up, and the key that it was at is as
// before the request or as after it; its leases end after their time.
//
// Threads: any number may use one at the same time. It may be freed before what was made in
// it. After fork(), parent and child may both use it.
typedef struct tollgate_region tollgate_region;

// The place for what a policy says of a request. Made once, and used for one request after
// the other, so that a check allocates nothing.
//
// Threads: one at a time; give each thread its own. It keeps the policy that it was last
// used with, so it may outlive the handle, and after a reload keeps the old one in memory
// until its next check.
typedef struct tollgate_verdict tollgate_verdict;

// So many units per period, and so many at once. Never grows.
typedef struct tollgate_quota {
    // Units in a period; at least 1.
    uint64_t units;
    // The period in nanoseconds; at least 1.
    uint64_t period_ns;
    // Units that may pass at once (GCRA); 0 means as many as `units`.
    uint64_t burst;
} tollgate_quota;

// Bytes: a key, or a part of a request. NULL with length 0 is none; the length
// TOLLGATE_TERMINATED means that a NUL ends them. Never grows.
typedef struct tollgate_bytes {
    // Where they are.
    const void *data;
    // How many they are.
    size_t length;
} tollgate_bytes;

// What a limiter is made of beside its quota. All zeros but for `size` are the defaults.
typedef struct tollgate_limiter_options {
    // sizeof(tollgate_limiter_options)
    size_t size;
    // TOLLGATE_GCRA (default), TOLLGATE_SLIDING_LOG or TOLLGATE_SLIDING_COUNTER.
    int32_t algorithm;
    // TOLLGATE_WHEN_FULL_ALLOW (default) or TOLLGATE_WHEN_FULL_DENY.
    int32_t when_full;
    // How many live keys there may be; 0 means 10000.
    uint64_t capacity;
    // TOLLGATE_SEEDED, TOLLGATE_FROM_EPOCH, TOLLGATE_COUNT, or several.
    uint32_t flags;
    // 0.
    uint32_t reserved;
    // With TOLLGATE_SEEDED: where keys are put, the same in every run.
    uint64_t seed;
    // With TOLLGATE_FROM_EPOCH: an instant of the caller's clock, in nanoseconds, from
    // which on instants are told apart for 18 years.
    uint64_t epoch_ns;
    // GCRA: the longest that a reservation may wait, in nanoseconds; 0 means as long as a
    // spent burst takes to come back.
    uint64_t longest_wait_ns;
    // Quotas that tollgate_limiter_set_quota is to have room for, or NULL.
    const struct tollgate_quota *room_for;
    // How many those are.
    size_t room_for_count;
    // Where the limiter is to be, for all processes that make it there; or NULL. Then it has
    // the region's clock, hash and epoch, and TOLLGATE_SEEDED and TOLLGATE_FROM_EPOCH are
    // errors. It must be asked for with the algorithm, capacity, `room_for` and longest wait
    // that it has there, and with the quota that it has now, which tollgate_limiter_set_quota
    // may have changed.
    const struct tollgate_region *region;
    // What it is called there.
    struct tollgate_bytes name;
    // How many of the keys denied most are remembered, for tollgate_limiter_denied_most: at
    // most 1024, or 0 for none. Each denial then takes a little longer.
    size_t remember_denied;
} tollgate_limiter_options;

// How full a limiter is. `size` is set by the caller.
typedef struct tollgate_gauges {
    // sizeof(tollgate_gauges)
    size_t size;
    // Keys that are not as good as new: exact in small tables, an estimate in large ones.
    uint64_t live_keys;
    // Places for keys.
    uint64_t slots;
    // How often a new key found no place.
    uint64_t saturated;
    // How many live keys it was made for.
    uint64_t capacity;
    // Bytes of memory, all taken when it was made.
    uint64_t memory;
} tollgate_gauges;

// Decisions since a limiter was made. `size` is set by the caller.
typedef struct tollgate_counts {
    // sizeof(tollgate_counts)
    size_t size;
    // Allowed.
    uint64_t allowed;
    // Denied.
    uint64_t denied;
    // Of both, those that were not accounted.
    uint64_t unaccounted;
} tollgate_counts;

// One of the keys denied most. Never grows.
typedef struct tollgate_denied {
    // The key's bytes, at most the first 63, which stand for all keys that begin so; of a key
    // that the caller hashed, the hash's eight bytes in little-endian order. NULs follow.
    uint8_t name[64];
    // How many of them it has.
    size_t length;
    // How often it was denied, or somewhat more: never too few of those that were denied much.
    uint64_t denials;
    // At most so many of `denials` were another key's.
    uint64_t excess;
    // 1 if the caller hashed it, else 0.
    uint64_t hashed;
} tollgate_denied;

// What was charged to a key: for a refund, or to be settled. Plain numbers; it may be kept
// anywhere, means nothing to another limiter, and never grows.
typedef struct tollgate_charge {
    // Units; 0 if nothing was charged.
    uint64_t units;
    // When, by the limiter's clock, in nanoseconds.
    uint64_t at_ns;
    // The limiter's own.
    uint64_t weight;
} tollgate_charge;

// The whole answer to a check, allowed or denied. `size` is set by the caller.
// Times are in nanoseconds from the decision on, and rounded up.
typedef struct tollgate_decision {
    // sizeof(tollgate_decision)
    size_t size;
    // TOLLGATE_ALLOWED, TOLLGATE_LATER or TOLLGATE_NEVER.
    int32_t outcome;
    // TOLLGATE_UNACCOUNTED, or 0.
    uint32_t flags;
    // Units that may pass at once: the burst (GCRA), or the units of the window.
    uint64_t limit;
    // Units that could still pass now, after this decision.
    uint64_t remaining;
    // How long to wait before the same request is allowed: exactly so long, if nothing
    // else is charged meanwhile. 0 if it was allowed, TOLLGATE_FOREVER if it never is.
    uint64_t retry_after_ns;
    // When the state is as good as new (GCRA), when the oldest units leave the window
    // (log), when one more unit may pass (counter).
    uint64_t reset_after_ns;
    // When `remaining` next rises.
    uint64_t next_after_ns;
    // When all units are back.
    uint64_t full_after_ns;
    // How long to wait before what was reserved is done; else 0.
    uint64_t wait_ns;
    // What was charged.
    struct tollgate_charge charge;
} tollgate_decision;

// What leases are kept in. All zeros but for `size` are the defaults.
typedef struct tollgate_leases_options {
    // sizeof(tollgate_leases_options)
    size_t size;
    // TOLLGATE_WHEN_FULL_ALLOW (default) or TOLLGATE_WHEN_FULL_DENY.
    int32_t when_full;
    // TOLLGATE_SEEDED, TOLLGATE_FROM_EPOCH, or both.
    uint32_t flags;
    // How many keys with leases there may be; 0 means 10000.
    uint64_t capacity;
    // With TOLLGATE_SEEDED: where keys are put, the same in every run.
    uint64_t seed;
    // With TOLLGATE_FROM_EPOCH: as in tollgate_limiter_options.
    uint64_t epoch_ns;
    // As in tollgate_limiter_options: any process can release what another has.
    const struct tollgate_region *region;
    // As in tollgate_limiter_options.
    struct tollgate_bytes name;
} tollgate_leases_options;

// Which lease. Plain bytes, the same on every machine: it may be kept anywhere, released
// by any thread, and never grows.
typedef struct tollgate_lease {
    // The library's own.
    uint8_t bytes[16];
} tollgate_lease;

// An instant by two clocks. Never grows.
typedef struct tollgate_moment {
    // By a clock that never steps back, in nanoseconds.
    uint64_t monotonic_ns;
    // Since 1970-01-01 UTC, in nanoseconds.
    uint64_t unix_ns;
} tollgate_moment;

// How a policy is made. All zeros but for `size` are the defaults.
typedef struct tollgate_policy_options {
    // sizeof(tollgate_policy_options)
    size_t size;
    // TOLLGATE_FROM_EPOCH, or 0.
    uint32_t flags;
    // 0.
    uint32_t reserved;
    // With TOLLGATE_FROM_EPOCH: an instant of the caller's clocks from which on instants
    // are told apart for 18 years; then all moments are to be given.
    struct tollgate_moment epoch;
    // Where its limits are to be, for all processes that make the policy there; or NULL.
    // Then it has the region's clock, and TOLLGATE_FROM_EPOCH is an error. Policies that
    // differ in a quota can share a limit if its `largest` is the same; each decides by its
    // own quota.
    const struct tollgate_region *region;
} tollgate_policy_options;

// An attribute of a request, by the number that tollgate_policy_attribute gave. Never grows.
typedef struct tollgate_attribute {
    // The number, or TOLLGATE_NO_ID.
    uint32_t id;
    // 0.
    uint32_t reserved;
    // The value: any bytes. Empty is as good as not given.
    const void *value;
    // How many bytes it has, or TOLLGATE_TERMINATED.
    size_t length;
} tollgate_attribute;

// What a request costs in a dimension, by the number that tollgate_policy_dimension gave.
// Never grows.
typedef struct tollgate_cost {
    // The number, or TOLLGATE_NO_ID.
    uint32_t id;
    // 0.
    uint32_t reserved;
    // So many units.
    uint64_t units;
} tollgate_cost;

// What is known of a request. Everything is borrowed for the call alone, and what is zero
// is not known.
typedef struct tollgate_request {
    // sizeof(tollgate_request)
    size_t size;
    // UTF-8, as "GET".
    struct tollgate_bytes method;
    // UTF-8, as the header Host has it: case and port do not matter.
    struct tollgate_bytes host;
    // The target as the client sent it, with its query if it likes.
    struct tollgate_bytes path;
    // Attributes, or NULL. Of two of one number the last counts.
    const struct tollgate_attribute *attributes;
    // How many those are. Up to 12 take no memory from the heap.
    size_t attribute_count;
    // Costs, or NULL. What limits count as requests is not told here. A limit that counts a
    // dimension which is not told denies (TOLLGATE_CAUSE_MISSING), unless the file says
    // `missing = "skip"`: what costs nothing is told as 0.
    const struct tollgate_cost *costs;
    // How many those are. Up to 4 take no memory from the heap.
    size_t cost_count;
} tollgate_request;

// A verdict in short. `size` is set by the caller. Names are borrowed from the verdict,
// until it is used for another check or freed.
typedef struct tollgate_summary {
    // sizeof(tollgate_summary)
    size_t size;
    // TOLLGATE_ALLOWED, TOLLGATE_LATER or TOLLGATE_NEVER.
    int32_t outcome;
    // TOLLGATE_CAUSE_...
    int32_t cause;
    // The HTTP status of a denial, as the policy has it; 0 if it was allowed.
    uint32_t status;
    // The index of the entry that binds, or TOLLGATE_NO_ID: of a denial the one with the
    // longest wait, else the one with the least left.
    uint32_t binding;
    // How many entries there are.
    uint64_t entries;
    // How long to wait before the same request is allowed; 0 if it was, TOLLGATE_FOREVER
    // if waiting does not help or nobody knows.
    uint64_t retry_after_ns;
    // What `cause` names, as UTF-8.
    struct tollgate_bytes name;
    // With TOLLGATE_CAUSE_MISSING: what is missing, an attribute or a dimension.
    struct tollgate_bytes attribute;
} tollgate_summary;

// What one limit said. `size` is set by the caller. The name is borrowed from the
// verdict, until it is used for another check or freed.
typedef struct tollgate_entry {
    // sizeof(tollgate_entry)
    size_t size;
    // As the file calls it, as UTF-8.
    struct tollgate_bytes name;
    // TOLLGATE_GCRA, _SLIDING_LOG, _SLIDING_COUNTER, _CALENDAR, _LEASES or _SIZE.
    int32_t algorithm;
    // TOLLGATE_VIOLATED, _SHADOW, _UNLIMITED, _LEASED, _BINDS, _TABLE_FULL, or several.
    uint32_t flags;
    // The units that it was asked for.
    uint64_t units;
    // Units that may pass at once, or in its window.
    uint64_t limit;
    // How many of them are left.
    uint64_t remaining;
    // As in tollgate_decision: how long until this limit would allow it.
    uint64_t retry_after_ns;
    // As in tollgate_decision.
    uint64_t reset_after_ns;
    // As in tollgate_decision.
    uint64_t next_after_ns;
    // As in tollgate_decision.
    uint64_t full_after_ns;
    // With TOLLGATE_LEASED: the lease.
    struct tollgate_lease lease;
} tollgate_entry;

// A header field, in the buffer that was given; both texts end with a NUL, too. Never grows.
typedef struct tollgate_field {
    // Its name: a token.
    const char *name;
    // How many bytes that has.
    size_t name_length;
    // Its value: printable ASCII.
    const char *value;
    // How many bytes that has.
    size_t value_length;
} tollgate_field;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that runs, as "0.1.0". Static; threads: any.
const char *tollgate_version(void) TOLLGATE_NOEXCEPT;

// The version of the library that runs as a number: major * 1000000 + minor * 1000 +
// patch. Threads: any.
uint32_t tollgate_version_number(void) TOLLGATE_NOEXCEPT;

// What a code means, in English. Never NULL; a code of a later version is
// "unknown code".
//
// The text is static. Threads: any.
const char *tollgate_status_text(int32_t code) TOLLGATE_NOEXCEPT;

// Why the last function of this thread that returned an error did so: a text for
// people, of a policy one block for each mistake with line and column. Empty if nothing
// failed yet; a success does not empty it, and neither does this function's own error.
//
// Written to `buffer` (see "Buffers").
//
// Threads: any, each has its own.
int32_t tollgate_last_error(char *buffer, size_t size, size_t *needed) TOLLGATE_NOEXCEPT;

// Reads a quota from a text such as "10/min", "100/s burst 20" or "1000/15min" into
// `quota`.
//
// Errors: TOLLGATE_ERROR_QUOTA. Threads: any.
int32_t tollgate_quota_parse(const char *text,
                             size_t length,
                             struct tollgate_quota *quota)
TOLLGATE_NOEXCEPT;

// Nanoseconds as whole seconds, rounded up, as HTTP wants them (Retry-After);
// TOLLGATE_FOREVER stays what it is. Threads: any.
uint64_t tollgate_seconds(uint64_t ns) TOLLGATE_NOEXCEPT;

// Opens the region of the file of that name, or makes it, and puts it into `region`,
// which is NULL after an error. `mode` is that of a file which is made now, whatever the
// umask; 0 means 0600. A symbolic link is refused. Nobody else may write or shorten the file while it is in use: a
// shortened one ends its users by SIGBUS. Removing it is harmless: who has it open goes
// on with it, who comes later starts anew. In /dev/shm a region lives until the system restarts, elsewhere longer. It is
// the caller's, for tollgate_region_free.
//
// Errors: TOLLGATE_ERROR_REGION.
// Threads: any.
int32_t tollgate_region_open(const char *name,
                             size_t length,
                             uint32_t mode,
                             struct tollgate_region **region)
TOLLGATE_NOEXCEPT;

// As tollgate_region_open, in `size` bytes of memory that several processes have: a
// mapping that was made before fork(), or a zone of nginx. Who comes first must find
// it all zeros; it is aligned to 128 bytes, and stays for as long as anything that is
// made in it. Nobody else reads or writes it.
//
// Each limiter takes its memory and two pages of 4096 bytes at most; the region itself
// takes one. How much memory that is, the same limiter without a region tells
// (tollgate_gauges).
int32_t tollgate_region_in_memory(void *memory,
                                  size_t size,
                                  struct tollgate_region **region)
TOLLGATE_NOEXCEPT;

// Ends a handle; NULL is passed over. What is in the region stays, and what was made in
// it can be used on. Nobody may use the handle during this call or after it.
void tollgate_region_free(struct tollgate_region *region) TOLLGATE_NOEXCEPT;

// How many bytes of the region are in use. 0 if `region` is NULL. Threads: any.
uint64_t tollgate_region_size(const struct tollgate_region *region) TOLLGATE_NOEXCEPT;

// Writes all that is in the region to `buffer` of `size` bytes, to be stored and
// restored; `needed`, which may be NULL, is how many bytes there are. Others may decide
// meanwhile: what is on its way is as if its process had been killed.
//
// Errors: TOLLGATE_ERROR_BUFFER if it does not fit, and nothing was written (with `size` 0
// one asks for the length; tables that are made in between want more); _REGION.
// Threads: any.
int32_t tollgate_region_snapshot(const struct tollgate_region *region,
                                 uint8_t *buffer,
                                 size_t size,
                                 size_t *needed)
TOLLGATE_NOEXCEPT;

// Makes a region of a snapshot, in the file of that name, which must not be there yet.
// Time has gone on since by what the wall clock says.
//
// Errors: TOLLGATE_ERROR_REGION. Threads: any.
int32_t tollgate_region_restore(const char *name,
                                size_t length,
                                const void *snapshot,
                                size_t size,
                                struct tollgate_region **region)
TOLLGATE_NOEXCEPT;

// Makes a limiter of a quota's text, such as "10/min" or "100/s burst 20", and puts it
// into `limiter`, which is NULL after an error. `options` may be NULL. It is the
// caller's, for tollgate_limiter_free.
//
// Errors: TOLLGATE_ERROR_QUOTA, _BUILD, _MEMORY, _REGION, _UNSUPPORTED. Threads: any.
int32_t tollgate_limiter_new(const char *quota,
                             size_t length,
                             const struct tollgate_limiter_options *options,
                             struct tollgate_limiter **limiter)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_new, of a quota in numbers.
int32_t tollgate_limiter_new_of(const struct tollgate_quota *quota,
                                const struct tollgate_limiter_options *options,
                                struct tollgate_limiter **limiter)
TOLLGATE_NOEXCEPT;

// Ends a limiter; NULL is passed over. Nobody may use it during this call or after it.
void tollgate_limiter_free(struct tollgate_limiter *limiter) TOLLGATE_NOEXCEPT;

// Replaces the quota of all keys, from the next decision on; what was charged before
// stays charged. There must be room for it (`room_for`).
//
// Errors: TOLLGATE_ERROR_QUOTA, _ROOM. Threads: any, at any time.
int32_t tollgate_limiter_set_quota(const struct tollgate_limiter *limiter,
                                   const struct tollgate_quota *quota)
TOLLGATE_NOEXCEPT;

// The quota that keys have now. Threads: any.
int32_t tollgate_limiter_quota(const struct tollgate_limiter *limiter,
                               struct tollgate_quota *quota)
TOLLGATE_NOEXCEPT;

// The limiter's clock in nanoseconds, for `now_ns`: who checks often may read it once.
// 0 if `limiter` is NULL, or made with TOLLGATE_FROM_EPOCH. Threads: any.
uint64_t tollgate_limiter_now(const struct tollgate_limiter *limiter) TOLLGATE_NOEXCEPT;

// How full the limiter is at `now_ns`, or TOLLGATE_NOW. Takes microseconds: not for
// every request. Threads: any.
int32_t tollgate_limiter_gauges(const struct tollgate_limiter *limiter,
                                uint64_t now_ns,
                                struct tollgate_gauges *gauges)
TOLLGATE_NOEXCEPT;

// How many decisions there were, if the limiter was made with TOLLGATE_COUNT.
//
// Errors: TOLLGATE_ERROR_UNSUPPORTED if not. Threads: any.
int32_t tollgate_limiter_counts(const struct tollgate_limiter *limiter,
                                struct tollgate_counts *counts)
TOLLGATE_NOEXCEPT;

// The keys denied most, most denied first, if the limiter was made with
// `remember_denied`: up to `capacity` of them into the array `denied`, and into `count`
// how many were put there. Allocates. Threads: any.
int32_t tollgate_limiter_denied_most(const struct tollgate_limiter *limiter,
                                     struct tollgate_denied *denied,
                                     size_t capacity,
                                     size_t *count)
TOLLGATE_NOEXCEPT;

// Decides one request of a key, which costs one unit: the answer is
// TOLLGATE_ALLOWED (and the unit is charged), TOLLGATE_LATER or TOLLGATE_NEVER, or
// negative: an error, and nothing was charged. `decision` tells more, or is NULL: then
// the call costs less. One bucket for everybody is a key that is always the same, such as
// NULL of length 0.
//
// Errors: TOLLGATE_ERROR_UNSUPPORTED if the limiter was made with TOLLGATE_FROM_EPOCH.
// Threads: any.
int32_t tollgate_limiter_check(const struct tollgate_limiter *limiter,
                               const void *key,
                               size_t length,
                               struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_check, for `units` at `now_ns`: an instant of the limiter's clock
// (tollgate_limiter_now) or, if it was made with TOLLGATE_FROM_EPOCH, of the caller's;
// or TOLLGATE_NOW. No units is a look: always allowed, and nothing is written.
int32_t tollgate_limiter_check_at(const struct tollgate_limiter *limiter,
                                  const void *key,
                                  size_t length,
                                  uint64_t units,
                                  uint64_t now_ns,
                                  struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_check_at, for a key that the caller has hashed: by a good hash of
// 64 bits, with a seed that clients do not know. It is another key than the bytes were.
int32_t tollgate_limiter_check_hash(const struct tollgate_limiter *limiter,
                                    uint64_t hash,
                                    uint64_t units,
                                    uint64_t now_ns,
                                    struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Decides one unit for each of `count` keys, in this order, at `now_ns` or
// TOLLGATE_NOW; their memory is fetched ahead, so that many cost much less than one by
// one. `outcomes`, if not NULL, is an array of `count`. `decisions`, if not NULL, is an
// array of `count`; the `size` of the first is that of all, and the distance from one to
// the next, and is put into each of them.
//
// Returns the worst outcome, TOLLGATE_ALLOWED if all were allowed, or an error: then no
// key was charged. Threads: any.
int32_t tollgate_limiter_check_many(const struct tollgate_limiter *limiter,
                                    const struct tollgate_bytes *keys,
                                    size_t count,
                                    uint64_t now_ns,
                                    int32_t *outcomes,
                                    struct tollgate_decision *decisions)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_check_many, for keys that the caller has hashed.
int32_t tollgate_limiter_check_many_hashes(const struct tollgate_limiter *limiter,
                                           const uint64_t *hashes,
                                           size_t count,
                                           uint64_t now_ns,
                                           int32_t *outcomes,
                                           struct tollgate_decision *decisions)
TOLLGATE_NOEXCEPT;

// How a key stands at `now_ns` or TOLLGATE_NOW; nothing is charged or written, and the
// answer is TOLLGATE_ALLOWED. Threads: any.
int32_t tollgate_limiter_peek(const struct tollgate_limiter *limiter,
                              const void *key,
                              size_t length,
                              uint64_t now_ns,
                              struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_peek, for a key that the caller has hashed.
int32_t tollgate_limiter_peek_hash(const struct tollgate_limiter *limiter,
                                   uint64_t hash,
                                   uint64_t now_ns,
                                   struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Gives a charge back to the key that it was made to, because what it was for did not
// happen; once: a second time gives units back that were not charged. `charge` may be that
// of `decision`. Threads: any.
int32_t tollgate_limiter_refund(const struct tollgate_limiter *limiter,
                                const void *key,
                                size_t length,
                                const struct tollgate_charge *charge,
                                uint64_t now_ns,
                                struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_refund, for a key that the caller has hashed.
int32_t tollgate_limiter_refund_hash(const struct tollgate_limiter *limiter,
                                     uint64_t hash,
                                     const struct tollgate_charge *charge,
                                     uint64_t now_ns,
                                     struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Corrects a charge that was an estimate to `units`, now that they are known: gives
// back what was too much, or charges what is missing: with TOLLGATE_GCRA beyond the
// limit, up to `longest_wait_ns` (as long as a spent burst takes to come back unless
// given); with the others as much as there is room for. `charge`, which may be that of
// `decision`, is changed to what is charged then: its `units` tell. Threads: any.
int32_t tollgate_limiter_settle(const struct tollgate_limiter *limiter,
                                const void *key,
                                size_t length,
                                struct tollgate_charge *charge,
                                uint64_t units,
                                uint64_t now_ns,
                                struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_settle, for a key that the caller has hashed.
int32_t tollgate_limiter_settle_hash(const struct tollgate_limiter *limiter,
                                     uint64_t hash,
                                     struct tollgate_charge *charge,
                                     uint64_t units,
                                     uint64_t now_ns,
                                     struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Charges `units` now, for something that is to be done after `wait_ns` of the
// decision, at most `longest_ns`; denied if that is too soon. A refund takes it back.
//
// Errors: TOLLGATE_ERROR_UNSUPPORTED unless the algorithm is TOLLGATE_GCRA.
// Threads: any.
int32_t tollgate_limiter_reserve(const struct tollgate_limiter *limiter,
                                 const void *key,
                                 size_t length,
                                 uint64_t units,
                                 uint64_t longest_ns,
                                 uint64_t now_ns,
                                 struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_reserve, for a key that the caller has hashed.
int32_t tollgate_limiter_reserve_hash(const struct tollgate_limiter *limiter,
                                      uint64_t hash,
                                      uint64_t units,
                                      uint64_t longest_ns,
                                      uint64_t now_ns,
                                      struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Makes a key as good as new. `decision` tells how it stands then. Threads: any.
int32_t tollgate_limiter_reset(const struct tollgate_limiter *limiter,
                               const void *key,
                               size_t length,
                               uint64_t now_ns,
                               struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_limiter_reset, for a key that the caller has hashed.
int32_t tollgate_limiter_reset_hash(const struct tollgate_limiter *limiter,
                                    uint64_t hash,
                                    uint64_t now_ns,
                                    struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Makes a limiter of `leases` at a time for each key, each for `ttl_ns` nanoseconds at
// most (in milliseconds, rounded up), and puts it into `limiter`, which is NULL after an error. `options` may be NULL.
// It is the caller's, for tollgate_leases_free.
//
// Errors: TOLLGATE_ERROR_BUILD, _MEMORY, _REGION, _UNSUPPORTED. Threads: any.
int32_t tollgate_leases_new(uint64_t leases,
                            uint64_t ttl_ns,
                            const struct tollgate_leases_options *options,
                            struct tollgate_leases **limiter)
TOLLGATE_NOEXCEPT;

// Ends a limiter of leases; NULL is passed over. Nobody may use it during this call or
// after it.
void tollgate_leases_free(struct tollgate_leases *limiter) TOLLGATE_NOEXCEPT;

// The limiter's clock in nanoseconds, for `now_ns`. 0 if `limiter` is NULL, or made with
// TOLLGATE_FROM_EPOCH. Threads: any.
uint64_t tollgate_leases_now(const struct tollgate_leases *limiter) TOLLGATE_NOEXCEPT;

// Asks for a lease of a key at `now_ns` or TOLLGATE_NOW. TOLLGATE_ALLOWED: it is in
// `lease`, and held until it is released or its time is over. TOLLGATE_LATER: there are
// as many already, and `lease` is all zeros. `decision` may be NULL. Where its flags have
// TOLLGATE_UNACCOUNTED, the table is full: the lease is not counted, and releasing it says
// TOLLGATE_GONE.
//
// Threads: any.
int32_t tollgate_leases_acquire(const struct tollgate_leases *limiter,
                                const void *key,
                                size_t length,
                                uint64_t now_ns,
                                struct tollgate_lease *lease,
                                struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_leases_acquire, for a key that the caller has hashed.
int32_t tollgate_leases_acquire_hash(const struct tollgate_leases *limiter,
                                     uint64_t hash,
                                     uint64_t now_ns,
                                     struct tollgate_lease *lease,
                                     struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// How many leases of a key could be had at `now_ns` or TOLLGATE_NOW. Threads: any.
int32_t tollgate_leases_peek(const struct tollgate_leases *limiter,
                             const void *key,
                             size_t length,
                             uint64_t now_ns,
                             struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// As tollgate_leases_peek, for a key that the caller has hashed.
int32_t tollgate_leases_peek_hash(const struct tollgate_leases *limiter,
                                  uint64_t hash,
                                  uint64_t now_ns,
                                  struct tollgate_decision *decision)
TOLLGATE_NOEXCEPT;

// Holds a lease for `ttl_ns` more from `now_ns` or TOLLGATE_NOW on; 0 means the
// limiter's own time. TOLLGATE_GONE if it was over already.
//
// Errors: TOLLGATE_ERROR_ROOM if `ttl_ns` is longer than the limiter's. Threads: any.
int32_t tollgate_leases_renew(const struct tollgate_leases *limiter,
                              const struct tollgate_lease *lease,
                              uint64_t ttl_ns,
                              uint64_t now_ns)
TOLLGATE_NOEXCEPT;

// Ends a lease at `now_ns` or TOLLGATE_NOW. TOLLGATE_GONE if it was over already, which
// does no harm. Threads: any.
int32_t tollgate_leases_release(const struct tollgate_leases *limiter,
                                const struct tollgate_lease *lease,
                                uint64_t now_ns)
TOLLGATE_NOEXCEPT;

// Ends all leases of a key; how many is put into `count`, which may be NULL.
// Threads: any.
int32_t tollgate_leases_release_all(const struct tollgate_leases *limiter,
                                    const void *key,
                                    size_t length,
                                    uint64_t now_ns,
                                    uint64_t *count)
TOLLGATE_NOEXCEPT;

// As tollgate_leases_release_all, for a key that the caller has hashed.
int32_t tollgate_leases_release_all_hash(const struct tollgate_leases *limiter,
                                         uint64_t hash,
                                         uint64_t now_ns,
                                         uint64_t *count)
TOLLGATE_NOEXCEPT;

// How full the limiter is at `now_ns` or TOLLGATE_NOW. Takes microseconds. Threads: any.
int32_t tollgate_leases_gauges(const struct tollgate_leases *limiter,
                               uint64_t now_ns,
                               struct tollgate_gauges *gauges)
TOLLGATE_NOEXCEPT;

// Makes a policy of a text, which is TOML, and puts it into `policy`, which is NULL
// after an error. `options` may be NULL. It is the caller's, for tollgate_policy_free.
//
// Errors: TOLLGATE_ERROR_POLICY, and tollgate_last_error has every mistake with line
// and column; TOLLGATE_ERROR_UNSUPPORTED. Threads: any.
int32_t tollgate_policy_from_text(const char *text,
                                  size_t length,
                                  const struct tollgate_policy_options *options,
                                  struct tollgate_policy **policy)
TOLLGATE_NOEXCEPT;

// As tollgate_policy_from_text, of the file of that name, which is read to its end.
//
// Errors: also TOLLGATE_ERROR_FILE.
int32_t tollgate_policy_from_file(const char *name,
                                  size_t length,
                                  const struct tollgate_policy_options *options,
                                  struct tollgate_policy **policy)
TOLLGATE_NOEXCEPT;

// Ends a policy; NULL is passed over. Nobody may use it during this call or after it.
void tollgate_policy_free(struct tollgate_policy *policy) TOLLGATE_NOEXCEPT;

// Replaces a policy by one of another text, from the next check on. Limits and
// penalties that are called the same keep their keys; the numbers of attributes and
// dimensions stay. After an error, the present policy stays.
//
// Errors: as tollgate_policy_from_text. Threads: any, at any time.
int32_t tollgate_policy_reload_text(const struct tollgate_policy *policy,
                                    const char *text,
                                    size_t length)
TOLLGATE_NOEXCEPT;

// As tollgate_policy_reload_text, of the file of that name.
int32_t tollgate_policy_reload_file(const struct tollgate_policy *policy,
                                    const char *name,
                                    size_t length)
TOLLGATE_NOEXCEPT;

// The number of an attribute's name, for requests: to be looked up once, for it stays
// the same when the policy is replaced.
//
// Errors: TOLLGATE_ERROR_NAME if the policy names no such attribute; then `id` is
// TOLLGATE_NO_ID, which requests pass over. After a reload, look those up again: the new
// policy may name them. Threads: any.
int32_t tollgate_policy_attribute(const struct tollgate_policy *policy,
                                  const char *name,
                                  size_t length,
                                  uint32_t *id)
TOLLGATE_NOEXCEPT;

// The number of a cost dimension's name, as tollgate_policy_attribute.
int32_t tollgate_policy_dimension(const struct tollgate_policy *policy,
                                  const char *name,
                                  size_t length,
                                  uint32_t *id)
TOLLGATE_NOEXCEPT;

// How many limits the policy has now. 0 if `policy` is NULL. Threads: any.
size_t tollgate_policy_limit_count(const struct tollgate_policy *policy) TOLLGATE_NOEXCEPT;

// The name of the limit at `index`, in the order of the file. Written to `buffer` (see
// "Buffers").
//
// Errors: TOLLGATE_ERROR_ID if there are fewer. Threads: any.
int32_t tollgate_policy_limit_name(const struct tollgate_policy *policy,
                                   size_t index,
                                   char *buffer,
                                   size_t size,
                                   size_t *needed)
TOLLGATE_NOEXCEPT;

// Now, by the policy's clocks.
//
// Errors: TOLLGATE_ERROR_UNSUPPORTED if it was made with TOLLGATE_FROM_EPOCH. Threads: any.
int32_t tollgate_policy_now(const struct tollgate_policy *policy,
                            struct tollgate_moment *moment)
TOLLGATE_NOEXCEPT;

// Gives a value of the attribute that a limit's `overrides` go by a quota of its own,
// as the file would write it; or, if `quota` is NULL, takes it away. It holds from the
// next check on.
//
// Errors: TOLLGATE_ERROR_NAME if there is no such limit with overrides;
// TOLLGATE_ERROR_QUOTA if the text is none, TOLLGATE_ERROR_ROOM if the limit has no room
// for it. Threads: any, at any time.
int32_t tollgate_policy_set_override(const struct tollgate_policy *policy,
                                     const char *limit,
                                     size_t limit_length,
                                     const void *value,
                                     size_t value_length,
                                     const char *quota,
                                     size_t quota_length)
TOLLGATE_NOEXCEPT;

// Lifts the block of that penalty from the key of `request`, and starts its ladder
// over. `moment` may be NULL: now. TOLLGATE_GONE if there was none. Threads: any.
int32_t tollgate_policy_unblock(const struct tollgate_policy *policy,
                                const char *penalty,
                                size_t length,
                                const struct tollgate_request *request,
                                const struct tollgate_moment *moment)
TOLLGATE_NOEXCEPT;

// Ends a lease that a limit of the policy gave (tollgate_entry), for whoever ends it
// elsewhere than where its verdict is. `moment` may be NULL: now. TOLLGATE_GONE if
// it was over already, which does no harm.
//
// Errors: TOLLGATE_ERROR_NAME if there is no such limit of leases. Threads: any.
int32_t tollgate_policy_release(const struct tollgate_policy *policy,
                                const char *limit,
                                size_t length,
                                const struct tollgate_lease *lease,
                                const struct tollgate_moment *moment)
TOLLGATE_NOEXCEPT;

// Which limits apply to a request and why the others do not, as a text for people.
// Nothing is charged. Written to `buffer` (see "Buffers"). Allocates. Threads: any.
int32_t tollgate_policy_explain(const struct tollgate_policy *policy,
                                const struct tollgate_request *request,
                                char *buffer,
                                size_t size,
                                size_t *needed)
TOLLGATE_NOEXCEPT;

// How full the table of the limit at `index` is, in the order of the file. `moment` may be
// NULL: now. Takes microseconds: not for every request.
//
// Errors: TOLLGATE_ERROR_ID if there are fewer; TOLLGATE_ERROR_UNSUPPORTED if the limit
// keeps nothing: sizes, and quotas that are all unlimited. Threads: any.
int32_t tollgate_policy_limit_gauges(const struct tollgate_policy *policy,
                                     size_t index,
                                     const struct tollgate_moment *moment,
                                     struct tollgate_gauges *gauges)
TOLLGATE_NOEXCEPT;

// Makes a verdict that holds no decision yet, and puts it into `verdict`. It is the
// caller's, for tollgate_verdict_free. Threads: any.
int32_t tollgate_verdict_new(struct tollgate_verdict **verdict) TOLLGATE_NOEXCEPT;

// Ends a verdict; NULL is passed over. Leases that it holds go on until their time is
// over: tollgate_verdict_release ends them.
void tollgate_verdict_free(struct tollgate_verdict *verdict) TOLLGATE_NOEXCEPT;

// Decides a request: it is charged by all limits that apply (TOLLGATE_ALLOWED), or by
// none (TOLLGATE_LATER, TOLLGATE_NEVER). What was decided is in `verdict`, in place of
// what was there: leases that it held go on until their time is over, so call
// tollgate_verdict_release first. `moment` may be NULL: now. Nothing is allocated for up to 8 limits.
//
// Errors: TOLLGATE_ERROR_UTF8 (method, host); TOLLGATE_ERROR_ID (an attribute or a
// dimension). Then nothing was charged, and the verdict is empty. Threads: any, each with its own verdict.
int32_t tollgate_policy_check(const struct tollgate_policy *policy,
                              const struct tollgate_request *request,
                              const struct tollgate_moment *moment,
                              struct tollgate_verdict *verdict)
TOLLGATE_NOEXCEPT;

// A verdict in short.
//
// Errors: TOLLGATE_ERROR_EMPTY, _NULL, _SIZE. Threads: one at a time.
int32_t tollgate_verdict_summary(struct tollgate_verdict *verdict,
                                 struct tollgate_summary *summary)
TOLLGATE_NOEXCEPT;

// What the limit at `index` said, of those that were asked.
//
// Errors: TOLLGATE_ERROR_ID if there are fewer; TOLLGATE_ERROR_EMPTY, _NULL, _SIZE.
// Threads: one at a time.
int32_t tollgate_verdict_entry(struct tollgate_verdict *verdict,
                               size_t index,
                               struct tollgate_entry *entry)
TOLLGATE_NOEXCEPT;

// The header fields for the response, whether it was allowed or not. Their texts are
// written to `buffer`; `fields` is an array of `capacity` that points into it. `count`
// and `needed` are how many fields there are and how many bytes they take; both may be
// NULL. What there is no room for is told like that, with TOLLGATE_ERROR_BUFFER: then
// no field was written. 512 bytes and 8 fields do for most policies.
//
// Errors: TOLLGATE_ERROR_BUFFER, _EMPTY, _NULL. Threads: one at a time.
int32_t tollgate_verdict_fields(struct tollgate_verdict *verdict,
                                char *buffer,
                                size_t size,
                                size_t *needed,
                                struct tollgate_field *fields,
                                size_t capacity,
                                size_t *count)
TOLLGATE_NOEXCEPT;

// The same as lines "Name: value" that end with CR LF, as HTTP/1.1 has them. Written to
// `buffer` (see "Buffers"). Threads: one at a time.
int32_t tollgate_verdict_headers(struct tollgate_verdict *verdict,
                                 char *buffer,
                                 size_t size,
                                 size_t *needed)
TOLLGATE_NOEXCEPT;

// The body of a denial, as the policy has it; empty if it has none, or it was allowed.
// Its type is among the fields. Written to `buffer` (see "Buffers").
//
// Errors: TOLLGATE_ERROR_BUFFER, _EMPTY, _NULL. Threads: one at a time.
int32_t tollgate_verdict_body(struct tollgate_verdict *verdict,
                              char *buffer,
                              size_t size,
                              size_t *needed)
TOLLGATE_NOEXCEPT;

// Corrects an estimate: what the request cost in a dimension, now that it is known.
// Every limit that counts the dimension is corrected, as tollgate_limiter_settle does
// it: what a limit has no room for is not charged.
// `moment` may be NULL: now.
//
// Errors: TOLLGATE_ERROR_ID, _EMPTY, _NULL. Threads: one at a time.
int32_t tollgate_verdict_settle(struct tollgate_verdict *verdict,
                                uint32_t dimension,
                                uint64_t units,
                                const struct tollgate_moment *moment)
TOLLGATE_NOEXCEPT;

// Gives back what the request was charged by every limit, because it was not served
// after all, and ends its leases; a second time gives nothing back. `moment` may be
// NULL: now.
//
// Errors: TOLLGATE_ERROR_EMPTY, _NULL. Threads: one at a time.
int32_t tollgate_verdict_refund(struct tollgate_verdict *verdict,
                                const struct tollgate_moment *moment)
TOLLGATE_NOEXCEPT;

// Ends the leases that the request holds, because it is over; TOLLGATE_OK also if it
// holds none. `moment` may be NULL: now.
//
// Errors: TOLLGATE_ERROR_EMPTY, _NULL. Threads: one at a time.
int32_t tollgate_verdict_release(struct tollgate_verdict *verdict,
                                 const struct tollgate_moment *moment)
TOLLGATE_NOEXCEPT;

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TOLLGATE_H */
