/* What is said beside the decision: why a call failed, that a table is full, which keys are
 * denied most; and verdicts that are used again. */
#include "check.h"
#include <string.h>
#include <tollgate.h>

#define SECOND UINT64_C(1000000000)
#define TEXT(text) text, TOLLGATE_TERMINATED

static const char *why(void) {
    static char text[600];
    CHECK_IS(tollgate_last_error(text, sizeof text, NULL), TOLLGATE_OK);
    return text;
}

/* Every error has its text, and none of an error before. */
static void reasons(void) {
    tollgate_limiter *limiter = NULL;
    tollgate_region *region = NULL;
    tollgate_policy *policy = NULL;
    tollgate_verdict *verdict = NULL;
    tollgate_summary summary;
    tollgate_limiter_options options;
    size_t needed = 0;
    char small[4];

    CHECK(strcmp(why(), "") == 0);
    CHECK_IS(tollgate_limiter_new(TEXT("ten a minute"), NULL, &limiter), TOLLGATE_ERROR_QUOTA);
    CHECK(strstr(why(), "10/min") != NULL);
    memset(&options, 0, sizeof options);
    CHECK_IS(tollgate_limiter_new(TEXT("1/s"), &options, &limiter), TOLLGATE_ERROR_SIZE);
    CHECK(strcmp(why(), "tollgate_limiter_new: the size of a struct is wrong; set it to its "
                        "sizeof") == 0);
    CHECK_IS(tollgate_last_error(small, sizeof small, &needed), TOLLGATE_ERROR_BUFFER);
    CHECK(strlen(why()) == needed);
    CHECK_IS(tollgate_region_open(NULL, 5, 0, &region), TOLLGATE_ERROR_NULL);
    CHECK(strstr(why(), "tollgate_region_open: a pointer is NULL") == why());
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_ERROR_EMPTY);
    CHECK(strstr(why(), "tollgate_verdict_summary:") == why());
    CHECK_IS(tollgate_policy_from_file("no\0file", 7, NULL, &policy), TOLLGATE_ERROR_FILE);
    CHECK(strstr(why(), "no\xEF\xBF\xBD" "file: ") == why());
    /* A success leaves it. */
    CHECK_IS(tollgate_limiter_new(TEXT("1/s"), NULL, &limiter), TOLLGATE_OK);
    CHECK(strstr(why(), "no\xEF\xBF\xBD" "file: ") == why());
    tollgate_limiter_free(limiter);
    tollgate_verdict_free(verdict);
}

