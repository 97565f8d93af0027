#include "client_table.h"
#include "base_lines.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

int client_table_init(struct client_table *t, uint32_t max, const uint8_t key[16])
{
    uint32_t rows = 2;

    base_assert(max > 0 && max <= UINT32_C(1) << 30);
    while (rows < 2 * max)
        rows *= 2;
    *t = (struct client_table){.mask = rows - 1, .max = max};
    memcpy(t->key, key, sizeof(t->key));
    t->row = base_lines_new(rows * sizeof(t->row[0]));
    return t->row != NULL ? 0 : -ENOMEM;
}

void client_table_fini(struct client_table *t)
{
    free(t->row);
    *t = (struct client_table){0};
}

static void prefix_of(uint8_t prefix[16], const struct net_addr *addr)
{
    memcpy(prefix, addr->b, 16);
    if (!net_addr_is_v4(addr))
        memset(prefix + 8, 0, 8);
}

static uint32_t home_of(const struct client_table *t, const uint8_t prefix[16])
{
    return (uint32_t)base_siphash13(t->key, prefix, 16) & t->mask;
}

/* Its row, or the free one where it would stand: half of them are free, so there is one. */
static uint32_t find(const struct client_table *t, const uint8_t prefix[16])
{
    uint32_t i = home_of(t, prefix);

    while (t->row[i].cnt > 0 && memcmp(t->row[i].prefix, prefix, 16) != 0)
        i = (i + 1) & t->mask;
    return i;
}

uint32_t client_table_count(const struct client_table *t, const struct net_addr *addr)
{
    uint8_t prefix[16];

    prefix_of(prefix, addr);
    return t->row[find(t, prefix)].cnt;
}

void client_table_add(struct client_table *t, const struct net_addr *addr)
{
    uint8_t prefix[16];

    base_assert(t->cnt < t->max);
    prefix_of(prefix, addr);
    struct client_row *r = &t->row[find(t, prefix)];
    memcpy(r->prefix, prefix, sizeof(r->prefix));
    r->cnt++;
    t->cnt++;
}

/* Rows behind the gap whose home lies at or before it move up, or they would not be found. */
static void close_gap(struct client_table *t, uint32_t gap)
{
    for (uint32_t i = (gap + 1) & t->mask; t->row[i].cnt > 0; i = (i + 1) & t->mask) {
        uint32_t home = home_of(t, t->row[i].prefix);
        if (((i - home) & t->mask) < ((i - gap) & t->mask))
            continue;
        t->row[gap] = t->row[i];
        gap = i;
    }
    t->row[gap].cnt = 0;
}

void client_table_remove(struct client_table *t, const struct net_addr *addr)
{
    uint8_t prefix[16];

    prefix_of(prefix, addr);
    uint32_t i = find(t, prefix);
    base_assert(t->row[i].cnt > 0 && t->cnt > 0);
    t->cnt--;
    if (--t->row[i].cnt == 0)
        close_gap(t, i);
}
