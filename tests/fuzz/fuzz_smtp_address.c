/* Addresses: views stay inside of the input, and what was parsed parses again to the same. */
#include "smtp_address.h"
#include "smtp_params.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct base_span part, struct base_span whole)
{
    return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static void check_path(struct base_span in, enum smtp_path_use use)
{
    struct smtp_address a, again;
    size_t used = 0;

    if (smtp_path_parse(&a, &used, in, use) != 0)
        return;
    base_assert(used >= 2 && used <= in.len && in.p[used - 1] == '>');
    base_assert(inside(a.mailbox, in) && inside(a.local, a.mailbox) && inside(a.domain, a.mailbox));
    base_assert(a.mailbox.len <= SMTP_ADDRESS_MAX && a.local.len <= SMTP_LOCAL_MAX);
    for (size_t i = 0; i < a.mailbox.len; i++)
        base_assert(a.mailbox.p[i] >= 0x20 && a.mailbox.p[i] < 0x7f);
    switch (a.kind) {
    case SMTP_ADDRESS_NULL:
        base_assert(use == SMTP_PATH_REVERSE && a.mailbox.len == 0);
        break;
    case SMTP_ADDRESS_POSTMASTER:
        base_assert(use == SMTP_PATH_FORWARD && a.domain.len == 0);
        break;
    case SMTP_ADDRESS_MAILBOX: {
        int failed = smtp_mailbox_parse(&again, a.mailbox);
        base_assert(failed == 0);
        base_assert(again.kind == a.kind && base_span_eq(again.local, a.local) &&
                    base_span_eq(again.domain, a.domain));
        base_assert(a.local.len + 1 + a.domain.len == a.mailbox.len);
        base_assert(smtp_domain_valid(a.domain));
        break;
    }
    }
}

/* With UTF-8 more is an address, and what was one without stays the same. */
static void check_utf8(struct base_span in, enum smtp_path_use use)
{
    struct smtp_address a, plain;
    size_t used = 0, plain_used = 0;
    bool ascii = smtp_path_parse(&plain, &plain_used, in, use) == 0;

    if (smtp_path_parse_utf8(&a, &used, in, use) != 0) {
        base_assert(!ascii);
        return;
    }
    base_assert(used >= 2 && used <= in.len && in.p[used - 1] == '>');
    base_assert(inside(a.mailbox, in) && inside(a.local, a.mailbox) && inside(a.domain, a.mailbox));
    base_assert(a.mailbox.len <= SMTP_ADDRESS_MAX && a.local.len <= SMTP_LOCAL_MAX);
    base_assert(smtp_utf8_valid(a.mailbox) && smtp_utf8_valid(a.local));
    base_assert(smtp_utf8_valid(a.domain));
    if (ascii)
        base_assert(used == plain_used && base_span_eq(a.mailbox, plain.mailbox));
}

/* Parameters: what is fine decodes to what a DSN can show. */
static void check_params(struct base_span in)
{
    uint8_t room[SMTP_ORCPT_MAX];
    struct base_buf out = {room, 0, sizeof(room)};
    int rc = smtp_xtext_decode(&out, in);

    base_assert(rc != 0 || out.len <= in.len);
    if (smtp_envid_valid(in)) {
        base_assert(rc == 0 && in.len <= SMTP_ENVID_MAX && out.len > 0);
        for (size_t i = 0; i < out.len; i++)
            base_assert(room[i] >= 0x20 && room[i] < 0x7f);
    }
    if (smtp_orcpt_valid(in, true)) {
        base_assert(in.len <= SMTP_ORCPT_MAX && memchr(in.p, ';', in.len) != NULL);
        for (size_t i = 0; i < in.len; i++)
            base_assert(in.p[i] > 0x20 && in.p[i] != 0x7f);
    }
    if (smtp_orcpt_valid(in, false)) {
        base_assert(smtp_orcpt_valid(in, true));
        base_assert(rc == 0); /* the type is an atom: hence "+" in it is hex or refused */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_span in = base_span_of(data, size);
    struct smtp_address a;

    check_path(in, SMTP_PATH_REVERSE);
    check_path(in, SMTP_PATH_FORWARD);
    check_utf8(in, SMTP_PATH_REVERSE);
    check_utf8(in, SMTP_PATH_FORWARD);
    check_params(in);
    if (smtp_mailbox_parse(&a, in) == 0)
        base_assert(base_span_eq(a.mailbox, in) && a.domain.len > 0);
    if (smtp_domain_valid(in))
        base_assert(size <= SMTP_DOMAIN_MAX && memchr(data, ' ', size) == NULL);
    return 0;
}
