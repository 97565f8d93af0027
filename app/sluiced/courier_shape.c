#include "courier_shape.h"
#include "base_time.h"
#include "courier.h"
#include "courier_plan.h"
#include "courier_start.h"
#include "courier_suspend.h"
#include "shape_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MIN_NS BASE_NS_S

/* ---- groups ---- */

static void provider_free(struct courier_provider *p)
{
    for (uint32_t i = 0; p != NULL && i < p->rule_cnt; i++)
        shape_rule_fini(&p->rules[i]);
    if (p != NULL)
        free(p->rules);
    free(p);
}

/* The limits that are in force go to the queue. */
static void apply(struct courier *c, uint32_t group)
{
    const struct courier_provider *p = c->shape.provider[group];
    struct queue_group_limits limits = {
        .job_max = p->state.now.connections,
        .rcpt_max = p->conf != NULL ? (uint32_t)p->conf->recipients : 0,
        .job_gap_ns = p->state.now.gap_ns,
        .rcpt_gap_ns = p->rcpt_gap_ns,
    };

    base_assert(queue_group_limit(c->queue, group, &limits) == 0);
    queue_group_pause(c->queue, group, p->state.until_ns);
    uint64_t due = shape_state_deadline(&p->state);
    c->shape.due_ns = due < c->shape.due_ns ? due : c->shape.due_ns;
}

uint32_t courier_shape_find(const struct courier *c, struct base_span name)
{
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++) {
        const struct courier_provider *p = c->shape.provider[i];
        if (p != NULL && base_span_caseeq(base_span_str(p->name), name))
            return i;
    }
    return 0;
}

/* A free number; 0: there is none, or no memory. */
static uint32_t take(struct courier *c, struct base_span name)
{
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++) {
        if (c->shape.provider[i] != NULL)
            continue;
        struct courier_provider *p = calloc(1, sizeof(*p));
        if (p == NULL)
            return 0;
        snprintf(p->name, sizeof(p->name), "%.*s", (int)name.len, (const char *)name.p);
        c->shape.provider[i] = p;
        c->shape.cnt++;
        return i;
    }
    return 0;
}

static void drop(struct courier *c, uint32_t group)
{
    queue_group_dissolve(c->queue, group);
    provider_free(c->shape.provider[group]);
    c->shape.provider[group] = NULL;
    c->shape.cnt--;
    c->shape.changed = true;
}

int courier_shape_init(struct courier *c)
{
    char why[SHAPE_WHY_CAP];
    const char *text;
    bool everyone;

    c->shape.due_ns = BASE_NS_NONE;
    for (uint32_t i = 0; (text = shape_rule_builtin(i, &everyone)) != NULL; i++) {
        base_assert(i < COURIER_RULE_MAX);
        if (shape_rule_parse(&c->shape.builtin[i], text, why) != 0)
            return -ENOMEM; /* a test reads them all */
        c->shape.builtin[i].everyone = everyone;
        c->shape.builtin_cnt++;
    }
    return 0;
}

void courier_shape_fini(struct courier *c)
{
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++)
        provider_free(c->shape.provider[i]);
    for (uint32_t i = 0; i < c->shape.builtin_cnt; i++)
        shape_rule_fini(&c->shape.builtin[i]);
    kept_text_free(courier_shape_take(c));
}

void courier_shape_restore(struct courier *c, const struct shape_stored *s)
{
    struct base_span name = base_span_str(s->name);
    uint32_t group = courier_shape_find(c, name);
    struct courier_provider *p = c->shape.provider[group];

    if (s->configured != (p != NULL && p->conf != NULL))
        return;
    if (group == 0)
        group = take(c, name);
    if (group == 0)
        return;
    p = c->shape.provider[group];
    const struct shape_limits set = p->state.set;
    p->state = s->state;
    shape_state_set(&p->state, &set);
    memcpy(p->rule, s->rule, sizeof(p->rule));
    snprintf(p->cause, sizeof(p->cause), "%.*s", COURIER_CAUSE_MAX - 1, s->cause);
    p->wall_ns = s->cause_wall_ns;
    apply(c, group);
}

/* ---- settings ---- */

static void read_rules(struct courier_provider *p, const struct conf_provider *conf)
{
    char why[SHAPE_WHY_CAP];

    p->rules = calloc(conf->on_reply.cnt + 1, sizeof(p->rules[0]));
    base_assert(p->rules != NULL); /* as without memory for the journal */
    for (uint32_t i = 0; i < conf->on_reply.cnt; i++)
        if (shape_rule_parse(&p->rules[p->rule_cnt], conf->on_reply.item[i], why) == 0)
            p->rule_cnt++; /* conf_parse has read them all */
}

