/*
 * Header sections: cut anywhere the outcome is the same; addresses lie in the field, and an address
 * that is taken is one alone. The simplest other reader, who looks for lines that begin with
 * "From:" and for the last "<...>" in them, never finds another address than we judged.
 */
#include "fuzz_token.h"
#include "policy_from.h"

#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("From:"),       FUZZ_TOKEN("From :"),
    FUZZ_TOKEN("\r\n"),        FUZZ_TOKEN("\r\n "),
    FUZZ_TOKEN("\r\nfrom: "),  FUZZ_TOKEN("<a@b.c>"),
    FUZZ_TOKEN("a@b.c"),       FUZZ_TOKEN("\""),
    FUZZ_TOKEN("\\"),          FUZZ_TOKEN("("),
    FUZZ_TOKEN(")"),           FUZZ_TOKEN("<"),
    FUZZ_TOKEN(">"),           FUZZ_TOKEN(", "),
    FUZZ_TOKEN("G:"),          FUZZ_TOKEN(";"),
    FUZZ_TOKEN("@"),           FUZZ_TOKEN("x y"),
    FUZZ_TOKEN("[192.0.2.1]"), FUZZ_TOKEN("=?utf-8?q?x?="),
    FUZZ_TOKEN("\xc3\xbc"),    FUZZ_TOKEN("\r\n\r\n"),
};

static void push(struct policy_from *f, struct base_span text, size_t step)
{
    policy_from_init(f);
    for (size_t at = 0; at < text.len; at += step)
        policy_from_push(f, base_span_of(text.p + at, text.len - at < step ? text.len - at : step));
}

/* An address in angle brackets at the end of the value, as a careless reader takes it. */
static bool naive(struct base_span value, struct base_span *out)
{
    size_t end = value.len;

    while (end > 0 && (value.p[end - 1] == ' ' || value.p[end - 1] == '\t'))
        end--;
    if (end == 0 || value.p[end - 1] != '>')
        return false;
    const uint8_t *open = memrchr(value.p, '<', end);
    if (open == NULL)
        return false;
    *out = base_span_of(open + 1, (size_t)(value.p + end - 1 - open - 1));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[32768];
    static struct policy_from f, g;
    struct base_buf out = {.p = room, .cap = sizeof(room)};

    fuzz_expand(&out, base_span_of(data, size), tokens, BASE_ARRAY_CNT(tokens));
    struct base_span text = base_buf_span(&out);
    push(&f, text, text.len + 1);
    push(&g, text, 1 + text.len % 7);
    base_assert(policy_from_end(&f) == policy_from_end(&g));
    if (policy_from_end(&f) != POLICY_FROM_OK)
        return 0;
    base_assert(f.field_cnt == 1 && f.len == g.len && memcmp(f.value, g.value, f.len) == 0);
    struct base_span list = base_span_of(f.value, f.len), taken = {0};
    bool in_group = false;
    struct smtp_address a;
    int got, cnt = 0;
    while ((got = policy_from_next(&list, &in_group, &a)) == 1) {
        base_assert(a.local.len > 0 && a.domain.len > 0);
        base_assert(a.local.p >= f.value && a.domain.p + a.domain.len <= f.value + f.len);
        base_assert(a.mailbox.p == a.local.p &&
                    a.mailbox.p + a.mailbox.len == a.domain.p + a.domain.len);
        base_assert(a.local.p[0] == '"' || memchr(a.local.p, '@', a.local.len) == NULL);
        base_assert(memchr(a.domain.p, '@', a.domain.len) == NULL);
        base_assert(cnt == 0 || a.local.p > taken.p);
        taken = a.mailbox;
        cnt++;
    }
    struct base_span seen;
    if (got == 0 && cnt == 1 && memchr(f.value, '(', f.len) == NULL &&
        memchr(f.value, '"', f.len) == NULL && memchr(f.value, ' ', f.len) == NULL &&
        memchr(f.value, '\t', f.len) == NULL && naive(base_span_of(f.value, f.len), &seen))
        base_assert(base_span_eq(seen, taken));
    return 0;
}
