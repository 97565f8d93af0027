/*
 * What reports are about, in the words of RFC 8460 section 4.3: policies and results, each as one
 * text of fields (tlsrpt_text.h) by which it is counted:
 *
 *   policy   type, policy domain, a string each of the policy; where it has patterns of MX hosts:
 *            an empty field, then one each
 *   detail   result type, sending-mta-ip, receiving-mx-hostname, receiving-ip, reason; the last
 *            four may be empty
 *
 * Threads: pure.
 */
#ifndef TLSRPT_WORDS_H
#define TLSRPT_WORDS_H

#include "tlsrpt_text.h"

enum tlsrpt_policy_type {
    TLSRPT_NO_POLICY, /* "no-policy-found" */
    TLSRPT_TLSA,
    TLSRPT_STS,
    TLSRPT_POLICY_TYPE_CNT
};
const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type type);

enum tlsrpt_result {
    TLSRPT_NOTHING, /* it did not come to a TLS session, or to none of its own */
    TLSRPT_SUCCESS,
    TLSRPT_STARTTLS_NOT_SUPPORTED,
    TLSRPT_CERTIFICATE_HOST_MISMATCH,
    TLSRPT_CERTIFICATE_EXPIRED,
    TLSRPT_CERTIFICATE_NOT_TRUSTED,
    TLSRPT_VALIDATION_FAILURE, /* anything else */
    TLSRPT_TLSA_INVALID,
    TLSRPT_DNSSEC_INVALID,
    TLSRPT_DANE_REQUIRED,
    TLSRPT_STS_POLICY_FETCH_ERROR,
    TLSRPT_STS_POLICY_INVALID,
    TLSRPT_STS_WEBPKI_INVALID,
    TLSRPT_RESULT_CNT
};
const char *tlsrpt_result_name(
    enum tlsrpt_result result); /* "starttls-not-supported"; NOTHING: "" */

#define TLSRPT_POLICY_MAX 6144 /* bytes of a policy's text: what is over that is left out */
#define TLSRPT_DETAIL_MAX 768

struct tlsrpt_policy_words {
    enum tlsrpt_policy_type type;
    struct base_span domain;
    const struct base_span *strings, *mx;
    uint32_t string_cnt, mx_cnt;
};
/* Appends the policy's text. */
void tlsrpt_put_policy(struct tlsrpt_text *t, const struct tlsrpt_policy_words *p);

struct tlsrpt_detail_words {
    enum tlsrpt_result result;
    struct base_span sending_ip, mx, ip, reason;
};
void tlsrpt_put_detail(struct tlsrpt_text *t, const struct tlsrpt_detail_words *d);

#endif
