#include "courier_sts.h"
#include "base_time.h"
#include "courier.h"
#include "courier_control.h"
#include "courier_plan.h"
#include "courier_print.h"
#include "resolver.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORD_ROOM   4096
#define RETRY_NS      (5 * BASE_NS_MS) /* while the resolver's ring is full */
#define REFRESH_NS    (30 * BASE_NS_S) /* between two looks at the cache */
#define REFRESH_BURST 8                /* fetched for nobody at a time */
#define UNSURE_TTL_S  60               /* of a plan, when the record could not be looked up */

struct job {
    struct base_list node;
    struct courier *courier;
    struct courier_plan *plan; /* held; NULL: the policy is to be fetched anew, for nobody, or */
    struct courier_request *request; /* for an operator; NULL: none waits */
    bool forced;                     /* an operator wants it, however lately a fetch has failed */
    uint32_t source;
    bool asked;
    char domain[DNS_NAME_CAP];
    char id[STS_ID_CAP];
    uint8_t record; /* enum sts_record */
    uint32_t ttl_s;
    char why[STS_WHY_CAP];
    uint8_t failure; /* enum sts_failure */
    struct dns_query q;
    uint8_t room[RECORD_ROOM];
    struct https_request http;
    uint8_t *policy; /* room for it, while it is fetched */
};

static uint64_t now_s(const struct courier *c)
{
    return c->wall_ns / BASE_NS_S;
}

