#include "capture.h"
#include "queue_filter.h"
#include "shape.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_mbuf.h>

#define PARSE_BYTES 128 /* of a frame: its headers, as far as the filter looks */

/* ---- words ---- */

/* Digits, with K, M or G behind them where units says so. */
static bool number_parse(uint64_t *out, struct base_span text, bool units, uint64_t max)
{
    static const char unit[] = "KMG";
    uint64_t n = 0, shift = 0;

    if (units && text.len > 1)
        for (uint32_t i = 0; i < 3; i++)
            if ((text.p[text.len - 1] & 0xdf) == unit[i])
                shift = 10 * (i + 1);
    if (shift > 0)
        text.len--;
    if (text.len == 0 || text.len > 12)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.p[i] - '0');
    }
    *out = n << shift;
    return n > 0 && n <= max >> shift;
}

static bool value_take(struct capture_words *w, struct base_span option, struct base_span value)
{
    uint64_t n = 0;
    bool fine;

    if (base_span_eq(option, base_span_str("--address"))) {
        fine = !w->filter.by_address && net_prefix_parse(&w->filter.net, value) == 0;
        w->filter.by_address = true;
        return fine;
    }
    if (base_span_eq(option, base_span_str("--port"))) {
        fine = !w->filter.by_port && number_parse(&n, value, false, UINT16_MAX);
        w->filter.port = (uint16_t)n;
        w->filter.by_port = true;
        return fine;
    }
    if (base_span_eq(option, base_span_str("--for")))
        return w->for_ns == 0 && shape_time_parse(&w->for_ns, value) && w->for_ns > 0;
    if (base_span_eq(option, base_span_str("--bytes")))
        return w->byte_max == 0 && number_parse(&w->byte_max, value, true, UINT64_C(1) << 40);
    if (base_span_eq(option, base_span_str("--snap"))) {
        fine = w->snap_bytes == 0 && number_parse(&n, value, false, CAPTURE_SNAP_MAX);
        w->snap_bytes = (uint32_t)n;
        return fine;
    }
    return false;
}

int capture_words_parse(struct capture_words *out, struct base_span words, struct base_span *bad)
{
    struct base_span word, value;
    bool quoted;
    int got;

    *out = (struct capture_words){0};
    *bad = base_span_of(words.p, 0);
    while ((got = queue_filter_word(&words, &word, &quoted)) == 1) {
        *bad = word;
        if (quoted)
            return -EINVAL;
        if (base_span_eq(word, base_span_str("--all"))) {
            out->filter.all = true;
            continue;
        }
        if (word.len < 2 || word.p[0] != '-' || queue_filter_word(&words, &value, &quoted) != 1)
            return -EINVAL;
        *bad = value.len > 0 ? value : word;
        if (!value_take(out, word, value))
            return -EINVAL;
    }
    if (got < 0) {
        *bad = word;
        return -EINVAL;
    }
    return out->filter.all || out->filter.by_address || out->filter.by_port ? 0 : -EDOM;
}

/* ---- frames ---- */

/* Where the IP header begins; 0: there is none. */
static size_t ip_offset(const uint8_t *p, size_t len)
{
    size_t at = 12;

    for (int tags = 0; tags < 2 && len >= at + 2; tags++, at += 4) {
        uint16_t type = base_be16(p + at);
        if (type == 0x0800 || type == 0x86dd)
            return at + 2;
        if (type != 0x8100 && type != 0x88a8)
            return 0;
    }
    return 0;
}

struct ends {
    struct net_addr src, dst;
    bool has_ports;
    uint16_t src_port, dst_port;
};

static bool parse_ends(struct ends *e, const uint8_t *p, size_t len)
{
    size_t at = ip_offset(p, len), transport = 0;
    uint8_t protocol = 0;

    *e = (struct ends){0};
    if (at == 0)
        return false;
    if (len >= at + 20 && p[at] >> 4 == 4) {
        e->src = net_addr_v4(p + at + 12);
        e->dst = net_addr_v4(p + at + 16);
        protocol = p[at + 9];
        if ((base_be16(p + at + 6) & 0x1fff) == 0) /* not of a later fragment */
            transport = at + (size_t)(p[at] & 15) * 4;
    } else if (len >= at + 40 && p[at] >> 4 == 6) {
        memcpy(e->src.b, p + at + 8, 16);
        memcpy(e->dst.b, p + at + 24, 16);
        protocol = p[at + 6];
        transport = at + 40;
    } else {
        return false;
    }
    if ((protocol == 6 || protocol == 17) && transport > at && len >= transport + 4) {
        e->has_ports = true;
        e->src_port = base_be16(p + transport);
        e->dst_port = base_be16(p + transport + 2);
    }
    return true;
}

