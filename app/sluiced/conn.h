/*
 * One connection of a lane: TCP below, an application (conn_in.c: the SMTP server; conn_out.c: the
 * SMTP client) above, and between them a stack of layers that transform bytes (PROXY, TLS).
 * conn.c only stacks them: it knows none of their protocols.
 *
 * Input moves up by views: without layers the application sees TCP's own buffers (no copy); with
 * layers each decodes into a buffer of the lane. Output moves down through conn_write. Backpressure
 * is not consuming: TCP's window closes.
 *
 * Lifecycle: conn_open, then events through conn_event, conn_timer, conn_spooled and conn_resume;
 * the application ends it by conn_finish (output first) or conn_drop. The struct stays until the
 * last spool completion that points to it has come (cnt of awaited), then goes back to the pool.
 *
 * Threads: its lane's only.
 */
#ifndef CONN_H
#define CONN_H

#include "base_list.h"
#include "base_wheel.h"
#include "conn_link.h"
#include "delivery.h"
#include "mail_final.h"
#include "smtp_client.h"
#include "smtp_server.h"
#include "spool.h"
#include "tcp.h"

struct auth_job;
struct conn;
struct lane;
struct rcpt_job;
struct tls_conn;
struct settings_listener;

#define CONN_LAYER_MAX 3

enum conn_layer_result {
    CONN_LAYER_OK,
    CONN_LAYER_AGAIN, /* what is in down is to be sent, then call at once: more is to be said */
    CONN_LAYER_ENDED, /* no byte comes any more, whatever the peer sends */
    CONN_LAYER_BAD    /* the connection ends, once what is in down is sent */
};

/*
 * A layer. decode takes bytes from below and appends what they mean to out, encode the reverse;
 * both set *consumed and stop early when out is full: for no other reason may bytes be left, what
 * is not whole yet is kept inside. What a layer itself has to say to the peer's it appends to down,
 * of which it is sent; decode is also called without input, to make it go on.
 */
struct conn_layer_ops {
    const char *name;
    enum conn_layer_result (*decode)(void *state, struct base_span in, size_t *consumed,
                                     struct base_buf *out, struct base_buf *down);
    enum conn_layer_result (*encode)(void *state, struct base_span in, size_t *consumed,
                                     struct base_buf *out);
    /* The last word, before a connection that ends in order is closed; the next call, if there is
     * one, has none. May be NULL. */
    void (*farewell)(void *state, struct base_buf *down);
    /* The peer's bytes ended below, and the application is done. May be NULL. */
    void (*ended)(void *state);
    void (*close)(void *state); /* the connection ends; state may be freed */
    const char *bad;            /* why, after BAD; NULL: "layer failed to decode" */
    size_t overhead_bytes;      /* at most this much is added by one encode of up to 16 KiB */
};

struct conn_layer {
    const struct conn_layer_ops *ops;
    void *state;
};

/* The application on top. */
struct conn_app_ops {
    const char *name;
    /* Something may be possible: input, room for output, or a resource. Loops until not. */
    void (*run)(struct conn *c);
    void (*connected)(struct conn *c); /* outbound: TCP stands; NULL: it does not care */
    /* A completion of an entry whose cookie is this connection. */
    void (*spooled)(struct conn *c, const struct spool_done *done);
    void (*timeout)(struct conn *c);
    /* The connection failed or the peer will send no more; nothing further can be read. */
    void (*ended)(struct conn *c, const char *why);
    /* The connection is over; c->reason says why. */
    void (*close)(struct conn *c);
    /* Gives up what the application still holds, after close. Returns false when it cannot yet
     * (ring full): it is called again on a later pass. */
    bool (*release)(struct conn *c);
};

/* Who has ended a connection, for the counters; the first word holds. */
enum conn_ending {
    CONN_ENDING_NONE,
    CONN_ENDING_FINISHED, /* we, after what was to be said */
    CONN_ENDING_PEER,     /* closed by the peer */
    CONN_ENDING_FAILED,   /* TCP: reset by the peer, or nothing comes through */
    CONN_ENDING_DROPPED,  /* we, by a reset */
    CONN_ENDING_CNT
};

