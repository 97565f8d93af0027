/* A driver of private-key operations that holds them back until a test says so; around the one that
 * signs in the lane. */
#ifndef KEYOP_SLOW_H
#define KEYOP_SLOW_H

#include "unit.h"

#include "keyop_inline.h"

struct slow {
    struct keyop_inline *inner;
    struct tls_keyop *held[64];
    uint32_t held_cnt;
    uint32_t take_max;    /* of a submit */
    uint32_t release_cnt; /* may be polled */
    uint32_t bursts, biggest;
    bool fail;
};

static struct slow slow;

static void *slow_open(void *state, struct base_span pkcs8)
{
    return keyop_inline_ops.key_open(((struct slow *)state)->inner, pkcs8);
}

static void slow_close(void *state, void *key)
{
    keyop_inline_ops.key_close(((struct slow *)state)->inner, key);
}

static uint32_t slow_submit(void *state, struct tls_keyop **ops, uint32_t cnt)
{
    struct slow *s = state;
    uint32_t n = cnt < s->take_max ? cnt : s->take_max;

    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(ops[i]->status, TLS_KEYOP_PENDING);
        s->held[s->held_cnt++] = ops[i];
    }
    s->bursts += n > 0;
    s->biggest = n > s->biggest ? n : s->biggest;
    return n;
}

static void slow_execute(void *state, struct tls_keyop *op)
{
    struct slow *s = state;

    keyop_inline_ops.execute(s->inner, op);
    if (s->fail)
        op->status = TLS_KEYOP_FAILED;
}

/* The last first. */
static uint32_t slow_poll(void *state, struct tls_keyop **ops, uint32_t cap)
{
    struct slow *s = state;
    uint32_t n = 0;

    while (n < cap && s->held_cnt > 0 && s->release_cnt > 0) {
        ops[n] = s->held[--s->held_cnt];
        slow_execute(state, ops[n++]);
        s->release_cnt--;
    }
    return n;
}

static bool slow_deferred(void *state)
{
    (void)state;
    return true;
}

static void slow_leave(void *state)
{
    keyop_inline_ops.leave(((struct slow *)state)->inner);
}

static const struct tls_keyop_ops slow_ops = {
    .name = "slow",
    .key_open = slow_open,
    .key_close = slow_close,
    .submit = slow_submit,
    .poll = slow_poll,
    .execute = slow_execute,
    .leave = slow_leave,
    .deferred = slow_deferred,
};

#endif
