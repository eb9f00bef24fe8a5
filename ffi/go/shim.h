/*
 * What stands between Go and tollgate.h: structs that hold pointers are put together here,
 * out of flat arguments, so that Go hands over no memory in which there are pointers of Go;
 * and bytes are `const char *`, which cgo need not look into before a call as it does with
 * `const void *`. Handles of what is
 * asked often are numbers, for the same reason.
 */
#ifndef TOLLGATE_GO_SHIM_H
#define TOLLGATE_GO_SHIM_H

#include <stdlib.h>
#include <string.h>
#include <tollgate.h>

#if TOLLGATE_VERSION_MAJOR != 0 || TOLLGATE_VERSION_MINOR < 1
#error "this package goes with version 0.1 of tollgate.h and later ones of 0"
#endif

typedef uintptr_t tg_handle;

static inline tollgate_bytes tg_bytes(const char *data, size_t length) {
    tollgate_bytes bytes;
    bytes.data = length == 0 ? NULL : data;
    bytes.length = length;
    return bytes;
}

/* Making and looking at limiters. */

typedef struct tg_options {
    int32_t algorithm, when_full;
    uint64_t capacity, seed, epoch_ns, longest_wait_ns;
    uint32_t flags;
    size_t remember_denied;
} tg_options;

static inline int32_t tg_limiter_new(const tollgate_quota *quota, const tg_options *given,
                                     const tollgate_quota *room_for, size_t rooms,
                                     const tollgate_region *region, const char *name,
                                     size_t length, tollgate_limiter **limiter) {
    tollgate_limiter_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.algorithm = given->algorithm;
    options.when_full = given->when_full;
    options.capacity = given->capacity;
    options.flags = given->flags;
    options.seed = given->seed;
    options.epoch_ns = given->epoch_ns;
    options.longest_wait_ns = given->longest_wait_ns;
    options.room_for = rooms == 0 ? NULL : room_for;
    options.room_for_count = rooms;
    options.remember_denied = given->remember_denied;
    options.region = region;
    options.name = tg_bytes(name, length);
    return tollgate_limiter_new_of(quota, &options, limiter);
}

static inline int32_t tg_leases_new(uint64_t at_once, uint64_t ttl_ns, const tg_options *given,
                                    const tollgate_region *region, const char *name,
                                    size_t length, tollgate_leases **leases) {
    tollgate_leases_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.when_full = given->when_full;
    options.capacity = given->capacity;
    options.flags = given->flags;
    options.seed = given->seed;
    options.epoch_ns = given->epoch_ns;
    options.region = region;
    options.name = tg_bytes(name, length);
    return tollgate_leases_new(at_once, ttl_ns, &options, leases);
}

/* Asking limiters. */

static inline int32_t tg_allow(tg_handle limiter, const char *key, size_t length) {
    return tollgate_limiter_check((tollgate_limiter *)limiter, key, length, NULL);
}

static inline int32_t tg_check(tg_handle limiter, const char *key, size_t length,
                               uint64_t units, uint64_t now_ns, tollgate_decision *decision) {
    return tollgate_limiter_check_at((tollgate_limiter *)limiter, key, length, units, now_ns,
                                     decision);
}

static inline int32_t tg_peek(tg_handle limiter, const char *key, size_t length,
                              uint64_t now_ns, tollgate_decision *decision) {
    return tollgate_limiter_peek((tollgate_limiter *)limiter, key, length, now_ns, decision);
}

static inline int32_t tg_refund(tg_handle limiter, const char *key, size_t length,
                                const tollgate_charge *charge, uint64_t now_ns,
                                tollgate_decision *decision) {
    return tollgate_limiter_refund((tollgate_limiter *)limiter, key, length, charge, now_ns,
                                   decision);
}

static inline int32_t tg_settle(tg_handle limiter, const char *key, size_t length,
                                tollgate_charge *charge, uint64_t units, uint64_t now_ns,
                                tollgate_decision *decision) {
    return tollgate_limiter_settle((tollgate_limiter *)limiter, key, length, charge, units,
                                   now_ns, decision);
}

