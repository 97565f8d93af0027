/*
 * Assertions: for bugs only. What a peer or an operator can cause is never asserted (style rules
 * 12 and 22): it is a return value and a counter.
 *
 * base_assert        always on, in production too: a crash is cheaper than a wrong 250.
 * base_debug_assert  for hot paths: gone in builds with b_ndebug.
 * base_static_assert wire structs and limits, at compile time.
 *
 * A failure prints one line to stderr and aborts. Any thread.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

__attribute__((noreturn, cold)) void base_assert_fail(const char *expr, const char *file, int line);

#define base_assert(expr)                                                                          \
    (__builtin_expect(!!(expr), 1) ? (void)0 : base_assert_fail(#expr, __FILE__, __LINE__))

#ifdef NDEBUG
#define base_debug_assert(expr) ((void)sizeof(!!(expr)))
#else
#define base_debug_assert(expr) base_assert(expr)
#endif

#define base_static_assert(expr, why) _Static_assert(expr, why)

#define BASE_WARN_UNUSED   __attribute__((warn_unused_result))
#define BASE_CACHE_ALIGNED __attribute__((aligned(64)))
#define BASE_ARRAY_CNT(a)  (sizeof(a) / sizeof((a)[0]))
#define base_container_of(ptr, type, member)                                                       \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

#endif
