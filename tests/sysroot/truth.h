/* Test programs say themselves where they are: before each call they push function and line, and truth_record() prints
 * the return addresses of the moment together with what was pushed. The symbolizer must agree. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

void truth_enter(const char* function, int inlined, int line);
void truth_leave(void);
void truth_record(void);

#ifdef __cplusplus
}
#endif

/* One source line, so that the call's line is __LINE__. truth_leave() keeps the call from being a tail call. */
#define CALL(function, how, call) (truth_enter(function, how, __LINE__), (void)(call), truth_leave())
#define RECORD(function, how) CALL(function, how, truth_record())

enum { REAL = 0, INLINED = 1 };
#define ALWAYS __attribute__((always_inline)) inline
#define NEVER __attribute__((noinline))
