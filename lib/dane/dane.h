/*
 * TLSA records against the certificates that a server shows (RFC 6698, 7671, 7672): which records
 * are usable, and whether one of them matches. For our deliveries, and for our own certificates as
 * others see them.
 *
 * Left out: the lookup and what its outcome means (lib/dns, and the table of whoever delivers);
 * usages 0 and 1, which mail does not have (RFC 7672 section 3.1.3); fetching certificates that are
 * missing in a chain; revocation. The system's trust store is never consulted.
 *
 * Threads: pure, over libcrypto; any. Memory: records and chains point to the caller's bytes, which
 * are alive during each call; nothing is kept. Slow: some 100 us for a chain.
 */
#ifndef DANE_H
#define DANE_H

#include "base_assert.h"
#include "base_bytes.h"

#define DANE_USAGE_TA 2
#define DANE_USAGE_EE 3

#define DANE_SELECTOR_CERTIFICATE 0
#define DANE_SELECTOR_KEY         1

#define DANE_MATCHING_FULL   0
#define DANE_MATCHING_SHA256 1
#define DANE_MATCHING_SHA512 2

/* Values of any kind may stand in it. */
struct dane_record {
    uint8_t usage, selector, matching;
    struct base_span data;
};

/* RFC 7672 section 2.1: usage 2 or 3, selector 0 or 1, a digest of its right length, or a whole
 * certificate or key that can be read. */
bool dane_record_usable(const struct dane_record *r);

/* Copies to out, which has room for cnt and may be records, what counts: the usable ones, and of
 * those with one usage and selector only the strongest digest, besides whole ones (digest agility,
 * RFC 7671 section 9). Returns how many; 0: TLS is required then, and nothing to be proved by it.
 */
uint32_t dane_select(const struct dane_record *records, uint32_t cnt, struct dane_record *out);

/* "3 1 1 " and 64 digits: what to publish for this certificate, DER. Returns 0, or -EINVAL: it
 * can't be read. */
#define DANE_PUBLISH_CAP 72
int dane_publish(char out[DANE_PUBLISH_CAP], struct base_span certificate) BASE_WARN_UNUSED;

/* ---- what a server shows ---- */

#define DANE_CHAIN_MAX 16

struct dane_chain {
    uint32_t cnt;
    struct base_span der[DANE_CHAIN_MAX]; /* the server's own first, the others in any order */
};

/* From PEM text (RFC 7468), with memory of its own: dane_chain_free. Returns 0, -EINVAL (none, too
 * many, a damaged one) or -ENOMEM. */
int dane_chain_read(struct dane_chain *c, struct base_span pem) BASE_WARN_UNUSED;
void dane_chain_free(struct dane_chain *c); /* of dane_chain_read alone */

enum dane_result {
    DANE_MATCH_EE,       /* the server's certificate itself; names and dates do not matter */
    DANE_MATCH_TA,       /* an issuer in its chain, which is valid, for one of the names */
    DANE_NO_MATCH,       /* no record is of anything in the chain */
    DANE_NOT_VALID,      /* a trust anchor matches: the chain up to it is not valid */
    DANE_EXPIRED,        /* likewise, because of a date */
    DANE_NAME_MISMATCH,  /* likewise, but the certificate is for none of the names */
    DANE_NO_CERTIFICATE, /* the server showed none that can be read */
    DANE_RESULT_CNT
};
static inline bool dane_result_ok(enum dane_result r)
{
    return r == DANE_MATCH_EE || r == DANE_MATCH_TA;
}
const char *dane_result_name(enum dane_result r); /* "no match" */

/*
 * Whether one of the records, of dane_select, holds for the chain. names are the reference names
 * (RFC 7672 section 3.2.2): the TLSA base domain, with a secure MX the next-hop domain too; a
 * wildcard stands for one label. now_s: the time that dates are compared with. *matched is the
 * record's index where the result is ok.
 *
 * Usage 2 (section 3.1.2): the anchor is in the chain, but not the server's own certificate; a
 * record of matching 0 brings it along. The CN is looked at where there is no dNSName.
 */
enum dane_result dane_match(const struct dane_record *records, uint32_t cnt,
                            const struct dane_chain *chain, const char *const *names,
                            uint32_t name_cnt, int64_t now_s, uint32_t *matched);

#endif
