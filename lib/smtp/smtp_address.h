/*
 * Mail addresses: Reverse-path, Forward-path and Mailbox of RFC 5321 section 4.1.2. Parsed once, as
 * views into the caller's bytes; nothing is copied. With SMTPUTF8 (RFC 6531 section 3.3) an address
 * may hold UTF-8. Left out: IDN and Unicode normalization; lib/policy/policy_key.h compares. Pure;
 * any thread.
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include "base_assert.h"
#include "base_bytes.h"

#define SMTP_LOCAL_MAX   64  /* RFC 5321 section 4.5.3.1.1 */
#define SMTP_DOMAIN_MAX  255 /* section 4.5.3.1.2 */
#define SMTP_ADDRESS_MAX (SMTP_LOCAL_MAX + 1 + SMTP_DOMAIN_MAX)

enum smtp_address_kind {
    SMTP_ADDRESS_NULL,       /* "<>" */
    SMTP_ADDRESS_MAILBOX,    /* local@domain or local@[literal] */
    SMTP_ADDRESS_POSTMASTER, /* "<Postmaster>", any case, without a domain */
};

struct smtp_address {
    enum smtp_address_kind kind;
    struct base_span mailbox; /* the whole, without <> and source route; empty for NULL */
    struct base_span local;   /* as written, quotes included */
    struct base_span domain;  /* name or literal with its brackets; empty without one */
};

enum smtp_path_use { SMTP_PATH_REVERSE, SMTP_PATH_FORWARD };

/*
 * Parses a path at the start of text: "<" [A-d-l ":"] Mailbox ">". A source route is stripped
 * (RFC 5321 appendix C). Sets *used to its length. NULL is only good as a reverse-path, Postmaster
 * without a domain only as a forward-path. Returns 0, or -EINVAL.
 */
int smtp_path_parse(struct smtp_address *out, size_t *used, struct base_span text,
                    enum smtp_path_use use) BASE_WARN_UNUSED;

/* The same with UTF-8 let in where RFC 6531 section 3.3 does. Limits count bytes; that of a label
 * is for ASCII ones. Control characters above U+007F are refused, though its grammar has them. */
int smtp_path_parse_utf8(struct smtp_address *out, size_t *used, struct base_span text,
                         enum smtp_path_use use) BASE_WARN_UNUSED;

/* Parses a bare mailbox, the whole span. Returns 0, or -EINVAL. */
int smtp_mailbox_parse(struct smtp_address *out, struct base_span text) BASE_WARN_UNUSED;
/* The same with UTF-8 let in, as by smtp_path_parse_utf8. */
int smtp_mailbox_parse_utf8(struct smtp_address *out, struct base_span text) BASE_WARN_UNUSED;

/* True for what HELO and EHLO take: letters, digits, hyphens, dots and underscores, which are no
 * Domain of RFC 5321 but common, or an address literal in brackets. */
bool smtp_domain_valid(struct base_span text);

#endif
