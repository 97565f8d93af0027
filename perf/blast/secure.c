#include "secure.h"

#include "keyop_inline.h"
#include "lane.h"
#include "mode.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define KEEP_CNT     1024
#define SESSION_CNT  16   /* of TLS, that are kept */
#define DIRECT_BYTES 4096 /* so much is sealed where it lies, not gathered */

/* ---- start and end ---- */

static struct tls_domain *build(struct lane *l, struct secure *x)
{
    const struct options *o = l->options;
    struct tls_policy_spec policy = {
        .label = "blast",
        .client = true,
        .version_min = o->tls_version == TLS_VERSION_13 ? TLS_VERSION_13 : TLS_VERSION_12,
        .version_max = o->tls_version,
    };
    struct tls_domain_spec domain = {.policies = &policy, .policy_cnt = 1};

    return tls_domain_build(x->engine, &domain, l->error, sizeof(l->error));
}

int secure_open(struct lane *l)
{
    struct secure *x = calloc(1, sizeof(*x));
    uint32_t keep_cnt = l->session_max < KEEP_CNT ? l->session_max : KEEP_CNT;

    base_assert(l->secure == NULL);
    l->secure = x;
    snprintf(l->error, sizeof(l->error), "no memory for TLS");
    if (x == NULL || (x->keyop = keyop_inline_open(false, 0)) == NULL)
        return -1;
    struct tls_lane_settings s = {
        .connection_max = l->session_max + 1,
        .handshake_max = l->session_max + 1,
        .session_max = l->options->tls_resume ? SESSION_CNT : 0,
        .session_reuse = true,
        .step_max = UINT32_MAX,
        .keyop = {.ops = &keyop_inline_ops, .state = x->keyop},
        .stats = &l->stats,
    };
    x->now_s = (int64_t)time(NULL);
    if (base_pool_init(&x->keeps, keep_cnt, SECURE_KEEP_BYTES, 64, 0) != 0 ||
        (x->engine = tls_lane_init(&s)) == NULL || (x->domain = build(l, x)) == NULL)
        return -1;
    return 0;
}

void secure_leave(struct lane *l)
{
    tls_domain_retire(l->secure->domain);
    tls_lane_leave(l->secure->engine);
}

void secure_close(struct lane *l)
{
    struct secure *x = l->secure;

    if (x == NULL)
        return;
    if (x->domain != NULL)
        tls_domain_free(x->domain);
    if (x->engine != NULL)
        tls_lane_fini(x->engine);
    if (x->keyop != NULL)
        keyop_inline_close(x->keyop);
    if (x->keeps.memory != NULL)
        base_pool_fini(&x->keeps);
    free(x);
    l->secure = NULL;
}

bool secure_start(struct lane *l, struct session *s)
{
    struct secure *x = l->secure;

    s->tls = tls_conn_connect(x->engine, x->domain, 0, NULL, s);
    if (s->tls == NULL)
        return false;
    if (l->options->tls_resume)
        tls_conn_offer(s->tls, 1, x->now_s);
    s->handshake_ns = l->now_ns;
    return true;
}

static void keep_free(struct secure *x, struct session *s)
{
    if (s->keep != NULL)
        base_pool_put(&x->keeps, s->keep);
    s->keep = NULL;
    s->keep_len = 0;
}

void secure_end(struct lane *l, struct session *s)
{
    keep_free(l->secure, s);
    tls_conn_close(s->tls);
    s->tls = NULL;
}

/* ---- what the session says ---- */

/* Seals as much of p as the link has room for. Returns how much. */
static size_t seal(struct lane *l, struct session *s, const uint8_t *p, size_t len)
{
    struct secure *x = l->secure;
    size_t done = 0, room;

    while (done < len && (room = l->link->space(l, s)) > TLS_RECORD_OVERHEAD) {
        struct base_buf out = {.p = x->cipher,
                               .cap = room < sizeof(x->cipher) ? room : sizeof(x->cipher)};
        size_t n = len - done, most = out.cap - TLS_RECORD_OVERHEAD, consumed = 0;
        enum tls_state state =
            tls_conn_encode(s->tls, base_span_of(p + done, n < most ? n : most), &consumed, &out);
        if (out.len > 0 && l->link->send(l, s, out.p, out.len) != (int64_t)out.len)
            break; /* the connection is gone, which is told soon */
        if (consumed == 0 || state == TLS_FAILED)
            break;
        done += consumed;
    }
    return done;
}

static void flush(struct lane *l, struct session *s)
{
    struct secure *x = l->secure;

    if (x->gather_len > 0)
        (void)seal(l, s, x->gather, x->gather_len);
    x->gather_len = 0;
}

