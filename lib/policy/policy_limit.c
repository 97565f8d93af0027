#include "policy_limit.h"
#include "base_siphash.h"
#include "base_time.h"

#include <errno.h>
#include <stdlib.h>

#define WINDOW_NS (60 * BASE_NS_S)
#define CNT_MASK  UINT64_C(0xffffff)

int policy_limits_init(struct policy_limits *t, uint32_t client_max, const uint8_t key[16])
{
    uint32_t sets = 2;

    base_assert(client_max > 0 && client_max <= UINT32_C(1) << 28);
    while (sets * (POLICY_LIMIT_WAYS / 2) < client_max) /* half of the rows are free */
        sets *= 2;
    *t = (struct policy_limits){.mask = sets - 1};
    memcpy(t->key, key, sizeof(t->key));
    t->memory = calloc(sets + 1, sizeof(t->set[0])); /* untouched pages cost nothing */
    if (t->memory == NULL)
        return -ENOMEM;
    t->set = (void *)(((uintptr_t)t->memory + 63) & ~(uintptr_t)63);
    return 0;
}

void policy_limits_fini(struct policy_limits *t)
{
    free(t->memory);
    *t = (struct policy_limits){0};
}

static void cut(uint8_t *b, uint32_t byte_cnt, uint32_t prefix)
{
    for (uint32_t i = 0; i < byte_cnt; i++) {
        uint32_t keep = prefix > 8 * i ? prefix - 8 * i : 0;
        if (keep < 8)
            b[i] &= (uint8_t)(0xff00 >> keep);
    }
}

struct policy_limit_client policy_limit_client(const struct net_addr *addr, uint32_t prefix4,
                                               uint32_t prefix6)
{
    struct policy_limit_client c = {.kind = 6};

    base_assert(prefix4 <= 32 && prefix6 <= 128);
    if (net_addr_is_v4(addr)) {
        c.kind = 4;
        memcpy(c.b, addr->b + 12, 4);
        cut(c.b, 4, prefix4);
    } else {
        memcpy(c.b, addr->b, 16);
        cut(c.b, 16, prefix6);
    }
    return c;
}

struct policy_limit_client policy_limit_login(const struct policy_limits *t, struct base_span login)
{
    struct policy_limit_client c = {.kind = 'L'};
    uint8_t lower[256];
    size_t len = login.len < sizeof(lower) ? login.len : sizeof(lower);

    for (size_t i = 0; i < len; i++)
        lower[i] =
            (uint8_t)(login.p[i] >= 'A' && login.p[i] <= 'Z' ? login.p[i] | 0x20 : login.p[i]);
    uint64_t h = base_siphash(t->key, lower, len);
    memcpy(c.b, &h, sizeof(h));
    return c;
}

/* Where a client's rows may stand. */
struct place {
    uint64_t tag; /* as in a row: above the count; never 0 */
    uint32_t set[2];
};

static struct place place_of(const struct policy_limits *t,
                             const struct policy_limit_client *client)
{
    uint8_t bytes[17];

    bytes[0] = client->kind;
    memcpy(bytes + 1, client->b, sizeof(client->b));
    uint64_t h = base_siphash(t->key, bytes, sizeof(bytes));
    bytes[0] |= 0x80; /* a second hash */
    uint64_t g = base_siphash13(t->key, bytes, sizeof(bytes));
    struct place p = {.tag = h & ~CNT_MASK, .set = {(uint32_t)g & t->mask}};
    p.set[1] = (uint32_t)(g >> 32) & t->mask;
    if (p.set[1] == p.set[0])
        p.set[1] = (p.set[0] + 1) & t->mask;
    if (p.tag == 0)
        p.tag = CNT_MASK + 1;
    return p;
}

static _Atomic uint64_t *word_of(const struct policy_limits *t, uint32_t row)
{
    return &t->set[row / POLICY_LIMIT_WAYS].row[row % POLICY_LIMIT_WAYS];
}

