#include "trace.h"
#include "base_siphash.h"

#include <errno.h>

#define LABELS_MAX 255

static const uint8_t key[16] = "trace of sluice"; /* no peer gains by a collision */

/* Of a domain without regard to the case of letters and a dot at the end; never 0. */
static uint64_t hash_domain(struct base_span domain)
{
    uint8_t low[LABELS_MAX];

    if (domain.len > 0 && domain.p[domain.len - 1] == '.')
        domain.len--;
    if (domain.len == 0 || domain.len > sizeof(low))
        return 0;
    for (size_t i = 0; i < domain.len; i++) {
        uint8_t b = domain.p[i];
        low[i] = (uint8_t)(b - 'A') < 26 ? (uint8_t)(b | 0x20) : b;
    }
    uint64_t h = base_siphash(key, low, domain.len);
    return h != 0 ? h : 1;
}

static struct base_span domain_of(struct base_span mailbox)
{
    for (size_t i = mailbox.len; i-- > 0;)
        if (mailbox.p[i] == '@')
            return base_span_of(mailbox.p + i + 1, mailbox.len - i - 1);
    return base_span_of(mailbox.p, 0);
}

static bool is_name(struct base_span text)
{
    if (text.len == 0 || text.len > LABELS_MAX || text.p[0] == '.' || text.p[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t b = text.p[i];
        bool letter = (uint8_t)((b | 0x20) - 'a') < 26 || (uint8_t)(b - '0') < 10 || b >= 0x80;
        if (!letter && b != '-' && b != '_' && b != '.')
            return false;
    }
    return true;
}

int trace_wish_parse(struct trace_wish *out, struct base_span text)
{
    *out = (struct trace_wish){0};
    if (net_prefix_parse(&out->net, text) == 0)
        return 0;
    struct base_span domain = domain_of(text);
    if (domain.len == 0)
        domain = text;
    if (!is_name(domain))
        return -EINVAL;
    out->by_domain = true;
    out->domain = hash_domain(domain);
    return out->domain != 0 ? 0 : -EINVAL;
}

int trace_begin(struct trace *t, const struct trace_wish *wish)
{
    uint32_t on = trace_on(t), i = 0;

    while (i < TRACE_CNT && (on >> i & 1) != 0)
        i++;
    if (i == TRACE_CNT)
        return -EBUSY;
    atomic_store_explicit(&t->wish[i].addr[0], base_le64(wish->net.addr.b), memory_order_relaxed);
    atomic_store_explicit(&t->wish[i].addr[1], base_le64(wish->net.addr.b + 8),
                          memory_order_relaxed);
    atomic_store_explicit(&t->wish[i].prefix_len, wish->net.prefix_len, memory_order_relaxed);
    atomic_store_explicit(&t->wish[i].domain, wish->by_domain ? wish->domain : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&t->on, on | 1U << i, memory_order_relaxed);
    return (int)i;
}

/* Messages of it are forgotten: who has the number next does not follow them. */
void trace_end(struct trace *t, uint32_t number)
{
    atomic_store_explicit(&t->on, trace_on(t) & ~(1U << number), memory_order_relaxed);
    for (uint32_t i = 0; i < TRACE_ID_CNT; i++)
        atomic_fetch_and_explicit(&t->id[i], ~(UINT64_C(1) << number), memory_order_relaxed);
}

uint32_t trace_of_address(const struct trace *t, const struct net_addr *addr)
{
    uint32_t on = trace_on(t), bits = 0;

    for (uint32_t i = 0; i < TRACE_CNT; i++) {
        struct net_prefix net;
        if ((on >> i & 1) == 0 ||
            atomic_load_explicit(&t->wish[i].domain, memory_order_relaxed) != 0)
            continue;
        base_put_le64(net.addr.b, atomic_load_explicit(&t->wish[i].addr[0], memory_order_relaxed));
        base_put_le64(net.addr.b + 8,
                      atomic_load_explicit(&t->wish[i].addr[1], memory_order_relaxed));
        net.prefix_len =
            (uint8_t)atomic_load_explicit(&t->wish[i].prefix_len, memory_order_relaxed);
        bits |= (uint32_t)net_prefix_contains(&net, addr) << i;
    }
    return bits;
}

uint32_t trace_of_domain(const struct trace *t, struct base_span domain)
{
    uint32_t on = trace_on(t), bits = 0;
    uint64_t hash = on != 0 ? hash_domain(domain) : 0;

    for (uint32_t i = 0; i < TRACE_CNT && hash != 0; i++)
        if ((on >> i & 1) != 0 &&
            atomic_load_explicit(&t->wish[i].domain, memory_order_relaxed) == hash)
            bits |= 1U << i;
    return bits;
}

uint32_t trace_of_mailbox(const struct trace *t, struct base_span mailbox)
{
    return trace_of_domain(t, domain_of(mailbox));
}

static uint64_t hash_id(const uint8_t id[16])
{
    return base_siphash(key, id, 16) & ~(uint64_t)((1U << TRACE_CNT) - 1);
}

uint32_t trace_of_id(const struct trace *t, const uint8_t id[16])
{
    if (trace_on(t) == 0)
        return 0;
    uint64_t hash = hash_id(id);
    uint64_t there =
        atomic_load_explicit(&t->id[(hash >> 32) % TRACE_ID_CNT], memory_order_relaxed);
    uint64_t low = (1U << TRACE_CNT) - 1;
    return (there & ~low) == hash ? (uint32_t)(there & low) & trace_on(t) : 0;
}

void trace_note_id(struct trace *t, const uint8_t id[16], uint32_t bits)
{
    uint64_t hash = hash_id(id);

    bits |= trace_of_id(t, id);
    atomic_store_explicit(&t->id[(hash >> 32) % TRACE_ID_CNT], hash | bits, memory_order_relaxed);
}
