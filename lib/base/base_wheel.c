#include "base_wheel.h"
#include "base_assert.h"
#include "base_time.h"

#define SLOT_BITS 8
#define SLOT_MASK (BASE_WHEEL_SLOT_CNT - 1)
#define TICK_NS   BASE_NS_MS

/* The tick at which a deadline is over: rounded up, so that nothing fires early. */
static uint64_t tick_of(uint64_t deadline_ns)
{
    return deadline_ns / TICK_NS + (deadline_ns % TICK_NS != 0);
}

void base_wheel_init(struct base_wheel *w, uint64_t now_ns)
{
    *w = (struct base_wheel){.tick = now_ns / TICK_NS};
    for (int level = 0; level < BASE_WHEEL_LEVEL_CNT; level++)
        for (int i = 0; i < BASE_WHEEL_SLOT_CNT; i++)
            base_list_init(&w->slot[level][i]);
}

void base_timer_init(struct base_timer *t)
{
    base_list_init(&t->node);
    t->deadline_ns = BASE_NS_NONE;
    t->linked_tick = 0;
}

/* Puts the timer in the slot of its deadline, or at the horizon. A slot of level n is emptied
 * when the wheel's tick reaches the slot's first tick, so a timer goes to the lowest level whose
 * one turn covers it. */
static void link_timer(struct base_wheel *w, struct base_timer *t)
{
    uint64_t tick = tick_of(t->deadline_ns);
    uint64_t horizon = w->tick + (UINT64_C(1) << 32) - (UINT64_C(1) << 24) - 1;
    unsigned level = 0;

    if (tick <= w->tick)
        tick = w->tick + 1;
    if (tick > horizon)
        tick = horizon;
    while (level < BASE_WHEEL_LEVEL_CNT - 1 &&
           (tick >> (SLOT_BITS * level)) - (w->tick >> (SLOT_BITS * level)) >= BASE_WHEEL_SLOT_CNT)
        level++;
    unsigned index = (tick >> (SLOT_BITS * level)) & SLOT_MASK;
    t->linked_tick = tick >> (SLOT_BITS * level) << (SLOT_BITS * level);
    base_list_push_back(&w->slot[level][index], &t->node);
    w->used[level][index / 64] |= UINT64_C(1) << (index % 64);
    w->timer_cnt++;
}

static void unlink_timer(struct base_wheel *w, struct base_timer *t)
{
    base_list_remove(&t->node); /* the slot's bit stays until the slot is run: it is a hint */
    w->timer_cnt--;
}

void base_wheel_set(struct base_wheel *w, struct base_timer *t, uint64_t deadline_ns)
{
    base_debug_assert(deadline_ns != BASE_NS_NONE);
    t->deadline_ns = deadline_ns;
    if (base_list_linked(&t->node)) {
        if (tick_of(deadline_ns) >= t->linked_tick)
            return;
        unlink_timer(w, t);
    }
    link_timer(w, t);
}

void base_wheel_stop(struct base_wheel *w, struct base_timer *t)
{
    if (base_list_linked(&t->node))
        unlink_timer(w, t);
    t->deadline_ns = BASE_NS_NONE;
}

/* First used slot of the level after (not at) slot `from`, in turning order; 256 when none. The
 * result is the distance, 1..256. */
static unsigned next_used(const struct base_wheel *w, unsigned level, unsigned from)
{
    for (unsigned distance = 1; distance <= BASE_WHEEL_SLOT_CNT;) {
        unsigned index = (from + distance) & SLOT_MASK;
        uint64_t word = w->used[level][index / 64] >> (index % 64);
        if (word != 0) {
            distance += (unsigned)__builtin_ctzll(word);
            return distance <= BASE_WHEEL_SLOT_CNT ? distance : BASE_WHEEL_SLOT_CNT + 1;
        }
        distance += 64 - index % 64;
    }
    return BASE_WHEEL_SLOT_CNT + 1;
}

/* The next tick at which some slot is to be run or spread, or UINT64_MAX. */
static uint64_t next_tick(const struct base_wheel *w)
{
    uint64_t best = UINT64_MAX;

    for (unsigned level = 0; level < BASE_WHEEL_LEVEL_CNT; level++) {
        uint64_t at = w->tick >> (SLOT_BITS * level);
        unsigned distance = next_used(w, level, at & SLOT_MASK);
        if (distance <= BASE_WHEEL_SLOT_CNT) {
            uint64_t tick = (at + distance) << (SLOT_BITS * level);
            if (tick < best)
                best = tick;
        }
    }
    return best;
}

/* Spreads the slots of the upper levels that begin at the wheel's tick. */
static void cascade(struct base_wheel *w)
{
    for (unsigned level = 1; level < BASE_WHEEL_LEVEL_CNT; level++) {
        if ((w->tick & ((UINT64_C(1) << (SLOT_BITS * level)) - 1)) != 0)
            break;
        unsigned index = (w->tick >> (SLOT_BITS * level)) & SLOT_MASK;
        struct base_list moved, *node;

        base_list_init(&moved);
        while ((node = base_list_pop_front(&w->slot[level][index])) != NULL)
            base_list_push_back(&moved, node);
        w->used[level][index / 64] &= ~(UINT64_C(1) << (index % 64));
        while ((node = base_list_pop_front(&moved)) != NULL) {
            struct base_timer *t = base_container_of(node, struct base_timer, node);
            w->timer_cnt--;
            if (tick_of(t->deadline_ns) <= w->tick) { /* due now: this tick's slot is run next */
                base_list_push_back(&w->slot[0][w->tick & SLOT_MASK], &t->node);
                t->linked_tick = w->tick;
                w->timer_cnt++;
            } else {
                link_timer(w, t);
            }
        }
    }
}

struct base_timer *base_wheel_pop(struct base_wheel *w, uint64_t now_ns)
{
    uint64_t now_tick = now_ns / TICK_NS;

    for (;;) {
        struct base_list *slot = &w->slot[0][w->tick & SLOT_MASK];
        struct base_list *node;

        while ((node = base_list_pop_front(slot)) != NULL) {
            struct base_timer *t = base_container_of(node, struct base_timer, node);
            w->timer_cnt--;
            if (t->deadline_ns <= now_ns && tick_of(t->deadline_ns) <= w->tick) {
                t->deadline_ns = BASE_NS_NONE;
                return t;
            }
            link_timer(w, t); /* moved later since: the lazy part */
        }
        w->used[0][(w->tick & SLOT_MASK) / 64] &= ~(UINT64_C(1) << (w->tick & SLOT_MASK) % 64);
        if (w->tick >= now_tick)
            return NULL;
        uint64_t next = w->timer_cnt > 0 ? next_tick(w) : UINT64_MAX;
        w->tick = next < now_tick ? next : now_tick;
        cascade(w);
    }
}

uint64_t base_wheel_next(const struct base_wheel *w)
{
    if (w->timer_cnt == 0)
        return BASE_NS_NONE;
    if (!base_list_empty(&w->slot[0][w->tick & SLOT_MASK]))
        return w->tick * TICK_NS;
    uint64_t tick = next_tick(w);
    return tick == UINT64_MAX ? BASE_NS_NONE : tick * TICK_NS;
}
