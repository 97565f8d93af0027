/*
 * A full fence for the usual protocol of sleeping: who sleeps says so in a word, fences and looks
 * once more; who hands over an entry fences and reads the word. One of the two sees the other.
 *
 * word: the one that says so. Nothing is written to it but under the thread sanitizer, which
 * understands no fences: there it is read and written in place of one. Any thread.
 */
#ifndef BASE_FENCE_H
#define BASE_FENCE_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define BASE_FENCE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BASE_FENCE_TSAN 1
#endif
#endif

static inline void base_fence(_Atomic uint32_t *word)
{
#ifdef BASE_FENCE_TSAN
    atomic_fetch_add_explicit(word, 0, memory_order_seq_cst);
#else
    (void)word;
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

#endif
