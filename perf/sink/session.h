/*
 * One SMTP session of the sink: TLS, lib/smtp's server, and what is done with each message: it is
 * checked, noted in the ledger and thrown away. Bytes in; replies out by the transport's send. The
 * same for both transports (kernel.h, stack.h).
 *
 * Threads: that of its transport; the counters may be read by any. Memory: session_close frees what
 * a session holds; the struct is the transport's.
 */
#ifndef SESSION_H
#define SESSION_H

#include "base_list.h"
#include "check.h"
#include "smtp_server.h"

#include <openssl/ssl.h>

struct session;

enum sink_counter {
    SINK_CONNECTIONS,
    SINK_TLS,
    SINK_MESSAGES, /* that were accepted */
    SINK_BYTES,    /* of messages, as they came */
    SINK_REJECTED,
    SINK_DAMAGED, /* accepted, and not as they were sent */
    SINK_UNNAMED, /* accepted, without the generator's field */
    SINK_STRANGE, /* accepted, and of another run, or with a number beyond the ledger */
    SINK_COUNTER_CNT
};

extern const char *const sink_counter_names[SINK_COUNTER_CNT];

/* For tests of what is to find them: done to each Nth message. */
enum sink_fault {
    SINK_FAULT_NONE,
    SINK_FAULT_LOSE,  /* 250, and not in the ledger: it is lost */
    SINK_FAULT_ALTER, /* a byte more than came */
    SINK_FAULT_CUT,   /* noted, and the connection ends without a reply: it comes again */
    SINK_FAULT_CNT
};

struct sink {
    struct smtp_server_settings settings;
    SSL_CTX *tls; /* NULL: not offered */
    bool implicit;
    uint64_t delay_ns;       /* before the reply to a message */
    uint32_t reject_percent; /* of messages get 451 at their end */
    enum sink_fault fault;
    uint32_t fault_each;
    struct ledger ledger; /* head NULL: none is kept */

    /* The transport's. Gives all of it to the connection, or returns false: then it ends. */
    bool (*send)(struct session *s, const void *p, size_t len);
    uint64_t now_ns;

    /* Written by the transport's thread. */
    struct base_list delayed; /* sessions, the first that is due first */
    uint32_t reject_part;
    uint64_t end_cnt; /* of messages, for faults */
    struct stats_block *stats;
    uint8_t out[8 * SMTP_OUT_MIN], body[16384], plain[16384 + 256];
    size_t out_len;
    _Atomic uint64_t counter[SINK_COUNTER_CNT];
};

struct session {
    struct sink *sink;
    struct base_list place; /* in delayed */
    uint64_t due_ns;
    SSL *ssl;       /* NULL: in clear */
    uint8_t *stash; /* input that could not be handled yet */
    size_t stash_len, stash_cap;
    bool ends;  /* the transport sends what it was given, then closes */
    bool waits; /* for its delay: it wants no input until session_resume */
    bool starts_tls;
    bool in_body;
    uint64_t recipients[2]; /* a bit for each number that the ledger knows, and one for others */
    struct check check;
    struct smtp_server smtp;
};

base_static_assert(LEDGER_RECIPIENT_MAX < 128, "a bit each");

void sink_init(struct sink *k, const char *hostname);
void sink_fini(struct sink *k);

/* The next session whose delay is over; NULL: none. session_resume is next. */
struct session *sink_due(struct sink *k);

/* A connection stands: greets, or waits for its TLS. */
void session_open(struct session *s, struct sink *k);

/* Input; all of it is taken. Not while it waits or ends. */
void session_feed(struct session *s, const uint8_t *p, size_t len);

void session_resume(struct session *s);

/* Frees what it holds; the connection is the transport's to close. */
void session_close(struct session *s);

static inline uint64_t sink_get(const struct sink *k, enum sink_counter id)
{
    return atomic_load_explicit(&k->counter[id], memory_order_relaxed);
}

#endif
