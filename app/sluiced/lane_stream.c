#include "lane.h"

#include <errno.h>
#include <stdio.h>

#define GENERATION_MASK 0xffffffU /* what stream_word leaves of it */

void lane_stream_init(struct lane_streams *t, struct stream_area *area, const char *user)
{
    t->area = area;
    snprintf(t->denied, sizeof(t->denied),
             "permission denied: user %.24s needs rw on the socket and x on its directories",
             user != NULL && user[0] != 0 ? user : "of this process");
    for (uint32_t i = 0; i < STREAM_CNT; i++) {
        t->stream[i].all = t;
        t->stream[i].slot = &area->slot[i];
    }
}

static uint64_t bit_of(const struct lane_stream *s)
{
    return UINT64_C(1) << (s - s->all->stream);
}

static void order(struct lane_stream *s, enum stream_order what)
{
    atomic_store_explicit(&s->slot->order, stream_word(s->generation, what), memory_order_release);
    s->all->rung = true;
}

/* Slots that the thread has given back. */
static void take_back(struct lane_streams *t)
{
    for (uint64_t left = t->closing; left != 0; left &= left - 1) {
        struct lane_stream *s = &t->stream[__builtin_ctzll(left)];
        if (atomic_load_explicit(&s->slot->phase, memory_order_acquire) !=
            stream_word(s->generation, STREAM_FREE))
            continue;
        t->closing &= ~bit_of(s);
        atomic_store_explicit(&t->area->used, t->open | t->closing, memory_order_release);
    }
}

struct lane_stream *lane_stream_open(struct lane *l, const struct net_stream_target *target,
                                     struct conn *c)
{
    struct lane_streams *t = &l->streams;

    take_back(t);
    uint64_t taken = t->open | t->closing;
    if (~taken == 0)
        return NULL;
    struct lane_stream *s = &t->stream[__builtin_ctzll(~taken)];
    struct stream_slot *slot = s->slot;
    s->conn = c;
    s->generation = (s->generation + 1) & GENERATION_MASK;
    s->in_seen = s->out_seen = 0;
    s->phase = STREAM_CONNECTING;
    s->failure = NULL;
    slot->target = *target;
    /* Nobody looks at them before the order. */
    atomic_store_explicit(&slot->out_head, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->out_tail, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->in_head, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->in_tail, 0, memory_order_relaxed);
    order(s, STREAM_ORDER_OPEN);
    t->open |= bit_of(s);
    atomic_store_explicit(&t->area->used, t->open | t->closing, memory_order_release);
    return s;
}

/* ---- the link ---- */

static uint32_t send_pending(const void *link)
{
    const struct lane_stream *s = link;

    return atomic_load_explicit(&s->slot->out_head, memory_order_relaxed) -
           atomic_load_explicit(&s->slot->out_tail, memory_order_acquire);
}

static uint32_t send_space(const void *link)
{
    return STREAM_OUT_BYTES - send_pending(link);
}

static int64_t send_bytes(struct lane *l, void *link, const void *p, size_t len)
{
    struct lane_stream *s = link;
    uint32_t head = atomic_load_explicit(&s->slot->out_head, memory_order_relaxed);
    uint32_t space = send_space(s);

    (void)l;
    if (s->failure != NULL)
        return -ENOTCONN;
    uint32_t n = len < space ? (uint32_t)len : space, at = head % STREAM_OUT_BYTES;
    uint32_t first = n < STREAM_OUT_BYTES - at ? n : STREAM_OUT_BYTES - at;
    memcpy(s->slot->out + at, p, first);
    memcpy(s->slot->out, (const uint8_t *)p + first, n - first);
    atomic_store_explicit(&s->slot->out_head, head + n, memory_order_release);
    s->all->rung |= n > 0;
    return n;
}

static uint32_t recv_len(const void *link)
{
    const struct lane_stream *s = link;

    return atomic_load_explicit(&s->slot->in_head, memory_order_acquire) -
           atomic_load_explicit(&s->slot->in_tail, memory_order_relaxed);
}

