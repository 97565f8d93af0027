/*
 * The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (6152), SMTPUTF8 (6531), RET, ENVID,
 * NOTIFY and ORCPT (3461, and 6533 for ORCPT), REQUIRETLS (8689). Checked; as views into the
 * command, nothing is copied or decoded. What is kept and passed on is the text as the client wrote
 * it: a relay may not change ENVID and ORCPT (RFC 3461 section 5.2.1), and xtext decoded and
 * encoded again need not be the same.
 *
 * AUTH= (RFC 4954) is checked and not kept. Left out: BY= (2852), MT-PRIORITY (6710), and
 * BODY=BINARYMIME (3030).
 *
 * Pure; any thread. No memory.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include "base_assert.h"
#include "base_bytes.h"

/* Extensions that a server may offer or not, as bits. SIZE and 8BITMIME are always offered. A
 * parameter of one that is not offered is refused with 555 (RFC 5321 section 4.1.1.11). */
enum smtp_extension {
    SMTP_EXTENSION_DSN = 1,
    SMTP_EXTENSION_SMTPUTF8 = 2,
    SMTP_EXTENSION_CHUNKING = 4,
    SMTP_EXTENSION_AUTH = 8,        /* as the session offers AUTH; not for settings */
    SMTP_EXTENSION_REQUIRETLS = 16, /* offered inside TLS only */
    SMTP_EXTENSION_LIMITS = 32,
};

#define SMTP_ENVID_MAX 100 /* bytes as written: RFC 3461 section 4.4 */
#define SMTP_ORCPT_MAX 500 /* section 4.2 */

enum smtp_ret {
    SMTP_RET_NONE, /* not given */
    SMTP_RET_FULL,
    SMTP_RET_HDRS,
};

/* Bits; none: not given. NEVER comes alone. */
enum smtp_notify {
    SMTP_NOTIFY_NEVER = 1,
    SMTP_NOTIFY_SUCCESS = 2,
    SMTP_NOTIFY_FAILURE = 4,
    SMTP_NOTIFY_DELAY = 8,
};

struct smtp_mail_params {
    uint64_t size_bytes;    /* SIZE, 0 when absent */
    struct base_span envid; /* xtext as written; empty when absent */
    uint8_t ret;            /* enum smtp_ret */
    bool body_8bit;         /* BODY=8BITMIME */
    bool smtputf8;
    bool requiretls;
};

struct smtp_rcpt_params {
    struct base_span orcpt; /* addr-type ";" xtext as written; empty when absent */
    uint8_t notify;         /* bits of enum smtp_notify */
};

/* True when NOTIFY may have these bits. */
bool smtp_notify_valid(unsigned bits);

/* Checks the value of ENVID: xtext, 1 to SMTP_ENVID_MAX bytes, of printable ASCII. */
bool smtp_envid_valid(struct base_span text);

/* Checks the value of ORCPT: an atom without "+" and "=", ";" and xtext of printable ASCII, or
 * UTF-8 when utf8 is set and the type is "utf-8" (RFC 6533 section 3); at most SMTP_ORCPT_MAX
 * bytes. */
bool smtp_orcpt_valid(struct base_span text, bool utf8);

/* Appends what xtext (RFC 3461 section 4) stands for. Returns 0; -EINVAL when it is no xtext (a
 * byte outside "!".."~", or "+" without two upper-case hex digits); -ENOSPC (never with room for
 * text.len). On error out is as it was. */
int smtp_xtext_decode(struct base_buf *out, struct base_span text) BASE_WARN_UNUSED;

/* Appends the parameters, each behind a space, as MAIL and RCPT take them: of those that are given,
 * BODY, SMTPUTF8, REQUIRETLS, RET and ENVID; NOTIFY and ORCPT. SIZE is not among them. Returns 0 or
 * -ENOSPC. */
int smtp_mail_params_write(struct base_buf *out, const struct smtp_mail_params *p) BASE_WARN_UNUSED;
int smtp_rcpt_params_write(struct base_buf *out, const struct smtp_rcpt_params *p) BASE_WARN_UNUSED;

/* True for well-formed UTF-8 (RFC 3629) without control characters, U+0080 to U+009F among them. */
bool smtp_utf8_valid(struct base_span text);

#endif
