/*
 * XCLIENT (Postfix's XCLIENT_README): a proxy says who its client is. The argument of the command,
 * taken apart and checked whole: NAME, ADDR, PORT, PROTO, HELO, LOGIN, DESTADDR, DESTPORT; values
 * in xtext (RFC 3461 section 4).
 *
 * Which attributes a proxy may use, and what comes of them, is the caller's. Left out: XFORWARD,
 * REVERSE_NAME. An attribute that is unknown, or given twice, makes the whole command bad.
 *
 * Pure; any thread. Memory: the struct is the caller's, and all values are in it.
 */
#ifndef SMTP_XCLIENT_H
#define SMTP_XCLIENT_H

#include "base_assert.h"
#include "base_bytes.h"
#include "smtp_sasl.h"

#include <stdbool.h>
#include <stdint.h>

enum smtp_xclient_attribute {
    SMTP_XCLIENT_NAME,
    SMTP_XCLIENT_ADDR,
    SMTP_XCLIENT_PORT,
    SMTP_XCLIENT_PROTO,
    SMTP_XCLIENT_HELO,
    SMTP_XCLIENT_LOGIN,
    SMTP_XCLIENT_DESTADDR,
    SMTP_XCLIENT_DESTPORT,
    SMTP_XCLIENT_ATTRIBUTE_CNT
};

/* What EHLO says. */
#define SMTP_XCLIENT_OFFER "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

/* An attribute is given, known or both; [UNAVAILABLE] and [TEMPUNAVAIL] are given and not known. */
struct smtp_xclient {
    uint16_t given; /* bits by attribute */
    uint16_t known;
    uint16_t port, dest_port;
    bool extended;                         /* PROTO=ESMTP */
    uint8_t address[16], dest_address[16]; /* IPv6, or IPv4 mapped into it */
    char name[256];                        /* printable ASCII */
    char helo[256];                        /* by smtp_domain_valid: known only when it is */
    char login[SMTP_SASL_LOGIN_MAX + 1];   /* by smtp_utf8_valid */
};

static inline bool smtp_xclient_is_given(const struct smtp_xclient *x,
                                         enum smtp_xclient_attribute a)
{
    return (x->given >> a & 1) != 0;
}
static inline bool smtp_xclient_is_known(const struct smtp_xclient *x,
                                         enum smtp_xclient_attribute a)
{
    return (x->known >> a & 1) != 0;
}

/* argument: what stands behind "XCLIENT ". Returns 0, or -EINVAL: nothing of it counts. */
int smtp_xclient_parse(struct smtp_xclient *x, struct base_span argument) BASE_WARN_UNUSED;

#endif
