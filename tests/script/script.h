/*
 * Packet scripts: text that plays the peer, the caller and the clock of one TCP stack, and says
 * what must come of it. The language: README.md beside this file.
 *
 * script_segment.c  a segment as text, as bytes, and compared
 * script_bench.c    the stack on its bench, the peers, time
 * script_call.c     one statement
 * script_fact.c     statements that ask
 * script_file.c     files, cases, loops, tables, names
 *
 * Every function that can fail a script returns false after script_fail.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "tcp_lab.h"

#include <stdio.h>

#define SCRIPT_PEER_MAX    2048
#define SCRIPT_POOL_MAX    2048
#define SCRIPT_TEXT_CAP    1024
#define SCRIPT_WORD_MAX    40
#define SCRIPT_SACK_MAX    4
#define SCRIPT_PAYLOAD_MAX 65400

/* One 4-tuple; sequence numbers in scripts count from the initial ones kept here. */
struct script_peer {
    uint16_t peer_port;
    uint16_t local_port;
    bool has_iss;
    uint32_t irs;      /* the peer's initial sequence number */
    uint32_t iss;      /* ours, from the first SYN that we send */
    uint32_t next;     /* relative: of an injected segment that names none */
    uint32_t sent_end; /* relative: after the last byte that we sent */
    uint32_t written;  /* bytes given to tcp_send */
    uint32_t taken;    /* bytes taken by recv */
    uint32_t ts_last;  /* the last timestamp that we sent */
    struct tcp_conn *conn;
    uint32_t events; /* since the last event statement */
};

/* The network of a case. */
struct script_link {
    bool v6;
    uint32_t mtu;
    uint32_t large_mbufs; /* the port cuts chains of so many; 0: it does not */
};

struct script {
    struct lab lab;
    bool open;
    bool v6;                       /* all files are to run over IPv6: --v6 */
    struct script_link link;       /* of this case */
    struct script_link link_file;  /* what stands before the first case */
    struct tcp_config config;      /* of this case */
    struct tcp_config config_file; /* what stands before the first case */
    struct script_peer peer[SCRIPT_PEER_MAX];
    uint32_t peer_cnt;
    struct script_peer *at;
    struct rte_mbuf *taken[2 * SCRIPT_POOL_MAX]; /* out of the pools: see pool in README.md */
    uint32_t taken_cnt;
    uint64_t tolerance_ns;
    bool in_case;
    char case_name[SCRIPT_TEXT_CAP];

    const char *file; /* of the statement that runs */
    uint32_t line;
    bool failed; /* this case */
    uint32_t case_cnt;
    uint32_t failed_cnt;
    bool quiet;
    char message[2 * SCRIPT_TEXT_CAP]; /* of the first failure */
};

/* ---- script_segment.c ---- */

/* A field of a segment in a script. */
struct script_field {
    bool set;
    bool none;    /* "-": must not be there */
    bool any;     /* "*": must be there */
    char compare; /* '=', '<' (at most) or '>' (at least) */
    int64_t value;
};

struct script_segment {
    uint8_t flags;
    bool any_flags;
    bool has_psh; /* P or p was written: PSH is compared */
    bool no_flush;
    bool one; /* in one mbuf, however long */
    struct script_field seq, ack, win, len, mss, ws, ts, ecr, urg, doff, ecn, sackok, sack, piece;
    bool ecr_last;
    struct {
        uint32_t from, to;
    } block[SCRIPT_SACK_MAX];
    uint32_t block_cnt;
    uint8_t option[256]; /* to inject, in the order of the words */
    uint32_t option_len;
    char fill; /* 0: by position */
    const char *data;
};

/* Words of the form FLAGS key=value ... */
bool script_segment_parse(struct script *s, struct script_segment *out, char **word, uint32_t cnt,
                          bool inject);
uint32_t script_segment_write(struct script *s, const struct script_segment *seg, uint8_t *out);
/* Whether what was sent is what was expected; else why is the first difference. */
bool script_segment_match(const struct script *s, const struct script_segment *want,
                          const struct lab_segment *seg, char why[SCRIPT_TEXT_CAP]);
void script_segment_text(const struct script *s, const struct lab_segment *seg,
                         char out[SCRIPT_TEXT_CAP]);
/* What the byte at a place in the stream is, unless the script says otherwise. */
uint8_t script_byte(uint32_t relative);
bool script_number(const char *text, int64_t *out);

/* ---- script_bench.c ---- */

__attribute__((format(printf, 2, 3))) bool script_fail(struct script *s, const char *format, ...);
void script_open(struct script *s);
/* Takes mbufs out of a pool until left_cnt are left in it. */
void script_pool_leave(struct script *s, struct rte_mempool *pool, uint32_t left_cnt);
void script_pool_refill(struct script *s);
/* What every case must have at its end; then the bench is gone. */
bool script_close(struct script *s);
struct script_peer *script_peer_at(struct script *s, uint16_t peer_port, uint16_t local_port);
/* Time goes on to until_ns, every timer at its time; with stop, only to the first segment sent. */
void script_advance(struct script *s, uint64_t until_ns, bool stop);
/* A segment from the peer, from the TCP header on, in a chain of mbufs of up to piece bytes; 0: in
 * one mbuf. */
void script_push(struct script *s, const uint8_t *bytes, uint32_t len, uint8_t ecn, uint32_t piece);
/* The 4-tuple spoken of. */
struct tcp_key script_key(const struct script *s);
/* What the link is where nothing else is said. */
struct script_link script_link_default(const struct script *s);
void script_poll(struct script *s);
/* The oldest segment that was sent and not looked at; NULL when there is none. */
const struct lab_segment *script_out(struct script *s);
/* Fails when something was sent that the script has not looked at. */
bool script_silent(struct script *s);
void script_learn(struct script *s, const struct lab_segment *seg);

/* ---- script_call.c ---- */

bool script_statement(struct script *s, char *text);
bool script_duration(const char *text, uint64_t *out_ns);
/* The value when word is key=value, else NULL. */
const char *script_value(const char *word, const char *key);
/* These two fail the script when there is none. */
bool script_want_number(struct script *s, const char *text, int64_t *out);
bool script_has_conn(struct script *s);

/* ---- script_fact.c ---- */

bool script_state(struct script *s, char **word, uint32_t cnt);
bool script_count(struct script *s, char **word, uint32_t cnt);
bool script_usage(struct script *s, char **word, uint32_t cnt);
bool script_event(struct script *s, char **word, uint32_t cnt);
bool script_error(struct script *s, char **word, uint32_t cnt);
bool script_ask(struct script *s, char **word, uint32_t cnt);

/* ---- script_file.c ---- */

/* Runs a file with all its cases. False when it could not be read. */
bool script_run(struct script *s, const char *path);

#endif
