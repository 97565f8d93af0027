#include "courier_lane.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

int courier_lanes_init(struct courier_lanes *t, uint32_t lane_cnt, const uint8_t secret[16])
{
    *t = (struct courier_lanes){.lane_cnt = lane_cnt};
    memcpy(t->key, secret, sizeof(t->key));
    t->active = calloc((size_t)COURIER_LANE_ROWS * (lane_cnt + 1), sizeof(t->active[0]));
    return t->active != NULL ? 0 : -ENOMEM;
}

void courier_lanes_fini(struct courier_lanes *t)
{
    free(t->active);
    t->active = NULL;
}

static uint64_t hash_of(const struct courier_lanes *t, const struct delivery *d)
{
    uint8_t bytes[sizeof(d->host.addr.b) + 2 + 8];

    memcpy(bytes, d->host.addr.b, sizeof(d->host.addr.b));
    base_put_le16(bytes + 16, d->host.port);
    base_put_le64(bytes + 18, d->policy);
    return base_siphash13(t->key, bytes, sizeof(bytes));
}

static uint16_t *row_of(const struct courier_lanes *t, uint64_t hash)
{
    return t->active + (hash % COURIER_LANE_ROWS) * (t->lane_cnt + 1);
}

void courier_lanes_take(struct courier_lanes *t, struct delivery *d)
{
    uint64_t hash = hash_of(t, d);
    uint16_t *active = row_of(t, hash);
    uint32_t shift = active[t->lane_cnt];
    uint32_t first = (uint32_t)(((hash >> 32) + shift) % t->lane_cnt), best = first;

    /* Who counts its connections is one lane. */
    bool counted = d->group != 0 && d->group_connections > 0;
    if (counted)
        best = d->group % t->lane_cnt;
    for (uint32_t i = counted ? t->lane_cnt : 1; i < t->lane_cnt; i++) {
        uint32_t lane = (first + i) % t->lane_cnt;
        if (active[lane] < active[best])
            best = lane;
    }
    base_assert(active[best] < UINT16_MAX);
    active[best]++;
    d->lane = best;
}

void courier_lanes_put(struct courier_lanes *t, const struct delivery *d)
{
    uint16_t *active = row_of(t, hash_of(t, d));

    base_assert(active[d->lane] > 0);
    active[d->lane]--;
    if (d->unattempted)
        active[t->lane_cnt]++;
}
