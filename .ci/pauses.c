/* A machine that pauses: before every third look at a clock 30 ms go by that the program did not
 * use, 240 ms in all; PAUSES_FIRST=0 to 2 says which. For LD_PRELOAD. Each thread has pauses of
 * its own, since the examples run in one process, each in a thread: a thread's clocks are ahead of
 * the system's by at most what its timeouts may come late. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { EACH = 3, MS = 1000000, PAUSE = 30 * MS, LONGEST = 240 * MS, SECOND = 1000 * MS };

typedef int (*clock_reader)(clockid_t, struct timespec *);

static _Atomic(clock_reader) reader;
static _Atomic long first;
static _Thread_local long looks, ahead;

int clock_gettime(clockid_t which, struct timespec *now)
{
    clock_reader system = reader;
    if (!system) {
        const char *text = getenv("PAUSES_FIRST");
        first = text ? atol(text) : 0;
        reader = system = (clock_reader)dlsym(RTLD_NEXT, "clock_gettime");
    }
    int failed = system(which, now);
    if (failed || which == CLOCK_PROCESS_CPUTIME_ID || which == CLOCK_THREAD_CPUTIME_ID)
        return failed;
    if (looks++ % EACH == first && ahead < LONGEST)
        ahead += PAUSE;
    long nanos = now->tv_nsec + ahead;
    now->tv_sec += nanos / SECOND;
    now->tv_nsec = nanos % SECOND;
    return 0;
}
