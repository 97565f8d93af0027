#include "courier_source_names.h"
#include "base_time.h"
#include "courier.h"
#include "dns_rdata.h"
#include "resolver.h"

#include <stdio.h>

#define KINDS    4                /* of questions for a source */
#define RETRY_NS (5 * BASE_NS_MS) /* while the resolver's ring is full */

struct question {
    const struct settings_source *source;
    const struct net_addr *address;
    uint8_t *state;
    bool v6, ptr;
};

const char *courier_source_name_word(enum courier_source_name state)
{
    static const char *const words[] = {"-", "good", "wrong", "unknown"};

    return words[state];
}

static struct question question_of(struct courier *c, uint32_t n)
{
    struct courier_source_names *s = &c->sources.names;
    uint32_t i = n / KINDS;
    bool v6 = (n & 2) != 0, ptr = (n & 1) == 0;

    return (struct question){
        .source = &c->settings->sources[i],
        .address = &c->settings->sources[i].address[v6],
        .state = ptr ? &s->ptr[i][v6] : &s->leads_back[i][v6],
        .v6 = v6,
        .ptr = ptr,
    };
}

/* ---- what an answer means ---- */

static bool has_address(const struct dns_query *q, const struct net_addr *wanted)
{
    struct base_span rdata;
    struct net_addr a;
    size_t at = 0;

    while (dns_answer_next(&q->answer, &at, &rdata))
        if (dns_read_address(&a, q->type, rdata) == 0 && net_addr_eq(&a, wanted))
            return true;
    return false;
}

static enum courier_source_name judge(const struct dns_query *q, const struct question *of)
{
    if (dns_answer_security(&q->answer) == DNS_ERROR)
        return COURIER_SOURCE_NAME_UNKNOWN;
    bool good = of->ptr ? q->answer.status == DNS_OK && q->answer.record_cnt > 0
                        : has_address(q, of->address);
    return good ? COURIER_SOURCE_NAME_GOOD : COURIER_SOURCE_NAME_WRONG;
}

static void tell(struct courier *c, const struct dns_query *q, const struct question *of,
                 enum courier_source_name state)
{
    struct stats_log_record r = {.wall_ns = c->wall_ns, .event = STATS_LOG_WARNING};
    const struct conf_source *conf = of->source->conf;
    char address[NET_ADDR_TEXT_CAP], text[STATS_LOG_TEXT_CAP];

    net_addr_format(address, of->address);
    if (state == COURIER_SOURCE_NAME_UNKNOWN) {
        r.event = STATS_LOG_NOTE;
        snprintf(text, sizeof(text), "source %.31s: %s of %.60s could not be looked up (%s)",
                 conf->name, dns_type_name(q->type), of->ptr ? address : conf->ehlo,
                 dns_status_name(q->answer.status));
    } else if (of->ptr) {
        snprintf(text, sizeof(text),
                 "source %.31s: %s has no PTR record: many receivers refuse mail from it",
                 conf->name, address);
    } else {
        snprintf(text, sizeof(text),
                 "source %.31s: no %s record of its EHLO name %.60s leads back to %s", conf->name,
                 dns_type_name(q->type), conf->ehlo, address);
    }
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

static void answered(struct dns_query *q)
{
    struct courier *c = q->user;
    struct courier_source_names *s = &c->sources.names;

    s->asking = false;
    /* It may come between a reload and our next pass. */
    if (s->stale || s->generation != c->settings->generation) {
        s->stale = false;
        return;
    }
    struct question of = question_of(c, s->next++);
    enum courier_source_name state = judge(q, &of);
    *of.state = (uint8_t)state;
    if (state != COURIER_SOURCE_NAME_GOOD)
        tell(c, q, &of, state);
}

/* ---- asking ---- */

/* Returns false for one that there is nothing to ask for. */
static bool prepare(struct courier *c, const struct question *of)
{
    struct courier_source_names *s = &c->sources.names;
    uint16_t type = of->ptr ? DNS_TYPE_PTR : of->v6 ? DNS_TYPE_AAAA : DNS_TYPE_A;
    char reverse[DNS_NAME_CAP];
    const char *name = of->ptr ? reverse : of->source->conf->ehlo;

    if (net_addr_is_none(of->address) ||
        (of->ptr && dns_reverse_name(reverse, of->address, dns_reverse_zone(of->address)) != 0) ||
        dns_query_init(&s->query, base_span_str(name), type, c->settings->conf->dns.timeout_ns,
                       s->room, sizeof(s->room)) != 0)
        return false;
    s->query.done = answered;
    s->query.user = c;
    return true;
}

static uint32_t question_cnt(const struct courier *c)
{
    return c->settings->source_cnt * KINDS;
}

uint32_t courier_source_names_pass(struct courier *c)
{
    struct courier_source_names *s = &c->sources.names;

    if (s->generation != c->settings->generation) {
        s->generation = c->settings->generation;
        s->next = 0;
        s->stale = s->asking;
        memset(s->ptr, 0, sizeof(s->ptr));
        memset(s->leads_back, 0, sizeof(s->leads_back));
    }
    for (; !s->asking && !c->draining && s->next < question_cnt(c); s->next++) {
        struct question of = question_of(c, s->next);
        if (!prepare(c, &of))
            continue;
        s->asking = resolver_ask(c->topology, TOPOLOGY_COURIER, 0, &s->query);
        return s->asking;
    }
    return 0;
}

uint64_t courier_source_names_deadline(const struct courier *c)
{
    const struct courier_source_names *s = &c->sources.names;
    bool waits = !s->asking && !c->draining && s->next < question_cnt(c);

    return waits ? c->now_ns + RETRY_NS : BASE_NS_NONE;
}