static _Atomic uint64_t *until_of(const struct policy_limits *t, uint32_t row,
                                  enum policy_limit_rate rate)
{
    return &t->set[row / POLICY_LIMIT_WAYS].until_ns[row % POLICY_LIMIT_WAYS][rate];
}

/* A client's rows at one instant, as near as can be. */
struct look {
    uint32_t row;  /* the first of it, or NONE */
    uint64_t word; /* that row's */
    uint64_t sum;  /* connections in all its rows */
};

static struct look look(const struct policy_limits *t, const struct place *p)
{
    struct look l = {.row = POLICY_LIMIT_NONE};

    for (uint32_t i = 0; i < 2 * POLICY_LIMIT_WAYS; i++) {
        uint32_t row = p->set[i / POLICY_LIMIT_WAYS] * POLICY_LIMIT_WAYS + i % POLICY_LIMIT_WAYS;
        uint64_t word = atomic_load_explicit(word_of(t, row), memory_order_seq_cst);
        if ((word & ~CNT_MASK) != p->tag)
            continue;
        if (l.row == POLICY_LIMIT_NONE) {
            l.row = row;
            l.word = word;
        }
        l.sum += word & CNT_MASK;
    }
    return l;
}

static uint64_t latest(const struct policy_limits *t, uint32_t row)
{
    uint64_t until = 0;

    for (int i = 0; i < POLICY_LIMIT_RATE_CNT; i++) {
        uint64_t u = atomic_load_explicit(until_of(t, row, i), memory_order_relaxed);
        until = u > until ? u : until;
    }
    return until;
}

/* A row for another client: the one that has least to say. NONE: all are pinned. */
static uint32_t choose_victim(const struct policy_limits *t, const struct place *p, uint64_t now_ns,
                              uint64_t *word, bool *early)
{
    uint32_t best = POLICY_LIMIT_NONE;
    uint64_t best_ns = UINT64_MAX;

    for (uint32_t i = 0; i < 2 * POLICY_LIMIT_WAYS; i++) {
        /* The sets by turns, so that both fill evenly. */
        uint32_t row = p->set[i & 1] * POLICY_LIMIT_WAYS + i / 2;
        uint64_t w = atomic_load_explicit(word_of(t, row), memory_order_relaxed);
        if ((w & CNT_MASK) != 0)
            continue;
        uint64_t until = latest(t, row);
        if (until <= now_ns)
            until = 0;
        if (best != POLICY_LIMIT_NONE && until >= best_ns)
            continue;
        best = row;
        best_ns = until;
        *word = w;
        if (until == 0)
            break;
    }
    *early = best != POLICY_LIMIT_NONE && best_ns > 0;
    return best;
}

/* Takes a row for the client, counting cnt in it. NONE: there is none; the row may also have gone
 * to somebody else meanwhile: then *again. */
static uint32_t claim(struct policy_limits *t, const struct place *p, uint32_t cnt, uint64_t now_ns,
                      bool *again, bool *forgot)
{
    uint64_t word = 0;
    bool early;
    uint32_t row = choose_victim(t, p, now_ns, &word, &early);

    *again = false;
    if (row == POLICY_LIMIT_NONE)
        return row;
    if (!atomic_compare_exchange_strong_explicit(word_of(t, row), &word, p->tag | cnt,
                                                 memory_order_seq_cst, memory_order_relaxed)) {
        *again = true;
        return POLICY_LIMIT_NONE;
    }
    if (early) { /* it is not to pay for another's doings */
        for (int i = 0; i < POLICY_LIMIT_RATE_CNT; i++)
            atomic_store_explicit(until_of(t, row, i), 0, memory_order_relaxed);
        *forgot = true;
    }
    return row;
}