/* Who has an epoch of its own gives the time, always. */
static void given_times(void) {
    tollgate_limiter_options options;
    tollgate_leases_options leases_options;
    tollgate_policy_options policy_options;
    tollgate_limiter *limiter = NULL;
    tollgate_leases *leases = NULL;
    tollgate_policy *policy = NULL;
    tollgate_verdict *verdict = NULL;
    tollgate_request request;
    tollgate_moment moment = {SECOND, 1700000000 * SECOND}, now;
    tollgate_lease lease;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = TOLLGATE_FROM_EPOCH;
    CHECK_IS(tollgate_limiter_new(TEXT("1/s"), &options, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_check(limiter, "k", 1, NULL), TOLLGATE_ERROR_UNSUPPORTED);
    CHECK(strstr(why(), "TOLLGATE_FROM_EPOCH") != NULL);
    CHECK_IS(tollgate_limiter_check_at(limiter, "k", 1, 1, TOLLGATE_NOW, NULL),
             TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_limiter_check_hash(limiter, 1, 1, TOLLGATE_NOW, NULL),
             TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_limiter_peek_hash(limiter, 1, TOLLGATE_NOW, NULL),
             TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_limiter_now(limiter), 0);
    CHECK_IS(tollgate_limiter_check(limiter, NULL, 1, NULL), TOLLGATE_ERROR_NULL);
    CHECK(strstr(why(), "tollgate_limiter_check: a pointer is NULL") == why());
    CHECK_IS(tollgate_limiter_check_at(limiter, "k", 1, 1, 0, NULL), TOLLGATE_ALLOWED);
    tollgate_limiter_free(limiter);

    memset(&leases_options, 0, sizeof leases_options);
    leases_options.size = sizeof leases_options;
    leases_options.flags = TOLLGATE_FROM_EPOCH;
    CHECK_IS(tollgate_leases_new(1, SECOND, &leases_options, &leases), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_acquire(leases, "k", 1, TOLLGATE_NOW, &lease, NULL),
             TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_leases_acquire(leases, "k", 1, 5, &lease, NULL), TOLLGATE_ALLOWED);
    tollgate_leases_free(leases);

    memset(&policy_options, 0, sizeof policy_options);
    policy_options.size = sizeof policy_options;
    policy_options.flags = TOLLGATE_FROM_EPOCH;
    policy_options.epoch = moment;
    CHECK_IS(tollgate_policy_from_text(TEXT("[[limit]]\nname = 'every'\nkey = []\nquota = '1/s'\n"),
                                       &policy_options, &policy),
             TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    memset(&request, 0, sizeof request);
    request.size = sizeof request;
    CHECK_IS(tollgate_policy_now(policy, &now), TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_policy_check(policy, &request, NULL, verdict), TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_refund(verdict, NULL), TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_verdict_refund(verdict, &moment), TOLLGATE_OK);
    tollgate_verdict_free(verdict);
    tollgate_policy_free(policy);
}

/* Keys that are denied most, and keys by their hash. */
static void denied(void) {
    tollgate_limiter_options options;
    tollgate_limiter *limiter = NULL;
    tollgate_decision decision;
    tollgate_denied most[3];
    size_t count = 9;
    int nth;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.remember_denied = 8;
    CHECK_IS(tollgate_limiter_new(TEXT("1/h"), &options, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_denied_most(limiter, most, 3, &count), TOLLGATE_OK);
    CHECK_IS(count, 0);
    for (nth = 0; nth < 5; nth++)
        CHECK_IS(tollgate_limiter_check(limiter, "five", 4, NULL), nth > 0);
    for (nth = 0; nth < 3; nth++)
        CHECK_IS(tollgate_limiter_check_hash(limiter, 258, 1, TOLLGATE_NOW, NULL), nth > 0);
    CHECK_IS(tollgate_limiter_check(limiter, "once", 4, NULL), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_denied_most(limiter, most, 3, &count), TOLLGATE_OK);
    CHECK_IS(count, 2);
    CHECK(most[0].length == 4 && memcmp(most[0].name, "five", 5) == 0);
    CHECK(most[0].denials == 4 && most[0].excess == 0 && most[0].hashed == 0);
    CHECK(most[1].length == 8 && most[1].name[0] == 2 && most[1].name[1] == 1);
    CHECK(most[1].denials == 2 && most[1].hashed == 1);
    CHECK_IS(tollgate_limiter_denied_most(limiter, most, 1, &count), TOLLGATE_OK);
    CHECK_IS(count, 1);
    CHECK_IS(tollgate_limiter_denied_most(limiter, NULL, 0, &count), TOLLGATE_OK);
    CHECK_IS(count, 0);
    decision.size = sizeof decision;
    CHECK_IS(tollgate_limiter_peek_hash(limiter, 258, TOLLGATE_NOW, &decision), TOLLGATE_ALLOWED);
    CHECK_IS(decision.remaining, 0);
    CHECK_IS(tollgate_limiter_peek_hash(limiter, 259, TOLLGATE_NOW, &decision), TOLLGATE_ALLOWED);
    CHECK_IS(decision.remaining, 1);
    tollgate_limiter_free(limiter);
}

/* Leases by the key's hash. */
static void hashed_leases(void) {
    tollgate_leases *leases = NULL;
    tollgate_lease lease;
    tollgate_decision decision;
    uint64_t ended = 0;

    CHECK_IS(tollgate_leases_new(2, 60 * SECOND, NULL, &leases), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_acquire_hash(leases, 5, TOLLGATE_NOW, &lease, NULL), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_leases_acquire_hash(leases, 5, TOLLGATE_NOW, &lease, NULL), TOLLGATE_ALLOWED);
    decision.size = sizeof decision;
    CHECK_IS(tollgate_leases_peek_hash(leases, 5, TOLLGATE_NOW, &decision), TOLLGATE_ALLOWED);
    CHECK_IS(decision.remaining, 0);
    CHECK_IS(tollgate_leases_release_all_hash(leases, 5, TOLLGATE_NOW, &ended), TOLLGATE_OK);
    CHECK_IS(ended, 2);
    CHECK_IS(tollgate_leases_peek_hash(leases, 5, TOLLGATE_NOW, &decision), TOLLGATE_ALLOWED);
    CHECK_IS(decision.remaining, 2);
    tollgate_leases_free(leases);
}

/* A policy's table that is full says so. */
static void full(void) {
    tollgate_policy *policy = NULL;
    tollgate_verdict *verdict = NULL;
    tollgate_request request;
    tollgate_attribute user;
    tollgate_entry entry;
    tollgate_gauges gauges;
    uint64_t told = 0, nth;

    CHECK_IS(tollgate_policy_from_text(
                 TEXT("[attribute.user]\n[[limit]]\nname = 'each'\nkey = ['user']\n"
                      "quota = '1/h'\ncapacity = 1\n[[limit]]\nname = 'size'\n"
                      "algorithm = 'size'\nkey = []\nquota = '1 MB'\ncost = 'bytes'\n"
                      "missing = 'skip'\n"),
                 NULL, &policy),
             TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    memset(&request, 0, sizeof request);
    memset(&user, 0, sizeof user);
    memset(&entry, 0, sizeof entry);
    memset(&gauges, 0, sizeof gauges);
    request.size = sizeof request;
    entry.size = sizeof entry;
    CHECK_IS(tollgate_policy_attribute(policy, TEXT("user"), &user.id), TOLLGATE_OK);
    user.value = &nth;
    user.length = sizeof nth;
    request.attributes = &user;
    request.attribute_count = 1;
    CHECK_IS(tollgate_policy_limit_gauges(policy, 0, NULL, &gauges), TOLLGATE_ERROR_SIZE);
    gauges.size = sizeof gauges;
    CHECK_IS(tollgate_policy_limit_gauges(policy, 0, NULL, &gauges), TOLLGATE_OK);
    CHECK(gauges.live_keys == 0 && gauges.capacity == 1 && gauges.memory > 0);
    for (nth = 1; nth <= 2000; nth++) {
        CHECK_IS(tollgate_policy_check(policy, &request, NULL, verdict), TOLLGATE_ALLOWED);
        CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
        told += (entry.flags & TOLLGATE_TABLE_FULL) != 0;
    }
    CHECK_IS(tollgate_policy_limit_gauges(policy, 0, NULL, &gauges), TOLLGATE_OK);
    CHECK(told > 1900 && gauges.saturated == told && gauges.live_keys + told == 2000);
    CHECK_IS(tollgate_policy_limit_gauges(policy, 1, NULL, &gauges), TOLLGATE_ERROR_UNSUPPORTED);
    CHECK_IS(tollgate_policy_limit_gauges(policy, 2, NULL, &gauges), TOLLGATE_ERROR_ID);
    tollgate_verdict_free(verdict);
    tollgate_policy_free(policy);
}

/* One verdict for policies of different sizes, in turn, over errors and reloads. */
static void again(void) {
    char many[4000] = "";
    tollgate_policy *policies[2] = {NULL, NULL};
    tollgate_verdict *verdict = NULL;
    tollgate_request request;
    tollgate_summary summary;
    uint64_t nth;
    int round;

    for (nth = 0; nth < 12; nth++)
        sprintf(many + strlen(many), "[[limit]]\nname = 'n%d'\nkey = []\nquota = '%d/h'\n",
                (int)nth, 1000 - (int)nth);
    CHECK_IS(tollgate_policy_from_text(TEXT(many), NULL, &policies[0]), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_from_text(TEXT("[[limit]]\nname = 'one'\nkey = []\n"
                                            "quota = '1000/h'\n"),
                                       NULL, &policies[1]),
             TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    memset(&request, 0, sizeof request);
    memset(&summary, 0, sizeof summary);
    request.size = sizeof request;
    summary.size = sizeof summary;
    for (round = 0; round < 30; round++) {
        int which = round / 3 % 2;
        CHECK_IS(tollgate_policy_check(policies[which], &request, NULL, verdict),
                 TOLLGATE_ALLOWED);
        CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
        CHECK_IS(summary.entries, which == 0 ? 12 : 1);
        if (round % 5 == 0) {
            request.method.data = "\xFF";
            request.method.length = 1;
            CHECK_IS(tollgate_policy_check(policies[which], &request, NULL, verdict),
                     TOLLGATE_ERROR_UTF8);
            CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_ERROR_EMPTY);
            CHECK_IS(tollgate_verdict_refund(verdict, NULL), TOLLGATE_ERROR_EMPTY);
            CHECK_IS(tollgate_verdict_body(verdict, NULL, 0, NULL), TOLLGATE_ERROR_EMPTY);
            memset(&request.method, 0, sizeof request.method);
        }
        if (round % 7 == 0)
            CHECK_IS(tollgate_policy_reload_text(policies[0], TEXT(many)), TOLLGATE_OK);
    }
    tollgate_policy_free(policies[0]);
    tollgate_policy_free(policies[1]);
    CHECK_IS(tollgate_verdict_refund(verdict, NULL), TOLLGATE_OK);
    tollgate_verdict_free(verdict);
}

int main(void) {
    reasons();
    given_times();
    denied();
    hashed_leases();
    full();
    again();
    puts("answers: ok");
    return 0;
}