static void configure_one(struct courier *c, const struct conf_provider *conf)
{
    struct base_span name = base_span_str(conf->name);
    uint32_t group = courier_shape_find(c, name);
    struct shape_limits limits = {.connections = (uint32_t)conf->connections};
    bool good = true;

    if (group == 0)
        group = take(c, name);
    if (group == 0)
        return; /* more than numbers: conf_parse allows half as many */
    struct courier_provider *p = c->shape.provider[group];
    for (uint32_t i = 0; i < p->rule_cnt; i++)
        shape_rule_fini(&p->rules[i]);
    free(p->rules);
    p->rules = NULL;
    p->rule_cnt = 0;
    p->rcpt_gap_ns = 0;
    p->conf = conf;
    if (conf->rate != NULL)
        good = shape_rate_parse(&limits.gap_ns, conf->rate);
    if (conf->recipient_rate != NULL)
        good &= shape_rate_parse(&p->rcpt_gap_ns, conf->recipient_rate);
    base_assert(good);
    read_rules(p, conf);
    shape_state_set(&p->state, &limits);
    apply(c, group);
    c->shape.conf_cnt++;
}

void courier_shape_configure(struct courier *c)
{
    const struct conf *conf = c->settings->conf;
    bool was[QUEUE_GROUP_MAX] = {false};

    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++)
        if (c->shape.provider[i] != NULL && c->shape.provider[i]->conf != NULL) {
            c->shape.provider[i]->conf = NULL; /* of settings that are no more */
            was[i] = true;
        }
    c->shape.conf_cnt = 0;
    for (uint32_t i = 0; i < conf->provider_cnt; i++)
        configure_one(c, &conf->provider[i]);
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++)
        if (was[i] && c->shape.provider[i]->conf == NULL)
            drop(c, i);
    courier_suspend_apply(c);
}

/* ---- members ---- */

static bool names(const struct conf_list *domains, struct base_span name)
{
    for (uint32_t i = 0; i < domains->cnt; i++) {
        struct base_span d = base_span_str(domains->item[i]);
        if (d.p[0] != '.' ? base_span_caseeq(d, name)
                          : name.len > d.len &&
                                base_span_caseeq(d, base_span_of(name.p + name.len - d.len, d.len)))
            return true;
    }
    return false;
}

static const struct conf_provider *provider_by_name(const struct courier *c, struct base_span name)
{
    const struct conf *conf = c->settings->conf;

    for (uint32_t i = 0; i < conf->provider_cnt; i++)
        if (names(&conf->provider[i].domains, name))
            return &conf->provider[i];
    return NULL;
}

static uint32_t group_by_name(const struct courier *c, struct base_span name)
{
    const struct conf_provider *p = provider_by_name(c, name);

    return p != NULL ? courier_shape_find(c, base_span_str(p->name)) : 0;
}

uint32_t courier_shape_group(void *user, struct base_span name, uint32_t group)
{
    const struct courier *c = user;
    uint32_t named = group_by_name(c, name);

    if (named != 0)
        return named;
    /* By its hosts, or its own: the next delivery looks again. */
    if (group < QUEUE_GROUP_MAX && c->shape.provider[group] != NULL && group != 0)
        return group;
    /* One of its own from before a restart. */
    uint32_t own = c->shape.cnt > c->shape.conf_cnt ? courier_shape_find(c, name) : 0;
    return own != 0 && c->shape.provider[own]->conf == NULL ? own : 0;
}

static const struct conf_provider *provider_by_host(const struct courier *c,
                                                    const struct plan_target *target)
{
    const struct conf *conf = c->settings->conf;
    char address[NET_ADDR_TEXT_CAP];
    const char *host = target->host->name;

    if (host[0] == 0) { /* a route to an address */
        net_addr_format(address, &target->endpoint.addr);
        host = address;
    }
    for (uint32_t i = 0; i < conf->provider_cnt && host[0] != 0; i++)
        for (uint32_t k = 0; k < conf->provider[i].mx.cnt; k++)
            if (shape_host_match(conf->provider[i].mx.item[k], host))
                return &conf->provider[i];
    return NULL;
}

/* By the host that is tried first: the others are of no better preference. */
static uint32_t group_by_host(const struct courier *c, const struct courier_plan *p)
{
    const struct conf_provider *of =
        p->order.target_cnt > 0 ? provider_by_host(c, &p->order.target[0]) : NULL;

    return of != NULL ? courier_shape_find(c, base_span_str(of->name)) : 0;
}