enum policy_limit_result policy_limit_open(struct policy_limits *t,
                                           const struct policy_limit_client *client,
                                           uint32_t conn_max, uint64_t now_ns, uint32_t *row,
                                           bool *forgot)
{
    struct place p = place_of(t, client);
    uint64_t max = conn_max != 0 && conn_max < CNT_MASK ? conn_max : CNT_MASK - 1;

    *row = POLICY_LIMIT_NONE;
    *forgot = false;
    for (;;) {
        struct look l = look(t, &p);
        bool again;
        if (l.sum >= max)
            return POLICY_LIMIT_OVER;
        if (l.row != POLICY_LIMIT_NONE) {
            if (!atomic_compare_exchange_strong_explicit(word_of(t, l.row), &l.word, l.word + 1,
                                                         memory_order_seq_cst,
                                                         memory_order_relaxed))
                continue; /* somebody else got on */
            *row = l.row;
            break;
        }
        *row = claim(t, &p, 1, now_ns, &again, forgot);
        if (*row != POLICY_LIMIT_NONE)
            break;
        if (!again)
            return POLICY_LIMIT_UNCOUNTED;
    }
    /* A second row of this client may have come up meanwhile: each of the two that made them adds
     * before it sums up, so one at least sees both. */
    if (look(t, &p).sum <= max)
        return POLICY_LIMIT_FITS;
    policy_limit_close(t, *row);
    *row = POLICY_LIMIT_NONE;
    return POLICY_LIMIT_OVER;
}

void policy_limit_close(struct policy_limits *t, uint32_t row)
{
    if (row == POLICY_LIMIT_NONE)
        return;
    uint64_t before = atomic_fetch_sub_explicit(word_of(t, row), 1, memory_order_seq_cst);
    base_assert((before & CNT_MASK) != 0);
}

/* All that was done takes until then at the allowed pace; over is more than a minute ahead. */
static uint64_t charged(uint64_t until_ns, uint32_t per_minute, uint64_t now_ns)
{
    return (until_ns > now_ns ? until_ns : now_ns) + WINDOW_NS / per_minute;
}

bool policy_limit_allows(const struct policy_limits *t, uint32_t row, enum policy_limit_rate rate,
                         uint32_t per_minute, uint64_t now_ns)
{
    base_assert(rate < POLICY_LIMIT_RATE_CNT && per_minute <= POLICY_LIMIT_RATE_MAX);
    if (row == POLICY_LIMIT_NONE || per_minute == 0)
        return true;
    uint64_t until = atomic_load_explicit(until_of(t, row, rate), memory_order_relaxed);
    return charged(until, per_minute, now_ns) <= now_ns + WINDOW_NS;
}

bool policy_limit_charge(struct policy_limits *t, uint32_t row, enum policy_limit_rate rate,
                         uint32_t per_minute, uint64_t now_ns)
{
    base_assert(rate < POLICY_LIMIT_RATE_CNT && per_minute <= POLICY_LIMIT_RATE_MAX);
    if (row == POLICY_LIMIT_NONE || per_minute == 0)
        return true;
    _Atomic uint64_t *at = until_of(t, row, rate);
    uint64_t until = atomic_load_explicit(at, memory_order_relaxed), next;
    do {
        next = charged(until, per_minute, now_ns);
        if (next > now_ns + WINDOW_NS)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(at, &until, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool policy_limit_charge_client(struct policy_limits *t, const struct policy_limit_client *client,
                                enum policy_limit_rate rate, uint32_t per_minute, uint64_t now_ns,
                                bool *forgot)
{
    struct place p = place_of(t, client);
    bool again = true;

    *forgot = false;
    if (per_minute == 0)
        return true;
    for (;;) {
        uint32_t row = look(t, &p).row;
        if (row == POLICY_LIMIT_NONE && again)
            row = claim(t, &p, 0, now_ns, &again, forgot);
        else if (row == POLICY_LIMIT_NONE)
            return true; /* every row is pinned */
        if (row != POLICY_LIMIT_NONE)
            return policy_limit_charge(t, row, rate, per_minute, now_ns);
    }
}

uint32_t policy_limit_count(const struct policy_limits *t, const struct policy_limit_client *client)
{
    struct place p = place_of(t, client);

    return (uint32_t)look(t, &p).sum;
}
