/*
 * The header field "TLS-Required: No" (RFC 8689 section 3): the author of a message asks that it
 * goes on although the policy that the recipient's domain publishes (DANE, MTA-STS) cannot be met.
 *
 * It is asked for by exactly one such field whose value is "No", in any case, with folding white
 * space around it. Another value means nothing (no other is defined), and a message must not have
 * two (section 3): then none of them counts, as who would be let through by the second one may have
 * added it.
 *
 * Left out: what follows from it, and whether MAIL had REQUIRETLS, which goes before it.
 *
 * Pure; any thread. Memory: the struct, the caller's.
 */
#ifndef MAIL_TLS_REQUIRED_H
#define MAIL_TLS_REQUIRED_H

#include "base_bytes.h"

struct mail_tls_required {
    uint8_t state; /* of mail_tls_required_push */
    uint8_t match; /* bytes of the name, or of the value, matched in this line */
    bool bad;      /* a value that is not the one */
    uint32_t field_cnt;
};

void mail_tls_required_init(struct mail_tls_required *t);
/* More of the header section, from its first byte, cut anywhere; what follows its empty line is not
 * looked at. */
void mail_tls_required_push(struct mail_tls_required *t, struct base_span bytes);
/* What was seen asks for it. */
bool mail_tls_required_no(const struct mail_tls_required *t);

#endif
