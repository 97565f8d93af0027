/*
 * Text protocols are found slowly from random bytes. Here a byte from 0x80 on stands for a token of
 * the target's table, 0xff lets the next byte through as it is, and all others are themselves.
 */
#ifndef FUZZ_TOKEN_H
#define FUZZ_TOKEN_H

#include "base_bytes.h"

struct fuzz_token {
    const char *p;
    size_t len;
};
#define FUZZ_TOKEN(s)                                                                              \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

/* Writes the expansion of in to out; stops when out is full. */
static inline void fuzz_expand(struct base_buf *out, struct base_span in,
                               const struct fuzz_token *tokens, size_t token_cnt)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.p[i];
        int failed;
        if (c == 0xff && i + 1 < in.len)
            failed = base_buf_put(out, &in.p[++i], 1);
        else if (c >= 0x80)
            failed = base_buf_put(out, tokens[(c - 0x80u) % token_cnt].p,
                                  tokens[(c - 0x80u) % token_cnt].len);
        else
            failed = base_buf_put(out, &c, 1);
        if (failed != 0)
            return;
    }
}

#endif
