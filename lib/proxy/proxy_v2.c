/* Version 2: binary (section 2.2). */
#include "proxy_internal.h"
#include "base_crc32c.h"

#define TLV_HEAD_LEN 3
#define SSL_HEAD_LEN 5

struct tlv {
    uint8_t type;
    struct base_span value;
};

/* Takes the next one off rest. Returns 1; 0 at the end; -1 when it goes beyond it. */
static int tlv_next(struct tlv *out, struct base_span *rest)
{
    if (rest->len == 0)
        return 0;
    if (rest->len < TLV_HEAD_LEN)
        return -1;
    size_t len = base_be16(rest->p + 1);
    if (len > rest->len - TLV_HEAD_LEN)
        return -1;
    out->type = rest->p[0];
    out->value = base_span_of(rest->p + TLV_HEAD_LEN, len);
    rest->p += TLV_HEAD_LEN + len;
    rest->len -= TLV_HEAD_LEN + len;
    return 1;
}

/* Bit of a known type: 0 when it may come any number of times. */
static uint64_t once(uint8_t type)
{
    switch (type) {
    case PROXY_TLV_ALPN:
    case PROXY_TLV_AUTHORITY:
    case PROXY_TLV_CRC32C:
    case PROXY_TLV_UNIQUE_ID:
    case PROXY_TLV_SSL:
    case PROXY_TLV_SSL_VERSION:
    case PROXY_TLV_SSL_NAME:
    case PROXY_TLV_SSL_CIPHER:
    case PROXY_TLV_SSL_SIG_ALG:
    case PROXY_TLV_SSL_KEY_ALG:
    case PROXY_TLV_NETNS:
        return UINT64_C(1) << type;
    default:
        return 0;
    }
}

static bool ssl_parse(struct proxy_ssl *out, struct base_span in)
{
    enum { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESS = 4 };
    uint64_t seen = 0;
    struct tlv t;
    int more;

    if (in.len < SSL_HEAD_LEN)
        return false;
    out->present = true;
    out->tls = (in.p[0] & CLIENT_SSL) != 0;
    out->verified =
        (in.p[0] & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) != 0 && base_be32(in.p + 1) == 0;
    in = base_span_of(in.p + SSL_HEAD_LEN, in.len - SSL_HEAD_LEN);
    while ((more = tlv_next(&t, &in)) == 1) {
        if ((seen & once(t.type)) != 0)
            return false;
        seen |= once(t.type);
        switch (t.type) {
        case PROXY_TLV_SSL_VERSION:
            out->version = t.value;
            break;
        case PROXY_TLV_SSL_NAME:
            out->name = t.value;
            break;
        case PROXY_TLV_SSL_CIPHER:
            out->cipher = t.value;
            break;
        case PROXY_TLV_SSL_SIG_ALG:
            out->sig_alg = t.value;
            break;
        case PROXY_TLV_SSL_KEY_ALG:
            out->key_alg = t.value;
            break;
        default:
            break;
        }
    }
    return more == 0;
}

/* The checksum is of the whole header with zeros in its own place (section 2.2.3). */
static bool crc_matches(struct base_span header, struct base_span value)
{
    static const uint8_t zeros[4];
    size_t at = (size_t)(value.p - header.p);
    uint32_t crc = base_crc32c(0, header.p, at);

    crc = base_crc32c(crc, zeros, sizeof(zeros));
    crc = base_crc32c(crc, value.p + value.len, header.len - at - value.len);
    return crc == base_be32(value.p);
}

/* One TLV of the header. */
static enum proxy_fault tlv_take(struct proxy_header *out, const struct tlv *t,
                                 struct base_span header)
{
    switch (t->type) {
    case PROXY_TLV_ALPN:
        out->alpn = t->value;
        break;
    case PROXY_TLV_AUTHORITY:
        out->authority = t->value;
        return t->value.len > PROXY_AUTHORITY_MAX ? PROXY_FAULT_TLV : PROXY_FAULT_NONE;
    case PROXY_TLV_UNIQUE_ID:
        out->unique_id = t->value;
        return t->value.len > PROXY_UNIQUE_ID_MAX ? PROXY_FAULT_TLV : PROXY_FAULT_NONE;
    case PROXY_TLV_CRC32C:
        if (t->value.len != 4)
            return PROXY_FAULT_TLV;
        return crc_matches(header, t->value) ? PROXY_FAULT_NONE : PROXY_FAULT_CRC32C;
    case PROXY_TLV_SSL:
        return ssl_parse(&out->ssl, t->value) ? PROXY_FAULT_NONE : PROXY_FAULT_TLV;
    default:
        break;
    }
    return PROXY_FAULT_NONE;
}

