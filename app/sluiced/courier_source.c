#include "courier_source.h"
#include "base_siphash.h"
#include "base_time.h"
#include "courier.h"
#include "courier_bounce.h"
#include "courier_requiretls.h"
#include "courier_start.h"
#include "source_site.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TELL_NS (5 * BASE_NS_S) /* a crash forgets so much of what was counted */
#define DAY_NS  (86400 * BASE_NS_S)

/* ---- life ---- */

int courier_sources_init(struct courier *c)
{
    return source_ledger_init(&c->sources.ledger);
}

void courier_sources_fini(struct courier *c)
{
    kept_text_free(courier_sources_take(c));
    source_ledger_fini(&c->sources.ledger);
}

uint32_t courier_sources_load(struct courier *c, struct base_span text, uint64_t now_ns,
                              uint64_t wall_ns)
{
    return source_ledger_read(&c->sources.ledger, text,
                              c->settings->conf->delivery.set_aside_max_ns, now_ns, wall_ns);
}

struct kept_text *courier_sources_take(struct courier *c)
{
    return kept_take(&c->sources.text);
}

/* NULL without memory: the next one has it. */
static struct kept_text *make_text(struct source_ledger *l, uint64_t now_ns, uint64_t wall_ns)
{
    size_t cap = source_ledger_bytes(l);
    struct base_buf out = {.p = malloc(cap), .cap = cap};

    if (out.p == NULL)
        return NULL;
    base_assert(source_ledger_write(l, &out, now_ns, wall_ns));
    return kept_text_of((char *)out.p, out.len);
}

struct kept_text *courier_sources_rest(struct courier *c, uint64_t now_ns, uint64_t wall_ns)
{
    struct kept_text *last = courier_sources_take(c);

    if (!c->sources.ledger.changed)
        return last;
    kept_text_free(last);
    return make_text(&c->sources.ledger, now_ns, wall_ns);
}

static void number_sources(struct courier *c)
{
    struct courier_sources *s = &c->sources;

    s->generation = c->settings->generation;
    source_ledger_unuse(&s->ledger);
    for (uint32_t i = 0; i < c->settings->source_cnt; i++)
        s->number[i] = source_ledger_use(&s->ledger, c->settings->sources[i].conf->name);
}

void courier_sources_pass(struct courier *c)
{
    struct courier_sources *s = &c->sources;

    if (s->generation != c->settings->generation)
        number_sources(c);
    if (!s->ledger.changed || c->now_ns - s->told_ns < TELL_NS || !kept_free(&s->text))
        return;
    struct kept_text *t = make_text(&s->ledger, c->now_ns, c->wall_ns);
    s->told_ns = c->now_ns;
    if (t != NULL)
        kept_give(&s->text, t);
}

uint64_t courier_sources_deadline(const struct courier *c)
{
    uint64_t t = c->sources.told_ns + TELL_NS;

    if (!c->sources.ledger.changed)
        return BASE_NS_NONE;
    return t > c->now_ns ? t : c->now_ns + TELL_NS; /* control has the last one still */
}

/* ---- the choice ---- */

static uint32_t today(const struct courier *c)
{
    return (uint32_t)(c->wall_ns / DAY_NS);
}

/* Of all sources the one with the highest score comes first: each with a chance in proportion to
 * its weight (weighted rendezvous hashing). */
static double score_of(const struct delivery *d, const struct settings_source *s)
{
    static const uint8_t key[16] = "order of sources";
    uint8_t bytes[sizeof(d->job.id.b) + 8];
    bool nameless = d->verify != NULL || d->probe;

    memset(bytes, 0, sizeof(bytes));
    if (nameless)
        base_put_le64(bytes, base_siphash(key, d->job.domain.p, d->job.domain.len));
    else
        memcpy(bytes, d->job.id.b, sizeof(d->job.id.b));
    base_put_le64(bytes + sizeof(d->job.id.b), s->id);
    double u = ((double)(base_siphash(key, bytes, sizeof(bytes)) >> 11) + 0.5) * 0x1p-53;
    return (double)s->conf->weight / -log(u);
}

