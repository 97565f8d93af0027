#include "control_tlsa.h"
#include "base_time.h"
#include "control.h"
#include "dns_rdata.h"

#include <stdio.h>
#include <strings.h>

#define AGAIN_NS      (3600 * BASE_NS_S)
#define AGAIN_FAIL_NS (300 * BASE_NS_S)
#define AGAIN_MIN_S   5 /* after a mismatch, which somebody is about to mend */

static const struct conf *conf_of(const struct control *c)
{
    return settings_current(&c->config.gateway->hub)->conf;
}

static const struct tls_certificate_info *info_of(const struct control *c, uint32_t i)
{
    return gateway_tls_certificate(&c->config.gateway->tls, i);
}

static void say(struct control *c, enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = (uint16_t)event};

    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

/* ---- which certificates others see ---- */

/* A listener that other servers may come to, with TLS. */
static bool is_mx(const struct conf *conf)
{
    bool mx = false;

    for (uint32_t i = 0; i < conf->listener_cnt; i++)
        mx |= conf->listener[i].kind == CONF_KIND_MX &&
              conf_listener_tls(&conf->listener[i]) != CONF_TLS_NONE;
    return mx;
}

static bool same_kind(const struct tls_certificate_info *a, const struct tls_certificate_info *b)
{
    return strncmp(a->key, b->key, 2) == 0; /* "EC P-256", "RSA 2048" */
}

/* Those that a client gets which asks for our name, as DANE has it: with that name, or without one
 * the first of its kind of key. */
static bool is_seen(const struct control *c, uint32_t i)
{
    const char *host = conf_of(c)->gateway.hostname;
    const struct tls_certificate_info *own = info_of(c, i), *other;
    bool named = false;

    for (uint32_t k = 0; (other = info_of(c, k)) != NULL; k++)
        named |= gateway_tls_names(other, host);
    if (named)
        return gateway_tls_names(own, host);
    for (uint32_t k = 0; k < i; k++)
        if (same_kind(info_of(c, k), own))
            return false;
    return true;
}

/* ---- what the records mean ---- */

static const char *name_of(const struct control *c, uint32_t i)
{
    const struct conf *conf = conf_of(c);

    return i < conf->certificate_cnt ? conf->certificate[i].name : "-";
}

static void warn_mismatch(struct control *c, uint32_t i, enum dane_result result,
                          const struct dane_chain *chain)
{
    char text[STATS_LOG_TEXT_CAP], publish[DANE_PUBLISH_CAP];

    snprintf(text, sizeof(text),
             "certificate %.31s: no TLSA record at %.60s fits (%s): who checks DANE "
             "delivers no mail here",
             name_of(c, i), c->tlsa.query.name, dane_result_name(result));
    say(c, STATS_LOG_WARNING, text);
    if (chain->cnt == 0 || dane_publish(publish, chain->der[0]) != 0)
        return;
    snprintf(text, sizeof(text), "certificate %.31s: to publish: TLSA %s", name_of(c, i), publish);
    say(c, STATS_LOG_WARNING, text);
}

static void note_match(struct control *c, uint32_t i)
{
    char text[STATS_LOG_TEXT_CAP];

    snprintf(text, sizeof(text), "certificate %.31s: a TLSA record at %.80s fits it now",
             name_of(c, i), c->tlsa.query.name);
    say(c, STATS_LOG_NOTE, text);
}

static enum control_tlsa_state compare(struct control *c, uint32_t i,
                                       const struct dane_record *records, uint32_t cnt)
{
    const char *host = conf_of(c)->gateway.hostname;
    struct base_span pem = gateway_tls_chain(&c->config.gateway->tls, i);
    struct dane_chain chain;
    uint32_t matched;

    if (dane_chain_read(&chain, pem) != 0)
        return CONTROL_TLSA_UNKNOWN;
    enum dane_result result =
        dane_match(records, cnt, &chain, &host, 1, (int64_t)(loop_wall_ns() / BASE_NS_S), &matched);
    bool was_mismatch = c->tlsa.state[i] == CONTROL_TLSA_MISMATCH;
    if (!dane_result_ok(result) && !was_mismatch)
        warn_mismatch(c, i, result, &chain);
    else if (dane_result_ok(result) && was_mismatch)
        note_match(c, i);
    dane_chain_free(&chain);
    return dane_result_ok(result) ? CONTROL_TLSA_MATCH : CONTROL_TLSA_MISMATCH;
}

/* Those of the answer that count; records has room for all. */
static uint32_t select_records(const struct dns_answer *a, struct dane_record *records)
{
    struct base_span rdata;
    struct dns_tlsa t;
    uint32_t cnt = 0;
    size_t at = 0;

    while (dns_answer_next(a, &at, &rdata))
        if (dns_read_tlsa(&t, rdata) == 0) /* others are as unusable as those of no known usage */
            records[cnt++] = (struct dane_record){t.usage, t.selector, t.matching, t.data};
    return dane_select(records, cnt, records);
}

