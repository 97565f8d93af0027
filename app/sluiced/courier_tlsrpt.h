/*
 * TLS reports on the courier's side (RFC 8460): every session of TLS that a delivery has opened is
 * counted by the domain that it was for, the policy that held and what came of it, and so is every
 * plan whose policy left nothing to be tried. A policy of MTA-STS that is published and could not
 * be had makes failures of the sessions that went without it; one being tested, of those that it
 * would not have let through. Counts are handed to control whole; it gives an empty table for the
 * full one. Control's reports leave by the courier's HTTPS.
 *
 * A session has one policy: where TLSA records count they are it, beside MTA-STS, too. None is it
 * where the sender waives what is published (TLS-Required: no), or where a level asks for TLS in
 * any case and the policy is only tested.
 *
 * Not counted: operators' probes, next hops that a route gives by address, and what the operator
 * alone asks of a certificate (levels fingerprint, verify, secure), which nobody has published.
 *
 * Threads: the courier's. Memory: the table's.
 */
#ifndef COURIER_TLSRPT_H
#define COURIER_TLSRPT_H

#include "courier.h"
#include "https.h"

/* A report on its way: control's, until the courier has answered it. */
struct courier_tlsrpt_post {
    struct courier_request request;
    struct https_request https; /* host, path, port, any_certificate, body by control */
    struct courier *courier;
    uint32_t slot;
    uint8_t room[4096];
};

/* A delivery is back from an address. */
void courier_tlsrpt_session(struct courier *c, const struct delivery *d);
/* A plan is made. */
void courier_tlsrpt_plan(struct courier *c, const struct courier_plan *p);

/* r->tlsrpt: an empty table, or NULL when nothing is to be counted from now on; it becomes the one
 * that was there (NULL: none), and r->wall_ns the time of this pass. */
void courier_tlsrpt_take(struct courier *c, struct courier_request *r);
/* Sends what is in the courier_tlsrpt_post; answered when it is over. */
void courier_tlsrpt_post(struct courier *c, struct courier_request *r);
void courier_tlsrpt_fini(struct courier *c);

#endif
