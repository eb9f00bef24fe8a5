/*
 * Threads that share a limiter, leases and a policy, which one of them replaces and another
 * changes: for ThreadSanitizer. With -DRACE two threads use one verdict, which they must
 * not: the sanitizer has to see that.
 */
#include "check.h"
#include <pthread.h>
#include <string.h>
#include <tollgate.h>

#define THREADS 4
#define ROUNDS 2000
#define SECOND UINT64_C(1000000000)

static const char *const texts[2] = {
    "[attribute.user]\n[[limit]]\nname = 'few'\nkey = ['user']\nquota = '100/h'\n"
    "overrides = { by = 'user', root = '90/h' }\nlargest = '100/h'\n"
    "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 3\nttl = '1 h'\n",
    "[attribute.user]\n[[limit]]\nname = 'few'\nkey = ['user']\nquota = '100/h'\n"
    "overrides = { by = 'user', root = '80/h' }\n"
    "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 3\nttl = '1 h'\n"};

static tollgate_limiter *limiter;
static tollgate_leases *leases;
static tollgate_policy *policy;
static tollgate_verdict *shared;
static unsigned allowed[THREADS], admitted[THREADS];

static void *work(void *argument) {
    const unsigned nth = *(const unsigned *)argument;
    tollgate_verdict *verdict = NULL;
    tollgate_attribute user;
    tollgate_request request;
    tollgate_decision decision;
    tollgate_lease lease;
    tollgate_quota quota;
    tollgate_bytes keys[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
    char text[512];
    unsigned round;

    memset(&user, 0, sizeof user);
    memset(&request, 0, sizeof request);
    memset(&decision, 0, sizeof decision);
    decision.size = sizeof decision;
    request.size = sizeof request;
    CHECK_IS(tollgate_policy_attribute(policy, "user", 4, &user.id), TOLLGATE_OK);
    user.value = "alice";
    user.length = 5;
    request.attributes = &user;
    request.attribute_count = 1;
#ifdef RACE
    verdict = shared;
#else
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
#endif
    for (round = 0; round < ROUNDS; round++) {
        if (tollgate_limiter_check_at(limiter, "one", 3, 1, SECOND, &decision) == TOLLGATE_ALLOWED)
            admitted[nth]++;
        CHECK(tollgate_limiter_check_many(limiter, keys, 3, SECOND, NULL, NULL) >= 0);
        if (decision.outcome == TOLLGATE_ALLOWED && round % 2) {
            CHECK_IS(tollgate_limiter_refund(limiter, "one", 3, &decision.charge, SECOND, NULL), 0);
            admitted[nth]--;
        }
        if (tollgate_leases_acquire(leases, "k", 1, TOLLGATE_NOW, &lease, NULL) == TOLLGATE_ALLOWED)
            CHECK_IS(tollgate_leases_release(leases, &lease, TOLLGATE_NOW), TOLLGATE_OK);
        if (tollgate_policy_check(policy, &request, NULL, verdict) == TOLLGATE_ALLOWED) {
            allowed[nth]++;
            CHECK_IS(tollgate_verdict_release(verdict, NULL), TOLLGATE_OK);
        } else {
            CHECK_IS(tollgate_verdict_headers(verdict, text, sizeof text, NULL), TOLLGATE_OK);
        }
        if (nth == 0 && round % 100 == 0) {
            CHECK_IS(tollgate_policy_reload_text(policy, texts[round / 100 % 2],
                                                 TOLLGATE_TERMINATED),
                     TOLLGATE_OK);
            CHECK_IS(tollgate_limiter_quota(limiter, &quota), TOLLGATE_OK);
            CHECK_IS(tollgate_limiter_set_quota(limiter, &quota), TOLLGATE_OK);
        }
        if (nth == 1 && round % 50 == 0)
            CHECK_IS(tollgate_policy_set_override(policy, "few", 3, "bob", 3, "70/h", 4),
                     TOLLGATE_OK);
        if (nth == 2 && round % 100 == 0)
            CHECK_IS(tollgate_policy_from_text("x", 1, NULL, NULL), TOLLGATE_ERROR_NULL);
    }
#ifndef RACE
    tollgate_verdict_free(verdict);
#endif
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    unsigned numbers[THREADS], nth, all = 0, passed = 0;
    tollgate_limiter_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = TOLLGATE_FROM_EPOCH | TOLLGATE_COUNT;
    CHECK_IS(tollgate_limiter_new("500/h", 5, &options, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_leases_new(2, 3600 * SECOND, NULL, &leases), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_from_text(texts[0], TOLLGATE_TERMINATED, NULL, &policy), TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&shared), TOLLGATE_OK);
    for (nth = 0; nth < THREADS; nth++) {
        numbers[nth] = nth;
        CHECK(pthread_create(&threads[nth], NULL, work, &numbers[nth]) == 0);
    }
    for (nth = 0; nth < THREADS; nth++) {
        CHECK(pthread_join(threads[nth], NULL) == 0);
        all += admitted[nth];
        passed += allowed[nth];
    }
    /* Net of refunds exactly the burst, for time stood still; and never more than 100. */
    CHECK_IS(all, 500);
    CHECK_IS(passed, 100);
    tollgate_verdict_free(shared);
    tollgate_policy_free(policy);
    tollgate_leases_free(leases);
    tollgate_limiter_free(limiter);
    puts("threads: ok");
    return 0;
}
