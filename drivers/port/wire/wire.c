#include "wire_internal.h"

#include "base_rand.h"
#include "base_time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#define FRAME_CAP_DEFAULT   2048
#define QUEUE_BYTES_DEFAULT (256 * 1024)

/* A frame on its way. Bytes are at slot * frame_bytes of the queue's memory. */
struct flight {
    uint64_t at_ns;
    uint64_t order; /* breaks ties: first in, first out */
    uint32_t slot;
    uint32_t len;
};

/* Frames on their way to one receiving queue: a binary heap by (at_ns, order). */
struct flights {
    struct flight *heap;
    uint32_t cnt;
    uint32_t *free; /* free slots, a stack */
    uint32_t free_cnt;
    uint8_t *bytes;
};

struct drop_rule {
    enum wire_match match;
    uint32_t wait; /* segments to pass before the one that is meant */
    uint32_t left; /* drops to do; 0: rule is free */
    bool found;
    uint32_t ports;
    uint32_t seq;
};

struct wire_end {
    struct wire *wire;
    unsigned index;
    struct wire_end_config config;
    struct net_port port;
    struct flights rx[WIRE_QUEUE_MAX];

    /* Of the frames that this end sends. */
    uint64_t link_free_ns; /* when the last byte in the link's queue is out */
    uint64_t last_at_ns;   /* no later frame overtakes, unless it is reordered */
    uint32_t burst_left;
    struct drop_rule rule[WIRE_DROP_RULE_MAX];
    struct wire_counters counters;
};

struct wire {
    uint64_t now_ns;
    uint64_t order;
    struct base_rand rand;
    uint32_t frame_cap;
    size_t frame_bytes; /* of a slot */
    size_t mtu_bytes;   /* of a frame that is not large */
    uint8_t *scratch;   /* one frame, large ones too */
    uint8_t *piece;     /* one frame that was cut off a large one */
    wire_tap_fn *tap;
    void *tap_arg;
    struct wire_end end[2];
};

const char *wire_fate_name(enum wire_fate fate)
{
    static const char *const names[WIRE_FATE_CNT] = {
        "sent",          "delivered", "lost",    "lost_burst", "path",       "dropped_rule",
        "dropped_queue", "giant",     "no_mbuf", "reordered",  "duplicated", "corrupted",
    };
    return names[fate];
}

static void note(struct wire_end *from, enum wire_fate fate, const uint8_t *bytes, size_t len)
{
    struct wire *w = from->wire;

    from->counters.frame_cnt[fate]++;
    from->counters.byte_cnt[fate] += len;
    if (w->tap != NULL)
        w->tap(w->tap_arg, &(struct wire_tap_frame){w->now_ns, from->index, fate, bytes, len});
}

static bool chance(struct wire *w, uint32_t ppm)
{
    return ppm > 0 && base_rand_below(&w->rand, 1000000) < ppm;
}

/* ---- frames in flight ---- */

static bool earlier(const struct flight *a, const struct flight *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void flights_push(struct flights *f, struct flight flight)
{
    uint32_t i = f->cnt++;

    while (i > 0 && earlier(&flight, &f->heap[(i - 1) / 2])) {
        f->heap[i] = f->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    f->heap[i] = flight;
}

static struct flight flights_pop(struct flights *f)
{
    struct flight top = f->heap[0];
    struct flight last = f->heap[--f->cnt];
    uint32_t i = 0;

    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= f->cnt)
            break;
        if (child + 1 < f->cnt && earlier(&f->heap[child + 1], &f->heap[child]))
            child++;
        if (!earlier(&f->heap[child], &last))
            break;
        f->heap[i] = f->heap[child];
        i = child;
    }
    f->heap[i] = last;
    return top;
}

/* ---- sending ---- */

static bool rule_matches(enum wire_match match, const struct wire_tcp *t)
{
    bool fin = (t->flags & 1) != 0, syn = (t->flags & 2) != 0, rst = (t->flags & 4) != 0;

    switch (match) {
    case WIRE_MATCH_PAYLOAD:
        return t->payload_len > 0;
    case WIRE_MATCH_SYN:
        return syn;
    case WIRE_MATCH_FIN:
        return fin;
    case WIRE_MATCH_ACK_ONLY:
        return t->payload_len == 0 && !fin && !syn && !rst;
    }
    return false;
}