/* Recipients that a job may have more than a limit allows go alone: it could never be sent. */
static bool fits(uint32_t used, uint32_t more, uint32_t limit)
{
    return limit == UINT32_MAX || (used == 0 ? limit > 0 : (uint64_t)used + more <= limit);
}

static bool within_limits(const struct courier *c, const struct settings_source *s, uint32_t number,
                          const char *site, uint32_t more)
{
    const struct source_ledger *l = &c->sources.ledger;
    uint32_t day = today(c), all = settings_source_limit(s, day);
    uint32_t each = settings_source_site_limit(s, day);

    return (all == UINT32_MAX || fits(source_ledger_count(l, number, NULL, day), more, all)) &&
           (each == UINT32_MAX || fits(source_ledger_count(l, number, site, day), more, each));
}

/* Who receives there: the provider that the operator names, else whose host it is called. */
static void site_of(char out[SOURCE_SITE_CAP], const struct courier *c,
                    const struct courier_plan *p, const struct plan_target *target)
{
    const char *provider = courier_shape_receiver(c, p, target);
    char text[NET_ADDR_TEXT_CAP];

    if (provider != NULL) {
        snprintf(out, SOURCE_SITE_CAP, "%s", provider);
        return;
    }
    if (target->host->name[0] == 0)
        net_addr_format(text, &target->endpoint.addr);
    source_site(out, target->host->name[0] != 0 ? target->host->name : text);
}

enum need { NEED_ADDRESS, NEED_PEACE, NEED_ROOM }; /* each with what is before it */

/* Of a probe what would be is asked, not when; a verification brings no message. */
static enum need need_of(const struct delivery *d)
{
    return d->probe ? NEED_ADDRESS : d->verify != NULL ? NEED_PEACE : NEED_ROOM;
}

/* Why this one may not be used, the reason of the one that is tried first standing. more: so many
 * recipients. */
static bool may_use(struct courier *c, uint32_t i, const char *site, bool v6, enum need need,
                    uint32_t more, struct courier_source_refusal *why)
{
    const struct settings_source *s = &c->settings->sources[i];
    uint32_t number = c->sources.number[i];
    bool first = why->enhanced == NULL;

    if (number == UINT32_MAX || net_addr_is_none(&s->address[v6])) {
        if (first) {
            why->enhanced = "4.4.4";
            snprintf(why->words, sizeof(why->words), "source %s has no %s address", s->conf->name,
                     v6 ? "IPv6" : "IPv4");
        }
        return false;
    }
    if (need == NEED_ADDRESS)
        return true;
    const struct source_aside *aside =
        source_ledger_aside(&c->sources.ledger, number, site, c->now_ns);
    if (aside != NULL) {
        if (first) {
            why->enhanced = "4.7.0";
            snprintf(why->words, sizeof(why->words), "source %s is set aside at %.40s: %.50s",
                     s->conf->name, site, aside->why);
        }
        return false;
    }
    if (need == NEED_PEACE || within_limits(c, s, number, site, more))
        return true;
    if (first) {
        why->enhanced = "4.3.2";
        snprintf(why->words, sizeof(why->words),
                 "source %s has had its recipients of today (warm_up)", s->conf->name);
    }
    return false;
}

#define NONE_FREE   (-1) /* none may be used now */
#define NONE_WANTED (-2)

/* Its place in the settings, or one of these. */
static int find(struct courier *c, const struct delivery *d, const struct settings_route *route,
                const struct plan_target *target, const char *site,
                struct courier_source_refusal *why)
{
    const struct settings *s = c->settings;
    uint64_t left = settings_source_candidates(s, route, queue_domain(d->job.from));
    bool v6 = !net_addr_is_v4(&target->endpoint.addr);
    double score[CONF_SOURCE_MAX];

    if (left == 0)
        return NONE_WANTED;
    why->enhanced = NULL;
    for (uint32_t i = 0; i < s->source_cnt; i++)
        score[i] = (left >> i & 1) != 0 ? score_of(d, &s->sources[i]) : 0;
    for (;;) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < s->source_cnt; i++)
            if ((left >> i & 1) != 0 && (best == UINT32_MAX || score[i] > score[best]))
                best = i;
        if (best == UINT32_MAX)
            return NONE_FREE;
        if (may_use(c, best, site, v6, need_of(d), d->job.recipient_cnt, why))
            return (int)best;
        left &= ~(UINT64_C(1) << best);
    }
}

