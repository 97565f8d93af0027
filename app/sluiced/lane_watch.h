/*
 * What an operator asks of a lane: its connections, one after the other, and to close some. Control
 * hands over a question by ring (TOPOLOGY_CONTROL_LANE) and has it back by another one with as many
 * answers as it has room for; to go on it hands it over again, and the lane goes on where it was.
 *
 * A pass looks at LANE_WATCH_LOOKS places at most, of LANE_WATCH_WORDS words of its bitmap: a
 * million idle connections take many passes and hold up none. A connection that stays from the
 * first piece to the last is told of exactly once; others once or not at all.
 *
 * Threads: a question is control's, but from the one ring to the other, when it is the lane's.
 * Memory: the question, its rows and the words of its filter are control's.
 */
#ifndef LANE_WATCH_H
#define LANE_WATCH_H

#include "conn_filter.h"

struct capture_ring;
struct conn;
struct lane;
struct rte_mbuf;

#define LANE_WATCH_LOOKS 64
#define LANE_WATCH_WORDS 64

/* One connection as it is now. */
struct conn_row {
    uint32_t number, serial; /* conn_filter.h */
    bool inbound;
    bool idle; /* between two messages */
    struct net_endpoint remote, local, proxy;
    uint64_t age_ns;
    uint64_t in_bytes, out_bytes; /* what TCP carried, TLS included */
    uint64_t message_cnt;
    uint32_t srtt_us;
    /* Static text. */
    const char *tcp_state; /* "": no TCP */
    const char *state;
    const char *listener; /* inbound; of the settings of the start */
    uint8_t id[16];       /* of the message under way; zeros: none */
    char tls_version[12]; /* "": in clear */
    char tls_cipher[40];
    char user[64]; /* cut */
    char peer[80]; /* what it says in EHLO; outbound: the next hop's name. Cut */
};

enum lane_ask_kind { LANE_ASK_LIST, LANE_ASK_KICK, LANE_ASK_CAPTURE };

struct lane_ask {
    enum lane_ask_kind kind;
    struct conn_filter filter;
    uint32_t slot; /* the next place to look at; 0 at first */
    bool more;     /* the answer: there are further places */
    struct conn_row *row;
    uint32_t row_cap, row_cnt;
    uint64_t closed_cnt, spared_cnt; /* of KICK; they add up */
    /* Of CAPTURE: where its frames are copied to from now on; NULL: nowhere. When the answer is
     * there the lane does not use the one before any more. */
    struct capture_ring *capture;
    void *user; /* control's */
};

/* The lane's side of it. */
struct lane_watch {
    struct lane_ask *ask; /* that is being answered; NULL: none */
    uint64_t *used;       /* a bit for each place of a connection; owned */
    uint32_t word_cnt;
    uint32_t serial;              /* connections opened so far */
    struct capture_ring *capture; /* control's; NULL: none */
};

int lane_watch_init(struct lane *l) BASE_WARN_UNUSED;
void lane_watch_fini(struct lane *l);
/* A connection takes its place, or leaves it. */
void lane_watch_enter(struct lane *l, struct conn *c);
void lane_watch_leave(struct lane *l, const struct conn *c);
/* Frames of a port, that came or that go, while there is a capture. */
void lane_watch_frames(struct lane *l, struct rte_mbuf *const *frames, uint32_t cnt, uint8_t port,
                       bool outbound);
/* net_config's leave; arg: a struct lane_port. */
void lane_watch_leaving(void *arg, struct rte_mbuf *const *frames, uint32_t cnt);
/* Each pass. Returns whether anything was done. */
uint32_t lane_watch_pass(struct lane *l);

/* ---- conn_row.c ---- */

void conn_row_fill(struct conn_row *row, const struct conn *c);
/* What a filter is asked about: borrows the connection's texts. */
void conn_known_fill(struct conn_known *known, const struct conn *c);

/* ---- conn_kick.c ---- */

/* Closes a connection by an operator's word: 421 4.3.2 to a client, as soon as what it has sent
 * whole is answered; QUIT on an idle connection to a next hop; else a reset, the delivery being
 * tried again. Returns false, and nothing is done, where a next hop has a whole message and has not
 * said yet what becomes of it: it would get that twice. */
bool conn_kick(struct conn *c) BASE_WARN_UNUSED;

#endif
