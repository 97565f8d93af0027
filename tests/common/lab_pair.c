#include "lab_pair.h"

#include "dpdk_eal.h"

void lab_pair_open(struct lab_pair *p, const struct tcp_config config[2])
{
    for (unsigned e = 0; e < 2; e++) {
        lab_open(&p->lab[e], &config[e]);
        p->way[e].cnt = 0;
        for (uint32_t i = 0; i < LAB_PAIR_FLIGHT_CAP; i++)
            p->way[e].order[i] = (uint8_t)i;
    }
}

void lab_pair_close(struct lab_pair *p)
{
    for (unsigned e = 0; e < 2; e++) {
        tcp_fini(p->lab[e].s);
        lab_free_held(&p->lab[e]);
    }
    base_assert(dpdk_pool_full(p->lab[0].data_pool) && dpdk_pool_full(p->lab[0].ctrl_pool) &&
                dpdk_pool_full(p->lab[0].rx_pool));
}

static struct lab_flight *push(struct lab_way *w, const struct lab_segment *g)
{
    if (w->cnt == LAB_PAIR_FLIGHT_CAP)
        return NULL;
    struct lab_flight *f = &w->flight[w->order[w->cnt++]];
    f->g = *g;
    base_assert(g->len <= sizeof(f->data));
    if (g->len > 0)
        memcpy(f->data, g->data, g->len);
    f->g.data = f->data;
    /* The other end sees the ports from its side. */
    f->g.local_port = g->peer_port;
    f->g.peer_port = g->local_port;
    return f;
}

void lab_pair_collect(struct lab_pair *p, unsigned from, lab_pair_look *look, void *arg)
{
    const struct lab_segment *g;

    while ((g = lab_out(&p->lab[from])) != NULL) {
        if (look != NULL)
            look(arg, from, g);
        push(&p->way[from], g);
    }
}

static uint32_t place(const struct lab_way *w, uint32_t nth)
{
    return nth < w->cnt ? nth : w->cnt - 1;
}

struct lab_segment *lab_pair_at(struct lab_pair *p, unsigned from, uint32_t nth)
{
    struct lab_way *w = &p->way[from];

    return w->cnt == 0 ? NULL : &w->flight[w->order[place(w, nth)]].g;
}

void lab_pair_lose(struct lab_pair *p, unsigned from, uint32_t nth)
{
    struct lab_way *w = &p->way[from];

    if (w->cnt == 0)
        return;
    uint32_t at = place(w, nth);
    uint8_t free = w->order[at];
    w->cnt--;
    memmove(w->order + at, w->order + at + 1, w->cnt - at);
    w->order[w->cnt] = free;
}

static void give(struct lab_pair *p, unsigned to, const struct lab_segment *g, bool burst)
{
    lab_push(&p->lab[to], g);
    if (!burst)
        tcp_flush(p->lab[to].s, p->lab[to].now_ns);
    tcp_check_invariants(p->lab[to].s);
}

void lab_pair_deliver(struct lab_pair *p, unsigned from, uint32_t nth, bool keep, bool burst)
{
    const struct lab_segment *g = lab_pair_at(p, from, nth);

    if (g == NULL)
        return;
    give(p, !from, g, burst);
    if (!keep)
        lab_pair_lose(p, from, nth);
}

void lab_pair_part(struct lab_pair *p, unsigned from, uint32_t nth, uint32_t offset, uint32_t len)
{
    const struct lab_segment *g = lab_pair_at(p, from, nth);

    if (g == NULL || offset >= g->len || g->flags & (TCP_FLAG_SYN | TCP_FLAG_RST))
        return;
    struct lab_segment part = *g;
    part.seq += offset;
    part.data = (const uint8_t *)g->data + offset;
    part.len = tcp_min(len, g->len - offset);
    if (offset + part.len < g->len)
        part.flags &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
    give(p, !from, &part, false);
}

void lab_pair_split(struct lab_pair *p, unsigned from, uint32_t nth, uint32_t len)
{
    struct lab_segment *g = lab_pair_at(p, from, nth);

    if (g == NULL || len == 0 || len >= g->len || g->flags & (TCP_FLAG_SYN | TCP_FLAG_RST))
        return;
    lab_pair_part(p, from, nth, 0, len);
    g->seq += len;
    g->len -= len;
    g->data = (const uint8_t *)g->data + len;
}

void lab_pair_join(struct lab_pair *p, unsigned from, uint32_t nth)
{
    struct lab_way *w = &p->way[from];

    if (nth + 1 >= w->cnt)
        return;
    struct lab_flight *a = &w->flight[w->order[nth]];
    const struct lab_segment *b = &w->flight[w->order[nth + 1]].g;
    const uint8_t plain = (uint8_t) ~(TCP_FLAG_PSH | TCP_FLAG_FIN);
    if (a->g.local_port != b->local_port || a->g.peer_port != b->peer_port ||
        a->g.seq + a->g.len != b->seq || a->g.len == 0 || b->len == 0 ||
        a->g.flags & TCP_FLAG_FIN || (a->g.flags & plain) != (b->flags & plain) ||
        a->g.ack != b->ack || a->g.ecn != b->ecn || a->g.timestamp != b->timestamp ||
        a->g.sack_cnt + b->sack_cnt > 0 || a->g.len + b->len > LAB_PAIR_DATA_CAP)
        return;
    memmove(a->data, a->g.data, a->g.len); /* it may have been split */
    memcpy(a->data + a->g.len, b->data, b->len);
    a->g.data = a->data;
    a->g.len += b->len;
    a->g.flags |= b->flags;
    a->g.window = b->window;
    lab_pair_lose(p, from, nth + 1);
}

void lab_pair_wait(struct lab_pair *p, uint64_t span_ns)
{
    for (unsigned e = 0; e < 2; e++)
        lab_wait(&p->lab[e], span_ns);
}