bool courier_source_choose(struct courier *c, struct delivery *d,
                           const struct settings_route *route, const struct plan_target *target,
                           struct courier_source_refusal *why)
{
    char site[SOURCE_SITE_CAP];
    int at = NONE_WANTED;

    if (c->settings->source_cnt > 0 && !target->by_kernel) {
        site_of(site, c, d->plan, target);
        at = find(c, d, route, target, site, why);
    }
    if (at == NONE_FREE)
        return false;
    d->source_no = 0;
    d->source = (struct net_addr){0};
    d->ehlo[0] = 0;
    if (at == NONE_WANTED)
        return true;
    memcpy(d->source_site, site, sizeof(site));
    const struct settings_source *s = &c->settings->sources[at];
    d->source = s->address[!net_addr_is_v4(&target->endpoint.addr)];
    snprintf(d->ehlo, sizeof(d->ehlo), "%s", s->conf->ehlo);
    d->source_no = c->sources.number[at] + 1;
    if (d->verify != NULL || d->probe)
        return true;
    d->source_day = today(c);
    d->source_cnt = d->job.recipient_cnt;
    source_ledger_take(&c->sources.ledger, d->source_no - 1, d->source_site, d->source_day,
                       d->source_cnt);
    return true;
}

uint32_t courier_source_choices(struct courier *c, const struct courier_plan *p,
                                const struct plan_target *target, char site[SOURCE_SITE_CAP],
                                struct courier_source_choice out[CONF_SOURCE_MAX])
{
    const struct settings_route *route = courier_plan_route(c, p);
    uint64_t all = settings_source_candidates(c->settings, route, base_span_of(NULL, 0));
    bool v6 = !net_addr_is_v4(&target->endpoint.addr);
    uint32_t cnt = 0, usable_cnt = 0;
    uint64_t weight = 0;

    if (target->by_kernel)
        return 0;
    site_of(site, c, p, target);
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < c->settings->source_cnt; i++) {
            const struct settings_source *s = &c->settings->sources[i];
            struct courier_source_refusal why = {.enhanced = NULL,
                                                 .words = "for mail of its sender_domains alone"};
            if ((route->sources >> i & 1) == 0)
                continue;
            bool usable = (all >> i & 1) != 0 && may_use(c, i, site, v6, NEED_ROOM, 1, &why);
            if (usable != (pass == 0))
                continue;
            struct courier_source_choice *o = &out[cnt++];
            *o = (struct courier_source_choice){
                .source = s, .address = &s->address[v6], .usable = usable};
            if (!usable)
                memcpy(o->why, why.words, sizeof(o->why));
            usable_cnt += usable;
            weight += usable ? s->conf->weight : 0;
        }
    for (uint32_t i = 0; i < usable_cnt; i++) {
        out[i].percent = (uint32_t)(out[i].source->conf->weight * 100 / weight);
        snprintf(out[i].why, sizeof(out[i].why),
                 usable_cnt == 1 ? "the only one that may be used" : "by turns, by its weight");
    }
    return cnt;
}

void courier_source_fill(const struct courier *c, struct delivery *d)
{
    if (d->source_no == 0)
        return;
    uint8_t bytes[16 + 8];
    memcpy(bytes, d->source.b, 16);
    base_put_le64(bytes + 16, base_siphash(c->secret, d->ehlo, strlen(d->ehlo)));
    d->policy ^= base_siphash13(c->secret, bytes, sizeof(bytes));
}

/* ---- what comes of it ---- */

static bool refused(const struct courier *c, const struct delivery_result *r)
{
    return (r->code / 100 == 4 || r->code / 100 == 5) &&
           settings_source_refused(c->settings, r->code, r->enhanced,
                                   base_span_of(r->text, r->text_len));
}