/* What is gathered has room in the link, as records. */
uint32_t secure_space(struct lane *l, struct session *s)
{
    struct secure *x = l->secure;

    if (sizeof(x->gather) - x->gather_len < DIRECT_BYTES)
        flush(l, s);
    size_t room = l->link->space(l, s), taken = x->gather_len + 2 * TLS_RECORD_OVERHEAD;
    size_t most = sizeof(x->gather) - x->gather_len;

    room = room > taken ? room - taken : 0;
    return (uint32_t)(room < most ? room : most);
}

size_t secure_send(struct lane *l, struct session *s, const void *p, size_t len)
{
    struct secure *x = l->secure;
    const uint8_t *from = p;
    size_t done = 0;

    while (done < len) {
        size_t n = len - done, room = secure_space(l, s);
        if (n >= DIRECT_BYTES) {
            flush(l, s);
            n = seal(l, s, from + done, n);
        } else {
            n = n < room ? n : room;
            memcpy(x->gather + x->gather_len, from + done, n);
            x->gather_len += n;
        }
        if (n == 0)
            break;
        done += n;
    }
    return done;
}

/* ---- what the server says ---- */

uint32_t secure_view(struct lane *l, struct base_span *spans)
{
    struct secure *x = l->secure;

    spans[0] = base_span_of(x->plain + x->plain_at, x->plain_len - x->plain_at);
    return spans[0].len > 0 ? 1 : 0;
}

void secure_consume(struct lane *l, uint32_t n)
{
    base_assert(n <= l->secure->plain_len - l->secure->plain_at);
    l->secure->plain_at += n;
}

/* The mode, with what is plaintext. Returns false when the session is gone. */
static bool run(struct lane *l, struct session *s)
{
    struct secure *x = l->secure;
    uint32_t open_cnt = l->open_cnt;

    l->options->mode->run(l, s);
    if (l->open_cnt != open_cnt)
        return false;
    flush(l, s);
    memmove(x->plain, x->plain + x->plain_at, x->plain_len - x->plain_at);
    x->plain_len -= x->plain_at;
    x->plain_at = 0;
    return true;
}

/* One call of the engine. Returns how many bytes went either way; -1: it has failed. */
static int64_t step(struct lane *l, struct session *s)
{
    struct secure *x = l->secure;
    struct base_span spans[1], in = {0};
    size_t consumed = 0, room = l->link->space(l, s);
    struct base_buf plain = {.p = x->plain, .len = x->plain_len, .cap = sizeof(x->plain)};
    struct base_buf out = {.p = x->cipher,
                           .cap = room < sizeof(x->cipher) ? room : sizeof(x->cipher)};

    if (l->link->view(l, s, spans, 1) > 0)
        in = spans[0];
    enum tls_state state = tls_conn_decode(s->tls, in, &consumed, &plain, &out);
    size_t moved = consumed + out.len + (plain.len - x->plain_len);
    x->plain_len = plain.len;
    if (consumed > 0)
        l->link->consume(l, s, (uint32_t)consumed);
    if (out.len > 0)
        (void)l->link->send(l, s, out.p, out.len);
    return state == TLS_FAILED ? -1 : (int64_t)moved;
}

static void stands(struct lane *l, struct session *s)
{
    struct tls_facts facts;

    s->secured = true;
    tls_conn_facts(s->tls, &facts);
    lane_add(l, LANE_HANDSHAKES, 1);
    lane_add(l, LANE_RESUMED, facts.resumed);
    histogram_add(&l->handshake, l->now_ns - s->handshake_ns);
}

/* What the mode has left for later. */
static bool keep(struct lane *l, struct session *s)
{
    struct secure *x = l->secure;

    if (x->plain_len == 0) {
        keep_free(x, s);
        return true;
    }
    if (s->keep == NULL)
        s->keep = base_pool_get(&x->keeps);
    if (s->keep == NULL || x->plain_len > SECURE_KEEP_BYTES) {
        session_fail(l, s, LANE_FAIL_NO_BUFFERS);
        return false;
    }
    memcpy(s->keep, x->plain, x->plain_len);
    s->keep_len = (uint32_t)x->plain_len;
    return true;
}

bool secure_event(struct lane *l, struct session *s, bool ended)
{
    struct secure *x = l->secure;
    int64_t moved;

    x->gather_len = x->plain_at = 0;
    x->plain_len = s->keep_len;
    if (s->keep_len > 0)
        memcpy(x->plain, s->keep, s->keep_len);
    do {
        moved = step(l, s);
        if (!s->secured && tls_conn_state(s->tls) == TLS_OPEN)
            stands(l, s);
        if (moved < 0) {
            session_fail(l, s, LANE_FAIL_TLS);
            return false;
        }
        if (s->secured && !run(l, s))
            return false;
    } while (moved > 0);
    if (ended && !s->secured) {
        session_fail(l, s, LANE_FAIL_TLS);
        return false;
    }
    return keep(l, s);
}
