#include "tcp_option.h"

#include <errno.h>

enum {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_WSCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMP = 8,
};

/* NOP, NOP and the head of the timestamps: what nearly all segments begin with (RFC 7323 appendix
 * A), mostly with nothing after them. */
#define TIMESTAMP_ALONE       UINT32_C(0x0101080a)
#define TIMESTAMP_ALONE_BYTES 12

/* Whether an option of this kind may be so long. */
static bool length_fits(uint8_t kind, uint8_t len)
{
    switch (kind) {
    case OPTION_MSS:
        return len == 4;
    case OPTION_WSCALE:
        return len == 3;
    case OPTION_SACK_PERMITTED:
        return len == 2;
    case OPTION_SACK:
        return len >= 10 && (len - 2) % 8 == 0;
    case OPTION_TIMESTAMP:
        return len == 10;
    default:
        return len >= 2;
    }
}

static void take_sack(struct tcp_options *out, const uint8_t *p, uint8_t len)
{
    for (; len >= 8 && out->sack_cnt < TCP_SACK_BLOCK_MAX; p += 8, len = (uint8_t)(len - 8))
        out->sack[out->sack_cnt++] =
            (struct tcp_sack_block){.left = base_be32(p), .right = base_be32(p + 4)};
}

static void take(struct tcp_options *out, uint8_t kind, const uint8_t *p, uint8_t len)
{
    if (kind == OPTION_MSS && !out->has_mss) {
        out->has_mss = true;
        out->mss = base_be16(p);
    } else if (kind == OPTION_WSCALE && !out->has_wscale) {
        out->has_wscale = true;
        out->wscale = p[0];
    } else if (kind == OPTION_SACK_PERMITTED) {
        out->sack_permitted = true;
    } else if (kind == OPTION_SACK && out->sack_cnt == 0) {
        take_sack(out, p, len);
    } else if (kind == OPTION_TIMESTAMP && !out->has_timestamp) {
        out->has_timestamp = true;
        out->timestamp = base_be32(p);
        out->timestamp_echo = base_be32(p + 4);
    }
}

int tcp_option_parse(struct tcp_options *out, struct base_span bytes)
{
    *out = (struct tcp_options){0};
    if (bytes.len == TIMESTAMP_ALONE_BYTES && base_be32(bytes.p) == TIMESTAMP_ALONE) {
        take(out, OPTION_TIMESTAMP, bytes.p + 4, 8);
        return 0;
    }
    for (size_t i = 0; i < bytes.len;) {
        uint8_t kind = bytes.p[i];
        if (kind == OPTION_END)
            break;
        if (kind == OPTION_NOP) {
            i++;
            continue;
        }
        if (bytes.len - i < 2)
            return -EINVAL;
        uint8_t len = bytes.p[i + 1];
        if (len > bytes.len - i || !length_fits(kind, len))
            return -EINVAL;
        take(out, kind, bytes.p + i + 2, (uint8_t)(len - 2));
        i += len;
    }
    return 0;
}

static size_t put_sack(uint8_t *out, size_t n, const struct tcp_options *options)
{
    size_t cnt = (TCP_OPTION_MAX_BYTES - n - 4) / 8;

    if (cnt > options->sack_cnt)
        cnt = options->sack_cnt;
    if (cnt == 0)
        return n;
    out[n++] = OPTION_NOP;
    out[n++] = OPTION_NOP;
    out[n++] = OPTION_SACK;
    out[n++] = (uint8_t)(2 + 8 * cnt);
    for (size_t i = 0; i < cnt; i++, n += 8) {
        base_put_be32(out + n, options->sack[i].left);
        base_put_be32(out + n + 4, options->sack[i].right);
    }
    return n;
}

size_t tcp_option_write(uint8_t out[TCP_OPTION_MAX_BYTES], const struct tcp_options *options)
{
    size_t n = 0;

    if (options->has_timestamp && !options->has_mss && !options->sack_permitted &&
        !options->has_wscale && options->sack_cnt == 0) {
        base_put_be32(out, TIMESTAMP_ALONE);
        base_put_be32(out + 4, options->timestamp);
        base_put_be32(out + 8, options->timestamp_echo);
        return TIMESTAMP_ALONE_BYTES;
    }
    if (options->has_mss) {
        out[n++] = OPTION_MSS;
        out[n++] = 4;
        base_put_be16(out + n, options->mss);
        n += 2;
    }
    if (options->sack_permitted || options->has_timestamp) {
        /* SACK-permitted stands where the padding of the timestamps would. */
        out[n++] = options->sack_permitted ? OPTION_SACK_PERMITTED : OPTION_NOP;
        out[n++] = options->sack_permitted ? 2 : OPTION_NOP;
    }
    if (options->has_timestamp) {
        out[n++] = OPTION_TIMESTAMP;
        out[n++] = 10;
        base_put_be32(out + n, options->timestamp);
        base_put_be32(out + n + 4, options->timestamp_echo);
        n += 8;
    } else if (options->sack_permitted) {
        out[n++] = OPTION_NOP;
        out[n++] = OPTION_NOP;
    }
    if (options->has_wscale) {
        out[n++] = OPTION_NOP;
        out[n++] = OPTION_WSCALE;
        out[n++] = 3;
        out[n++] = options->wscale;
    }
    n = put_sack(out, n, options);
    base_debug_assert(n % 4 == 0 && n <= TCP_OPTION_MAX_BYTES);
    return n;
}
