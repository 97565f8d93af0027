/*
 * TLS between a session and its link, by the client's side of lib/tls. No certificate is verified,
 * as the load is what matters. What the server sends becomes plaintext in the lane's own buffer, of
 * which a session is told; what the session says is gathered and leaves as few records.
 *
 * Threads: the lane's while it runs; secure_open and secure_close: main's. Memory: at secure_open,
 * and OpenSSL's.
 */
#ifndef SECURE_H
#define SECURE_H

#include "base_bytes.h"
#include "base_pool.h"
#include "tls.h"

#define SECURE_KEEP_BYTES 4096 /* plaintext that a session can leave for later */

struct keyop_inline;
struct lane;
struct session;

struct secure {
    struct tls_lane *engine;
    struct tls_domain *domain;
    struct keyop_inline *keyop;
    int64_t now_s;
    struct base_pool keeps;
    /* The session that is told of news. */
    size_t plain_at, plain_len, gather_len;
    uint8_t plain[SECURE_KEEP_BYTES + 2 * TLS_RECORD_MAX];
    uint8_t gather[TLS_RECORD_MAX];
    uint8_t cipher[TLS_RECORD_MAX + TLS_RECORD_OVERHEAD];
};

/* For the next load, if that has TLS: l->secure. Returns 0, or -1 with a sentence in l->error. */
int secure_open(struct lane *l) BASE_WARN_UNUSED;
/* By the lane, at the end of a load. */
void secure_leave(struct lane *l);
void secure_close(struct lane *l);

/* Begins a handshake. Returns false when there is no memory for it: the session is to be failed. */
bool secure_start(struct lane *l, struct session *s) BASE_WARN_UNUSED;

/* News of the link of a session that has begun TLS: goes on with the handshake, runs the session's
 * mode. Returns false when the session is gone. */
bool secure_event(struct lane *l, struct session *s, bool ended);

/* As the link's, for plaintext. */
uint32_t secure_view(struct lane *l, struct base_span *spans);
void secure_consume(struct lane *l, uint32_t n);
uint32_t secure_space(struct lane *l, struct session *s);
size_t secure_send(struct lane *l, struct session *s, const void *p, size_t len);

/* The session ends. */
void secure_end(struct lane *l, struct session *s);

#endif
