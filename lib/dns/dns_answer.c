#include "dns.h"

#include <errno.h>
#include <stdio.h>

#define RCODE_NOERROR  0
#define RCODE_NXDOMAIN 3

void dns_answer_clear(struct dns_answer *a)
{
    *a = (struct dns_answer){.status = DNS_FAILED, .data = a->data, .data_cap = a->data_cap};
}

void dns_answer_set(struct dns_answer *a, enum dns_status status, const char *why)
{
    dns_answer_clear(a);
    a->status = (uint8_t)status;
    if (why == NULL)
        return;
    snprintf(a->why, sizeof(a->why), "%s", why);
    for (char *c = a->why; *c != 0; c++) /* parts of it are strangers' */
        if (*c < ' ' || *c > '~')
            *c = '?';
}

int dns_answer_add(struct dns_answer *a, struct base_span rdata)
{
    if (rdata.len > UINT16_MAX || a->record_cnt >= DNS_RECORDS_MAX ||
        a->data_cap - a->data_len < rdata.len + 2) {
        dns_answer_set(a, DNS_FAILED, "the answer is too large");
        return -ENOSPC;
    }
    base_put_be16(a->data + a->data_len, (uint16_t)rdata.len);
    if (rdata.len > 0)
        memcpy(a->data + a->data_len + 2, rdata.p, rdata.len);
    a->data_len += (uint32_t)rdata.len + 2;
    a->record_cnt++;
    return 0;
}

void dns_answer_fill(struct dns_answer *a, struct base_span data, uint32_t cnt)
{
    if (data.len > a->data_cap) {
        dns_answer_set(a, DNS_FAILED, "the answer is too large for the one who asks");
        return;
    }
    if (data.len > 0)
        memcpy(a->data, data.p, data.len);
    a->data_len = (uint32_t)data.len;
    a->record_cnt = cnt;
}

bool dns_answer_next(const struct dns_answer *a, size_t *at, struct base_span *rdata)
{
    if (*at >= a->data_len)
        return false;
    *rdata = base_span_of(a->data + *at + 2, base_be16(a->data + *at));
    *at += 2 + rdata->len;
    base_assert(*at <= a->data_len);
    return true;
}

bool dns_records_valid(struct base_span data, uint32_t cnt)
{
    size_t at = 0;

    if (cnt > DNS_RECORDS_MAX || data.len > DNS_DATA_MAX)
        return false;
    for (uint32_t i = 0; i < cnt; i++) {
        if (data.len - at < 2 || data.len - at - 2 < base_be16(data.p + at))
            return false;
        at += 2U + base_be16(data.p + at);
    }
    return at == data.len;
}

enum dns_status dns_outcome_status(const struct dns_outcome *o)
{
    if (o->failed)
        return DNS_FAILED;
    if (o->bogus)
        return DNS_BOGUS;
    if (o->rcode != RCODE_NOERROR && o->rcode != RCODE_NXDOMAIN)
        return DNS_SERVFAIL;
    if (o->rcode == RCODE_NXDOMAIN)
        return DNS_NXDOMAIN;
    return o->has_data ? DNS_OK : DNS_NODATA;
}