const char *courier_shape_receiver(const struct courier *c, const struct courier_plan *p,
                                   const struct plan_target *target)
{
    const struct conf_provider *of = NULL;

    if (c->settings->conf->provider_cnt > 0)
        of = provider_by_name(c, base_span_of(p->key, p->key_len));
    if (of == NULL)
        of = provider_by_host(c, target);
    return of != NULL ? of->name : NULL;
}

static uint32_t group_of(struct courier *c, const struct delivery *d)
{
    struct courier_plan *p = d->plan;
    const struct courier_provider *own = c->shape.provider[d->job.group];

    if (c->shape.conf_cnt > 0 && !p->grouped) { /* once for all of its deliveries */
        uint32_t named = group_by_name(c, base_span_of(p->key, p->key_len));
        p->group = (uint16_t)(named != 0 ? named : group_by_host(c, p));
        p->grouped = true;
    }
    if (p->group != 0)
        return p->group;
    return own != NULL && own->conf == NULL ? d->job.group : 0;
}

bool courier_shape_begin(struct courier *c, struct delivery *d)
{
    d->begun_ns = c->now_ns;
    if (c->shape.cnt == 0)
        return true;
    uint32_t group = group_of(c, d);
    if (d->verify == NULL && !d->probe && !queue_group_join(c->queue, &d->job, group)) {
        stats_inc(c->stats, STATS_COURIER_GROUP_FULL);
        return false;
    }
    if (group == 0)
        return true;
    struct courier_provider *p = c->shape.provider[group];
    shape_state_begun(&p->state, c->now_ns);
    d->group = (uint16_t)group;
    d->group_connections = p->state.now.connections;
    if (p->conf != NULL)
        d->connection_messages = (uint32_t)p->conf->messages_per_connection;
    return true;
}

