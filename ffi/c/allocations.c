/*
 * No check takes memory from the heap. Linked statically, with what takes memory wrapped
 * (tests/programs.rs), so that it counts.
 */
#include "check.h"
#include <string.h>
#include <tollgate.h>

static unsigned long taken;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    taken++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    taken++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    taken++;
    return __real_realloc(memory, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    taken++;
    return __real_posix_memalign(memory, alignment, size);
}

int main(void) {
    tollgate_limiter *limiter = NULL;
    tollgate_policy *policy = NULL;
    tollgate_verdict *verdict = NULL;
    tollgate_decision decision;
    tollgate_summary summary;
    tollgate_entry entry;
    tollgate_attribute attributes[2];
    tollgate_request request;
    tollgate_field fields[8];
    char text[1024];
    unsigned long before;
    int nth, denied = 0;

    CHECK_IS(tollgate_limiter_new("1000/h", 6, NULL, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_from_file(STARTER, TOLLGATE_TERMINATED, NULL, &policy), TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    memset(&decision, 0, sizeof decision);
    decision.size = sizeof decision;
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    memset(&entry, 0, sizeof entry);
    entry.size = sizeof entry;
    memset(&request, 0, sizeof request);
    request.size = sizeof request;
    memset(attributes, 0, sizeof attributes);
    CHECK_IS(tollgate_policy_attribute(policy, "ip", 2, &attributes[0].id), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_attribute(policy, "user", 4, &attributes[1].id), TOLLGATE_OK);
    attributes[0].value = "203.0.113.7";
    attributes[0].length = 11;
    attributes[1].value = "alice";
    attributes[1].length = 5;
    request.method.data = "POST";
    request.method.length = 4;
    request.path.data = "//login/?next=%2f";
    request.path.length = 17;
    request.attributes = attributes;
    request.attribute_count = 2;
    CHECK(taken > 0);
    before = taken;
    for (nth = 0; nth < 1000; nth++) {
        CHECK(tollgate_limiter_check(limiter, "key", 3, &decision) >= 0);
        CHECK(tollgate_limiter_check_hash(limiter, (uint64_t)nth, 1, TOLLGATE_NOW, NULL) >= 0);
        denied += tollgate_policy_check(policy, &request, NULL, verdict) != TOLLGATE_ALLOWED;
        CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
        CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
        CHECK_IS(tollgate_verdict_fields(verdict, text, sizeof text, NULL, fields, 8, NULL),
                 TOLLGATE_OK);
        CHECK_IS(tollgate_verdict_body(verdict, text, sizeof text, NULL), TOLLGATE_OK);
        /* The first check makes the thread's scratch for paths, and the first texts grow. */
        if (nth == 10)
            before = taken;
    }
    CHECK(denied > 900);
    CHECK_IS(taken, before);
    tollgate_verdict_free(verdict);
    tollgate_policy_free(policy);
    tollgate_limiter_free(limiter);
    puts("allocations: ok");
    return 0;
}
