/*
 * Every function with NULLs, with unset sizes and with impossible lengths: an error, and
 * never a crash. tests/c.rs looks whether a function is missing here.
 */
#include "check.h"
#include <string.h>
#include <tollgate.h>

/* A call with one thing wrong returns this. */
#define NULL_IS(call) CHECK_IS(call, TOLLGATE_ERROR_NULL)
#define SIZE_IS(call) CHECK_IS(call, TOLLGATE_ERROR_SIZE)
#define LENGTH_IS(call) CHECK_IS(call, TOLLGATE_ERROR_LENGTH)

#define SOME "[[limit]]\nname = 'x'\nkey = []\nquota = '1/s'\n", TOLLGATE_TERMINATED

int main(void) {
    tollgate_limiter *limiter = NULL;
    tollgate_leases *leases = NULL;
    tollgate_policy *policy = NULL;
    tollgate_verdict *verdict = NULL;
    tollgate_region *region = NULL;
    tollgate_limiter_options limiter_options;
    tollgate_leases_options leases_options;
    tollgate_policy_options policy_options;
    tollgate_request request;
    tollgate_decision decision;
    tollgate_gauges gauges;
    tollgate_counts counts;
    tollgate_denied denied;
    tollgate_summary summary;
    tollgate_entry entry;
    tollgate_charge charge = {0, 0, 0};
    tollgate_lease lease;
    tollgate_moment moment = {0, 0};
    tollgate_quota quota = {1, 1000000000, 1};
    tollgate_field field;
    tollgate_bytes bytes = {"k", 1};
    uint64_t hash = 1, ended = 0;
    uint32_t id = 0;
    int32_t outcome = 0;
    char buffer[8];
    size_t needed = 0, count = 0;
    int32_t code;

    memset(&limiter_options, 0, sizeof limiter_options);
    memset(&leases_options, 0, sizeof leases_options);
    memset(&policy_options, 0, sizeof policy_options);
    memset(&request, 0, sizeof request);
    memset(&decision, 0, sizeof decision);
    memset(&gauges, 0, sizeof gauges);
    memset(&counts, 0, sizeof counts);
    memset(&summary, 0, sizeof summary);
    memset(&entry, 0, sizeof entry);
    memset(&lease, 0xFF, sizeof lease);

    CHECK(strlen(tollgate_version()) >= 5);
    CHECK(tollgate_version_number() > 0);
    for (code = -1000; code < 1000; code++)
        CHECK(strlen(tollgate_status_text(code)) > 1);
    CHECK(strcmp(tollgate_status_text(INT32_MIN), "unknown code") == 0);
    CHECK_IS(tollgate_seconds(UINT64_MAX - 1), 18446744074);
    CHECK_IS(tollgate_last_error(NULL, 0, NULL), TOLLGATE_ERROR_BUFFER);
    NULL_IS(tollgate_last_error(NULL, 1, NULL));
    NULL_IS(tollgate_quota_parse(NULL, 1, &quota));
    NULL_IS(tollgate_quota_parse("1/s", 3, NULL));
    LENGTH_IS(tollgate_quota_parse("1/s", SIZE_MAX / 2 + 1, &quota));
    CHECK_IS(tollgate_quota_parse(NULL, 0, &quota), TOLLGATE_ERROR_QUOTA);

    tollgate_limiter_free(NULL);
    tollgate_leases_free(NULL);
    tollgate_policy_free(NULL);
    tollgate_verdict_free(NULL);

    NULL_IS(tollgate_limiter_new("1/s", 3, NULL, NULL));
    NULL_IS(tollgate_limiter_new(NULL, 3, NULL, &limiter));
    SIZE_IS(tollgate_limiter_new("1/s", 3, &limiter_options, &limiter));
    NULL_IS(tollgate_limiter_new_of(NULL, NULL, &limiter));
    NULL_IS(tollgate_limiter_new_of(&quota, NULL, NULL));
    SIZE_IS(tollgate_limiter_new_of(&quota, &limiter_options, &limiter));
    limiter_options.size = sizeof limiter_options;
    limiter_options.room_for_count = 1;
    NULL_IS(tollgate_limiter_new_of(&quota, &limiter_options, &limiter));
    limiter_options.room_for = &quota;
    limiter_options.room_for_count = SIZE_MAX;
    LENGTH_IS(tollgate_limiter_new_of(&quota, &limiter_options, &limiter));
    CHECK(limiter == NULL);
    CHECK_IS(tollgate_limiter_new("1/s", 3, NULL, &limiter), TOLLGATE_OK);

    NULL_IS(tollgate_limiter_set_quota(NULL, &quota));
    NULL_IS(tollgate_limiter_set_quota(limiter, NULL));
    NULL_IS(tollgate_limiter_quota(NULL, &quota));
    NULL_IS(tollgate_limiter_quota(limiter, NULL));
    CHECK_IS(tollgate_limiter_now(NULL), 0);
    NULL_IS(tollgate_limiter_gauges(NULL, 0, &gauges));
    NULL_IS(tollgate_limiter_gauges(limiter, 0, NULL));
    SIZE_IS(tollgate_limiter_gauges(limiter, 0, &gauges));
    NULL_IS(tollgate_limiter_counts(NULL, &counts));
    NULL_IS(tollgate_limiter_counts(limiter, NULL));
    SIZE_IS(tollgate_limiter_counts(limiter, &counts));

    NULL_IS(tollgate_limiter_check(NULL, "k", 1, NULL));
    NULL_IS(tollgate_limiter_check(limiter, NULL, 1, NULL));
    NULL_IS(tollgate_limiter_check(limiter, NULL, TOLLGATE_TERMINATED, NULL));
    LENGTH_IS(tollgate_limiter_check(limiter, "k", SIZE_MAX - 1, NULL));
    SIZE_IS(tollgate_limiter_check(limiter, "k", 1, &decision));
    NULL_IS(tollgate_limiter_check_at(NULL, "k", 1, 1, 0, NULL));
    NULL_IS(tollgate_limiter_check_at(limiter, NULL, 1, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_check_at(limiter, "k", 1, 1, 0, &decision));
    NULL_IS(tollgate_limiter_check_hash(NULL, 1, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_check_hash(limiter, 1, 1, 0, &decision));
    NULL_IS(tollgate_limiter_check_many(NULL, &bytes, 1, 0, &outcome, NULL));
    NULL_IS(tollgate_limiter_check_many(limiter, NULL, 1, 0, &outcome, NULL));
    LENGTH_IS(tollgate_limiter_check_many(limiter, &bytes, SIZE_MAX, 0, &outcome, NULL));
    SIZE_IS(tollgate_limiter_check_many(limiter, &bytes, 1, 0, &outcome, &decision));
    NULL_IS(tollgate_limiter_check_many_hashes(NULL, &hash, 1, 0, &outcome, NULL));
    NULL_IS(tollgate_limiter_check_many_hashes(limiter, NULL, 1, 0, &outcome, NULL));
    LENGTH_IS(tollgate_limiter_check_many_hashes(limiter, &hash, SIZE_MAX, 0, &outcome, NULL));
    SIZE_IS(tollgate_limiter_check_many_hashes(limiter, &hash, 1, 0, &outcome, &decision));
    NULL_IS(tollgate_limiter_peek(NULL, "k", 1, 0, NULL));
    NULL_IS(tollgate_limiter_peek(limiter, NULL, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_peek(limiter, "k", 1, 0, &decision));
    NULL_IS(tollgate_limiter_peek_hash(NULL, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_peek_hash(limiter, 1, 0, &decision));
    NULL_IS(tollgate_limiter_denied_most(NULL, &denied, 1, &count));
    NULL_IS(tollgate_limiter_denied_most(limiter, NULL, 1, &count));
    NULL_IS(tollgate_limiter_denied_most(limiter, &denied, 1, NULL));
    LENGTH_IS(tollgate_limiter_denied_most(limiter, &denied, SIZE_MAX, &count));
    NULL_IS(tollgate_limiter_refund(NULL, "k", 1, &charge, 0, NULL));
    NULL_IS(tollgate_limiter_refund(limiter, NULL, 1, &charge, 0, NULL));
    NULL_IS(tollgate_limiter_refund(limiter, "k", 1, NULL, 0, NULL));
    SIZE_IS(tollgate_limiter_refund(limiter, "k", 1, &charge, 0, &decision));
    NULL_IS(tollgate_limiter_refund_hash(NULL, 1, &charge, 0, NULL));
    NULL_IS(tollgate_limiter_refund_hash(limiter, 1, NULL, 0, NULL));
    SIZE_IS(tollgate_limiter_refund_hash(limiter, 1, &charge, 0, &decision));
    NULL_IS(tollgate_limiter_settle(NULL, "k", 1, &charge, 1, 0, NULL));
    NULL_IS(tollgate_limiter_settle(limiter, NULL, 1, &charge, 1, 0, NULL));
    NULL_IS(tollgate_limiter_settle(limiter, "k", 1, NULL, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_settle(limiter, "k", 1, &charge, 1, 0, &decision));
    NULL_IS(tollgate_limiter_settle_hash(NULL, 1, &charge, 1, 0, NULL));
    NULL_IS(tollgate_limiter_settle_hash(limiter, 1, NULL, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_settle_hash(limiter, 1, &charge, 1, 0, &decision));
    NULL_IS(tollgate_limiter_reserve(NULL, "k", 1, 1, 0, 0, NULL));
    NULL_IS(tollgate_limiter_reserve(limiter, NULL, 1, 1, 0, 0, NULL));
    SIZE_IS(tollgate_limiter_reserve(limiter, "k", 1, 1, 0, 0, &decision));
    NULL_IS(tollgate_limiter_reserve_hash(NULL, 1, 1, 0, 0, NULL));
    SIZE_IS(tollgate_limiter_reserve_hash(limiter, 1, 1, 0, 0, &decision));
    NULL_IS(tollgate_limiter_reset(NULL, "k", 1, 0, NULL));
    NULL_IS(tollgate_limiter_reset(limiter, NULL, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_reset(limiter, "k", 1, 0, &decision));
    NULL_IS(tollgate_limiter_reset_hash(NULL, 1, 0, NULL));
    SIZE_IS(tollgate_limiter_reset_hash(limiter, 1, 0, &decision));

    /* Extreme numbers are numbers. */
    charge.units = charge.at_ns = charge.weight = UINT64_MAX;
    decision.size = sizeof decision;
    CHECK(tollgate_limiter_check_at(limiter, "k", 1, UINT64_MAX, UINT64_MAX - 1, &decision) >= 0);
    CHECK(tollgate_limiter_refund(limiter, "k", 1, &charge, 0, &decision) >= 0);
    CHECK(tollgate_limiter_settle(limiter, "k", 1, &charge, UINT64_MAX, 0, &decision) >= 0);
    CHECK(tollgate_limiter_reserve(limiter, "k", 1, UINT64_MAX, UINT64_MAX, 0, &decision) >= 0);
    decision.size = SIZE_MAX;
    SIZE_IS(tollgate_limiter_check(limiter, "k", 1, &decision));
    decision.size = 0;

    NULL_IS(tollgate_region_open("x", 1, 0, NULL));
    NULL_IS(tollgate_region_open(NULL, 1, 0, &region));
    LENGTH_IS(tollgate_region_open("x", SIZE_MAX - 1, 0, &region));
    CHECK_IS(tollgate_region_open("/no such/folder/x", TOLLGATE_TERMINATED, 0, &region),
             TOLLGATE_ERROR_REGION);
    NULL_IS(tollgate_region_in_memory(NULL, 8192, &region));
    NULL_IS(tollgate_region_in_memory(buffer, 8192, NULL));
    LENGTH_IS(tollgate_region_in_memory(buffer, SIZE_MAX, &region));
    CHECK_IS(tollgate_region_in_memory(buffer, sizeof buffer, &region), TOLLGATE_ERROR_REGION);
    CHECK(region == NULL);
    CHECK_IS(tollgate_region_size(NULL), 0);
    NULL_IS(tollgate_region_snapshot(NULL, NULL, 0, &needed));
    NULL_IS(tollgate_region_restore("x", 1, "x", 1, NULL));
    NULL_IS(tollgate_region_restore(NULL, 1, "x", 1, &region));
    NULL_IS(tollgate_region_restore("x", 1, NULL, 1, &region));
    CHECK_IS(tollgate_region_restore("/no such/folder/x", TOLLGATE_TERMINATED, "x", 1, &region),
             TOLLGATE_ERROR_REGION);
    tollgate_region_free(region);

    NULL_IS(tollgate_leases_new(1, 1, NULL, NULL));
    SIZE_IS(tollgate_leases_new(1, 1, &leases_options, &leases));
    CHECK_IS(tollgate_leases_new(1, 0, NULL, &leases), TOLLGATE_ERROR_BUILD);
    CHECK_IS(tollgate_leases_new(UINT64_MAX, UINT64_MAX, NULL, &leases), TOLLGATE_ERROR_BUILD);
    CHECK_IS(tollgate_leases_new(1, 1000000000, NULL, &leases), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_now(NULL), 0);
    NULL_IS(tollgate_leases_acquire(NULL, "k", 1, 0, &lease, NULL));
    NULL_IS(tollgate_leases_acquire(leases, NULL, 1, 0, &lease, NULL));
    NULL_IS(tollgate_leases_acquire(leases, "k", 1, 0, NULL, NULL));
    SIZE_IS(tollgate_leases_acquire(leases, "k", 1, 0, &lease, &decision));
    NULL_IS(tollgate_leases_acquire_hash(NULL, 1, 0, &lease, NULL));
    NULL_IS(tollgate_leases_acquire_hash(leases, 1, 0, NULL, NULL));
    SIZE_IS(tollgate_leases_acquire_hash(leases, 1, 0, &lease, &decision));
    NULL_IS(tollgate_leases_peek_hash(NULL, 1, 0, NULL));
    SIZE_IS(tollgate_leases_peek_hash(leases, 1, 0, &decision));
    NULL_IS(tollgate_leases_release_all_hash(NULL, 1, 0, &ended));
    CHECK_IS(tollgate_leases_release_all_hash(leases, 1, 0, NULL), TOLLGATE_OK);
    NULL_IS(tollgate_leases_peek(NULL, "k", 1, 0, NULL));
    NULL_IS(tollgate_leases_peek(leases, NULL, 1, 0, NULL));
    SIZE_IS(tollgate_leases_peek(leases, "k", 1, 0, &decision));
    NULL_IS(tollgate_leases_renew(NULL, &lease, 0, 0));
    NULL_IS(tollgate_leases_renew(leases, NULL, 0, 0));
    NULL_IS(tollgate_leases_release(NULL, &lease, 0));
    NULL_IS(tollgate_leases_release(leases, NULL, 0));
    CHECK_IS(tollgate_leases_release(leases, &lease, 0), TOLLGATE_GONE);
    memset(&lease, 0, sizeof lease);
    CHECK(tollgate_leases_release(leases, &lease, 0) >= 0);
    NULL_IS(tollgate_leases_release_all(NULL, "k", 1, 0, &ended));
    NULL_IS(tollgate_leases_release_all(leases, NULL, 1, 0, &ended));
    NULL_IS(tollgate_leases_gauges(NULL, 0, &gauges));
    NULL_IS(tollgate_leases_gauges(leases, 0, NULL));
    SIZE_IS(tollgate_leases_gauges(leases, 0, &gauges));

    NULL_IS(tollgate_policy_from_text("", 0, NULL, NULL));
    NULL_IS(tollgate_policy_from_text(NULL, 1, NULL, &policy));
    SIZE_IS(tollgate_policy_from_text(SOME, &policy_options, &policy));
    CHECK_IS(tollgate_policy_from_text("\xff", 1, NULL, &policy), TOLLGATE_ERROR_POLICY);
    NULL_IS(tollgate_policy_from_file("", 0, NULL, NULL));
    NULL_IS(tollgate_policy_from_file(NULL, 1, NULL, &policy));
    CHECK_IS(tollgate_policy_from_file("a\0b", 3, NULL, &policy), TOLLGATE_ERROR_FILE);
    CHECK_IS(tollgate_policy_from_file("/", 1, NULL, &policy), TOLLGATE_ERROR_FILE);
    CHECK(policy == NULL);
    CHECK_IS(tollgate_policy_from_text(SOME, NULL, &policy), TOLLGATE_OK);
    NULL_IS(tollgate_policy_reload_text(NULL, "", 0));
    NULL_IS(tollgate_policy_reload_text(policy, NULL, 1));
    NULL_IS(tollgate_policy_reload_file(NULL, "x", 1));
    NULL_IS(tollgate_policy_reload_file(policy, NULL, 1));
    NULL_IS(tollgate_policy_attribute(NULL, "x", 1, &id));
    NULL_IS(tollgate_policy_attribute(policy, NULL, 1, &id));
    NULL_IS(tollgate_policy_attribute(policy, "x", 1, NULL));
    CHECK_IS(tollgate_policy_attribute(policy, "\xff", 1, &id), TOLLGATE_ERROR_UTF8);
    NULL_IS(tollgate_policy_dimension(NULL, "x", 1, &id));
    NULL_IS(tollgate_policy_dimension(policy, NULL, 1, &id));
    NULL_IS(tollgate_policy_dimension(policy, "x", 1, NULL));
    CHECK_IS(tollgate_policy_limit_count(NULL), 0);
    NULL_IS(tollgate_policy_limit_gauges(NULL, 0, NULL, &gauges));
    NULL_IS(tollgate_policy_limit_gauges(policy, 0, NULL, NULL));
    SIZE_IS(tollgate_policy_limit_gauges(policy, 0, NULL, &gauges));
    NULL_IS(tollgate_policy_limit_name(NULL, 0, buffer, sizeof buffer, &needed));
    CHECK_IS(tollgate_policy_limit_name(policy, SIZE_MAX, NULL, 0, NULL), TOLLGATE_ERROR_ID);
    NULL_IS(tollgate_policy_now(NULL, &moment));
    NULL_IS(tollgate_policy_now(policy, NULL));
    NULL_IS(tollgate_policy_set_override(NULL, "x", 1, "y", 1, "z", 1));
    NULL_IS(tollgate_policy_set_override(policy, NULL, 1, "y", 1, "z", 1));
    NULL_IS(tollgate_policy_set_override(policy, "x", 1, NULL, 1, "z", 1));
    CHECK_IS(tollgate_policy_set_override(policy, "x", 1, "y", 1, NULL, 1), TOLLGATE_ERROR_NAME);

    NULL_IS(tollgate_verdict_new(NULL));
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    NULL_IS(tollgate_policy_check(policy, NULL, NULL, verdict));
    SIZE_IS(tollgate_policy_check(policy, &request, NULL, verdict));
    SIZE_IS(tollgate_policy_explain(policy, &request, buffer, sizeof buffer, NULL));
    SIZE_IS(tollgate_policy_unblock(policy, "x", 1, &request, NULL));
    request.size = sizeof request;
    NULL_IS(tollgate_policy_check(NULL, &request, NULL, verdict));
    NULL_IS(tollgate_policy_check(policy, &request, NULL, NULL));
    NULL_IS(tollgate_policy_explain(NULL, &request, buffer, sizeof buffer, NULL));
    NULL_IS(tollgate_policy_explain(policy, NULL, buffer, sizeof buffer, NULL));
    NULL_IS(tollgate_policy_unblock(NULL, "x", 1, &request, NULL));
    NULL_IS(tollgate_policy_unblock(policy, NULL, 1, &request, NULL));
    NULL_IS(tollgate_policy_unblock(policy, "x", 1, NULL, NULL));
    NULL_IS(tollgate_policy_release(NULL, "x", 1, &lease, NULL));
    NULL_IS(tollgate_policy_release(policy, NULL, 1, &lease, NULL));
    NULL_IS(tollgate_policy_release(policy, "x", 1, NULL, NULL));
    request.attribute_count = 1;
    NULL_IS(tollgate_policy_check(policy, &request, NULL, verdict));
    request.attribute_count = 0;
    request.cost_count = SIZE_MAX;
    NULL_IS(tollgate_policy_check(policy, &request, NULL, verdict));
    request.cost_count = 0;
    request.method.length = 1;
    NULL_IS(tollgate_policy_check(policy, &request, NULL, verdict));
    request.method.length = 0;
    request.path.length = SIZE_MAX - 1;
    NULL_IS(tollgate_policy_check(policy, &request, NULL, verdict));
    request.path.data = "";
    LENGTH_IS(tollgate_policy_check(policy, &request, NULL, verdict));
    request.path.length = 0;

    summary.size = sizeof summary;
    NULL_IS(tollgate_verdict_summary(NULL, &summary));
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_fields(verdict, NULL, 0, NULL, NULL, 0, NULL),
             TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_headers(verdict, NULL, 0, NULL), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_body(verdict, NULL, 0, NULL), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_settle(verdict, 0, 0, NULL), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_refund(verdict, NULL), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_verdict_release(verdict, NULL), TOLLGATE_ERROR_EMPTY);
    CHECK_IS(tollgate_policy_check(policy, &request, NULL, verdict), TOLLGATE_ALLOWED);
    NULL_IS(tollgate_verdict_summary(verdict, NULL));
    summary.size = 8;
    SIZE_IS(tollgate_verdict_summary(verdict, &summary));
    NULL_IS(tollgate_verdict_entry(NULL, 0, &entry));
    NULL_IS(tollgate_verdict_entry(verdict, 0, NULL));
    SIZE_IS(tollgate_verdict_entry(verdict, 0, &entry));
    entry.size = sizeof entry;
    CHECK_IS(tollgate_verdict_entry(verdict, SIZE_MAX, &entry), TOLLGATE_ERROR_ID);
    NULL_IS(tollgate_verdict_fields(NULL, NULL, 0, NULL, &field, 1, &count));
    NULL_IS(tollgate_verdict_fields(verdict, NULL, 1, NULL, &field, 1, &count));
    NULL_IS(tollgate_verdict_fields(verdict, NULL, 0, NULL, NULL, 1, &count));
    NULL_IS(tollgate_verdict_headers(NULL, buffer, sizeof buffer, &needed));
    NULL_IS(tollgate_verdict_headers(verdict, NULL, 8, &needed));
    NULL_IS(tollgate_verdict_body(NULL, buffer, sizeof buffer, &needed));
    NULL_IS(tollgate_verdict_body(verdict, NULL, 8, &needed));
    NULL_IS(tollgate_verdict_settle(NULL, 0, 0, NULL));
    CHECK_IS(tollgate_verdict_settle(verdict, 0, 0, NULL), TOLLGATE_ERROR_ID);
    NULL_IS(tollgate_verdict_refund(NULL, NULL));
    NULL_IS(tollgate_verdict_release(NULL, NULL));

    tollgate_verdict_free(verdict);
    tollgate_policy_free(policy);
    tollgate_leases_free(leases);
    tollgate_limiter_free(limiter);
    puts("nulls: ok");
    return 0;
}
