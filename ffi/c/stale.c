/* A build that checks handles: those that were freed, are of another kind, or are none. */
#include "check.h"
#include <tollgate.h>

int main(void) {
    tollgate_limiter *limiter = NULL, *other = NULL;
    tollgate_verdict *verdict = NULL;
    int nth;
    CHECK_IS(tollgate_limiter_new("1/s", 3, NULL, &limiter), TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    CHECK_IS(tollgate_limiter_check(limiter, "k", 1, NULL), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_limiter_check((tollgate_limiter *)(void *)verdict, "k", 1, NULL),
             TOLLGATE_ERROR_HANDLE);
    CHECK_IS(tollgate_limiter_check((tollgate_limiter *)(void *)&nth, "k", 1, NULL),
             TOLLGATE_ERROR_HANDLE);
    tollgate_limiter_free(limiter);
    CHECK_IS(tollgate_limiter_check(limiter, "k", 1, NULL), TOLLGATE_ERROR_HANDLE);
    tollgate_limiter_free(limiter);
    /* No new one is taken for it. */
    for (nth = 0; nth < 100; nth++) {
        CHECK_IS(tollgate_limiter_new("1/s", 3, NULL, &other), TOLLGATE_OK);
        CHECK(other != limiter);
        tollgate_limiter_free(other);
    }
    tollgate_limiter_free((tollgate_limiter *)(void *)verdict);
    CHECK_IS(tollgate_verdict_release(verdict, NULL), TOLLGATE_ERROR_EMPTY);
    tollgate_verdict_free(verdict);
    puts("stale: ok");
    return 0;
}
