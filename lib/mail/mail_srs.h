/*
 * The Sender Rewriting Scheme (Wong 2004; no RFC): whoever forwards mail of another domain's sender
 * sends it under an address of its own, so that SPF holds, and gets the reports, which it passes
 * back. The address carries all that is needed for that, and proof that it was made here:
 *
 *   a@b.example            SRS0=hash=tt=b.example=a@our.example
 *   SRS0=x=tt=b=a@c        SRS1=hash=c==x=tt=b=a@our.example     forwarded before, by c
 *   SRS1=x=c==...@d        SRS1=hash=c==...@our.example          and again, by d
 *
 * tt are days modulo 1024, two digits of 5 bits. The hash is 30 bits of SipHash-2-4 under a key
 * that nobody else has, six such digits: they hold whatever a relay does to upper and lower case.
 * Only the server that made it reads it, so its form is nobody else's business.
 *
 * Left out: addresses longer than SMTP's 64 octets for a local part, quoted ones, ones beyond ASCII
 * and address literals: such senders are not rewritten. What rights an address gives: the caller's.
 *
 * Pure; any thread. Memory: the caller's buffers; texts of settings are borrowed.
 */
#ifndef MAIL_SRS_H
#define MAIL_SRS_H

#include "base_assert.h"
#include "base_bytes.h"

#define MAIL_SRS_KEY_MAX    8
#define MAIL_SRS_LOCAL_MAX  64
#define MAIL_SRS_OUT_CAP    (MAIL_SRS_LOCAL_MAX + 1 + 255)
#define MAIL_SRS_AGE_MAX    1000 /* days; the digits begin anew after 1024 */
#define MAIL_SRS_HASH_CHARS 6

struct mail_srs {
    struct base_span domain; /* of the rewritten addresses */
    uint8_t key[MAIL_SRS_KEY_MAX][16];
    uint32_t key_cnt; /* > 0; the first makes hashes, all of them verify */
    uint32_t age_max_days;
};

/* Rewrites a sender (a mailbox with a domain). Appends the new mailbox to out. Returns 0, or
 * -EINVAL: it can not be rewritten, and out is as it was. out needs MAIL_SRS_OUT_CAP room. */
int mail_srs_forward(const struct mail_srs *s, struct base_span sender, uint64_t wall_ns,
                     struct base_buf *out) BASE_WARN_UNUSED;

enum mail_srs_result {
    MAIL_SRS_OK,
    MAIL_SRS_NONE,    /* the local part is no rewritten address */
    MAIL_SRS_FORGED,  /* it is none that we made, or was changed */
    MAIL_SRS_EXPIRED, /* it is too old */
};

/* What the local part of an address of our domain stands for: with OK appends the mailbox that
 * reports go to. It has the form of a mailbox, and may be of any domain. */
enum mail_srs_result mail_srs_reverse(const struct mail_srs *s, struct base_span local,
                                      uint64_t wall_ns, struct base_buf *out) BASE_WARN_UNUSED;

#endif