static uint32_t recv_view(const void *link, struct base_span *spans, uint32_t cap)
{
    const struct lane_stream *s = link;
    uint32_t at = atomic_load_explicit(&s->slot->in_tail, memory_order_relaxed) % STREAM_IN_BYTES;
    uint32_t len = recv_len(s), n = 0;
    uint32_t first = len < STREAM_IN_BYTES - at ? len : STREAM_IN_BYTES - at;

    if (first > 0 && n < cap)
        spans[n++] = base_span_of(s->slot->in + at, first);
    if (len > first && n < cap)
        spans[n++] = base_span_of(s->slot->in, len - first);
    return n;
}

static void recv_consume(struct lane *l, void *link, uint32_t n)
{
    struct lane_stream *s = link;
    uint32_t tail = atomic_load_explicit(&s->slot->in_tail, memory_order_relaxed);

    (void)l;
    base_assert(n <= recv_len(s));
    atomic_store_explicit(&s->slot->in_tail, tail + n, memory_order_release);
    s->all->rung |= n > 0;
}

static bool recv_ended(const void *link)
{
    const struct lane_stream *s = link;

    return s->phase == STREAM_ENDED && recv_len(s) == 0;
}

static const char *failure(const void *link)
{
    return ((const struct lane_stream *)link)->failure;
}

static void leave(struct lane_stream *s, enum stream_order how)
{
    struct lane_streams *t = s->all;

    base_assert((t->open & bit_of(s)) != 0);
    s->conn = NULL;
    t->open &= ~bit_of(s);
    t->closing |= bit_of(s);
    order(s, how);
}

static void close_link(struct lane *l, void *link)
{
    (void)l;
    leave(link, STREAM_ORDER_CLOSE);
}

static void abort_link(struct lane *l, void *link)
{
    (void)l;
    leave(link, STREAM_ORDER_ABORT);
}

const struct conn_link_ops conn_link_stream = {
    .name = "stream",
    .send = send_bytes,
    .send_space = send_space,
    .send_pending = send_pending,
    .recv_view = recv_view,
    .recv_len = recv_len,
    .recv_consume = recv_consume,
    .recv_ended = recv_ended,
    .failure = failure,
    .close = close_link,
    .abort = abort_link,
};

/* ---- what is new ---- */

/* With what to do about it, where that is the operator's. */
static const char *text_of(const struct lane_streams *t, int error)
{
    switch (-error) {
    case EACCES:
    case EPERM:
        return t->denied;
    case ENOENT:
        return "there is no such socket: is its server running?";
    case ECONNREFUSED:
        return "connection refused: nobody listens at the socket";
    default:
        return strerrordesc_np(-error);
    }
}

uint32_t lane_stream_news(struct lane_stream *s)
{
    uint32_t word = atomic_load_explicit(&s->slot->phase, memory_order_acquire);
    uint32_t in_head = atomic_load_explicit(&s->slot->in_head, memory_order_acquire);
    uint32_t out_tail = atomic_load_explicit(&s->slot->out_tail, memory_order_acquire);
    uint32_t flags = 0;

    if (word >> 8 != s->generation)
        return 0; /* the order has not been seen */
    uint8_t phase = (uint8_t)word;
    if (phase == STREAM_FAILED) {
        if (s->phase == STREAM_FAILED)
            return 0;
        s->phase = phase;
        s->failure = text_of(s->all, s->slot->error);
        return TCP_EVENT_FAILED;
    }
    if (s->phase == STREAM_CONNECTING && phase > STREAM_CONNECTING)
        flags |= TCP_EVENT_CONNECTED;
    if (phase == STREAM_ENDED && s->phase != STREAM_ENDED)
        flags |= TCP_EVENT_PEER_CLOSED;
    if (in_head != s->in_seen)
        flags |= TCP_EVENT_READABLE;
    if (out_tail != s->out_seen)
        flags |= TCP_EVENT_WRITABLE;
    s->phase = phase;
    s->in_seen = in_head;
    s->out_seen = out_tail;
    return flags;
}

uint32_t lane_stream_pass(struct lane *l)
{
    struct lane_streams *t = &l->streams;
    uint32_t n = 0;

    if (t->closing != 0)
        take_back(t);
    for (uint64_t left = t->open; left != 0; left &= left - 1) {
        struct lane_stream *s = &t->stream[__builtin_ctzll(left)];
        if ((t->open & bit_of(s)) == 0) /* one before it has ended it */
            continue;
        uint32_t flags = lane_stream_news(s);
        if (flags == 0)
            continue;
        n++;
        conn_event(s->conn, flags);
    }
    return n;
}
