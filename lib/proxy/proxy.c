#include "proxy_internal.h"

const char *proxy_fault_text(enum proxy_fault fault)
{
    static const char *const text[] = {
        [PROXY_FAULT_NONE] = "no fault",
        [PROXY_FAULT_SIGNATURE] = "not a PROXY header",
        [PROXY_FAULT_LONG] = "PROXY header too long",
        [PROXY_FAULT_LINE] = "PROXY v1 line malformed",
        [PROXY_FAULT_ADDRESS] = "PROXY v1 address or port malformed",
        [PROXY_FAULT_VERSION] = "PROXY v2 signature with another version",
        [PROXY_FAULT_COMMAND] = "PROXY v2 command unknown",
        [PROXY_FAULT_FAMILY] = "PROXY v2 family or transport not served",
        [PROXY_FAULT_SHORT] = "PROXY v2 header shorter than its addresses",
        [PROXY_FAULT_TLV] = "PROXY v2 TLV malformed",
        [PROXY_FAULT_CRC32C] = "PROXY v2 checksum does not match",
    };

    base_static_assert(BASE_ARRAY_CNT(text) == PROXY_FAULT_CNT, "a text for each");
    base_assert((unsigned)fault < PROXY_FAULT_CNT);
    return text[fault];
}

static bool implausible(const struct net_addr *a, bool six)
{
    if (net_addr_is_v4(a)) /* "this network", loopback, multicast, reserved (RFC 6890) */
        return six || a->b[12] == 0 || a->b[12] == 127 || a->b[12] >= 224;
    /* ::/8 holds the unspecified address, loopback and the old forms with IPv4 in them. */
    return a->b[0] == 0 || a->b[0] == 0xff;
}

bool proxy_plausible(const struct net_addr *a)
{
    return !implausible(a, !net_addr_is_v4(a));
}

void proxy_addressed(struct proxy_header *h, bool six)
{
    h->addressed = true;
    h->implausible = implausible(&h->source.addr, six);
}

/* True while in and the signature are equal as far as both go. */
static bool begins(struct base_span in, const char *signature, size_t len)
{
    return memcmp(in.p, signature, in.len < len ? in.len : len) == 0;
}

enum proxy_result proxy_parse(struct proxy_header *out, size_t *consumed, enum proxy_fault *fault,
                              struct base_span in)
{
    *out = (struct proxy_header){0};
    *consumed = 0;
    *fault = PROXY_FAULT_NONE;
    if (in.len == 0)
        return PROXY_MORE;
    if (begins(in, "PROXY ", 6))
        return proxy_v1_parse(out, consumed, fault, in);
    if (begins(in, PROXY_V2_SIGNATURE, PROXY_V2_SIGNATURE_LEN))
        return proxy_v2_parse(out, consumed, fault, in);
    return proxy_bad(fault, PROXY_FAULT_SIGNATURE);
}
