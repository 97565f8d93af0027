/*
 * A set of small numbers: a bit each, with summaries above, so that a connection's place among
 * those with work costs no links in it. One thread; memory at init.
 */
#ifndef TCP_SET_H
#define TCP_SET_H

#include "base_assert.h"

#include <stdbool.h>
#include <stdint.h>

#define TCP_SET_LEVEL_CNT 5 /* 2^30 numbers */
#define TCP_SET_NONE      UINT32_MAX

struct tcp_set {
    uint64_t *level[TCP_SET_LEVEL_CNT]; /* [0] owned, the others point into it */
    uint32_t word_cnt[TCP_SET_LEVEL_CNT];
    uint32_t level_cnt;
};

/* An empty set of 0..cap-1. Returns 0, or -ENOMEM. */
int tcp_set_init(struct tcp_set *t, uint32_t cap) BASE_WARN_UNUSED;
void tcp_set_fini(struct tcp_set *t);

/* Both are harmless when there is nothing to do. */
void tcp_set_add(struct tcp_set *t, uint32_t n);
void tcp_set_remove(struct tcp_set *t, uint32_t n);

/* The smallest member that is >= from, or TCP_SET_NONE. */
uint32_t tcp_set_next(const struct tcp_set *t, uint32_t from);

static inline bool tcp_set_empty(const struct tcp_set *t)
{
    return t->level[t->level_cnt - 1][0] == 0;
}

#endif