/* True when one of the rules drops this segment. */
static bool rules_drop(struct wire_end *from, const struct wire_tcp *t)
{
    for (uint32_t i = 0; i < WIRE_DROP_RULE_MAX; i++) {
        struct drop_rule *r = &from->rule[i];
        if (r->left == 0 || !rule_matches(r->match, t))
            continue;
        if (!r->found) {
            if (--r->wait > 0)
                continue;
            r->found = true;
            r->ports = t->ports;
            r->seq = t->seq;
        }
        if (r->ports == t->ports && r->seq == t->seq) {
            r->left--;
            return true;
        }
    }
    return false;
}

/* When a frame that enters now has left the sender's side, or BASE_NS_NONE: the queue is full. */
static uint64_t pass_bandwidth(struct wire_end *from, size_t len)
{
    const struct wire_faults *f = &from->config.faults;
    uint64_t now = from->wire->now_ns;

    if (f->bytes_per_s == 0)
        return now;
    uint64_t begin = from->link_free_ns > now ? from->link_free_ns : now;
    uint64_t queue_cap = f->queue_bytes > 0 ? f->queue_bytes : QUEUE_BYTES_DEFAULT;
    unsigned __int128 waiting = (unsigned __int128)(begin - now) * f->bytes_per_s / BASE_NS_S;
    if (waiting + len > queue_cap)
        return BASE_NS_NONE;
    from->link_free_ns = begin + len * BASE_NS_S / f->bytes_per_s;
    return from->link_free_ns;
}

/* Puts the frame into the flight to its queue at the other end. */
static void launch(struct wire_end *from, const uint8_t *bytes, size_t len, uint32_t queue,
                   uint64_t at_ns)
{
    struct wire *w = from->wire;
    struct wire_end *to = &w->end[1 - from->index];
    struct flights *f = &to->rx[queue];

    if (f->free_cnt == 0) {
        note(from, WIRE_DROPPED_QUEUE, bytes, len);
        return;
    }
    uint32_t slot = f->free[--f->free_cnt];
    memcpy(f->bytes + slot * w->frame_bytes, bytes, len);
    flights_push(f, (struct flight){at_ns, w->order++, slot, (uint32_t)len});
}

/* One frame, which may be changed in place, through all that can happen to it. */
static void send_frame(struct wire_end *from, uint8_t *bytes, size_t len)
{
    struct wire *w = from->wire;
    const struct wire_faults *f = &from->config.faults;
    struct wire_tcp t;
    bool tcp = wire_parse_tcp(&t, bytes, len);
    const struct wire_end *to = &w->end[1 - from->index];
    uint32_t queue = tcp ? wire_queue(&t, bytes, to->config.rss) % to->config.queue_cnt : 0;

    note(from, WIRE_SENT, bytes, len);
    uint64_t out_ns = pass_bandwidth(from, len);
    if (out_ns == BASE_NS_NONE) {
        note(from, WIRE_DROPPED_QUEUE, bytes, len);
        return;
    }
    if (f->path_mtu > 0 && len > (size_t)WIRE_ETHER_BYTES + f->path_mtu) {
        note(from, WIRE_DROPPED_PATH, bytes, len);
        return;
    }
    if (tcp && rules_drop(from, &t)) {
        note(from, WIRE_DROPPED_RULE, bytes, len);
        return;
    }
    if (from->burst_left == 0 && chance(w, f->burst_ppm))
        from->burst_left = f->burst_len;
    if (from->burst_left > 0) {
        from->burst_left--;
        note(from, WIRE_LOST_BURST, bytes, len);
        return;
    }
    if (chance(w, f->loss_ppm)) {
        note(from, WIRE_LOST, bytes, len);
        return;
    }
    if (wire_is_ip(bytes, len) && chance(w, f->corrupt_ppm)) {
        uint64_t bit = base_rand_below(&w->rand, (len - WIRE_ETHER_BYTES) * 8);
        bytes[WIRE_ETHER_BYTES + bit / 8] ^= (uint8_t)(1u << (bit % 8));
        note(from, WIRE_CORRUPTED, bytes, len);
    }

    uint64_t at_ns = out_ns + f->delay_ns;
    if (f->jitter_ns > 0)
        at_ns += base_rand_below(&w->rand, f->jitter_ns + 1);
    if (chance(w, f->reorder_ppm)) {
        note(from, WIRE_REORDERED, bytes, len);
        at_ns += f->reorder_ns;
    } else {
        at_ns = at_ns > from->last_at_ns ? at_ns : from->last_at_ns;
        from->last_at_ns = at_ns;
    }
    launch(from, bytes, len, queue, at_ns);
    if (chance(w, f->duplicate_ppm)) {
        note(from, WIRE_DUPLICATED, bytes, len);
        launch(from, bytes, len, queue, at_ns);
    }
}