/* The message that is coming in: what is held until COMMIT. */
struct conn_transaction {
    struct spool_id id;
    struct spool_buf *held; /* envelope and header section, in order: each buffer holds
                               hold_cnt bytes of envelope, then header bytes */
    struct spool_buf *held_last;
    uint32_t held_cnt;
    struct spool_buf *body; /* being filled; may be held_last, then from body_from */
    uint32_t body_from;
    struct spool_buf *header; /* where the client's header section begins, behind our fields */
    uint32_t header_from;     /* in header */
    uint32_t header_end;      /* in held_last, once the header section is whole; else 0 */
    bool open;                /* between an accepted MAIL and its end */
    bool begun;               /* BEGIN went to the spooler */
    bool committing;          /* COMMIT went: the final reply waits for it */
    bool expanded;            /* some recipients are targets of aliases: others may be doubles */
};

struct conn_in {
    struct smtp_server smtp;
    struct base_span login; /* who has authenticated; empty: nobody. In login_text */
    struct auth_job *auth;  /* the login under way; NULL: none */
    struct rcpt_job *rcpt;  /* the recipient whose reply waits; NULL: none */
    /* An event waits for an answer from elsewhere: it comes by conn_in_answer, and nothing is read
     * before. */
    bool asking;
    char login_text[SMTP_SASL_LOGIN_MAX];
    uint64_t body_want;   /* bytes of a message until it gets more time */
    uint32_t limit_row;   /* where its client counts it (policy_limit.h) */
    uint32_t unknown_cnt; /* recipients that nobody has */
    bool limit_exempt;
    bool body_got;    /* any, in that time */
    bool certified;   /* a certificate says who the client is: EXTERNAL is offered */
    bool turned_away; /* at once: the lane is busy */
    uint32_t let_in;  /* lane_busy.h: in which slot; 0: not, or it has begun a message since */
    struct conn_transaction txn;
};

struct conn_out {
    struct smtp_client smtp;
    struct delivery *delivery;
    struct spool_buf *data; /* message bytes, being sent from data_at */
    uint32_t data_at;
    uint64_t offset;                /* next to be read */
    bool reading;                   /* a READ is at the spooler */
    bool sending;                   /* between 354 and the end of data */
    bool checking;                  /* the content is read for the client's CHECK */
    struct mail_eightbit *eightbit; /* looks and converts; NULL: nothing to do */
    struct mail_final final;        /* of what is being looked at or sent */
    bool preface_due;               /* fields of ours go before the message */
    uint64_t looped[2];             /* smtp_client_content's, so far */
    uint64_t login;                 /* settings_login at the next hop; 0: none */
    bool quitting;
    bool idle; /* between two messages, in the lane's cache */
    struct base_list same_bucket, by_age;
    bool alone;       /* carries one delivery, and is not kept */
    bool tls_heard;   /* the server has answered in the handshake */
    uint8_t tls;      /* enum delivery_tls: once TLS stands */
    uint64_t policy;  /* of the deliveries that it may carry */
    uint32_t job_cnt; /* deliveries so far */
    uint16_t group;   /* conn_group.h */
    bool lingers;
    uint32_t group_max, message_max;
};

struct conn {
    void *link; /* what it stands on: TCP's connection or a stream; NULL once closed or failed */
    const struct conn_link_ops *link_ops;
    struct lane *lane;
    const struct conn_app_ops *app;
    struct base_timer timer;
    struct base_list place;  /* in the lane's list of all connections */
    struct base_list stall;  /* in the lane's list of those that wait for a resource */
    struct spool_buf *plain; /* decoded input, from plain_at */
    struct spool_buf *tail;  /* output that TCP had no buffers for, from tail_at */
    uint32_t plain_at;
    uint32_t tail_at;
    /* Who is at the other end; behind a proxy the client that its header names. */
    struct net_endpoint remote;
    struct net_endpoint proxy; /* that sent the header; port 0: there was none */
    struct net_endpoint
        local; /* inbound: where it had connected to, by a header's word if there is one */
    const struct settings_listener
        *listener;                           /* inbound; of the settings the gateway started with */
    struct tls_conn *tls;                    /* that its TLS layer has; NULL: in clear */
    struct base_list handshake;              /* in the lane's list, until that is done */
    struct conn_layer layer[CONN_LAYER_MAX]; /* 0 is next to TCP */
    uint8_t layer_cnt;
    bool connected;   /* outbound: TCP stands */
    bool finishing;   /* close when the output is out */
    bool peer_closed; /* no byte will come beyond those that wait */
    bool input_ended; /* likewise, says a layer */
    bool starved;     /* the application has seen all that waits, and can do nothing with it */
    uint8_t traced;   /* whose it is: trace.h */
    bool kicked;      /* an operator closes it, once a message that is whole is answered */
    bool unproven;    /* the remote address is a header's word that gives no rights */
    uint8_t ending;   /* enum conn_ending: who has ended it */
    uint16_t awaited; /* spool completions on their way to us */
    /* Of the handshake under way, or of the COMMIT that is waited for; wraps. */
    uint32_t since_us;
    const char *reason; /* why it ended; static text */
    uint32_t serial;    /* of the lane's connections, which one it is: conn_filter.h */
    uint64_t opened_ns;
    uint64_t in_bytes, out_bytes; /* what the link has carried */
    union {
        struct conn_in in;
        struct conn_out out;
    };
};