__attribute__((format(printf, 3, 4))) static void tell(struct courier *c,
                                                       enum stats_log_event event,
                                                       const char *format, ...)
{
    struct stats_log_record r = {.wall_ns = c->wall_ns, .event = (uint16_t)event};
    char text[STATS_LOG_TEXT_CAP];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

/* ---- jobs ---- */

static struct job *add_job(struct courier *c, const char *domain)
{
    struct job *j = calloc(1, sizeof(*j));

    base_assert(j != NULL); /* as without memory for the journal */
    j->courier = c;
    memcpy(j->domain, domain, strlen(domain) + 1);
    base_list_push_back(&c->sts.waiting, &j->node);
    return j;
}

void courier_sts_ask(struct courier *c, struct courier_plan *p, uint32_t source)
{
    struct job *j = add_job(c, p->sts[source].domain);

    j->plan = p;
    j->source = source;
    p->open_cnt++;
    p->ref_cnt++;
}

/* What the plan goes by: a copy of what the cache has. */
static void fill(struct courier *c, struct plan_sts *s, const struct job *j,
                 const struct sts_entry *e)
{
    s->state = PLAN_STS_KNOWN;
    s->record = j->record;
    memcpy(s->record_id, j->id, sizeof(s->record_id));
    memcpy(s->why, j->why, sizeof(s->why));
    s->failure = j->failure;
    s->expires_s = sts_entry_expires_s(e, now_s(c));
    if (s->expires_s == 0)
        return;
    char *mx = malloc(e->policy.mx_len + 1);
    base_assert(mx != NULL);
    if (e->policy.mx_len > 0)
        memcpy(mx, e->policy.mx, e->policy.mx_len);
    s->has_policy = true;
    s->policy = e->policy;
    s->policy.mx = mx;
    s->fetched_s = e->fetched_s;
    memcpy(s->id, e->id, sizeof(s->id));
}

static void limit_ttl(struct courier_plan *p, uint64_t ttl_s)
{
    if (ttl_s < p->ttl_s)
        p->ttl_s = (uint32_t)ttl_s;
}

/* Plans that go by what is no longer so are made again. */
static void end_plans(struct courier *c, const char *domain)
{
    base_list_each (node, &c->plans.kept) {
        struct courier_plan *p = base_container_of(node, struct courier_plan, node);
        for (uint32_t i = 0; i < p->sts_cnt; i++)
            if (strcmp(p->sts[i].domain, domain) == 0)
                p->expires_ns = c->now_ns;
    }
}

static void refreshed(const struct job *j, const struct sts_entry *e)
{
    struct courier *c = j->courier;

    end_plans(c, j->domain);
    courier_sts_print(c, j->request, j->domain, e);
    if (j->record == STS_RECORD_ERROR)
        j->request->error = "its record could not be looked up: see dns: servers, and try again";
    else if (j->record != STS_RECORD_VALID)
        j->request->error =
            "it has no record, or not one that is valid: its mail goes without a policy";
    else if (e == NULL || e->failure != STS_FAILURE_NONE)
        j->request->error =
            "its policy could not be had; sts show tells why, it is asked for again by itself";
    courier_control_answer(c, j->request);
}

static void finish(struct job *j)
{
    struct courier *c = j->courier;
    struct courier_plan *p = j->plan;
    struct sts_entry *e = sts_cache_find(&c->sts.cache, j->domain);

    base_list_remove(&j->node);
    c->sts.asking_cnt--;
    if (p != NULL) {
        struct plan_sts *s = &p->sts[j->source];
        fill(c, s, j, e);
        if (e != NULL)
            sts_cache_touch(&c->sts.cache, e, now_s(c));
        limit_ttl(p, j->record == STS_RECORD_ERROR ? UNSURE_TTL_S : j->ttl_s);
        if (s->has_policy) {
            limit_ttl(p, s->expires_s - now_s(c));
            p->bytes += s->policy.mx_len;
        }
        p->open_cnt--;
        courier_plan_advance(c, p);
        courier_plan_release(c, p);
    } else if (j->request != NULL) {
        refreshed(j, e);
    } else {
        c->sts.refresh_cnt--;
    }
    free(j->policy);
    free(j);
}

/* ---- the policy ---- */

static void not_fetched(struct job *j, struct sts_entry *e, enum sts_failure failure,
                        const char *why)
{
    struct courier *c = j->courier;
    enum stats_id counter =
        failure == STS_FAILURE_POLICY ? STATS_STS_INVALID : STATS_STS_FETCH_FAILED;
    bool in_force = sts_entry_expires_s(e, now_s(c)) > 0;

    stats_inc(c->stats, counter);
    snprintf(j->why, sizeof(j->why), "%.110s", why);
    j->failure = (uint8_t)failure;
    sts_cache_failed(&c->sts.cache, e, j->id, failure, why, now_s(c));
    tell(c, STATS_LOG_WARNING, "mta-sts %.80s: no policy: %.90s%s", j->domain, why,
         in_force ? "; the old one holds" : "");
}

static void take_policy(struct job *j, struct sts_entry *e)
{
    struct courier *c = j->courier;
    const struct https_request *r = &j->http;
    bool known = e->has_policy && strcmp(e->id, j->id) == 0;
    struct sts_policy policy;
    char *room = malloc(r->len + 1), why[STS_WHY_CAP];
    const char *wrong;

    base_assert(room != NULL); /* as without memory for the journal */
    if (sts_policy_parse(&policy, base_span_of(r->room, r->len), room, r->len + 1, &wrong) != 0) {
        snprintf(why, sizeof(why), "what was fetched is none: %s", wrong);
        not_fetched(j, e, STS_FAILURE_POLICY, why);
    } else if (sts_cache_store(&c->sts.cache, e, j->id, &policy, now_s(c)) != 0) {
        not_fetched(j, e, STS_FAILURE_HERE, "memory is short");
    } else {
        stats_inc(c->stats, STATS_STS_FETCHED);
        if (!known)
            tell(c, STATS_LOG_NOTE, "mta-sts %.80s: policy id=%s mode=%s max_age=%u mx=%u",
                 j->domain, j->id, sts_mode_name(policy.mode), policy.max_age_s, policy.mx_cnt);
    }
    free(room);
}

static enum sts_failure failure_of(const struct https_request *r)
{
    switch ((enum https_result)r->result) {
    case HTTPS_CERTIFICATE:
        return STS_FAILURE_CERTIFICATE;
    case HTTPS_FAILED:
        return STS_FAILURE_HERE;
    default:
        return STS_FAILURE_FETCH;
    }
}

static void fetched(struct https_request *r)
{
    struct job *j = r->user;
    struct sts_entry *e = sts_cache_get(&j->courier->sts.cache, j->domain);
    char why[STS_WHY_CAP];

    base_assert(e != NULL); /* as without memory for the journal */
    if (r->result == HTTPS_OK && r->status != 200)
        snprintf(why, sizeof(why), "HTTP status %u", r->status);
    else if (r->result == HTTPS_OK && !https_type_is(r->answer_type, "text/plain"))
        snprintf(why, sizeof(why), "its type is %.60s, not text/plain",
                 r->answer_type[0] != 0 ? r->answer_type : "not said");
    else if (r->result == HTTPS_OK)
        why[0] = 0;
    else if (r->status != 0)
        snprintf(why, sizeof(why), "%s: HTTP status %u",
                 https_result_name((enum https_result)r->result), r->status);
    else
        snprintf(why, sizeof(why), "%s: %.80s", https_result_name((enum https_result)r->result),
                 r->why);
    if (why[0] != 0)
        not_fetched(j, e, failure_of(r), why);
    else
        take_policy(j, e);
    finish(j);
}

static void fetch(struct job *j)
{
    struct courier *c = j->courier;
    char host[DNS_NAME_CAP];

    j->policy = malloc(STS_POLICY_MAX);
    base_assert(j->policy != NULL);
    int failed = dns_name_join(host, COURIER_STS_HOST, j->domain);
    if (failed == 0)
        failed = https_request_init(&j->http, base_span_str(host), base_span_str(COURIER_STS_PATH),
                                    c->settings->conf->delivery.mta_sts_timeout_ns, j->policy,
                                    STS_POLICY_MAX);
    base_assert(failed == 0); /* the record's name was longer */
    j->http.done = fetched;
    j->http.user = j;
    https_ask(&c->https, &j->http);
}

/* ---- the record ---- */

static void answered(struct dns_query *q)
{
    struct job *j = q->user;
    struct courier *c = j->courier;
    struct sts_entry *e = sts_cache_find(&c->sts.cache, j->domain);

    j->record = (uint8_t)sts_record_read(j->id, &q->answer);
    j->ttl_s = q->answer.ttl_s;
    bool in_force = sts_entry_expires_s(e, now_s(c)) > 0;
    bool wants = sts_entry_wants(e, j->record, j->id, now_s(c));
    /* Anew, unless the record has gone: then it may lapse. */
    if (j->forced || (j->plan == NULL && in_force))
        wants = j->record == STS_RECORD_VALID;
    if (wants)
        return fetch(j);
    if (j->record == STS_RECORD_ERROR)
        snprintf(j->why, sizeof(j->why), "the record could not be looked up: %s",
                 dns_status_name(q->answer.status));
    else if (j->record == STS_RECORD_INVALID)
        snprintf(j->why, sizeof(j->why), "the record is none, or not the only one");
    else if (j->record == STS_RECORD_VALID && (!in_force || strcmp(e->id, j->id) != 0)) {
        snprintf(j->why, sizeof(j->why), "not fetched again yet: %.90s", e->why);
        j->failure = e->failure;
        stats_inc(c->stats, STATS_STS_BACKED_OFF);
    }
    if (in_force)
        stats_inc(c->stats, STATS_STS_KEPT);
    finish(j);
}

/* Returns false while the ring is full. */
static bool ask(struct courier *c, struct job *j)
{
    char name[DNS_NAME_CAP];
    int failed = dns_name_join(name, COURIER_STS_RECORD, j->domain);

    if (failed == 0)
        failed = dns_query_init(&j->q, base_span_str(name), DNS_TYPE_TXT,
                                c->settings->conf->dns.timeout_ns, j->room, sizeof(j->room));
    base_assert(failed == 0); /* courier_plan_policy has looked at it */
    j->q.done = answered;
    j->q.user = j;
    if (!resolver_ask(c->topology, TOPOLOGY_COURIER, 0, &j->q))
        return false;
    stats_inc(c->stats, STATS_STS_RECORDS);
    base_list_remove(&j->node);
    base_list_push_back(&c->sts.asking, &j->node);
    c->sts.asking_cnt++;
    return true;
}

/* ---- each pass ---- */

static void refresh(struct courier *c)
{
    struct courier_sts *s = &c->sts;

    bool due = c->now_ns >= s->refresh_ns, wanted = s->wanted_cnt > 0;
    if (c->draining || !c->settings->conf->delivery.mta_sts ||
        (!due && (!wanted || s->refresh_cnt == REFRESH_BURST)))
        return;
    s->refresh_ns = due ? c->now_ns + REFRESH_NS : s->refresh_ns;
    uint32_t wanted_cnt = 0;
    base_list_each (node, &s->cache.entries) {
        struct sts_entry *e = base_container_of(node, struct sts_entry, node);
        bool begins = e->asked_for || sts_entry_refresh_s(e, now_s(c)) <= now_s(c);
        if (begins && s->refresh_cnt < REFRESH_BURST) {
            add_job(c, e->domain)->forced = e->asked_for;
            e->asked_for = false;
            s->refresh_cnt++;
            stats_inc(c->stats, STATS_STS_REFRESHED);
        }
        wanted_cnt += e->asked_for;
    }
    s->wanted_cnt = wanted_cnt;
}

bool courier_sts_domain(char out[DNS_NAME_CAP], const struct courier *c, struct base_span word)
{
    struct policy_key key;
    char record[DNS_NAME_CAP];

    (void)settings_route_find_key(c->settings, word, &key);
    return key.len > 0 && dns_name_copy(out, policy_key_domain(&key)) == 0 &&
           dns_name_join(record, COURIER_STS_RECORD, out) == 0;
}

bool courier_sts_refresh(struct courier *c, struct courier_request *r)
{
    struct courier_sts *s = &c->sts;
    char domain[DNS_NAME_CAP];

    if (!c->settings->conf->delivery.mta_sts) {
        r->error = "delivery: mta_sts = no: set it to yes, and reload";
        return false;
    }
    if (r->word.len > 0 && !courier_sts_domain(domain, c, r->word)) {
        r->error = "that is no domain: give it as example.org";
        return false;
    }
    if (r->word.len > 0) {
        struct job *j = add_job(c, domain);
        j->request = r;
        j->forced = true;
        return true;
    }
    base_list_each (node, &s->cache.entries) {
        struct sts_entry *e = base_container_of(node, struct sts_entry, node);
        e->asked_for = true;
    }
    s->wanted_cnt = s->cache.cnt;
    courier_print(r, r->filter.json ? "{\"refreshing\":%u}\n" : "refreshing %u\n", s->cache.cnt);
    return false;
}

static void hand_over(struct courier *c)
{
    struct courier_sts *s = &c->sts;
    size_t len = 0;

    if (!s->cache.changed || !kept_free(&s->image))
        return;
    char *text = sts_cache_write(&s->cache, now_s(c), &len);
    struct kept_text *image = kept_text_of(text, len);
    if (image == NULL)
        return; /* another time */
    s->cache.changed = false;
    s->saved_ns = c->now_ns;
    kept_give(&s->image, image);
    doorbell_ring(&c->topology->control_bell);
}

uint32_t courier_sts_pass(struct courier *c)
{
    struct courier_sts *s = &c->sts;
    uint32_t n = 0;

    while (!base_list_empty(&s->waiting) && s->asking_cnt < COURIER_STS_JOBS &&
           ask(c, base_container_of(s->waiting.next, struct job, node)))
        n++;
    refresh(c);
    if (s->cache.changed && c->now_ns - s->saved_ns >= COURIER_STS_SAVE_NS)
        hand_over(c);
    stats_set(c->stats, STATS_STS_POLICIES, s->cache.cnt);
    return n;
}

uint64_t courier_sts_deadline(const struct courier *c)
{
    const struct courier_sts *s = &c->sts;
    uint64_t t = BASE_NS_NONE;

    if (s->cache.cnt > 0)
        t = s->refresh_ns > c->now_ns ? s->refresh_ns : c->now_ns + REFRESH_NS;
    if (s->cache.changed && s->saved_ns + COURIER_STS_SAVE_NS < t)
        t = s->saved_ns + COURIER_STS_SAVE_NS > c->now_ns ? s->saved_ns + COURIER_STS_SAVE_NS
                                                          : c->now_ns + BASE_NS_S;
    if (!base_list_empty(&s->waiting) && s->asking_cnt < COURIER_STS_JOBS &&
        c->now_ns + RETRY_NS < t)
        t = c->now_ns + RETRY_NS;
    return t;
}

/* ---- start and end ---- */

int courier_sts_init(struct courier *c)
{
    base_list_init(&c->sts.waiting);
    base_list_init(&c->sts.asking);
    return sts_cache_init(&c->sts.cache, c->secret);
}

static void end_all(struct courier *c, struct base_list *list)
{
    struct base_list *node;

    (void)c;
    while ((node = base_list_pop_front(list)) != NULL) {
        struct job *j = base_container_of(node, struct job, node);
        if (j->plan != NULL)
            courier_plan_abandon(j->plan);
        free(j->policy);
        free(j);
    }
}

void courier_sts_fini(struct courier *c)
{
    if (c->sts.cache.buckets == NULL)
        return;
    end_all(c, &c->sts.waiting);
    end_all(c, &c->sts.asking);
    kept_text_free(courier_sts_image_take(c));
    sts_cache_fini(&c->sts.cache);
}

void courier_sts_flush(struct courier *c)
{
    struct base_list *lists[] = {&c->sts.waiting, &c->sts.asking};

    for (uint32_t i = 0; i < BASE_ARRAY_CNT(lists); i++)
        base_list_each (node, lists[i]) {
            struct job *j = base_container_of(node, struct job, node);
            if (j->plan != NULL)
                courier_plan_wake(c, j->plan);
        }
}

int courier_sts_load(struct courier *c, struct base_span text, uint64_t wall_ns)
{
    return sts_cache_read(&c->sts.cache, text, wall_ns / BASE_NS_S);
}

struct kept_text *courier_sts_image_take(struct courier *c)
{
    return kept_take(&c->sts.image);
}

void courier_sts_image_make(struct courier *c)
{
    hand_over(c);
}
