#include "tlsrpt_words.h"

const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type type)
{
    static const char *const name[TLSRPT_POLICY_TYPE_CNT] = {
        [TLSRPT_NO_POLICY] = "no-policy-found",
        [TLSRPT_TLSA] = "tlsa",
        [TLSRPT_STS] = "sts",
    };

    return name[type];
}

const char *tlsrpt_result_name(enum tlsrpt_result result)
{
    static const char *const name[TLSRPT_RESULT_CNT] = {
        [TLSRPT_NOTHING] = "",
        [TLSRPT_SUCCESS] = "success",
        [TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
        [TLSRPT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
        [TLSRPT_CERTIFICATE_EXPIRED] = "certificate-expired",
        [TLSRPT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
        [TLSRPT_VALIDATION_FAILURE] = "validation-failure",
        [TLSRPT_TLSA_INVALID] = "tlsa-invalid",
        [TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
        [TLSRPT_DANE_REQUIRED] = "dane-required",
        [TLSRPT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
        [TLSRPT_STS_POLICY_INVALID] = "sts-policy-invalid",
        [TLSRPT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
    };

    return name[result];
}

/* Returns false, and puts nothing, when the text would become longer than max. */
static bool put_within(struct tlsrpt_text *t, size_t start, size_t max, struct base_span s)
{
    size_t before = t->len;

    tlsrpt_puts(t, "\t");
    tlsrpt_put_field(t, s);
    if (t->len - start <= max)
        return true;
    t->len = before;
    return false;
}

void tlsrpt_put_policy(struct tlsrpt_text *t, const struct tlsrpt_policy_words *p)
{
    size_t start = t->len;
    bool fits;

    tlsrpt_puts(t, tlsrpt_policy_type_name(p->type));
    fits = put_within(t, start, TLSRPT_POLICY_MAX, p->domain);
    for (uint32_t i = 0; i < p->string_cnt && fits; i++)
        if (p->strings[i].len > 0)
            fits = put_within(t, start, TLSRPT_POLICY_MAX, p->strings[i]);
    for (uint32_t i = 0; i < p->mx_cnt && fits; i++) {
        if (i == 0)
            fits = put_within(t, start, TLSRPT_POLICY_MAX, base_span_of("", 0));
        if (fits && p->mx[i].len > 0)
            fits = put_within(t, start, TLSRPT_POLICY_MAX, p->mx[i]);
    }
}

void tlsrpt_put_detail(struct tlsrpt_text *t, const struct tlsrpt_detail_words *d)
{
    const struct base_span field[] = {d->sending_ip, d->mx, d->ip, d->reason};
    size_t start = t->len;

    tlsrpt_puts(t, tlsrpt_result_name(d->result));
    for (size_t i = 0; i < 4; i++)
        if (!put_within(t, start, TLSRPT_DETAIL_MAX, field[i]))
            (void)put_within(t, start, TLSRPT_DETAIL_MAX + 8, base_span_of("", 0));
}