bool capture_match(const struct capture_filter *f, const uint8_t *p, size_t len)
{
    struct ends e;

    if (!f->by_address && !f->by_port)
        return true;
    if (!parse_ends(&e, p, len))
        return false;
    if (f->by_address && !net_prefix_contains(&f->net, &e.src) &&
        !net_prefix_contains(&f->net, &e.dst))
        return false;
    return !f->by_port || (e.has_ports && (e.src_port == f->port || e.dst_port == f->port));
}

/* ---- the ring ---- */

struct capture_ring *capture_ring_open(uint64_t cap, const struct capture_filter *filter,
                                       uint32_t snap_bytes)
{
    base_assert(cap >= 4096 && (cap & (cap - 1)) == 0);
    struct capture_ring *r = aligned_alloc(64, sizeof(*r) + cap);
    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof(*r)); /* its bytes are touched when they are used */
    r->cap = cap;
    r->filter = *filter;
    r->snap_bytes = snap_bytes;
    return r;
}

static uint64_t record_bytes(uint32_t len)
{
    return sizeof(struct capture_record) + ((uint64_t)len + 7) / 8 * 8;
}

static void count(_Atomic uint64_t *word)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Bytes from at on, around the end. */
static void put_bytes(struct capture_ring *r, uint64_t at, const void *p, uint64_t len)
{
    uint64_t from = at & (r->cap - 1), first = r->cap - from;

    first = first < len ? first : len;
    memcpy(r->data + from, p, first);
    if (len > first)
        memcpy(r->data, (const uint8_t *)p + first, len - first);
}

static bool meant(const struct capture_ring *r, const struct rte_mbuf *frame)
{
    uint8_t joined[PARSE_BYTES];

    if (!r->filter.by_address && !r->filter.by_port)
        return true;
    if (frame->next == NULL || frame->data_len >= PARSE_BYTES)
        return capture_match(&r->filter, rte_pktmbuf_mtod(frame, const uint8_t *), frame->data_len);
    uint32_t len = frame->pkt_len < PARSE_BYTES ? frame->pkt_len : PARSE_BYTES;
    const uint8_t *p = rte_pktmbuf_read(frame, 0, len, joined);
    return p != NULL && capture_match(&r->filter, p, len);
}

enum capture_result capture_ring_put(struct capture_ring *r, const struct rte_mbuf *frame,
                                     uint8_t port, bool outbound, uint64_t wall_ns)
{
    base_assert(port < CAPTURE_PORT_MAX);
    if (!meant(r, frame))
        return CAPTURE_NOT_MEANT;
    struct capture_record record = {
        .wall_ns = wall_ns,
        .len = frame->pkt_len < r->snap_bytes ? frame->pkt_len : r->snap_bytes,
        .wire_len = frame->pkt_len,
        .port = port,
        .outbound = outbound,
    };
    uint64_t head = atomic_load_explicit(&r->lane.head, memory_order_relaxed);
    uint64_t bytes = record_bytes(record.len);
    count(&r->lane.matched[port]);
    if (head + bytes - r->lane.tail_seen > r->cap)
        r->lane.tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (head + bytes - r->lane.tail_seen > r->cap) {
        count(&r->lane.dropped[port]);
        return CAPTURE_DROPPED;
    }
    put_bytes(r, head, &record, sizeof(record));
    uint64_t at = head + sizeof(record), left = record.len;
    for (const struct rte_mbuf *m = frame; left > 0; m = m->next) {
        base_assert(m != NULL);
        uint64_t len = m->data_len < left ? m->data_len : left;
        put_bytes(r, at, rte_pktmbuf_mtod(m, const void *), len);
        at += len;
        left -= len;
    }
    atomic_store_explicit(&r->lane.head, head + bytes, memory_order_release);
    return CAPTURE_COPIED;
}

static struct base_span piece_of(const struct capture_ring *r, uint64_t at, uint64_t len,
                                 bool second)
{
    uint64_t from = at & (r->cap - 1), first = r->cap - from;

    first = first < len ? first : len;
    return second ? base_span_of(r->data, len - first) : base_span_of(r->data + from, first);
}

bool capture_ring_peek(struct capture_ring *r, struct capture_record *record,
                       struct base_span piece[2])
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (atomic_load_explicit(&r->lane.head, memory_order_acquire) == tail)
        return false;
    struct base_span a = piece_of(r, tail, sizeof(*record), false);
    struct base_span b = piece_of(r, tail, sizeof(*record), true);
    memcpy(record, a.p, a.len);
    if (b.len > 0)
        memcpy((uint8_t *)record + a.len, b.p, b.len);
    piece[0] = piece_of(r, tail + sizeof(*record), record->len, false);
    piece[1] = piece_of(r, tail + sizeof(*record), record->len, true);
    return true;
}

void capture_ring_drop(struct capture_ring *r, const struct capture_record *record)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + record_bytes(record->len), memory_order_release);
}