static inline int32_t tg_reserve(tg_handle limiter, const char *key, size_t length,
                                 uint64_t units, uint64_t longest_ns, uint64_t now_ns,
                                 tollgate_decision *decision) {
    return tollgate_limiter_reserve((tollgate_limiter *)limiter, key, length, units, longest_ns,
                                    now_ns, decision);
}

static inline int32_t tg_reset(tg_handle limiter, const char *key, size_t length,
                               uint64_t now_ns, tollgate_decision *decision) {
    return tollgate_limiter_reset((tollgate_limiter *)limiter, key, length, now_ns, decision);
}

static inline int32_t tg_check_hash(tg_handle limiter, uint64_t hash, uint64_t units,
                                    uint64_t now_ns, tollgate_decision *decision) {
    return tollgate_limiter_check_hash((tollgate_limiter *)limiter, hash, units, now_ns, decision);
}

static inline int32_t tg_peek_hash(tg_handle limiter, uint64_t hash, uint64_t now_ns,
                                   tollgate_decision *decision) {
    return tollgate_limiter_peek_hash((tollgate_limiter *)limiter, hash, now_ns, decision);
}

static inline int32_t tg_refund_hash(tg_handle limiter, uint64_t hash,
                                     const tollgate_charge *charge, uint64_t now_ns,
                                     tollgate_decision *decision) {
    return tollgate_limiter_refund_hash((tollgate_limiter *)limiter, hash, charge, now_ns,
                                        decision);
}

static inline int32_t tg_settle_hash(tg_handle limiter, uint64_t hash, tollgate_charge *charge,
                                     uint64_t units, uint64_t now_ns,
                                     tollgate_decision *decision) {
    return tollgate_limiter_settle_hash((tollgate_limiter *)limiter, hash, charge, units, now_ns,
                                        decision);
}

static inline int32_t tg_reserve_hash(tg_handle limiter, uint64_t hash, uint64_t units,
                                      uint64_t longest_ns, uint64_t now_ns,
                                      tollgate_decision *decision) {
    return tollgate_limiter_reserve_hash((tollgate_limiter *)limiter, hash, units, longest_ns,
                                         now_ns, decision);
}

static inline int32_t tg_reset_hash(tg_handle limiter, uint64_t hash, uint64_t now_ns,
                                    tollgate_decision *decision) {
    return tollgate_limiter_reset_hash((tollgate_limiter *)limiter, hash, now_ns, decision);
}

static inline uint64_t tg_now(tg_handle limiter) {
    return tollgate_limiter_now((tollgate_limiter *)limiter);
}

/* Keys one behind the other in `text`, at most TG_BATCH of them. */
enum { TG_BATCH = 64 };

static inline int32_t tg_check_many(tg_handle limiter, const char *text,
                                    const size_t *lengths, size_t count, uint64_t now_ns,
                                    int32_t *outcomes, tollgate_decision *decisions) {
    tollgate_bytes keys[TG_BATCH];
    size_t nth;
    if (count > TG_BATCH) return TOLLGATE_ERROR_LENGTH;
    for (nth = 0; nth < count; nth++) {
        keys[nth] = tg_bytes(text, lengths[nth]);
        text += lengths[nth];
    }
    return tollgate_limiter_check_many((tollgate_limiter *)limiter, keys, count, now_ns, outcomes,
                                       decisions);
}

/* Leases. */

static inline int32_t tg_acquire(tg_handle leases, const char *key, size_t length,
                                 uint64_t now_ns, tollgate_lease *lease,
                                 tollgate_decision *decision) {
    return tollgate_leases_acquire((tollgate_leases *)leases, key, length, now_ns, lease, decision);
}

static inline int32_t tg_acquire_hash(tg_handle leases, uint64_t hash, uint64_t now_ns,
                                      tollgate_lease *lease, tollgate_decision *decision) {
    return tollgate_leases_acquire_hash((tollgate_leases *)leases, hash, now_ns, lease, decision);
}

