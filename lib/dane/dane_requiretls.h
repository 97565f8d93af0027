/*
 * What a message itself asks for beside the chain of decision (RFC 8689): one that came with
 * REQUIRETLS must be kept to verified TLS, one with "TLS-Required: no" goes on without what the
 * recipient's domain has published.
 *
 * REQUIRETLS (section 4.2.1): the host must be found securely, by a validated MX set, and prove its
 * name, by its TLSA records or to an authority, whatever less the level asks for; or it proves what
 * the operator has laid down for this destination (its own name, a fingerprint), which needs no
 * lookup. By policy of the operator less will do, as in Postfix (smtp_requiretls_policy).
 *
 * "TLS-Required: no" (sections 3 and 4.2.2) overrides what the domain of the recipient asserts, the
 * policies of DANE and MTA-STS, and nothing else: what is left is the level alone, where dane is
 * may. The operator's own words (encrypt, fingerprint, verify, secure, and dane-only, which says
 * that nothing goes where DANE does not protect it) are not the domain's, and whoever can write a
 * header field cannot take them back. Postfix 3.10 goes to may from all of them.
 *
 * Threads: pure; any. Memory: none; texts are static.
 */
#ifndef DANE_REQUIRETLS_H
#define DANE_REQUIRETLS_H

#include "dane_decide.h"

/* What is done about REQUIRETLS: the setting. */
enum dane_keep {
    DANE_KEEP_ENFORCE,  /* as RFC 8689 has it */
    DANE_KEEP_STARTTLS, /* TLS with whoever it is; REQUIRETLS is passed on where it is offered */
    DANE_KEEP_OPPORTUNISTIC, /* passed on where it is offered, otherwise as other mail */
    DANE_KEEP_DISABLE,       /* as other mail */
};

/* The decision for such a message; after the last question. With next and lasting it is never to go
 * to this host. */
struct dane_decision dane_keep(const struct dane_facts *f, enum dane_keep policy);
struct dane_decision dane_waive(const struct dane_facts *f);

#endif