/* An idle plain connection costs this, TCP's 256 bytes and its place in TCP's table: 2 KiB at most.
 */
base_static_assert(sizeof(struct conn) <= 1600, "the budget of an idle connection");

/* Begins and ends a time that a histogram is told of. */
void conn_time_begin(struct conn *c);
void conn_time_end(struct conn *c, enum stats_histogram_id id);

/* Takes an object from the lane's pool; NULL when all are out. tcp may be NULL (set later). */
struct conn *conn_open(struct lane *lane, struct tcp_conn *tcp, const struct conn_app_ops *app);

/* Gives back an object that nothing points to any more: here, one whose connection could not be
 * opened. */
void conn_discard(struct conn *c);

/* Puts a layer on top of those there are; no byte waits below that was not for it. */
void conn_push_layer(struct conn *c, const struct conn_layer_ops *ops, void *state);

/* ---- from the lane ---- */
void conn_event(struct conn *c, uint32_t tcp_event_flags);
void conn_timer(struct conn *c);
void conn_spooled(struct conn *c, const struct spool_done *done);
void conn_resume(struct conn *c); /* a resource that it waited for may be there */

/* ---- from the application ---- */

/* Plaintext that waits, up to cap spans; borrowed until conn_consume. Returns the number. */
uint32_t conn_view(struct conn *c, struct base_span *spans, uint32_t cap);
void conn_consume(struct conn *c, size_t n);
/* What waits, all of which was seen, is the beginning of something: without more of it nothing can
 * be done. Holds until the next run; where no more can come, the connection ends. */
void conn_starve(struct conn *c);
/* Whether bytes wait behind the first n of what conn_view has shown, here or in a layer's input. */
bool conn_has_more(struct conn *c, size_t n);

/* Bytes that one conn_write may have now; 0 while earlier output waits. */
size_t conn_space(const struct conn *c);
/* len <= conn_space. */
void conn_write(struct conn *c, struct base_span bytes);
/* The first bytes of a connection, below all layers that it has or will have. */
void conn_write_first(struct conn *c, struct base_span bytes);

/* Of one that is kicked (lane_watch.h): ends it, if it may end now. */
void conn_kick_after(struct conn *c);

/* Waits on the lane's list; run is called again. */
void conn_stall(struct conn *c);
void conn_deadline(struct conn *c, uint64_t after_ns); /* from now */

/* Ends: after the output is sent; or at once, with RST. reason is static text for the log. */
void conn_finish(struct conn *c, const char *reason);
void conn_drop(struct conn *c, const char *reason);

extern const struct conn_app_ops conn_in_ops;
extern const struct conn_app_ops conn_out_ops;

/* A new connection from a client; greets, behind TLS where the listener has it from the start. */
void conn_in_start(struct conn *c);
/* The 220, or 421 when the gateway goes down. */
void conn_in_greet(struct conn *c);
/* Makes the client wait for it where the listener does so; else returns false. */
bool conn_greet_pause(struct conn *c) BASE_WARN_UNUSED;
/* TLS stands, from the start or by STARTTLS: the session goes on. */
void conn_in_secured(struct conn *c);
/* Whether an inbound connection may have TLS; opens it, or returns false when there can be none
 * now; starts it, behind the bytes that are the last in clear: until the handshake is done another
 * application stands in the place of the session's. */
bool conn_tls_possible(const struct conn *c);
bool conn_tls_open(struct conn *c) BASE_WARN_UNUSED;
void conn_tls_start(struct conn *c, struct base_span last_clear);
/* Its handshake makes room for others: the connection is dropped, its struct is gone later. May be
 * called amid an event of another connection. */
void conn_tls_press(struct conn *c);
/* A new connection from a proxy: reads its header, then goes on with conn_in_start. */
void conn_proxy_start(struct conn *c);
/* Takes the delivery and carries it out over an idle connection to its next hop, or opens one; when
 * that cannot be, the delivery goes back to the courier at once with the reason. */
void conn_out_start(struct lane *lane, struct delivery *d);
/* Each pass: connections are for those that need one, idle ones are closed when few are left. */
void conn_out_relieve(struct lane *lane);

#endif
