/* A lane with TLS and connections of it to plain OpenSSL peers, in memory. */
#ifndef TLS_RIG_H
#define TLS_RIG_H

#include "unit.h"

#include "keyop_inline.h"
#include "keyop_pool.h"
#include "tls.h"
#include "tls_kit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define RIG_PIPE 65536

/* Sanitizers have an allocator of their own. Handshakes are parked with them, too: to the address
 * sanitizer a job's stack is a block like others (its one warning, that a long jump leaves a stack
 * which it does not know, means that it unpoisons nothing there: no frame is given up by a park).
 * To the thread sanitizer a job belongs to the thread that runs it, which is true; only the call
 * stacks that it prints may be another job's. */
#define RIG_SANITIZED 0
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef RIG_SANITIZED
#define RIG_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef RIG_SANITIZED
#define RIG_SANITIZED 1
#endif
#endif

enum rig_driver { RIG_INLINE, RIG_DEFERRED, RIG_POOL, RIG_DRIVER_CNT, RIG_GIVEN };

struct rig {
    struct stats_block stats;
    struct tls_lane *lane;
    struct keyop_inline *own;
    struct keyop_pool *pool;
    uint8_t driver;
};

/* One connection and its peer; bytes on the way between them. */
struct rig_link {
    struct rig *rig;
    struct tls_conn *conn;
    struct kit_peer peer;
    uint8_t to_conn[RIG_PIPE], to_peer[RIG_PIPE], plain[RIG_PIPE];
    size_t to_conn_len, to_peer_len, plain_len;
    size_t chunk;    /* bytes given to the connection at once */
    size_t out_room; /* room for its output in one call */
    int peer_done;
};

static inline struct tls_lane_settings rig_settings(struct rig *r)
{
    return (struct tls_lane_settings){.connection_max = 64,
                                      .handshake_max = 32,
                                      .parked_max = 8,
                                      .step_max = 1000,
                                      .stats = &r->stats};
}

static inline void rig_open_with(struct rig *r, enum rig_driver driver,
                                 struct tls_lane_settings settings)
{
    memset(r, 0, sizeof(*r));
    r->driver = (uint8_t)driver;
    if (driver == RIG_POOL) {
        struct keyop_pool_settings s = {.lane_cnt = 1, .thread_cnt = 2, .queue_max = 16};
        r->pool = keyop_pool_open(&s);
        assert_non_null(r->pool);
        settings.keyop = (struct tls_keyop_driver){&keyop_pool_ops, keyop_pool_lane(r->pool, 0)};
    } else if (driver != RIG_GIVEN) {
        r->own = keyop_inline_open(driver == RIG_DEFERRED, 16);
        assert_non_null(r->own);
        settings.keyop = (struct tls_keyop_driver){&keyop_inline_ops, r->own};
    }
    r->lane = tls_lane_init(&settings);
    assert_non_null(r->lane);
}

static inline void rig_open(struct rig *r, enum rig_driver driver)
{
    rig_open_with(r, driver, rig_settings(r));
}

static inline void rig_close(struct rig *r)
{
    tls_lane_leave(r->lane);
    tls_lane_fini(r->lane);
    if (r->pool != NULL)
        keyop_pool_close(r->pool);
    if (r->own != NULL)
        keyop_inline_close(r->own);
}

static inline struct tls_domain *rig_domain(struct rig *r,
                                            const struct tls_certificate_spec *certificates,
                                            uint32_t cnt, const struct tls_policy_spec *policies,
                                            uint32_t policy_cnt)
{
    struct tls_domain_spec spec = {.certificates = certificates,
                                   .certificate_cnt = cnt,
                                   .policies = policies,
                                   .policy_cnt = policy_cnt};
    char why[256];
    struct tls_domain *d = tls_domain_build(r->lane, &spec, why, sizeof(why));

    if (d == NULL)
        fail_msg("%s", why);
    assert_string_equal(why, "");
    return d;
}

static inline void rig_domain_drop(struct tls_domain *d)
{
    tls_domain_retire(d);
    assert_true(tls_domain_released(d));
    tls_domain_free(d);
}

/* Gives what waits to the connection, up to chunk bytes, and takes what it has to say. */
static inline void rig_decode(struct rig_link *l)
{
    size_t n = l->to_conn_len < l->chunk ? l->to_conn_len : l->chunk, consumed;
    struct base_buf plain = {l->plain, l->plain_len, RIG_PIPE};
    size_t room = RIG_PIPE - l->to_peer_len < l->out_room ? RIG_PIPE : l->to_peer_len + l->out_room;
    struct base_buf out = {l->to_peer, l->to_peer_len, room};

    tls_conn_decode(l->conn, base_span_of(l->to_conn, n), &consumed, &plain, &out);
    assert_true(consumed <= n);
    l->to_conn_len -= consumed;
    memmove(l->to_conn, l->to_conn + consumed, l->to_conn_len);
    l->plain_len = plain.len;
    l->to_peer_len = out.len;
}

