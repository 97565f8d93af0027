/*
 * A sender and a local part from outside: nothing is read or written beside them, what was
 * rewritten comes back as it was, and nothing else comes back at all.
 */
#include "mail_srs.h"

#include <string.h>

#define NOW (UINT64_C(20000) * 86400 * 1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mail_srs s = {.domain = base_span_str("our.example"), .key_cnt = 2, .age_max_days = 9};
    uint8_t there[MAIL_SRS_OUT_CAP], back[MAIL_SRS_OUT_CAP];
    struct base_buf out = {.p = there, .cap = sizeof(there)};
    struct base_buf in = {.p = back, .cap = sizeof(back)};
    struct base_span text = base_span_of(data, size < 400 ? size : 400);

    memset(s.key[0], 1, 16);
    if (mail_srs_forward(&s, text, NOW, &out) == 0) {
        const uint8_t *at = memrchr(there, '@', out.len);
        base_assert(at != NULL && at - there <= MAIL_SRS_LOCAL_MAX);
        struct base_span local = base_span_of(there, (size_t)(at - there));
        base_assert(mail_srs_reverse(&s, local, NOW, &in) == MAIL_SRS_OK);
        bool again = local.p[3] == '1'; /* then what comes back is the SRS0 address inside */
        base_assert(again || base_span_eq(base_buf_span(&in), text));
        base_assert(memchr(back, ' ', in.len) == NULL && memchr(back, '@', in.len) != NULL);
        in.len = 0;
        there[8] ^= 1; /* of the hash */
        base_assert(mail_srs_reverse(&s, local, NOW, &in) == MAIL_SRS_FORGED && in.len == 0);
    } else {
        base_assert(out.len == 0);
    }
    (void)!mail_srs_reverse(&s, text, NOW, &in);
    return 0;
}
