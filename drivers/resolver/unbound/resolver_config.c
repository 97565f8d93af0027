#include "resolver_config.h"

#include <errno.h>
#include <stdlib.h>

struct resolver_config {
    uint32_t cnt;
    struct base_buf message[RESOLVER_CONFIG_MAX];
};

struct resolver_config *resolver_config_open(void)
{
    return calloc(1, sizeof(struct resolver_config));
}

void resolver_config_free(struct resolver_config *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->cnt; i++)
        free(c->message[i].p);
    free(c);
}

struct resolver_config *resolver_config_copy(const struct resolver_config *c)
{
    struct resolver_config *copy = resolver_config_open();
    bool ok = copy != NULL;

    for (uint32_t i = 0; i < c->cnt && ok; i++) {
        const struct base_buf *from = &c->message[i];
        struct base_buf b = {.p = malloc(from->len), .cap = from->len};
        ok = b.p != NULL && base_buf_put(&b, from->p, from->len) == 0;
        if (ok)
            copy->message[copy->cnt++] = b;
    }
    if (ok)
        return copy;
    resolver_config_free(copy);
    return NULL;
}

int resolver_config_set(struct resolver_config *c, enum dns_wire_key key, struct base_span text)
{
    struct base_buf b = {.cap = text.len + 16};

    if (c->cnt == RESOLVER_CONFIG_MAX)
        return -ENOSPC;
    b.p = malloc(b.cap);
    if (b.p == NULL)
        return -ENOMEM;
    if (dns_wire_put_set(&b, key, text) != 0) {
        free(b.p);
        return -EINVAL;
    }
    c->message[c->cnt++] = b;
    return 0;
}

bool resolver_config_same(const struct resolver_config *a, const struct resolver_config *b)
{
    bool same = a->cnt == b->cnt;

    for (uint32_t i = 0; i < a->cnt && same; i++)
        same = base_span_eq(base_buf_span(&a->message[i]), base_buf_span(&b->message[i]));
    return same;
}

bool resolver_config_message(const struct resolver_config *c, uint32_t i, struct base_span *out)
{
    if (i >= c->cnt)
        return false;
    *out = base_buf_span(&c->message[i]);
    return true;
}