/* Likewise, and once more where the connection has waited for its turn with others. */
static inline void rig_decode_turn(struct rig_link *l)
{
    struct tls_conn *ready[1];

    rig_decode(l);
    if (tls_conn_wants(l->conn) == TLS_WANT_TURN && tls_lane_run(l->rig->lane, ready, 1) == 1)
        rig_decode(tls_conn_cookie(ready[0]));
}

static inline void rig_peer(struct rig_link *l)
{
    kit_peer_give(&l->peer, l->to_peer, l->to_peer_len);
    l->to_peer_len = 0;
    if (l->peer_done == 0)
        l->peer_done = kit_peer_step(&l->peer);
    l->to_conn_len +=
        kit_peer_take(&l->peer, l->to_conn + l->to_conn_len, RIG_PIPE - l->to_conn_len);
}

/* A pass of the lane over one connection. */
static inline void rig_pass(struct rig_link *l)
{
    struct tls_conn *ready[4];
    uint32_t n;

    rig_peer(l);
    rig_decode(l);
    n = tls_lane_run(l->rig->lane, ready, 4);
    for (uint32_t i = 0; i < n; i++)
        rig_decode(tls_conn_cookie(ready[i])); /* of another link, perhaps */
    if (tls_conn_wants(l->conn) == TLS_WANT_KEYOP)
        sched_yield();
}

/* Until both ends are done, one has failed, or nothing more comes of it. Returns the state. */
static inline enum tls_state rig_handshake(struct rig_link *l)
{
    for (uint32_t i = 0; i < 2000000; i++) {
        enum tls_state state = tls_conn_state(l->conn);
        if (state == TLS_FAILED) {
            rig_peer(l);
            return state;
        }
        if (state == TLS_OPEN && l->peer_done != 0 && l->to_conn_len == 0 && l->to_peer_len == 0)
            return state;
        if (l->peer_done < 0 && l->to_conn_len == 0 && l->to_peer_len == 0)
            return state;
        rig_pass(l);
    }
    fail_msg("the handshake does not end: wants %d, peer %d", tls_conn_wants(l->conn),
             l->peer_done);
    return TLS_FAILED;
}

static inline void rig_accept(struct rig_link *l, struct rig *r, struct tls_domain *d,
                              uint32_t policy, SSL_CTX *client, const char *name)
{
    memset(l, 0, sizeof(*l));
    l->rig = r;
    l->chunk = RIG_PIPE;
    l->out_room = RIG_PIPE;
    l->conn = tls_conn_accept(r->lane, d, policy, l);
    assert_non_null(l->conn);
    kit_peer_open(&l->peer, client, true, name);
}

static inline void rig_connect(struct rig_link *l, struct rig *r, struct tls_domain *d,
                               uint32_t policy, SSL_CTX *server, const char *name)
{
    memset(l, 0, sizeof(*l));
    l->rig = r;
    l->chunk = RIG_PIPE;
    l->out_room = RIG_PIPE;
    l->conn = tls_conn_connect(r->lane, d, policy, name, l);
    assert_non_null(l->conn);
    kit_peer_open(&l->peer, server, false, NULL);
}

static inline void rig_end(struct rig_link *l)
{
    tls_conn_close(l->conn);
    kit_peer_close(&l->peer);
}

/* Bytes both ways, and a close_notify each. */
static inline void rig_talk(struct rig_link *l)
{
    char text[3000], back[3000];
    size_t n = 0, got = 0, written, consumed;
    struct base_buf out;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    assert_int_equal(SSL_write_ex(l->peer.ssl, text, sizeof(text), &written), 1);
    l->plain_len = 0;
    for (uint32_t i = 0; i < 20000 && l->plain_len < sizeof(text); i++)
        rig_pass(l);
    assert_int_equal(l->plain_len, sizeof(text));
    assert_memory_equal(l->plain, text, sizeof(text));
    out = (struct base_buf){l->to_peer, l->to_peer_len, RIG_PIPE};
    assert_int_equal(tls_conn_encode(l->conn, base_span_of(text, sizeof(text)), &consumed, &out),
                     TLS_OPEN);
    assert_int_equal(consumed, sizeof(text));
    l->to_peer_len = out.len;
    rig_peer(l);
    while (got < sizeof(back) && SSL_read_ex(l->peer.ssl, back + got, sizeof(back) - got, &n) == 1)
        got += n;
    assert_int_equal(got, sizeof(text));
    assert_memory_equal(back, text, sizeof(text));
}

#endif
