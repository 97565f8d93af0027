#include "tlsrpt_report.h"
#include "base_json.h"
#include "base_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

void tlsrpt_date(char out[TLSRPT_DATE_CAP], uint32_t day)
{
    const uint32_t last = 213000; /* of those that ns have room for, in the year 2553 */
    char time[BASE_TIME_RFC3339_CAP];

    base_time_rfc3339(time, (day < last ? day : last) * (TLSRPT_DAY_S * BASE_NS_S));
    memcpy(out, time, 10);
    out[10] = 0;
}

void tlsrpt_report_id(char out[TLSRPT_ID_CAP], uint32_t day, struct base_span domain,
                      const char *hostname)
{
    char date[TLSRPT_DATE_CAP];

    tlsrpt_date(date, day);
    snprintf(out, TLSRPT_ID_CAP, "%s.%.*s@%.255s", date, (int)domain.len, (const char *)domain.p,
             hostname);
}

/* ---- JSON ---- */

void tlsrpt_put_json(struct tlsrpt_text *out, struct base_span s)
{
    char escape[BASE_JSON_ESCAPE_CAP];

    tlsrpt_puts(out, "\"");
    while (s.len > 0) {
        struct base_span piece = base_json_take(&s, escape);
        tlsrpt_put(out, piece.p, piece.len);
    }
    tlsrpt_puts(out, "\"");
}

/* A field of a policy or detail. */
static void put_field(struct tlsrpt_text *out, struct base_span field)
{
    uint8_t bytes[TLSRPT_POLICY_MAX];
    int n = field.len <= sizeof(bytes) ? tlsrpt_unescape(bytes, field) : -EINVAL;

    tlsrpt_put_json(out, n < 0 ? field : base_span_of(bytes, (size_t)n));
}

static void put_key(struct tlsrpt_text *out, const char *key)
{
    tlsrpt_put_json(out, base_span_str(key));
    tlsrpt_puts(out, ":");
}

static void put_list(struct tlsrpt_text *out, const char *key, struct base_span *rest)
{
    struct base_span field;
    uint32_t n = 0;

    tlsrpt_puts(out, ",");
    put_key(out, key);
    tlsrpt_puts(out, "[");
    while (tlsrpt_field(rest, &field) && field.len > 0) {
        tlsrpt_puts(out, n++ > 0 ? "," : "");
        put_field(out, field);
    }
    tlsrpt_puts(out, "]");
}

static void put_policy_words(struct tlsrpt_text *out, const struct tlsrpt_policy *p)
{
    struct base_span rest = base_span_of(p->text, p->len), type, domain;

    put_key(out, "policy");
    tlsrpt_puts(out, "{");
    if (!tlsrpt_field(&rest, &type) || !tlsrpt_field(&rest, &domain))
        type = domain = base_span_of("", 0);
    put_key(out, "policy-type");
    put_field(out, type);
    if (rest.p != NULL)
        put_list(out, "policy-string", &rest);
    tlsrpt_puts(out, ",");
    put_key(out, "policy-domain");
    put_field(out, domain);
    if (rest.p != NULL)
        put_list(out, "mx-host", &rest);
    tlsrpt_puts(out, "}");
}

static void put_count(struct tlsrpt_text *out, const char *key, uint64_t n)
{
    const uint64_t exact = UINT64_C(9007199254740991); /* RFC 7493 section 2.2 */

    put_key(out, key);
    tlsrpt_put_number(out, n < exact ? n : exact);
}

static void put_detail(struct tlsrpt_text *out, const struct tlsrpt_detail *d)
{
    static const char *const keys[] = {"result-type", "sending-mta-ip", "receiving-mx-hostname",
                                       "receiving-ip", "failure-reason-code"};
    struct base_span rest = base_span_of(d->text, d->len), field;

    tlsrpt_puts(out, "{");
    for (size_t i = 0; i < 5 && tlsrpt_field(&rest, &field); i++) {
        if (field.len == 0)
            continue;
        put_key(out, keys[i]);
        put_field(out, field);
        tlsrpt_puts(out, ",");
    }
    put_count(out, "failed-session-count", d->cnt);
    tlsrpt_puts(out, "}");
}

static void put_policy(struct tlsrpt_text *out, const struct tlsrpt_policy *p)
{
    tlsrpt_puts(out, "{");
    put_policy_words(out, p);
    tlsrpt_puts(out, ",");
    put_key(out, "summary");
    tlsrpt_puts(out, "{");
    put_count(out, "total-successful-session-count", p->success_cnt);
    tlsrpt_puts(out, ",");
    put_count(out, "total-failure-session-count", p->failure_cnt);
    tlsrpt_puts(out, "}");
    if (p->details != NULL) {
        tlsrpt_puts(out, ",");
        put_key(out, "failure-details");
        for (const struct tlsrpt_detail *d = p->details; d != NULL; d = d->next) {
            tlsrpt_puts(out, d == p->details ? "[" : ",");
            put_detail(out, d);
        }
        tlsrpt_puts(out, "]");
    }
    tlsrpt_puts(out, "}");
}

void tlsrpt_report_json(struct tlsrpt_text *out, const struct tlsrpt_domain *d,
                        const struct tlsrpt_about *about, const char *id)
{
    char date[TLSRPT_DATE_CAP], time[40];

    tlsrpt_date(date, d->day);
    tlsrpt_puts(out, "{");
    put_key(out, "organization-name");
    tlsrpt_put_json(out, base_span_str(about->organization));
    tlsrpt_puts(out, ",");
    put_key(out, "date-range");
    tlsrpt_puts(out, "{");
    put_key(out, "start-datetime");
    snprintf(time, sizeof(time), "\"%sT00:00:00Z\",", date);
    tlsrpt_puts(out, time);
    put_key(out, "end-datetime");
    snprintf(time, sizeof(time), "\"%sT23:59:59Z\"},", date);
    tlsrpt_puts(out, time);
    put_key(out, "contact-info");
    tlsrpt_put_json(out, base_span_str(about->contact));
    tlsrpt_puts(out, ",");
    put_key(out, "report-id");
    tlsrpt_put_json(out, base_span_str(id));
    tlsrpt_puts(out, ",");
    put_key(out, "policies");
    tlsrpt_puts(out, "[");
    for (const struct tlsrpt_policy *p = d->policies; p != NULL; p = p->next) {
        tlsrpt_puts(out, p == d->policies ? "" : ",");
        put_policy(out, p);
    }
    tlsrpt_puts(out, "]}");
}

/* ---- gzip ---- */

int tlsrpt_gzip(struct tlsrpt_text *out, struct base_span in)
{
    z_stream z = {0};
    const int gzip_window = 15 + 16; /* the header has no time and no name */

    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return -ENOMEM;
    base_assert(in.len <= UINT32_MAX / 2);
    uLong bound = deflateBound(&z, in.len);
    uint8_t *room = malloc(bound);
    if (room == NULL) {
        (void)deflateEnd(&z);
        return -ENOMEM;
    }
    z.next_in = (z_const Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.len;
    z.next_out = room;
    z.avail_out = (uInt)bound;
    int rc = deflate(&z, Z_FINISH);
    base_assert(rc == Z_STREAM_END);
    tlsrpt_put(out, room, bound - z.avail_out);
    free(room);
    (void)deflateEnd(&z);
    return 0;
}
