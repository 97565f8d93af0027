/*
 * Which connections an operator means: words of a command ("--state rcpt --older 5m", or one
 * connection's id) become a filter; a filter is asked about what is known of a connection.
 *
 * An id is "17.4": the connection's number, which is in the log's lines, too, and how many its lane
 * had opened when it was: numbers are used again, ids are not (but after 2^32 connections).
 *
 * Threads: none of its own. Memory: views of the words, which the caller keeps. Pure.
 */
#ifndef CONN_FILTER_H
#define CONN_FILTER_H

#include "base_bytes.h"
#include "net_addr.h"

enum conn_filter_direction { CONN_FILTER_BOTH, CONN_FILTER_IN, CONN_FILTER_OUT };

struct conn_filter {
    bool by_id;
    uint32_t number, serial;   /* of the only connection, with by_id */
    bool all;                  /* --all: said so, for commands that ask for it */
    bool json;                 /* --json */
    bool by_address;           /* the peer's is in net: the client's, or the proxy's before it */
    struct net_prefix net;     /* --address NET */
    struct base_span state;    /* p NULL: any; of TCP or of the session */
    struct base_span listener; /* p NULL: any */
    struct base_span user;     /* p NULL: any; empty: nobody has logged in */
    uint64_t older_ns;         /* 0: any */
    uint8_t direction;         /* enum conn_filter_direction */
};

/* What is known of a connection; texts are borrowed, and may be "". */
struct conn_known {
    uint32_t number, serial;
    bool inbound;
    struct net_addr remote;
    struct net_addr proxy; /* none: no address */
    const char *tcp_state;
    const char *state;
    const char *listener;
    struct base_span user;
    uint64_t age_ns;
};

/* Reads words (queue_filter_word: quotes). Returns 0; or -EINVAL and in *bad the word that is
 * wrong, or lacks its value. Conditions given together must all hold; none of them twice. */
int conn_filter_parse(struct conn_filter *out, struct base_span words,
                      struct base_span *bad) BASE_WARN_UNUSED;

/* True when it names a connection or sets a condition. */
bool conn_filter_narrows(const struct conn_filter *f);

bool conn_filter_match(const struct conn_filter *f, const struct conn_known *c);

#endif