static inline int32_t tg_leases_peek_hash(tg_handle leases, uint64_t hash, uint64_t now_ns,
                                          tollgate_decision *decision) {
    return tollgate_leases_peek_hash((tollgate_leases *)leases, hash, now_ns, decision);
}

static inline int32_t tg_release_all_hash(tg_handle leases, uint64_t hash, uint64_t now_ns,
                                          uint64_t *count) {
    return tollgate_leases_release_all_hash((tollgate_leases *)leases, hash, now_ns, count);
}

static inline int32_t tg_release(tg_handle leases, const tollgate_lease *lease, uint64_t now_ns) {
    return tollgate_leases_release((tollgate_leases *)leases, lease, now_ns);
}

static inline int32_t tg_leases_peek(tg_handle leases, const char *key,
                                     size_t length, uint64_t now_ns,
                                     tollgate_decision *decision) {
    return tollgate_leases_peek((tollgate_leases *)leases, key, length, now_ns, decision);
}

static inline int32_t tg_release_all(tg_handle leases, const char *key,
                                     size_t length, uint64_t now_ns, uint64_t *count) {
    return tollgate_leases_release_all((tollgate_leases *)leases, key, length, now_ns, count);
}

/* Policies. */

static inline int32_t tg_policy_new(const char *text, size_t length, int is_file, int has_epoch,
                                    uint64_t epoch_ns, const tollgate_region *region,
                                    tollgate_policy **policy) {
    tollgate_policy_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    if (has_epoch) {
        options.flags = TOLLGATE_FROM_EPOCH;
        options.epoch.monotonic_ns = epoch_ns;
        options.epoch.unix_ns = epoch_ns;
    }
    options.region = region;
    return is_file ? tollgate_policy_from_file(text, length, &options, policy)
                   : tollgate_policy_from_text(text, length, &options, policy);
}

/* A request out of one text: method, host and path, then the attributes' values. */
enum { TG_METHOD, TG_HOST, TG_PATH, TG_TEXTS, TG_FEW = 12 };

typedef struct tg_part {
    uint32_t id, length;
} tg_part;

typedef struct tg_told {
    tollgate_request request;
    tollgate_attribute few[TG_FEW], *many;
} tg_told;

static inline int32_t tg_tell(tg_told *told, const char *text, const uint32_t *lengths,
                              const tg_part *parts, size_t count, const tollgate_cost *costs,
                              size_t cost_count) {
    tollgate_bytes *into[TG_TEXTS];
    tollgate_attribute *attributes = told->few;
    size_t nth;
    memset(&told->request, 0, sizeof told->request);
    told->request.size = sizeof told->request;
    told->many = NULL;
    if (count > TG_FEW) {
        attributes = told->many = malloc(count * sizeof *attributes);
        if (attributes == NULL) return TOLLGATE_ERROR_MEMORY;
    }
    into[TG_METHOD] = &told->request.method;
    into[TG_HOST] = &told->request.host;
    into[TG_PATH] = &told->request.path;
    for (nth = 0; nth < TG_TEXTS; nth++) {
        *into[nth] = tg_bytes(text, lengths[nth]);
        text += lengths[nth];
    }
    for (nth = 0; nth < count; nth++) {
        attributes[nth].id = parts[nth].id;
        attributes[nth].reserved = 0;
        attributes[nth].value = parts[nth].length == 0 ? NULL : text;
        attributes[nth].length = parts[nth].length;
        text += parts[nth].length;
    }
    told->request.attributes = count == 0 ? NULL : attributes;
    told->request.attribute_count = count;
    told->request.costs = cost_count == 0 ? NULL : costs;
    told->request.cost_count = cost_count;
    return TOLLGATE_OK;
}

/* tollgate_summary without pointers. */
typedef struct tg_summary {
    int32_t cause;
    uint32_t status, binding;
    uint64_t entries, retry_after_ns;
} tg_summary;

