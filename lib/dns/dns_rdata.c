#include "dns_rdata.h"

#include <errno.h>

int dns_read_address(struct net_addr *out, uint16_t type, struct base_span rdata)
{
    if (type == DNS_TYPE_A && rdata.len == 4) {
        *out = net_addr_v4(rdata.p);
        return 0;
    }
    if (type == DNS_TYPE_AAAA && rdata.len == 16) {
        memcpy(out->b, rdata.p, 16);
        return 0;
    }
    return -EINVAL;
}

int dns_read_name(char out[DNS_NAME_CAP], struct base_span rdata)
{
    size_t used;

    if (dns_name_read(out, &used, rdata) != 0 || used != rdata.len || out[0] == 0)
        return -EINVAL;
    return 0;
}

int dns_read_mx(struct dns_mx *out, struct base_span rdata)
{
    size_t used;

    if (rdata.len < 3)
        return -EINVAL;
    out->preference = base_be16(rdata.p);
    if (dns_name_read(out->host, &used, base_span_of(rdata.p + 2, rdata.len - 2)) != 0 ||
        used != rdata.len - 2)
        return -EINVAL;
    return 0;
}

int dns_read_tlsa(struct dns_tlsa *out, struct base_span rdata)
{
    if (rdata.len < 3)
        return -EINVAL;
    *out = (struct dns_tlsa){rdata.p[0], rdata.p[1], rdata.p[2],
                             base_span_of(rdata.p + 3, rdata.len - 3)};
    return 0;
}

int dns_read_txt(struct base_buf *out, struct base_span rdata)
{
    size_t before = out->len;

    for (size_t at = 0; at < rdata.len;) {
        size_t n = rdata.p[at++];
        if (n > rdata.len - at || base_buf_put(out, rdata.p + at, n) != 0) {
            out->len = before;
            return -EINVAL;
        }
        at += n;
    }
    return rdata.len > 0 ? 0 : -EINVAL;
}
