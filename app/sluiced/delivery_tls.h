/*
 * What became of TLS in a delivery attempt, as it is told in the log ("tls=dane/verified"), by
 * counters, and to whoever asks: the level that was asked for, and what the connection to the next
 * hop had in the end.
 *
 * Threads: pure.
 */
#ifndef DELIVERY_TLS_H
#define DELIVERY_TLS_H

#include "dane_requirement.h"
#include "stats.h"

enum delivery_tls {
    DELIVERY_TLS_NOTHING,   /* it did not come to that: no connection, no greeting */
    DELIVERY_TLS_CLEAR,     /* in clear */
    DELIVERY_TLS_UNTRUSTED, /* TLS, with whoever it is */
    DELIVERY_TLS_TRUSTED,   /* a certificate that fits what an unsigned MX set led to */
    DELIVERY_TLS_VERIFIED,  /* the server has proved who it is */
    DELIVERY_TLS_FAILED,    /* what was asked for could not be had */
    DELIVERY_TLS_CNT
};

/* How TLS begins with a next hop. */
enum delivery_tls_begin {
    DELIVERY_TLS_BY_STARTTLS,
    DELIVERY_TLS_IMPLICIT, /* before the greeting */
};

const char *delivery_tls_level_name(enum dane_level level);
const char *delivery_tls_name(enum delivery_tls tls); /* "verified"; NOTHING: "" */

/* The counter of a pair, TLS_OUT_...; STATS_CNT for NOTHING and for pairs that do not occur. */
enum stats_id delivery_tls_counter(enum dane_level level, enum delivery_tls tls);

#endif
