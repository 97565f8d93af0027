#include "keyop_inline.h"

#include "base_lines.h"
#include "keyop_key.h"

#include <stdlib.h>

#include <openssl/crypto.h>

struct keyop_inline {
    OSSL_LIB_CTX *libctx;
    bool deferred;
    uint32_t queue_max;
    uint32_t queue_cnt;
    struct tls_keyop *queue[];
};

struct keyop_inline *keyop_inline_open(bool deferred, uint32_t queue_max)
{
    struct keyop_inline *k = base_lines_new(sizeof(*k) + queue_max * sizeof(struct tls_keyop *));

    if (k == NULL)
        return NULL;
    k->deferred = deferred;
    k->queue_max = queue_max;
    k->libctx = OSSL_LIB_CTX_new();
    if (k->libctx != NULL)
        return k;
    free(k);
    return NULL;
}

void keyop_inline_close(struct keyop_inline *k)
{
    base_assert(k->queue_cnt == 0);
    OSSL_LIB_CTX_free(k->libctx);
    free(k);
}

static void *key_open(void *state, struct base_span pkcs8)
{
    struct keyop_inline *k = state;
    struct keyop_key *key = calloc(1, sizeof(*key));

    if (key == NULL || keyop_key_open(key, k->libctx, pkcs8) == 0)
        return key;
    free(key);
    return NULL;
}

static void key_close(void *state, void *key)
{
    (void)state;
    keyop_key_close(key);
    free(key);
}

static uint32_t submit(void *state, struct tls_keyop **ops, uint32_t cnt)
{
    struct keyop_inline *k = state;
    uint32_t n = 0;

    while (n < cnt && k->queue_cnt < k->queue_max)
        k->queue[k->queue_cnt++] = ops[n++];
    return n;
}

static uint32_t poll_done(void *state, struct tls_keyop **ops, uint32_t cap)
{
    struct keyop_inline *k = state;
    uint32_t n = k->queue_cnt < cap ? k->queue_cnt : cap;

    for (uint32_t i = 0; i < n; i++) {
        ops[i] = k->queue[i];
        keyop_key_sign(ops[i]->key, ops[i]);
    }
    k->queue_cnt -= n;
    memmove(k->queue, k->queue + n, k->queue_cnt * sizeof(struct tls_keyop *));
    return n;
}

static void execute(void *state, struct tls_keyop *op)
{
    (void)state;
    keyop_key_sign(op->key, op);
}

static void leave(void *state)
{
    struct keyop_inline *k = state;

    OPENSSL_thread_stop_ex(k->libctx);
}

static bool deferred(void *state)
{
    return ((struct keyop_inline *)state)->deferred;
}

const struct tls_keyop_ops keyop_inline_ops = {
    .name = "inline",
    .key_open = key_open,
    .key_close = key_close,
    .submit = submit,
    .poll = poll_done,
    .execute = execute,
    .leave = leave,
    .deferred = deferred,
};