static inline int32_t tg_policy_check(tg_handle policy, const char *text,
                                      const uint32_t *lengths, const tg_part *parts,
                                      size_t count, const tollgate_cost *costs,
                                      size_t cost_count, const tollgate_moment *moment,
                                      tg_handle verdict, tg_summary *said) {
    tg_told told;
    tollgate_summary summary;
    int32_t code = tg_tell(&told, text, lengths, parts, count, costs, cost_count);
    if (code == TOLLGATE_OK)
        code = tollgate_policy_check((tollgate_policy *)policy, &told.request, moment,
                                     (tollgate_verdict *)verdict);
    free(told.many);
    if (code < 0) return code;
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    if (tollgate_verdict_summary((tollgate_verdict *)verdict, &summary) == TOLLGATE_OK) {
        said->cause = summary.cause;
        said->status = summary.status;
        said->binding = summary.binding;
        said->entries = summary.entries;
        said->retry_after_ns = summary.retry_after_ns;
    }
    return code;
}

static inline int32_t tg_policy_explain(const tollgate_policy *policy, const char *text,
                                        const uint32_t *lengths, const tg_part *parts,
                                        size_t count, const tollgate_cost *costs,
                                        size_t cost_count, char *buffer, size_t size,
                                        size_t *needed) {
    tg_told told;
    int32_t code = tg_tell(&told, text, lengths, parts, count, costs, cost_count);
    if (code == TOLLGATE_OK)
        code = tollgate_policy_explain(policy, &told.request, buffer, size, needed);
    free(told.many);
    return code;
}

static inline int32_t tg_policy_unblock(const tollgate_policy *policy, const char *penalty,
                                        size_t penalty_length, const char *text,
                                        const uint32_t *lengths, const tg_part *parts,
                                        size_t count, const tollgate_moment *moment) {
    tg_told told;
    int32_t code = tg_tell(&told, text, lengths, parts, count, NULL, 0);
    if (code == TOLLGATE_OK)
        code = tollgate_policy_unblock(policy, penalty, penalty_length, &told.request, moment);
    free(told.many);
    return code;
}

/* Copies as much as there is room for, and says how long it is. */
static inline void tg_copy(tollgate_bytes from, char *buffer, size_t size, size_t *needed) {
    *needed = from.length;
    if (from.length != 0) memcpy(buffer, from.data, from.length < size ? from.length : size);
}

static inline int32_t tg_verdict_name(tollgate_verdict *verdict, int attribute, char *buffer,
                                      size_t size, size_t *needed) {
    tollgate_summary summary;
    int32_t code;
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    code = tollgate_verdict_summary(verdict, &summary);
    *needed = 0;
    if (code == TOLLGATE_OK)
        tg_copy(attribute ? summary.attribute : summary.name, buffer, size, needed);
    return code;
}

/* tollgate_entry without pointers. */
typedef struct tg_entry {
    int32_t algorithm;
    uint32_t flags;
    uint64_t units, limit, remaining;
    uint64_t retry_after_ns, reset_after_ns, next_after_ns, full_after_ns;
    tollgate_lease lease;
} tg_entry;

static inline int32_t tg_verdict_entry(tollgate_verdict *verdict, size_t index, tg_entry *said,
                                       char *name, size_t size, size_t *needed) {
    tollgate_entry entry;
    int32_t code;
    memset(&entry, 0, sizeof entry);
    entry.size = sizeof entry;
    code = tollgate_verdict_entry(verdict, index, &entry);
    *needed = 0;
    if (code != TOLLGATE_OK) return code;
    said->algorithm = entry.algorithm;
    said->flags = entry.flags;
    said->units = entry.units;
    said->limit = entry.limit;
    said->remaining = entry.remaining;
    said->retry_after_ns = entry.retry_after_ns;
    said->reset_after_ns = entry.reset_after_ns;
    said->next_after_ns = entry.next_after_ns;
    said->full_after_ns = entry.full_after_ns;
    said->lease = entry.lease;
    tg_copy(entry.name, name, size, needed);
    return code;
}

/* Regions. */

static inline int32_t tg_region_restore(const char *name, size_t length, const char *snapshot,
                                        size_t size, tollgate_region **region) {
    return tollgate_region_restore(name, length, snapshot, size, region);
}

#endif
