/* Policies that are kept as the operator sees them. */
#include "base_time.h"
#include "courier.h"
#include "courier_print.h"

#define ENTRY_TEXT_MAX 8192 /* of one */
#define PATTERNS_SHOWN 4096 /* bytes of them; more are told of by their number */

static uint64_t since(uint64_t then_s, uint64_t now_s)
{
    return now_s > then_s ? now_s - then_s : 0;
}

static void put_patterns(struct courier_request *r, const struct sts_policy *p)
{
    bool json = r->filter.json;
    const char *mx, *between = "";
    size_t at = 0;

    courier_print(r, json ? ",\"mx_count\":%u,\"mx\":[" : " mx_count=%u mx=", p->mx_cnt);
    while (at < PATTERNS_SHOWN && (mx = sts_policy_next(p, &at)) != NULL) {
        courier_print_text(r, between);
        if (json)
            courier_print_json(r, base_span_str(mx));
        else
            courier_print_span(r, base_span_str(mx));
        between = ",";
    }
    courier_print_text(r, json ? "]" : "");
}

static void put_policy(struct courier_request *r, const struct sts_entry *e, uint64_t now_s)
{
    const char *mode = sts_mode_name((enum sts_mode)e->policy.mode);
    unsigned long long age_s = since(e->fetched_s, now_s), used_s = since(e->used_s, now_s);
    uint64_t expires_s = sts_entry_expires_s(e, now_s);

    courier_print(r,
                  r->filter.json ? ",\"mode\":\"%s\",\"id\":\"%s\",\"age_s\":%llu,\"used_s\":%llu"
                                 : " mode=%s id=%s age_s=%llu used_s=%llu",
                  mode, e->id, age_s, used_s);
    courier_print(r, r->filter.json ? ",\"expires_s\":%llu,\"until\":\"" : " expires_s=%llu until=",
                  (unsigned long long)since(now_s, expires_s));
    courier_print_time(r, (expires_s > 0 ? expires_s : e->fetched_s + e->policy.max_age_s) *
                              BASE_NS_S);
    courier_print_text(r, r->filter.json ? "\"" : "");
    put_patterns(r, &e->policy);
}

static void put_failure(struct courier_request *r, const struct sts_entry *e, uint64_t now_s)
{
    courier_print(r,
                  r->filter.json
                      ? ",\"failures\":%u,\"failed_id\":\"%s\",\"failed_s\":%llu,\"why\":"
                      : " failures=%u failed_id=%s failed_s=%llu why=",
                  e->failed_cnt, e->failed_id, (unsigned long long)since(e->failed_s, now_s));
    courier_print_json(r, base_span_str(e->why));
}

void courier_sts_print(const struct courier *c, struct courier_request *r, const char *domain,
                       const struct sts_entry *e)
{
    uint64_t now_s = c->wall_ns / BASE_NS_S;

    courier_print(r, r->filter.json ? "{\"sts\":\"%s\"" : "sts %s", domain);
    if (e != NULL && e->has_policy)
        put_policy(r, e, now_s);
    else
        courier_print_text(r, r->filter.json ? ",\"mode\":null" : " mode=-");
    if (e != NULL && e->failed_cnt > 0)
        put_failure(r, e, now_s);
    courier_print_text(r, r->filter.json ? "}\n" : "\n");
}

void courier_sts_show(struct courier *c, struct courier_request *r)
{
    char domain[DNS_NAME_CAP];
    const struct sts_entry *e;

    if (r->word.len > 0) {
        if (!courier_sts_domain(domain, c, r->word))
            r->error = "that is no domain: give it as example.org";
        else if ((e = sts_cache_find(&c->sts.cache, domain)) == NULL)
            r->error = "nothing is kept of that domain: sts refresh asks for its policy";
        else
            courier_sts_print(c, r, domain, e);
        return;
    }
    for (;;) {
        r->more = r->text_cap - r->text_len < ENTRY_TEXT_MAX;
        if (r->more || (e = sts_cache_next(&c->sts.cache, &r->recipient_at)) == NULL)
            return;
        courier_sts_print(c, r, e->domain, e);
    }
}