/* What there is to compare with; told once, not each hour. */
static enum control_tlsa_state state_of(const struct dns_answer *a, uint32_t usable_cnt)
{
    if (dns_answer_security(a) == DNS_ERROR)
        return CONTROL_TLSA_UNKNOWN;
    if (a->status != DNS_OK)
        return CONTROL_TLSA_NONE;
    if (!a->secure)
        return CONTROL_TLSA_UNSIGNED;
    return usable_cnt > 0 ? CONTROL_TLSA_MATCH : CONTROL_TLSA_UNUSABLE;
}

static void tell(struct control *c, enum control_tlsa_state state)
{
    const struct dns_query *q = &c->tlsa.query;
    char text[STATS_LOG_TEXT_CAP];

    if (c->tlsa.told == state)
        return;
    c->tlsa.told = (uint8_t)state;
    if (state == CONTROL_TLSA_UNKNOWN) {
        snprintf(text, sizeof(text), "TLSA records at %.80s are not known: %s%s%.60s", q->name,
                 dns_status_name(q->answer.status), q->answer.why[0] != 0 ? ": " : "",
                 q->answer.why);
        say(c, STATS_LOG_NOTE, text);
    } else if (state == CONTROL_TLSA_UNSIGNED) {
        snprintf(text, sizeof(text),
                 "TLSA records at %.80s are not signed (DNSSEC): nobody heeds them", q->name);
        say(c, STATS_LOG_WARNING, text);
    } else if (state == CONTROL_TLSA_UNUSABLE) {
        snprintf(text, sizeof(text),
                 "TLSA records at %.80s are of no use for mail, which has usages 2 and 3 alone",
                 q->name);
        say(c, STATS_LOG_WARNING, text);
    }
}

/* Returns how many certificates no record fits. */
static uint32_t judge(struct control *c)
{
    struct control_tlsa *t = &c->tlsa;
    uint32_t cnt = select_records(&t->query.answer, t->records), mismatch_cnt = 0;
    enum control_tlsa_state state = state_of(&t->query.answer, cnt);

    tell(c, state);
    for (uint32_t i = 0; info_of(c, i) != NULL; i++) {
        if (!is_seen(c, i))
            t->state[i] = CONTROL_TLSA_UNASKED;
        else
            t->state[i] =
                (uint8_t)(state == CONTROL_TLSA_MATCH ? compare(c, i, t->records, cnt) : state);
        mismatch_cnt += t->state[i] == CONTROL_TLSA_MISMATCH;
    }
    stats_set(topology_stats(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0),
              STATS_TLS_TLSA_MISMATCH, mismatch_cnt);
    return mismatch_cnt;
}

/* ---- asking ---- */

static void answered(struct dns_query *q)
{
    struct control *c = q->user;
    struct control_tlsa *t = &c->tlsa;
    bool failed = dns_answer_security(&q->answer) == DNS_ERROR;
    uint64_t wait_ns = failed ? AGAIN_FAIL_NS : AGAIN_NS;

    t->asking = false;
    if (t->again) {
        t->again = false;
        t->next_ns = 0;
        return;
    }
    if (judge(c) > 0) {
        uint64_t ttl_s = q->answer.ttl_s > AGAIN_MIN_S ? q->answer.ttl_s : AGAIN_MIN_S;
        wait_ns = ttl_s * BASE_NS_S < AGAIN_NS ? ttl_s * BASE_NS_S : AGAIN_NS;
    }
    t->next_ns = loop_now_ns() + wait_ns;
}

void control_tlsa_restart(struct control *c)
{
    struct control_tlsa *t = &c->tlsa;

    t->again = t->asking;
    t->next_ns = 0;
    t->told = CONTROL_TLSA_UNASKED;
    memset(t->state, CONTROL_TLSA_UNASKED, sizeof(t->state));
}

void control_tlsa_tend(struct control *c)
{
    struct control_tlsa *t = &c->tlsa;
    const struct conf *conf = conf_of(c);
    char name[DNS_NAME_CAP];

    if (t->asking || loop_now_ns() < t->next_ns || info_of(c, 0) == NULL || !is_mx(conf))
        return;
    if (dns_name_join(name, "_25._tcp", conf->gateway.hostname) != 0 ||
        dns_query_init(&t->query, base_span_str(name), DNS_TYPE_TLSA, conf->dns.timeout_ns, t->room,
                       sizeof(t->room)) != 0) {
        t->next_ns = loop_now_ns() + AGAIN_NS; /* a name too long for records below it */
        return;
    }
    t->query.done = answered;
    t->query.user = c;
    t->asking = resolver_ask(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0, &t->query);
}

const char *control_tlsa_word(const struct control *c, uint32_t i)
{
    static const char *const words[] = {
        [CONTROL_TLSA_UNASKED] = "-",         [CONTROL_TLSA_UNKNOWN] = "unknown",
        [CONTROL_TLSA_NONE] = "none",         [CONTROL_TLSA_UNSIGNED] = "unsigned",
        [CONTROL_TLSA_UNUSABLE] = "unusable", [CONTROL_TLSA_MISMATCH] = "mismatch",
        [CONTROL_TLSA_MATCH] = "match",
    };

    return i < TLS_CERTIFICATE_MAX ? words[c->tlsa.state[i]] : "-";
}
