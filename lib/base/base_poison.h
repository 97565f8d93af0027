/*
 * Memory that is free and yet ours, told to the address sanitizer: in its builds a touch of it is
 * reported, in others these are nothing. Any thread; the bytes are the caller's.
 */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define BASE_HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BASE_HAVE_ASAN 1
#endif
#endif

#ifdef BASE_HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define base_poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define base_unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define base_poison(p, n)   ((void)(p), (void)(n))
#define base_unpoison(p, n) ((void)(p), (void)(n))
#endif

#endif
