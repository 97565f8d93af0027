/* The mechanisms: whatever a client says, one of the steps comes of it, nothing is read beyond its
 * bytes, and nobody is accepted who proves nothing. Also base64 there and back, messages between
 * processes, and passwd files. */
#include "auth_message.h"
#include "auth_passwd_file.h"
#include "smtp_base64.h"
#include "smtp_params.h"
#include "smtp_sasl.h"
#include "smtp_saslprep.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of its own size, so that the address sanitizer sees what is read behind it. */
static struct base_span copy(const uint8_t *p, size_t len)
{
    uint8_t *own = malloc(len > 0 ? len : 1);

    base_assert(own != NULL);
    if (len > 0)
        memcpy(own, p, len);
    return base_span_of(own, len);
}

static void exchange(enum smtp_sasl_mechanism m, uint8_t bits, const uint8_t *data, size_t size)
{
    struct smtp_sasl_facts facts = {
        .plus_offered = bits & 1, .bound = bits & 2, .identity = base_span_str("carol")};
    struct smtp_sasl_verifier v = {.iterations = 1, .salt_len = 8};
    enum smtp_sasl_step step = SMTP_SASL_CHALLENGE;
    struct smtp_sasl s;

    smtp_sasl_init(&s, m, &facts);
    while (step == SMTP_SASL_CHALLENGE) {
        uint8_t room[SMTP_SASL_CHALLENGE_MAX];
        struct base_buf out = {room, 0, sizeof(room)};
        const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t len = end != NULL ? (size_t)(end - data) : size;
        if (size == 0)
            break;
        struct base_span says = copy(data, len);
        step = smtp_sasl_push(&s, says, &out);
        free((void *)(uintptr_t)says.p);
        if (step == SMTP_SASL_VERIFIER)
            step = smtp_sasl_verify(&s, &v, true, &out);
        size -= len + (end != NULL);
        data += len + (end != NULL);
    }
    base_assert(step != SMTP_SASL_ACCEPTED); /* no proof fits a stored key of zeroes */
    base_assert(strlen(s.login) == s.login_len && strlen(s.password) == s.password_len);
    base_assert(step != SMTP_SASL_PASSWORD || (s.login_len > 0 && s.password_len > 0));
}

static void base64(const uint8_t *data, size_t size)
{
    struct base_buf bytes = {malloc(size + 1), 0, size + 1},
                    text = {malloc(2 * size + 8), 0, 2 * size + 8};
    struct base_span in = copy(data, size);
    bool valid = smtp_base64_decode(&bytes, in) == 0;

    base_assert(valid == smtp_base64_valid(in));
    if (valid) { /* there is one text for each row of bytes */
        base_assert(smtp_base64_encode(&text, base_buf_span(&bytes)) == 0);
        base_assert(base_span_eq(base_buf_span(&text), in));
    }
    text.len = bytes.len = 0;
    base_assert(smtp_base64_encode(&text, in) == 0 && text.len == SMTP_BASE64_LEN(size));
    base_assert(smtp_base64_decode(&bytes, base_buf_span(&text)) == 0);
    base_assert(base_span_eq(base_buf_span(&bytes), in));
    free(bytes.p);
    free(text.p);
    free((void *)(uintptr_t)in.p);
}

/* What is prepared is text, and stays as it is. */
static void saslprep(const uint8_t *data, size_t size)
{
    struct base_span in = copy(data, size < 1000 ? size : 1000);
    char out[256], again[256];
    size_t len, len_again;

    if (smtp_saslprep(in, out, sizeof(out), &len)) {
        base_assert(len > 0 && strlen(out) == len && smtp_utf8_valid(base_span_of(out, len)));
        if (smtp_saslprep(base_span_of(out, len), again, sizeof(again), &len_again))
            base_assert(strcmp(out, again) == 0);
    }
    free((void *)(uintptr_t)in.p);
}

static void message(const uint8_t *data, size_t size)
{
    struct base_span in = copy(data, size);
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct auth_message m;

    if (auth_message_read(&m, in) == 0)
        base_assert(base_span_eq(in, base_span_of(bytes, auth_message_write(bytes, &m))));
    free((void *)(uintptr_t)in.p);
}

static void file(const uint8_t *data, size_t size)
{
    char why[AUTH_PASSWD_WHY_CAP], warning[AUTH_PASSWD_WHY_CAP];
    struct auth_passwd_table *t = auth_passwd_parse("f", base_span_of(data, size), why, warning);

    if (t == NULL)
        return;
    for (uint64_t i = 0; i < auth_passwd_cnt(t); i++) {
        const struct auth_passwd_account *a = auth_passwd_decoy(t, i, false);
        base_assert(a == auth_passwd_find(t, base_span_str(a->login)));
        base_assert((a->hash != NULL) != (a->verifier != NULL));
    }
    auth_passwd_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t what = data[0] % 9, bits = data[0] / 9;
    data++;
    size--;
    if (what < SMTP_SASL_MECHANISM_CNT)
        exchange((enum smtp_sasl_mechanism)what, bits, data, size);
    else if (what == 5)
        base64(data, size);
    else if (what == 8)
        saslprep(data, size);
    else if (what == 6)
        message(data, size);
    else
        file(data, size);
    return 0;
}