static void send_piece(void *arg, uint8_t *bytes, size_t len)
{
    send_frame(arg, bytes, len);
}

/* A segment for the NIC to cut. False when it can not be one. */
static bool send_large(struct wire_end *from, struct rte_mbuf *m)
{
    struct wire *w = from->wire;
    size_t len = wire_copy_out(w->scratch, WIRE_LARGE_BYTES, m);
    uint32_t most = m->l2_len + m->l3_len + m->l4_len + m->tso_segsz;

    return from->config.tx_tso && len > 0 && most <= w->mtu_bytes &&
           wire_cut_large(w->scratch, len, m, w->piece, chance(w, from->config.whole_ppm),
                          send_piece, from);
}

static uint16_t wire_tx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    struct wire_end *from = state;
    struct wire *w = from->wire;

    base_assert(queue < from->config.queue_cnt);
    if (cnt > 0 && chance(w, from->config.faults.full_ppm))
        cnt = (uint16_t)base_rand_below(&w->rand, cnt);
    for (uint16_t i = 0; i < cnt; i++) {
        struct rte_mbuf *m = pkts[i];
        base_assert(from->config.tx_multi_segs || m->nb_segs == 1);
        if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
            base_assert(send_large(from, m));
            rte_pktmbuf_free(m);
            continue;
        }
        size_t len = wire_copy_out(w->scratch, w->mtu_bytes, m);
        if (len == 0) {
            note(from, WIRE_SENT, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
            note(from, WIRE_DROPPED_GIANT, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
        } else {
            if (from->config.tx_checksum)
                wire_offload_tx(w->scratch, len, m->ol_flags);
            send_frame(from, w->scratch, len);
        }
        rte_pktmbuf_free(m);
    }
    return cnt;
}

/* ---- receiving ---- */

static uint16_t wire_rx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    struct wire_end *to = state;
    struct wire *w = to->wire;
    struct wire_end *from = &w->end[1 - to->index];
    uint16_t got = 0;

    base_assert(queue < to->config.queue_cnt);
    struct flights *f = &to->rx[queue];
    while (got < cap && f->cnt > 0 && f->heap[0].at_ns <= w->now_ns) {
        struct flight flight = flights_pop(f);
        const uint8_t *bytes = f->bytes + flight.slot * w->frame_bytes;
        struct rte_mbuf *m =
            wire_copy_in(to->config.rx_pool[queue], bytes, flight.len, to->config.rx_split_bytes);
        note(from, m != NULL ? WIRE_DELIVERED : WIRE_DROPPED_NO_MBUF, bytes, flight.len);
        if (m != NULL) {
            m->ol_flags |= to->config.rx_checksum ? wire_offload_rx(bytes, flight.len) : 0;
            pkts[got++] = m;
        }
        f->free[f->free_cnt++] = flight.slot;
    }
    return got;
}

static int wire_wait_fd(void *state, uint16_t queue)
{
    (void)state;
    (void)queue;
    return -1;
}

static const struct net_port_ops wire_ops = {
    .name = "wire",
    .rx_burst = wire_rx_burst,
    .tx_burst = wire_tx_burst,
    .wait_fd = wire_wait_fd,
};

/* ---- the link ---- */

static int flights_init(struct flights *f, uint32_t cap, size_t frame_bytes)
{
    f->heap = calloc(cap, sizeof(*f->heap));
    f->free = calloc(cap, sizeof(*f->free));
    f->bytes = calloc(cap, frame_bytes);
    if (f->heap == NULL || f->free == NULL || f->bytes == NULL)
        return -ENOMEM;
    f->free_cnt = cap;
    for (uint32_t i = 0; i < cap; i++)
        f->free[i] = cap - 1 - i;
    return 0;
}