static void set_aside(struct courier *c, struct delivery *d, const struct delivery_result *r)
{
    struct source_ledger *l = &c->sources.ledger;
    const struct conf_delivery *conf = &c->settings->conf->delivery;
    uint32_t number = d->source_no - 1;
    char text[STATS_LOG_TEXT_CAP + SOURCE_WHY_CAP], why[SOURCE_WHY_CAP];

    if (source_ledger_aside(l, number, d->source_site, c->now_ns) != NULL)
        return;
    int n = snprintf(why, sizeof(why), "%u %.*s", r->code, (int)r->text_len, r->text);
    struct base_span words =
        base_span_of(why, (size_t)n < sizeof(why) ? (size_t)n : sizeof(why) - 1);
    uint64_t ns = source_ledger_set_aside(l, number, d->source_site, words, conf->set_aside_min_ns,
                                          conf->set_aside_max_ns, c->now_ns);
    stats_inc(c->stats, STATS_COURIER_SOURCE_ASIDE);
    snprintf(text, sizeof(text), "source %s is set aside at %s for %lu s: %.90s",
             l->sources[number].name, d->source_site, (unsigned long)(ns / BASE_NS_S), why);
    courier_warn(c, &d->job.id, text);
}

bool courier_source_back(struct courier *c, struct delivery *d)
{
    struct source_ledger *l = &c->sources.ledger;
    const struct delivery_result *against = NULL;
    uint32_t took_cnt = 0;

    if (d->source_no == 0)
        return false;
    for (uint32_t i = 0; i < d->result_cnt && !d->unattempted; i++) {
        took_cnt += d->result[i].code / 100 == 2;
        if (against == NULL && refused(c, &d->result[i]))
            against = &d->result[i];
    }
    if (d->source_cnt > took_cnt)
        source_ledger_give(l, d->source_no - 1, d->source_site, d->source_day,
                           d->source_cnt - took_cnt);
    d->source_cnt = 0;
    if (against != NULL && c->settings->conf->delivery.set_aside_min_ns > 0) {
        set_aside(c, d, against);
        d->unattempted |= d->verify != NULL; /* it is no word about the recipient */
        return true;
    }
    if (took_cnt > 0)
        source_ledger_took(l, d->source_no - 1, d->source_site, c->now_ns);
    return false;
}

/* Another source may carry it to one of its next hops. */
static bool other_may(struct courier *c, const struct delivery *d)
{
    const struct settings_route *route = settings_route_find(c->settings, d->job.domain);
    struct courier_source_refusal why;
    char site[SOURCE_SITE_CAP];

    for (uint32_t i = 0; i < d->order->target_cnt; i++) {
        const struct plan_target *target = &d->order->target[i];
        if (target->by_kernel || courier_requiretls_of(d, target->host) == NULL)
            continue;
        site_of(site, c, d->plan, target);
        if (find(c, d, route, target, site, &why) >= 0)
            return true;
    }
    return false;
}

bool courier_source_again(struct courier *c, struct delivery *d)
{
    struct queue_job again = d->job;
    uint32_t kept = 0;

    if (d->source_no == 0 || d->unattempted || d->verify != NULL || d->plan == NULL ||
        c->settings->conf->delivery.set_aside_min_ns == 0)
        return false;
    again.recipient_cnt = 0;
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (refused(c, &d->result[i]))
            again.recipients[again.recipient_cnt++] = d->job.recipients[i];
    if (again.recipient_cnt == 0 || !other_may(c, d))
        return false;
    /* It speaks to us, whatever it says of this source. */
    queue_answer(c->queue, &d->job, QUEUE_ANSWER_YES);
    again.answered = true;
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (!refused(c, &d->result[i])) {
            d->job.recipients[kept] = d->job.recipients[i];
            d->result[kept++] = d->result[i];
        }
    d->job.recipient_cnt = kept;
    d->result_cnt = kept;
    stats_add(c->stats, STATS_COURIER_SOURCE_AGAIN, again.recipient_cnt);
    queue_put_back(c->queue, &again, c->now_ns);
    if (kept > 0)
        return false;
    courier_delivery_put(c, d);
    return true;
}

const char *courier_source_name(const struct courier *c, const struct delivery *d)
{
    return d->source_no == 0 ? "" : c->sources.ledger.sources[d->source_no - 1].name;
}