static enum proxy_fault tlvs_parse(struct proxy_header *out, struct base_span rest,
                                   struct base_span header)
{
    uint64_t seen = 0;
    struct tlv t;
    int more;

    while ((more = tlv_next(&t, &rest)) == 1) {
        if ((seen & once(t.type)) != 0)
            return PROXY_FAULT_TLV;
        seen |= once(t.type);
        enum proxy_fault fault = tlv_take(out, &t, header);
        if (fault != PROXY_FAULT_NONE)
            return fault;
    }
    return more == 0 ? PROXY_FAULT_NONE : PROXY_FAULT_TLV;
}

static struct net_endpoint endpoint(const uint8_t *addr, const uint8_t *port, bool six)
{
    struct net_endpoint e = {.port = base_be16(port)};

    if (six)
        memcpy(e.addr.b, addr, sizeof(e.addr.b));
    else
        e.addr = net_addr_v4(addr);
    return e;
}

/* Reads addresses and TLVs of a whole header. */
static enum proxy_fault body_parse(struct proxy_header *out, struct base_span header)
{
    struct base_span in =
        base_span_of(header.p + PROXY_V2_FIXED_LEN, header.len - PROXY_V2_FIXED_LEN);
    uint8_t family = header.p[13];
    bool six = family == PROXY_V2_TCP6;

    if (family != PROXY_V2_UNSPEC) {
        size_t addr_len = six ? 16 : 4;
        size_t len = six ? PROXY_V2_ADDRESS6_LEN : PROXY_V2_ADDRESS4_LEN;
        if (in.len < len)
            return PROXY_FAULT_SHORT;
        out->source = endpoint(in.p, in.p + 2 * addr_len, six);
        out->destination = endpoint(in.p + addr_len, in.p + 2 * addr_len + 2, six);
        proxy_addressed(out, six);
        in = base_span_of(in.p + len, in.len - len);
    }
    return tlvs_parse(out, in, header);
}

/* Version, command and family are known ones. */
static enum proxy_fault fixed_check(bool local, struct base_span in)
{
    if (in.len > 12 && in.p[12] >> 4 != 2)
        return PROXY_FAULT_VERSION;
    if (in.len > 12 && (in.p[12] & 15) > 1)
        return PROXY_FAULT_COMMAND;
    /* The family of LOCAL is to be ignored. */
    if (in.len > 13 && !local && in.p[13] != PROXY_V2_UNSPEC && in.p[13] != PROXY_V2_TCP4 &&
        in.p[13] != PROXY_V2_TCP6)
        return PROXY_FAULT_FAMILY;
    return PROXY_FAULT_NONE;
}

enum proxy_result proxy_v2_parse(struct proxy_header *out, size_t *consumed,
                                 enum proxy_fault *fault, struct base_span in)
{
    bool local = in.len > 12 && (in.p[12] & 15) == 0;
    enum proxy_fault bad = fixed_check(local, in);

    if (bad != PROXY_FAULT_NONE)
        return proxy_bad(fault, bad);
    if (in.len < PROXY_V2_FIXED_LEN)
        return PROXY_MORE;
    size_t len = PROXY_V2_FIXED_LEN + (size_t)base_be16(in.p + 14);
    if (len > PROXY_HEADER_MAX)
        return proxy_bad(fault, PROXY_FAULT_LONG);
    if (in.len < len)
        return PROXY_MORE;
    out->version = 2;
    out->local = local;
    if (!local)
        bad = body_parse(out, base_span_of(in.p, len));
    if (bad != PROXY_FAULT_NONE)
        return proxy_bad(fault, bad);
    *consumed = len;
    return PROXY_OK;
}
