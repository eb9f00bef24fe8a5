/* Everything that a limiter and a limiter of leases can be asked, at given times. */
#include "check.h"
#include <string.h>
#include <tollgate.h>

#define SECOND UINT64_C(1000000000)
#define KEY "203.0.113.7", TOLLGATE_TERMINATED

static tollgate_decision fresh(void) {
    tollgate_decision decision;
    memset(&decision, 0xAA, sizeof decision);
    decision.size = sizeof decision;
    return decision;
}

static tollgate_limiter *make(const char *quota, int32_t algorithm) {
    tollgate_limiter_options options;
    tollgate_limiter *limiter = NULL;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.algorithm = algorithm;
    options.capacity = 100;
    options.flags = TOLLGATE_SEEDED | TOLLGATE_FROM_EPOCH | TOLLGATE_COUNT;
    options.seed = 7;
    CHECK_IS(tollgate_limiter_new(quota, TOLLGATE_TERMINATED, &options, &limiter), TOLLGATE_OK);
    CHECK(limiter != NULL);
    return limiter;
}

static void gcra(void) {
    tollgate_limiter *limiter = make("10/s", TOLLGATE_GCRA);
    tollgate_decision d = fresh();
    tollgate_counts counts = {sizeof counts, 0, 0, 0};
    tollgate_gauges gauges;
    tollgate_quota quota;
    tollgate_charge charge;
    uint64_t now = 5 * SECOND;
    memset(&gauges, 0, sizeof gauges);
    gauges.size = sizeof gauges;

    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 4, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.size, sizeof d);
    CHECK_IS(d.outcome, TOLLGATE_ALLOWED);
    CHECK_IS(d.flags, 0);
    CHECK_IS(d.limit, 10);
    CHECK_IS(d.remaining, 6);
    CHECK_IS(d.retry_after_ns, 0);
    CHECK_IS(d.reset_after_ns, 4 * SECOND / 10);
    CHECK_IS(d.full_after_ns, 4 * SECOND / 10);
    CHECK_IS(d.next_after_ns, SECOND / 10);
    CHECK_IS(d.wait_ns, 0);
    CHECK_IS(d.charge.units, 4);
    CHECK_IS(d.charge.at_ns, now);
    charge = d.charge;

    /* Exactly as much later as it says, and not a nanosecond earlier. */
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 7, now, &d), TOLLGATE_LATER);
    CHECK_IS(d.remaining, 6);
    CHECK_IS(d.charge.units, 0);
    CHECK_IS(d.retry_after_ns, SECOND / 10);
    CHECK_IS(tollgate_seconds(d.retry_after_ns), 1);
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 7, now + SECOND / 10 - 1, NULL),
             TOLLGATE_LATER);
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 11, now, &d), TOLLGATE_NEVER);
    CHECK(d.retry_after_ns == TOLLGATE_FOREVER);
    CHECK(tollgate_seconds(d.retry_after_ns) == TOLLGATE_FOREVER);

    /* By bytes and by hash are two keys. */
    CHECK_IS(tollgate_limiter_check_hash(limiter, 42, 3, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 7);
    CHECK_IS(tollgate_limiter_refund_hash(limiter, 42, &d.charge, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 10);

    /* Settled up, settled down, given back: with the charge of the very decision. */
    d = fresh();
    CHECK_IS(tollgate_limiter_peek(limiter, KEY, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 6);
    CHECK_IS(tollgate_limiter_settle(limiter, KEY, &charge, 6, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 4);
    CHECK_IS(charge.units, 6);
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 2, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_settle(limiter, KEY, &d.charge, 1, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 3);
    CHECK_IS(d.charge.units, 1);
    CHECK_IS(tollgate_limiter_refund(limiter, KEY, &d.charge, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 4);
    CHECK_IS(tollgate_limiter_refund(limiter, KEY, &charge, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 10);

    CHECK_IS(tollgate_limiter_reserve(limiter, KEY, 10, 0, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.wait_ns, 0);
    CHECK_IS(tollgate_limiter_reserve(limiter, KEY, 5, SECOND, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.wait_ns, SECOND / 2);
    CHECK_IS(tollgate_limiter_reserve(limiter, KEY, 5, SECOND / 2, now, &d), TOLLGATE_LATER);
    CHECK_IS(tollgate_limiter_reserve_hash(limiter, 42, 5, 0, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_settle_hash(limiter, 42, &d.charge, 2, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 8);
    CHECK_IS(tollgate_limiter_reset_hash(limiter, 42, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 10);
    CHECK_IS(tollgate_limiter_gauges(limiter, now, &gauges), TOLLGATE_OK);
    CHECK_IS(gauges.capacity, 100);
    CHECK(gauges.live_keys >= 1 && gauges.memory > 0 && gauges.slots >= 100);
    CHECK_IS(tollgate_limiter_reset(limiter, KEY, now, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 10);

    CHECK_IS(tollgate_limiter_counts(limiter, &counts), TOLLGATE_OK);
    CHECK(counts.allowed > 0 && counts.denied > 0 && counts.unaccounted == 0);

    CHECK_IS(tollgate_quota_parse("5/s", 3, &quota), TOLLGATE_OK);
    CHECK(quota.units == 5 && quota.period_ns == SECOND && quota.burst == 5);
    CHECK_IS(tollgate_limiter_set_quota(limiter, &quota), TOLLGATE_OK);
    memset(&quota, 0, sizeof quota);
    CHECK_IS(tollgate_limiter_quota(limiter, &quota), TOLLGATE_OK);
    CHECK_IS(quota.units, 5);
    quota.period_ns = 3600 * SECOND;
    CHECK_IS(tollgate_limiter_set_quota(limiter, &quota), TOLLGATE_ERROR_ROOM);
    quota.period_ns = 0;
    CHECK_IS(tollgate_limiter_set_quota(limiter, &quota), TOLLGATE_ERROR_QUOTA);
    tollgate_limiter_free(limiter);
}

/* A struct of an older program, and of a newer one. */
static void sizes(void) {
    tollgate_limiter *limiter = make("10/s", TOLLGATE_GCRA);
    struct {
        tollgate_decision known;
        uint64_t beyond[4];
    } newer;
    tollgate_decision d = fresh();
    int nth;

    d.size = offsetof(tollgate_decision, reset_after_ns);
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 1, SECOND, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 9);
    CHECK_IS(d.size, offsetof(tollgate_decision, reset_after_ns));
    CHECK(d.reset_after_ns == UINT64_C(0xAAAAAAAAAAAAAAAA));
    d.size = offsetof(tollgate_decision, remaining);
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 1, SECOND, &d), TOLLGATE_ERROR_SIZE);
    d.size = sizeof d - 1;
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 1, SECOND, &d), TOLLGATE_ERROR_SIZE);

    memset(&newer, 0xAA, sizeof newer);
    newer.known.size = sizeof newer;
    CHECK_IS(tollgate_limiter_check_at(limiter, KEY, 1, SECOND, &newer.known), TOLLGATE_ALLOWED);
    CHECK_IS(newer.known.remaining, 8);
    CHECK_IS(newer.known.charge.units, 1);
    CHECK_IS(newer.known.size, sizeof newer);
    for (nth = 0; nth < 4; nth++)
        CHECK(newer.beyond[nth] == UINT64_C(0xAAAAAAAAAAAAAAAA));

    {
        struct {
            tollgate_limiter_options known;
            uint64_t beyond[2];
        } options;
        tollgate_limiter *other = NULL;
        memset(&options, 0, sizeof options);
        options.known.size = sizeof options;
        CHECK_IS(tollgate_limiter_new("1/s", 3, &options.known, &other), TOLLGATE_OK);
        tollgate_limiter_free(other);
        options.beyond[1] = 1;
        CHECK_IS(tollgate_limiter_new("1/s", 3, &options.known, &other),
                 TOLLGATE_ERROR_UNKNOWN);
        CHECK(other == NULL);
        options.known.size = offsetof(tollgate_limiter_options, room_for);
        CHECK_IS(tollgate_limiter_new("1/s", 3, &options.known, &other), TOLLGATE_OK);
        tollgate_limiter_free(other);
    }
    tollgate_limiter_free(limiter);
}

static void batches(void) {
    tollgate_limiter *limiter = make("2/min", TOLLGATE_SLIDING_LOG);
    tollgate_bytes keys[4] = {{"a", 1}, {"b", TOLLGATE_TERMINATED}, {"a", 1}, {"a", 1}};
    uint64_t hashes[3] = {1, 1, 1};
    int32_t outcomes[4] = {9, 9, 9, 9};
    struct {
        tollgate_decision known;
        uint64_t beyond;
    } wide[4];
    tollgate_decision narrow[3];

    memset(wide, 0xAA, sizeof wide);
    wide[0].known.size = sizeof wide[0];
    CHECK_IS(tollgate_limiter_check_many(limiter, keys, 4, SECOND, outcomes, &wide[0].known),
             TOLLGATE_LATER);
    CHECK(outcomes[0] == TOLLGATE_ALLOWED && outcomes[1] == TOLLGATE_ALLOWED);
    CHECK(outcomes[2] == TOLLGATE_ALLOWED && outcomes[3] == TOLLGATE_LATER);
    CHECK(wide[0].known.remaining == 1 && wide[1].known.remaining == 1);
    CHECK(wide[2].known.remaining == 0 && wide[3].known.outcome == TOLLGATE_LATER);
    CHECK_IS(wide[3].known.retry_after_ns, 60 * SECOND);
    CHECK_IS(wide[3].known.size, sizeof wide[0]);
    CHECK(wide[2].beyond == UINT64_C(0xAAAAAAAAAAAAAAAA));

    narrow[0].size = sizeof narrow[0];
    CHECK_IS(tollgate_limiter_check_many_hashes(limiter, hashes, 3, SECOND, NULL, narrow),
             TOLLGATE_LATER);
    CHECK(narrow[1].remaining == 0 && narrow[2].outcome == TOLLGATE_LATER);
    CHECK_IS(tollgate_limiter_check_many_hashes(limiter, hashes, 3, SECOND, outcomes, NULL),
             TOLLGATE_LATER);
    CHECK_IS(tollgate_limiter_check_many(limiter, NULL, 0, SECOND, NULL, NULL), TOLLGATE_OK);
    /* One key that is none: nobody is charged. */
    keys[0].data = NULL;
    keys[1].data = "c";
    CHECK_IS(tollgate_limiter_check_many(limiter, keys, 2, SECOND, outcomes, NULL),
             TOLLGATE_ERROR_NULL);
    CHECK_IS(tollgate_limiter_peek(limiter, "c", 1, SECOND, narrow), TOLLGATE_ALLOWED);
    CHECK_IS(narrow[0].remaining, 2);
    CHECK_IS(tollgate_limiter_reserve(limiter, KEY, 1, 0, SECOND, NULL),
             TOLLGATE_ERROR_UNSUPPORTED);
    tollgate_limiter_free(limiter);
}

static void leases(void) {
    tollgate_leases_options options;
    tollgate_leases *limiter = NULL;
    tollgate_lease first, second, third;
    tollgate_decision d = fresh();
    tollgate_gauges gauges;
    uint64_t count = 0;
    memset(&gauges, 0, sizeof gauges);
    gauges.size = sizeof gauges;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = TOLLGATE_FROM_EPOCH;
    CHECK_IS(tollgate_leases_new(2, 60 * SECOND, &options, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_acquire(limiter, KEY, SECOND, &first, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 1);
    CHECK_IS(tollgate_leases_acquire(limiter, KEY, SECOND, &second, NULL), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_leases_acquire(limiter, KEY, SECOND, &third, &d), TOLLGATE_LATER);
    CHECK_IS(d.limit, 2);
    CHECK_IS(tollgate_leases_peek(limiter, KEY, SECOND, &d), TOLLGATE_ALLOWED);
    CHECK_IS(d.remaining, 0);
    CHECK_IS(tollgate_leases_release(limiter, &first, 2 * SECOND), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_release(limiter, &first, 2 * SECOND), TOLLGATE_GONE);
    CHECK_IS(tollgate_leases_renew(limiter, &second, 0, 50 * SECOND), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_renew(limiter, &second, 61 * SECOND, 50 * SECOND),
             TOLLGATE_ERROR_ROOM);
    CHECK_IS(tollgate_leases_renew(limiter, &second, SECOND, 100 * SECOND), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_renew(limiter, &second, 0, 300 * SECOND), TOLLGATE_GONE);
    CHECK_IS(tollgate_leases_acquire_hash(limiter, 3, 300 * SECOND, &third, NULL),
             TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_leases_acquire(limiter, KEY, 300 * SECOND, &first, NULL),
             TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_leases_gauges(limiter, 300 * SECOND, &gauges), TOLLGATE_OK);
    CHECK_IS(gauges.capacity, 10000);
    CHECK_IS(tollgate_leases_release_all(limiter, KEY, 300 * SECOND, &count), TOLLGATE_OK);
    CHECK_IS(count, 1);
    tollgate_leases_free(limiter);
    CHECK_IS(tollgate_leases_new(0, SECOND, NULL, &limiter), TOLLGATE_ERROR_BUILD);
    CHECK(limiter == NULL);
    CHECK_IS(tollgate_leases_new(1, SECOND, NULL, &limiter), TOLLGATE_OK);
    CHECK(tollgate_leases_now(limiter) < 60 * SECOND);
    CHECK_IS(tollgate_leases_acquire(limiter, "", 0, TOLLGATE_NOW, &first, NULL),
             TOLLGATE_ALLOWED);
    tollgate_leases_free(limiter);
}

static void clocks(void) {
    tollgate_limiter *limiter = NULL;
    tollgate_quota quota = {3, 3600 * SECOND, 0};
    tollgate_decision d = fresh();
    CHECK_IS(tollgate_limiter_new_of(&quota, NULL, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_check(limiter, "k", 1, &d), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_check_at(limiter, "k", 1, 1, TOLLGATE_NOW, &d), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_check_at(limiter, "k", 1, 1, tollgate_limiter_now(limiter), &d),
             TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_check(limiter, "k", 1, &d), TOLLGATE_LATER);
    CHECK_IS(tollgate_limiter_check_hash(limiter, 1, 4, TOLLGATE_NOW, &d), TOLLGATE_NEVER);
    CHECK_IS(tollgate_limiter_counts(limiter, NULL), TOLLGATE_ERROR_NULL);
    tollgate_limiter_free(limiter);
}

/* An address that no decision has. */
static tollgate_decision *misaligned(void *memory) {
    uintptr_t address = (uintptr_t)memory;
    return (tollgate_decision *)(address | 1);
}

static void mistakes(void) {
    tollgate_limiter_options options;
    tollgate_limiter *limiter = NULL;
    tollgate_counts counts = {sizeof counts, 0, 0, 0};
    char text[200];
    size_t needed = 0;
    CHECK_IS(tollgate_limiter_new("10/parsec", TOLLGATE_TERMINATED, NULL, &limiter),
             TOLLGATE_ERROR_QUOTA);
    CHECK_IS(tollgate_last_error(text, sizeof text, &needed), TOLLGATE_OK);
    CHECK(needed == strlen(text) && needed > 10);
    CHECK_IS(tollgate_last_error(text, needed, &needed), TOLLGATE_ERROR_BUFFER);
    CHECK(text[0] == '\0');
    CHECK_IS(tollgate_last_error(text, needed + 1, NULL), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_new("1/\xff", TOLLGATE_TERMINATED, NULL, &limiter),
             TOLLGATE_ERROR_UTF8);
    CHECK_IS(tollgate_limiter_new("1/s", SIZE_MAX - 1, NULL, &limiter), TOLLGATE_ERROR_LENGTH);
    memset(&options, 0, sizeof options);
    CHECK_IS(tollgate_limiter_new("1/s", 3, &options, &limiter), TOLLGATE_ERROR_SIZE);
    options.size = sizeof options;
    options.algorithm = 77;
    CHECK_IS(tollgate_limiter_new("1/s", 3, &options, &limiter), TOLLGATE_ERROR_UNKNOWN);
    options.algorithm = TOLLGATE_GCRA;
    options.when_full = -1;
    CHECK_IS(tollgate_limiter_new("1/s", 3, &options, &limiter), TOLLGATE_ERROR_UNKNOWN);
    options.when_full = TOLLGATE_WHEN_FULL_DENY;
    options.flags = 1u << 31;
    CHECK_IS(tollgate_limiter_new("1/s", 3, &options, &limiter), TOLLGATE_ERROR_UNKNOWN);
    options.flags = 0;
    options.capacity = UINT64_MAX;
    CHECK_IS(tollgate_limiter_new("1/s", 3, &options, &limiter), TOLLGATE_ERROR_BUILD);
    options.capacity = 0;
    options.algorithm = TOLLGATE_SLIDING_COUNTER;
    CHECK_IS(tollgate_limiter_new("1/s burst 2", 11, &options, &limiter), TOLLGATE_ERROR_BUILD);
    CHECK(limiter == NULL);
    CHECK_IS(tollgate_limiter_new("1/s", 3, &options, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_counts(limiter, &counts), TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_limiter_check(limiter, "k", 1, misaligned(text)),
             TOLLGATE_ERROR_ALIGNMENT);
    tollgate_limiter_free(limiter);
}

int main(void) {
    CHECK(tollgate_version_number() ==
          TOLLGATE_VERSION_MAJOR * 1000000 + TOLLGATE_VERSION_MINOR * 1000 +
              TOLLGATE_VERSION_PATCH);
    gcra();
    sizes();
    batches();
    leases();
    clocks();
    mistakes();
    puts("limiters: ok");
    return 0;
}
