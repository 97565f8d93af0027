#include "stream_service.h"
#include "base_time.h"
#include "topology.h"

#include <errno.h>
#include <stdlib.h>

#define EVENT_BURST 64

struct stream_one {
    uint64_t due_ns;     /* of another try to connect, or of the end of a close; BASE_NS_NONE */
    uint32_t generation; /* of the order that was seen last */
    bool live;           /* the driver has it open */
    bool connected;
    bool readable, writable; /* as far as is known */
    bool closing;
};

int stream_service_init(struct stream_service *s, struct topology *topology,
                        struct net_stream_driver driver)
{
    *s = (struct stream_service){.topology = topology, .driver = driver};
    base_static_assert(TOPOLOGY_LANE_MAX <= 64, "bits of rung");
    s->stats = topology_stats(topology, TOPOLOGY_STREAM, 0);
    s->one = calloc((size_t)topology->lane_cnt * STREAM_CNT, sizeof(s->one[0]));
    for (uint32_t i = 0; s->one != NULL && i < topology->lane_cnt * STREAM_CNT; i++)
        s->one[i].due_ns = BASE_NS_NONE;
    return s->one != NULL ? 0 : -ENOMEM;
}

void stream_service_fini(struct stream_service *s)
{
    if (s->one == NULL)
        return;
    for (uint32_t i = 0; i < s->topology->lane_cnt * STREAM_CNT; i++)
        if (s->one[i].live)
            s->driver.ops->close(s->driver.state, i);
    free(s->one);
    s->one = NULL;
}

static struct stream_slot *slot_of(const struct stream_service *s, uint32_t number)
{
    return &s->topology->streams[number / STREAM_CNT].slot[number % STREAM_CNT];
}

static void tell(struct stream_service *s, uint32_t number, enum stream_phase phase)
{
    struct stream_slot *slot = slot_of(s, number);

    atomic_store_explicit(&slot->phase, stream_word(s->one[number].generation, phase),
                          memory_order_release);
    s->rung |= UINT64_C(1) << number / STREAM_CNT;
}

/* ---- the ends ---- */

static void give_up(struct stream_service *s, uint32_t number)
{
    struct stream_one *one = &s->one[number];

    if (one->live)
        s->driver.ops->close(s->driver.state, number);
    one->live = one->connected = one->closing = false;
    one->due_ns = BASE_NS_NONE;
}

static void set_free(struct stream_service *s, uint32_t number)
{
    give_up(s, number);
    tell(s, number, STREAM_FREE);
}

static void fail(struct stream_service *s, uint32_t number, int error)
{
    slot_of(s, number)->error = error;
    stats_inc(s->stats, STATS_STREAM_FAILED);
    give_up(s, number);
    tell(s, number, STREAM_FAILED);
}

static void end(struct stream_service *s, uint32_t number)
{
    bool closing = s->one[number].closing;

    give_up(s, number);
    tell(s, number, closing ? STREAM_FREE : STREAM_ENDED);
}

/* ---- the beginning ---- */

static void try_open(struct stream_service *s, uint32_t number)
{
    struct stream_one *one = &s->one[number];
    int error = s->driver.ops->open(s->driver.state, number, &slot_of(s, number)->target);

    one->due_ns = BASE_NS_NONE;
    if (error == -EAGAIN) {
        one->due_ns = s->now_ns + STREAM_RETRY_NS;
        return;
    }
    if (error != 0)
        return fail(s, number, error);
    one->live = true;
    one->readable = one->writable = false;
}

static bool take_order(struct stream_service *s, uint32_t number)
{
    struct stream_slot *slot = slot_of(s, number);
    struct stream_one *one = &s->one[number];
    uint32_t word = atomic_load_explicit(&slot->order, memory_order_acquire);
    uint32_t phase = atomic_load_explicit(&slot->phase, memory_order_relaxed);
    bool fresh = word >> 8 != one->generation;

    one->generation = word >> 8;
    switch (word & 0xff) {
    case STREAM_ORDER_OPEN:
        if (!fresh)
            return false;
        stats_inc(s->stats, STATS_STREAM_OPENED);
        tell(s, number, STREAM_CONNECTING);
        try_open(s, number);
        return true;
    case STREAM_ORDER_CLOSE:
        if (one->live && one->connected && !one->closing) {
            one->closing = true;
            one->due_ns = s->now_ns + STREAM_LINGER_NS;
            return true;
        }
        if (one->closing || phase == stream_word(one->generation, STREAM_FREE))
            return false;
        set_free(s, number);
        return true;
    case STREAM_ORDER_ABORT:
        if (phase == stream_word(one->generation, STREAM_FREE))
            return false;
        set_free(s, number);
        return true;
    default:
        return false;
    }
}

/* ---- bytes ---- */

