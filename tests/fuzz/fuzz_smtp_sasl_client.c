/* The client's side of SASL against any server: it ends, it says no password but by PLAIN and
 * LOGIN, and takes no proof that is none. */
#include "smtp_sasl_client.h"
#include "fuzz_token.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("r=YWJjZGVmZ2hpamtsbW5vcHEAx"),
    FUZZ_TOKEN(",s=c2FsdA=="),
    FUZZ_TOKEN(",i=4096"),
    FUZZ_TOKEN(",i=1000000"),
    FUZZ_TOKEN("v="),
    FUZZ_TOKEN("e=x"),
    FUZZ_TOKEN("\0"),
    FUZZ_TOKEN("<1@h>"),
    FUZZ_TOKEN("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t random_bytes[SMTP_SASL_NONCE_BYTES] = "abcdefghijklmnopq";
    static const struct smtp_sasl_keys keys = {.client_key = "c", .server_key = "s"};
    static uint8_t text[4096];
    const struct smtp_credentials c = {.user = base_span_str("tim"),
                                       .password = base_span_str("PaSsWoRd")};
    struct base_buf all = {text, 0, sizeof(text)};
    struct smtp_sasl_client s;

    if (size < 2)
        return 0;
    enum smtp_sasl_client_mechanism m =
        (enum smtp_sasl_client_mechanism)(data[0] % SMTP_SASL_CLIENT_MECHANISM_CNT);
    fuzz_expand(&all, base_span_of(data + 1, size - 1), tokens, BASE_ARRAY_CNT(tokens));
    smtp_sasl_client_init(&s, m, random_bytes);
    uint32_t sent_cnt = 0;
    for (size_t at = 0; at < all.len && sent_cnt < 5;) {
        const uint8_t *end = memchr(all.p + at, '\n', all.len - at);
        size_t len = end != NULL ? (size_t)(end - all.p) - at : all.len - at;
        uint8_t *exact = malloc(len), *room = malloc(SMTP_SASL_RESPONSE_MAX);
        struct base_buf out = {room, 0, SMTP_SASL_RESPONSE_MAX};
        base_assert((exact != NULL || len == 0) && room != NULL);
        if (len > 0)
            memcpy(exact, all.p + at, len);
        enum smtp_sasl_client_step step = smtp_sasl_client_push(&s, &c, sent_cnt % 2 ? &keys : NULL,
                                                                base_span_of(exact, len), &out);
        bool told = memmem(room, out.len, c.password.p, c.password.len) != NULL;
        /* What the server says itself, in its nonce, comes back. */
        bool known = memmem(all.p, all.len, c.password.p, c.password.len) != NULL;
        base_assert(!told || known ||
                    (step == SMTP_SASL_CLIENT_SEND && m >= SMTP_SASL_CLIENT_PLAIN));
        base_assert(step == SMTP_SASL_CLIENT_SEND || out.len == 0);
        sent_cnt++;
        free(exact);
        free(room);
        at += len + 1;
    }
    /* The keys are nobody's: to guess the signature would take 256 bits. */
    base_assert(!smtp_sasl_client_proven(&s) || m != SMTP_SASL_CLIENT_SCRAM_SHA_256);
    return 0;
}
