/* What the test programs share: a check that says where it failed. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#define CHECK_IS(call, expected)                                               \
    do {                                                                       \
        long long is_ = (long long)(call), wanted_ = (long long)(expected);    \
        if (is_ != wanted_) {                                                  \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__,         \
                    __LINE__, #call, is_, wanted_);                            \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#endif
