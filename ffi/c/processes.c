/*
 * Limits of several processes over one region: one policy enforced by four of them, and
 * what else a region does. Says "processes: ok".
 */
#define _DEFAULT_SOURCE
#include "check.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tollgate.h>
#include <unistd.h>

#define TEXT(text) text, TOLLGATE_TERMINATED

enum { WORKERS = 4, LIMIT = 1000 };

static const char policy_text[] =
    "[attribute.user]\n"
    "[[limit]]\n"
    "name = 'everything'\n"
    "key = ['user']\n"
    "quota = '1000/h'\n"
    "[[limit]]\n"
    "name = 'at once'\n"
    "routes = ['POST /jobs']\n"
    "key = ['user']\n"
    "algorithm = 'leases'\n"
    "quota = 2\n"
    "ttl = '1 h'\n";

/* What each worker runs: it opens the region, makes the policy in it, and asks until it is
   denied. Returns how many of its requests passed. */
static unsigned long serve(const char *file) {
    tollgate_region *region;
    tollgate_policy *policy;
    tollgate_verdict *verdict;
    tollgate_policy_options options;
    tollgate_attribute user;
    tollgate_request request;
    unsigned long passed = 0;

    memset(&options, 0, sizeof options);
    memset(&user, 0, sizeof user);
    memset(&request, 0, sizeof request);
    CHECK_IS(tollgate_region_open(TEXT(file), 0, &region), TOLLGATE_OK);
    options.size = sizeof options;
    options.region = region;
    CHECK_IS(tollgate_policy_from_text(TEXT(policy_text), &options, &policy), TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    tollgate_region_free(region);

    CHECK_IS(tollgate_policy_attribute(policy, TEXT("user"), &user.id), TOLLGATE_OK);
    user.value = "acme";
    user.length = 4;
    request.size = sizeof request;
    request.method.data = "GET";
    request.method.length = 3;
    request.path.data = "/";
    request.path.length = 1;
    request.attributes = &user;
    request.attribute_count = 1;
    while (tollgate_policy_check(policy, &request, NULL, verdict) == TOLLGATE_ALLOWED)
        passed++;
    tollgate_verdict_free(verdict);
    tollgate_policy_free(policy);
    return passed;
}

static void four_processes(const char *file) {
    int ends[2], worker;
    unsigned long all = 0;

    CHECK(pipe(ends) == 0);
    for (worker = 0; worker < WORKERS; worker++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            unsigned long passed = serve(file);
            CHECK(write(ends[1], &passed, sizeof passed) == (ssize_t)sizeof passed);
            _exit(0);
        }
    }
    for (worker = 0; worker < WORKERS; worker++) {
        unsigned long passed;
        int status;
        CHECK(wait(&status) > 0 && status == 0);
        CHECK(read(ends[0], &passed, sizeof passed) == (ssize_t)sizeof passed);
        all += passed;
    }
    close(ends[0]);
    close(ends[1]);
    CHECK_IS(all, LIMIT);
    /* Nothing ends with the processes. */
    CHECK_IS(serve(file), 0);
}

/* A limiter and leases in memory that was mapped before a fork, as in a zone of nginx. */
static void memory_of_the_host(void) {
    const size_t bytes = 1 << 20;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tollgate_region *region;
    tollgate_limiter *limiter, *same, *other = NULL;
    tollgate_leases *leases;
    tollgate_limiter_options options;
    tollgate_leases_options leases_options;
    tollgate_lease lease;
    pid_t child;
    int status;
    char why[256];

    CHECK(memory != MAP_FAILED);
    CHECK_IS(tollgate_region_in_memory(memory, bytes, &region), TOLLGATE_OK);
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 100;
    options.region = region;
    options.name.data = "logins";
    options.name.length = TOLLGATE_TERMINATED;
    CHECK_IS(tollgate_limiter_new(TEXT("3/h"), &options, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_new(TEXT("3/h"), &options, &same), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_check(limiter, TEXT("ann"), NULL), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_check(same, TEXT("ann"), NULL), TOLLGATE_ALLOWED);

    /* Another configuration is refused, and told. */
    options.algorithm = TOLLGATE_SLIDING_LOG;
    CHECK_IS(tollgate_limiter_new(TEXT("3/h"), &options, &other), TOLLGATE_ERROR_REGION);
    CHECK(other == NULL);
    CHECK_IS(tollgate_last_error(why, sizeof why, NULL), TOLLGATE_OK);
    CHECK(strstr(why, "algorithm") != NULL);
    options.algorithm = TOLLGATE_GCRA;
    options.flags = TOLLGATE_SEEDED;
    CHECK_IS(tollgate_limiter_new(TEXT("3/h"), &options, &other), TOLLGATE_ERROR_UNSUPPORTED);

    memset(&leases_options, 0, sizeof leases_options);
    leases_options.size = sizeof leases_options;
    leases_options.capacity = 100;
    leases_options.region = region;
    leases_options.name.data = "jobs";
    leases_options.name.length = 4;
    CHECK_IS(tollgate_leases_new(1, UINT64_C(3600000000000), &leases_options, &leases),
             TOLLGATE_OK);
    CHECK_IS(tollgate_leases_acquire(leases, TEXT("ann"), TOLLGATE_NOW, &lease, NULL),
             TOLLGATE_ALLOWED);

    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_IS(tollgate_limiter_check(limiter, TEXT("ann"), NULL), TOLLGATE_ALLOWED);
        CHECK_IS(tollgate_limiter_check(limiter, TEXT("ann"), NULL), TOLLGATE_LATER);
        /* The child ends what its parent has. */
        CHECK_IS(tollgate_leases_release(leases, &lease, TOLLGATE_NOW), TOLLGATE_OK);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK_IS(tollgate_limiter_check(same, TEXT("ann"), NULL), TOLLGATE_LATER);
    CHECK_IS(tollgate_leases_release(leases, &lease, TOLLGATE_NOW), TOLLGATE_GONE);
    tollgate_leases_free(leases);
    tollgate_limiter_free(limiter);
    tollgate_limiter_free(same);
    tollgate_region_free(region);
    munmap(memory, bytes);
}

static void kept_elsewhere(const char *file, const char *copy) {
    tollgate_region *region;
    uint8_t *bytes;
    size_t needed = 0;

    CHECK_IS(tollgate_region_open(TEXT(file), 0, &region), TOLLGATE_OK);
    CHECK(tollgate_region_size(region) > 4096);
    CHECK_IS(tollgate_region_snapshot(region, NULL, 0, &needed), TOLLGATE_ERROR_BUFFER);
    bytes = malloc(needed);
    CHECK(bytes != NULL);
    CHECK_IS(tollgate_region_snapshot(region, bytes, needed, NULL), TOLLGATE_OK);
    tollgate_region_free(region);
    CHECK_IS(tollgate_region_restore(TEXT(copy), bytes, needed, &region), TOLLGATE_OK);
    tollgate_region_free(region);
    CHECK_IS(serve(copy), 0);
    bytes[needed / 2] ^= 1;
    CHECK(unlink(copy) == 0);
    CHECK_IS(tollgate_region_restore(TEXT(copy), bytes, needed, &region), TOLLGATE_ERROR_REGION);
    free(bytes);
}

int main(void) {
    char file[64], copy[64];
    snprintf(file, sizeof file, "/tmp/tollgate-%ld.region", (long)getpid());
    snprintf(copy, sizeof copy, "/tmp/tollgate-%ld.copy", (long)getpid());
    four_processes(file);
    kept_elsewhere(file, copy);
    CHECK(unlink(file) == 0);
    memory_of_the_host();
    puts("processes: ok");
    return 0;
}
