#include "tcp_option.h"

#include <errno.h>

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_WSCALE = 3 };

int tcp_option_parse(struct tcp_options *out, struct base_span bytes)
{
    *out = (struct tcp_options){0};
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
        if (len < 2 || len > bytes.len - i)
            return -EINVAL;
        if (kind == OPTION_MSS) {
            if (len != 4)
                return -EINVAL;
            if (!out->has_mss)
                out->mss = base_be16(bytes.p + i + 2);
            out->has_mss = true;
        } else if (kind == OPTION_WSCALE) {
            if (len != 3)
                return -EINVAL;
            if (!out->has_wscale)
                out->wscale = bytes.p[i + 2];
            out->has_wscale = true;
        }
        i += len;
    }
    return 0;
}

size_t tcp_option_write(uint8_t out[TCP_OPTION_MAX_BYTES], const struct tcp_options *options)
{
    size_t n = 0;

    if (options->has_mss) {
        out[n++] = OPTION_MSS;
        out[n++] = 4;
        base_put_be16(out + n, options->mss);
        n += 2;
    }
    if (options->has_wscale) {
        out[n++] = OPTION_NOP;
        out[n++] = OPTION_WSCALE;
        out[n++] = 3;
        out[n++] = options->wscale;
    }
    base_debug_assert(n % 4 == 0 && n <= TCP_OPTION_MAX_BYTES);
    return n;
}