static bool write_out(struct stream_service *s, uint32_t number)
{
    struct stream_slot *slot = slot_of(s, number);
    struct stream_one *one = &s->one[number];
    uint32_t tail = atomic_load_explicit(&slot->out_tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&slot->out_head, memory_order_acquire);
    bool moved = false;

    base_assert(head - tail <= STREAM_OUT_BYTES);
    while (one->writable && head != tail) {
        uint32_t at = tail % STREAM_OUT_BYTES, len = head - tail;
        len = len < STREAM_OUT_BYTES - at ? len : STREAM_OUT_BYTES - at;
        ssize_t n = s->driver.ops->send(s->driver.state, number, slot->out + at, len);
        if (n == -EAGAIN) {
            one->writable = false;
            break;
        }
        tail = n < 0 ? head : tail + (uint32_t)n; /* broken: its end tells, behind what has come */
        one->readable |= n < 0;
        atomic_store_explicit(&slot->out_tail, tail, memory_order_release);
        s->rung |= UINT64_C(1) << number / STREAM_CNT;
        moved = true;
    }
    if (one->closing && head == tail) {
        set_free(s, number);
        return true;
    }
    return moved;
}

static bool read_in(struct stream_service *s, uint32_t number)
{
    struct stream_slot *slot = slot_of(s, number);
    struct stream_one *one = &s->one[number];
    uint32_t head = atomic_load_explicit(&slot->in_head, memory_order_relaxed);
    bool moved = false;

    while (one->live && one->readable) {
        uint32_t tail = atomic_load_explicit(&slot->in_tail, memory_order_acquire);
        uint32_t at = head % STREAM_IN_BYTES, room = STREAM_IN_BYTES - (head - tail);
        if (room == 0)
            break;
        room = room < STREAM_IN_BYTES - at ? room : STREAM_IN_BYTES - at;
        ssize_t n = s->driver.ops->recv(s->driver.state, number, slot->in + at, room);
        if (n == -EAGAIN) {
            one->readable = false;
            break;
        }
        moved = true;
        if (n <= 0) {
            end(s, number);
            break;
        }
        head += (uint32_t)n;
        atomic_store_explicit(&slot->in_head, head, memory_order_release);
        s->rung |= UINT64_C(1) << number / STREAM_CNT;
    }
    return moved;
}

/* ---- a pass ---- */

static bool look(struct stream_service *s, uint32_t number)
{
    struct stream_one *one = &s->one[number];
    bool worked = take_order(s, number);

    if (one->due_ns <= s->now_ns) {
        if (one->closing)
            set_free(s, number);
        else
            try_open(s, number);
        worked = true;
    }
    if (!one->live)
        return worked;
    if (!one->connected) {
        if (!one->writable)
            return worked;
        int error = s->driver.ops->error(s->driver.state, number);
        if (error != 0) {
            fail(s, number, error);
            return true;
        }
        one->connected = true;
        tell(s, number, STREAM_OPEN);
        worked = true;
    }
    worked |= write_out(s, number);
    if (one->live && !one->closing)
        worked |= read_in(s, number);
    return worked;
}

static uint32_t take_events(struct stream_service *s)
{
    struct net_stream_event e[EVENT_BURST];
    uint32_t n = s->driver.ops->poll(s->driver.state, e, EVENT_BURST);

    for (uint32_t i = 0; i < n; i++) {
        struct stream_one *one = &s->one[e[i].number];
        one->readable |= (e[i].flags & NET_STREAM_READABLE) != 0;
        one->writable |= (e[i].flags & NET_STREAM_WRITABLE) != 0;
    }
    return n;
}

bool stream_service_pass(struct stream_service *s, uint64_t now_ns)
{
    bool worked = take_events(s) > 0;

    s->now_ns = now_ns;
    s->rung = 0;
    for (uint32_t lane = 0; lane < s->topology->lane_cnt; lane++) {
        uint64_t used =
            atomic_load_explicit(&s->topology->streams[lane].used, memory_order_acquire);
        for (; used != 0; used &= used - 1)
            worked |= look(s, lane * STREAM_CNT + (uint32_t)__builtin_ctzll(used));
    }
    for (uint64_t rung = s->rung; rung != 0; rung &= rung - 1)
        doorbell_ring(&s->topology->lane_bell[__builtin_ctzll(rung)]);
    return worked;
}

uint64_t stream_service_deadline(const struct stream_service *s)
{
    uint64_t t = BASE_NS_NONE;

    for (uint32_t lane = 0; lane < s->topology->lane_cnt; lane++) {
        uint64_t used =
            atomic_load_explicit(&s->topology->streams[lane].used, memory_order_relaxed);
        for (; used != 0; used &= used - 1) {
            uint64_t due_ns = s->one[lane * STREAM_CNT + (uint32_t)__builtin_ctzll(used)].due_ns;
            t = due_ns < t ? due_ns : t;
        }
    }
    return t;
}