static int end_init(struct wire *w, unsigned index, const struct wire_end_config *config,
                    uint16_t mtu)
{
    struct wire_end *e = &w->end[index];

    e->wire = w;
    e->index = index;
    e->config = *config;
    e->config.queue_cnt = config->queue_cnt > 0 ? config->queue_cnt : 1;
    if (e->config.queue_cnt > WIRE_QUEUE_MAX)
        return -EINVAL;
    for (uint16_t q = 0; q < e->config.queue_cnt; q++) {
        if (config->rx_pool[q] == NULL)
            return -EINVAL;
        if (flights_init(&e->rx[q], w->frame_cap, w->frame_bytes) != 0)
            return -ENOMEM;
    }
    e->port = (struct net_port){
        .ops = &wire_ops,
        .state = e,
        .caps =
            {
                .mtu = mtu,
                .queue_cnt = e->config.queue_cnt,
                .rx_ip_checksum = config->rx_checksum,
                .rx_tcp_checksum = config->rx_checksum,
                .tx_ip_checksum = config->tx_checksum,
                .tx_tcp_checksum = config->tx_checksum,
                .tx_multi_segs = config->tx_multi_segs,
                .tx_tso = config->tx_tso && config->tx_checksum && config->tx_multi_segs,
                .tx_tso6 = config->tx_tso && config->tx_checksum && config->tx_multi_segs,
                .tso_mtu = mtu,
                .tso_mbuf_max = WIRE_LARGE_MBUFS,
                .rss = e->config.queue_cnt > 1,
            },
    };
    memcpy(e->port.caps.mac, config->mac, sizeof(config->mac));
    return 0;
}

int wire_open(struct wire **out, const struct wire_config *config)
{
    uint16_t mtu = config->mtu > 0 ? config->mtu : 1500;
    struct wire *w = config->now_ns > 0 ? calloc(1, sizeof(*w)) : NULL;

    if (w == NULL)
        return config->now_ns > 0 ? -ENOMEM : -EINVAL;
    w->now_ns = config->now_ns;
    w->frame_cap = config->frame_cap > 0 ? config->frame_cap : FRAME_CAP_DEFAULT;
    w->mtu_bytes = WIRE_ETHER_BYTES + (size_t)mtu;
    bool whole = config->end[0].whole_ppm > 0 || config->end[1].whole_ppm > 0;
    w->frame_bytes = whole ? WIRE_LARGE_BYTES : w->mtu_bytes;
    base_rand_init(&w->rand, config->seed);
    w->scratch = malloc(WIRE_LARGE_BYTES);
    w->piece = malloc(WIRE_LARGE_BYTES);
    int rc = w->scratch != NULL && w->piece != NULL ? 0 : -ENOMEM;
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = end_init(w, i, &config->end[i], mtu);
    if (rc != 0) {
        wire_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

void wire_close(struct wire *w)
{
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned q = 0; q < WIRE_QUEUE_MAX; q++) {
            free(w->end[i].rx[q].heap);
            free(w->end[i].rx[q].free);
            free(w->end[i].rx[q].bytes);
        }
    }
    free(w->scratch);
    free(w->piece);
    free(w);
}

struct net_port *wire_port(struct wire *w, unsigned end)
{
    base_assert(end < 2);
    return &w->end[end].port;
}

void wire_advance(struct wire *w, uint64_t now_ns)
{
    if (now_ns > w->now_ns)
        w->now_ns = now_ns;
}

uint64_t wire_next_ns(const struct wire *w)
{
    uint64_t next = BASE_NS_NONE;

    for (unsigned i = 0; i < 2; i++) {
        for (uint16_t q = 0; q < w->end[i].config.queue_cnt; q++) {
            const struct flights *f = &w->end[i].rx[q];
            if (f->cnt > 0 && f->heap[0].at_ns < next)
                next = f->heap[0].at_ns;
        }
    }
    return next;
}

void wire_set_faults(struct wire *w, unsigned end, const struct wire_faults *faults)
{
    base_assert(end < 2);
    w->end[end].config.faults = *faults;
    w->end[end].burst_left = 0;
}

int wire_drop_segment(struct wire *w, unsigned end, enum wire_match match, uint32_t nth,
                      uint32_t times)
{
    base_assert(end < 2 && nth > 0 && times > 0);
    for (uint32_t i = 0; i < WIRE_DROP_RULE_MAX; i++) {
        struct drop_rule *r = &w->end[end].rule[i];
        if (r->left == 0) {
            *r = (struct drop_rule){.match = match, .wait = nth, .left = times};
            return 0;
        }
    }
    return -ENOSPC;
}

void wire_set_tap(struct wire *w, wire_tap_fn *fn, void *arg)
{
    w->tap = fn;
    w->tap_arg = arg;
}

void wire_count(const struct wire *w, unsigned end, struct wire_counters *out)
{
    base_assert(end < 2);
    *out = w->end[end].counters;
}
