#include "dns.h"

#include <errno.h>

static const struct {
    uint16_t type;
    const char *name;
} types[] = {
    {DNS_TYPE_A, "A"},     {DNS_TYPE_CNAME, "CNAME"}, {DNS_TYPE_PTR, "PTR"},   {DNS_TYPE_MX, "MX"},
    {DNS_TYPE_TXT, "TXT"}, {DNS_TYPE_AAAA, "AAAA"},   {DNS_TYPE_TLSA, "TLSA"},
};

bool dns_type_known(uint16_t type)
{
    for (size_t i = 0; i < BASE_ARRAY_CNT(types); i++)
        if (types[i].type == type)
            return true;
    return false;
}

const char *dns_type_name(uint16_t type)
{
    for (size_t i = 0; i < BASE_ARRAY_CNT(types); i++)
        if (types[i].type == type)
            return types[i].name;
    return "?";
}

const char *dns_status_name(enum dns_status status)
{
    static const char *const names[DNS_STATUS_CNT] = {
        [DNS_OK] = "ok",         [DNS_NODATA] = "nodata",     [DNS_NXDOMAIN] = "nxdomain",
        [DNS_BOGUS] = "bogus",   [DNS_SERVFAIL] = "servfail", [DNS_TIMEOUT] = "timeout",
        [DNS_FAILED] = "failed",
    };

    return status < DNS_STATUS_CNT ? names[status] : "?";
}

int dns_query_init(struct dns_query *q, struct base_span name, uint16_t type, uint64_t timeout_ns,
                   void *data, uint32_t data_cap)
{
    if (!dns_type_known(type) || timeout_ns == 0 || (data == NULL && data_cap > 0))
        return -EINVAL;
    *q = (struct dns_query){
        .type = type,
        .timeout_ns = timeout_ns,
        .answer = {.status = DNS_FAILED, .data = data, .data_cap = data_cap},
    };
    base_timer_init(&q->timer);
    base_list_init(&q->node);
    return dns_name_copy(q->name, name);
}