void courier_shape_fill(struct delivery *d)
{
    if (d->group_connections > 0)
        d->policy ^= d->group * UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- replies ---- */

static struct base_span text_of(const struct delivery_result *r)
{
    return base_span_of(r->text, r->text_len);
}

static const struct shape_rule *rule_for(const struct courier *c, const struct courier_provider *p,
                                         const struct delivery_result *r)
{
    char enhanced[sizeof(r->enhanced) + 1] = "";
    struct shape_reply reply = {.code = r->code, .enhanced = enhanced, .text = text_of(r)};
    bool configured = p != NULL && p->conf != NULL;

    memcpy(enhanced, r->enhanced, sizeof(r->enhanced));
    for (uint32_t i = 0; configured && i < p->rule_cnt; i++)
        if (shape_rule_fits(&p->rules[i], &reply))
            return &p->rules[i];
    for (uint32_t i = 0; (!configured || p->conf->builtin_rules) && i < c->shape.builtin_cnt; i++)
        if ((configured || c->shape.builtin[i].everyone) &&
            shape_rule_fits(&c->shape.builtin[i], &reply))
            return &c->shape.builtin[i];
    return NULL;
}

/* "provider=google connections=10 rate=5/s wait_s=60" */
static int print_limits(char *out, size_t cap, const struct courier *c,
                        const struct courier_provider *p)
{
    char rate[SHAPE_RATE_TEXT_CAP] = "any", connections[16] = "any";
    uint64_t wait = p->state.until_ns > c->now_ns ? p->state.until_ns - c->now_ns : 0;

    if (p->state.now.gap_ns > 0)
        shape_rate_format(rate, p->state.now.gap_ns);
    if (p->state.now.connections > 0)
        snprintf(connections, sizeof(connections), "%u", p->state.now.connections);
    return snprintf(out, cap, "%s=%.60s connections=%s rate=%s wait_s=%llu",
                    p->conf != NULL ? "provider" : "destination", p->name, connections, rate,
                    (unsigned long long)((wait + BASE_NS_S - 1) / BASE_NS_S));
}

static void log_limits(struct courier *c, const struct courier_provider *p,
                       const struct delivery *d, const struct delivery_result *r)
{
    char text[STATS_LOG_TEXT_CAP + 1];
    struct stats_log_record log = {.wall_ns = c->wall_ns,
                                   .event = r != NULL ? STATS_LOG_WARNING : STATS_LOG_NOTE};
    int n = print_limits(text, sizeof(text), c, p);
    size_t len = (size_t)n;

    if (r == NULL) {
        snprintf(text + len, sizeof(text) - len, " as before");
    } else {
        char host[NET_ENDPOINT_TEXT_CAP];
        net_endpoint_format(host, &d->host);
        memcpy(log.id, d->job.id.b, sizeof(log.id));
        snprintf(text + len, sizeof(text) - len, " host=%s cause=%u %.*s %.*s", host, r->code,
                 (int)strnlen(r->enhanced, sizeof(r->enhanced)), r->enhanced, (int)r->text_len,
                 r->text);
    }
    stats_log_text(&log, base_span_str(text));
    stats_log_push(&c->log, &log);
}

/* A destination without a provider has a group of its own from now on. Returns its number, or 0. */
static uint32_t own_group(struct courier *c, struct delivery *d)
{
    uint8_t name[QUEUE_DESTINATION_MAX];
    size_t len = courier_plan_destination(c->settings, d->job.domain, name);
    uint32_t group = courier_shape_find(c, base_span_of(name, len));

    if (group == 0)
        group = take(c, base_span_of(name, len));
    if (group == 0)
        return 0;
    apply(c, group);
    /* Out it is, whether or not the group has a place. */
    if (queue_group_join(c->queue, &d->job, group))
        shape_state_begun(&c->shape.provider[group]->state, c->now_ns);
    d->group = (uint16_t)group;
    return group;
}

static void hit(struct courier *c, struct delivery *d, const struct delivery_result *r,
                const struct shape_rule *rule)
{
    uint32_t group = d->group != 0 ? d->group : own_group(c, d);

    stats_inc(c->stats, STATS_COURIER_SHAPED);
    if (group == 0)
        return;
    struct courier_provider *p = c->shape.provider[group];
    bool changed = shape_state_hit(&p->state, rule, queue_group_job_cnt(c->queue, group),
                                   d->begun_ns, c->now_ns);
    if (changed) {
        snprintf(p->rule, sizeof(p->rule), "%s", rule->text);
        snprintf(p->cause, sizeof(p->cause), "%u %.*s %.*s", r->code,
                 (int)strnlen(r->enhanced, sizeof(r->enhanced)), r->enhanced, (int)r->text_len,
                 r->text);
        p->wall_ns = c->wall_ns;
        c->shape.changed = true;
        apply(c, group);
        log_limits(c, p, d, r);
    }
    if (p->state.until_ns > c->now_ns)
        d->shape_wait_ns = p->state.until_ns - c->now_ns;
    else if (rule->wait_ns > 0 || rule->suspend_ns > 0)
        d->shape_wait_ns = WAIT_MIN_NS;
}

/* Nobody has it, and nobody refused it for good: all of it may go again. */
static bool all_for_now(const struct delivery *d)
{
    for (uint32_t i = 0; i < d->result_cnt; i++)
        if (d->result[i].code / 100 != 4)
            return false;
    return d->result_cnt > 0;
}

bool courier_shape_result(struct courier *c, struct delivery *d)
{
    const struct shape_rule *rule = NULL;
    struct courier_provider *p = c->shape.provider[d->group];
    const struct delivery_result *r = NULL;

    if (d->unattempted || d->verify != NULL)
        return false;
    for (uint32_t i = 0; i < d->result_cnt && rule == NULL; i++) {
        r = &d->result[i];
        if (r->code / 100 == 4)
            rule = rule_for(c, p, r);
        else if (r->code / 100 == 2 && p != NULL)
            shape_state_taken(&p->state);
    }
    if (rule == NULL)
        return false;
    hit(c, d, r, rule);
    if (p != NULL && p->conf != NULL)
        d->next_host = false; /* its other hosts would say the same, and count it */
    if ((rule->actions & SHAPE_RETRY) == 0 || d->shape_retried || !all_for_now(d) || c->draining)
        return false;
    d->shape_retried = true;
    stats_inc(c->stats, STATS_COURIER_SHAPE_RETRIES);
    courier_start_again(c, d);
    return true;
}

/* ---- growth ---- */

uint32_t courier_shape_pass(struct courier *c)
{
    uint32_t n = 0;

    courier_shape_tell(c);
    if (c->now_ns < c->shape.due_ns)
        return 0;
    c->shape.due_ns = BASE_NS_NONE;
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++) {
        struct courier_provider *p = c->shape.provider[i];
        if (p == NULL)
            continue;
        bool low = p->state.low;
        if (shape_state_step(&p->state, c->now_ns)) {
            n++;
            c->shape.changed = true;
            if (low && !p->state.low)
                log_limits(c, p, NULL, NULL);
        }
        if (p->conf == NULL && shape_state_deadline(&p->state) == BASE_NS_NONE)
            drop(c, i);
        else
            apply(c, i);
    }
    return n;
}

uint64_t courier_shape_deadline(const struct courier *c)
{
    uint64_t tell_ns = courier_shape_tell_ns(c);

    return tell_ns < c->shape.due_ns ? tell_ns : c->shape.due_ns;
}

void courier_shape_forget(struct courier *c, uint32_t group)
{
    struct courier_provider *p = c->shape.provider[group];

    if (p == NULL)
        return;
    shape_state_forget(&p->state);
    c->shape.changed = true;
    apply(c, group);
}
