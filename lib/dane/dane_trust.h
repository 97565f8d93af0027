/*
 * Proof by a trust store and names (RFC 9525, what "verify" and "secure" ask for), by digests that
 * the operator names, and words for what a server has shown.
 *
 * Left out: revocation; fetching certificates that are missing in a chain.
 *
 * Threads: a store is made and freed by anyone and used by one thread: dane_trust_share makes one
 * for another, without reading again. Memory: as said; nothing of the arguments is kept.
 */
#ifndef DANE_TRUST_H
#define DANE_TRUST_H

#include "dane.h"

struct dane_trust;

/* The authorities of PEM text (RFC 7468); what is not a certificate in it is passed over. Returns
 * NULL when there is none, or memory is short. */
struct dane_trust *dane_trust_read(struct base_span pem) BASE_WARN_UNUSED;
struct dane_trust *dane_trust_share(const struct dane_trust *t) BASE_WARN_UNUSED;
void dane_trust_free(struct dane_trust *t); /* NULL: nothing */
uint32_t dane_trust_count(const struct dane_trust *t);

/*
 * Whether the chain leads to an authority of the store (NULL: there is none) and the server's
 * certificate is for one of the names: A-labels, a wildcard stands for one label; or addresses.
 * MATCH_TA where it is so; NO_MATCH: it leads to none.
 */
enum dane_result dane_verify(const struct dane_trust *t, const struct dane_chain *chain,
                             const char *const *names, uint32_t name_cnt, int64_t now_s);

/* Whether the SHA-256 of the server's certificate, or of its public key, is one of these. */
bool dane_fingerprint(const struct dane_chain *chain, const struct base_span *fingerprints,
                      uint32_t cnt);

/* Of the server's certificate. Texts are printable ASCII; what is not shows as '?'. */
struct dane_shown {
    char names[64]; /* its dNSNames by ", ", else its CN; "..." for what is too much */
    char issuer[40];
    int64_t not_before_s, not_after_s; /* since 1970 */
};
bool dane_shown_read(struct dane_shown *s, const struct dane_chain *chain) BASE_WARN_UNUSED;

/* A date of a certificate (libcrypto's ASN1_TIME), in seconds since 1970; 0: it can't be read. */
struct asn1_string_st;
int64_t dane_unix_time(const struct asn1_string_st *t);

#endif
