/*
 * What a lane has of TLS: its connections' memory, the queue of private-key operations, and whose
 * turn it is.
 *
 * An operation's way: gathered (by the job that parks on it), submitted (by tls_lane_run), polled.
 * Then its connection is put into ready, and the caller calls tls_conn_decode, which resumes the
 * job; the job takes the signature and gives the operation back. A connection that is closed before
 * leaves its operation behind, as nobody's: it is given back when it is polled.
 */
#include "tls_internal.h"
#include "base_lines.h"

#include <stdlib.h>

#include <openssl/async.h>
#include <openssl/crypto.h>

struct tls_lane *tls_lane_init(const struct tls_lane_settings *settings)
{
    struct tls_lane *l = base_lines_new(sizeof(*l));
    uint32_t parked_max = settings->parked_max > 0 ? settings->parked_max : 1;

    if (l == NULL)
        return NULL;
    l->settings = *settings;
    l->settings.parked_max = parked_max;
    l->stats = settings->stats;
    l->step_left = settings->step_max;
    base_list_init(&l->turn);
    base_list_init(&l->ready);
    base_list_init(&l->domains);
    l->parking = settings->parked_max > 0 && settings->keyop.ops->deferred(settings->keyop.state);
    l->mb = settings->openssl_records ? NULL : tls_gcm_open();
    l->gathered = base_lines_new((size_t)2 * parked_max * sizeof(struct tls_op *));
    if (l->gathered == NULL ||
        base_pool_init(&l->conns, settings->connection_max, sizeof(struct tls_conn),
                       _Alignof(struct tls_conn), sizeof(struct tls_conn)) != 0)
        goto failed;
    /* Twice as many: nobody's ones are still under way when others are parked in their place. */
    if (base_pool_init(&l->ops, 2 * parked_max, sizeof(struct tls_op), _Alignof(struct tls_op),
                       sizeof(struct tls_op)) != 0)
        goto no_ops;
    if (base_pool_init(&l->answers,
                       settings->handshake_max < TLS_AHEAD_MAX ? settings->handshake_max
                                                               : TLS_AHEAD_MAX,
                       sizeof(struct tls_kex_answer), 8, 0) != 0)
        goto no_answers;
    if (tls_sessions_init(&l->sessions, settings->session_max))
        return l;
    base_pool_fini(&l->answers);
no_answers:
    base_pool_fini(&l->ops);
no_ops:
    base_pool_fini(&l->conns);
failed:
    tls_gcm_close(l->mb);
    free(l->gathered);
    free(l);
    return NULL;
}

void tls_lane_fini(struct tls_lane *l)
{
    base_assert(l->conn_cnt == 0 && l->submitted_cnt == 0 && base_list_empty(&l->domains));
    base_pool_fini(&l->answers);
    base_pool_fini(&l->ops);
    base_pool_fini(&l->conns);
    tls_sessions_fini(&l->sessions);
    tls_gcm_close(l->mb);
    OPENSSL_cleanse(l->ticket, sizeof(l->ticket));
    free(l->gathered);
    free(l);
}

void tls_lane_leave(struct tls_lane *l)
{
    if (l->settings.keyop.ops->leave != NULL)
        l->settings.keyop.ops->leave(l->settings.keyop.state);
    tls_sessions_forget(l, NULL);
    base_list_each (at, &l->domains) {
        struct tls_domain *d = base_container_of(at, struct tls_domain, place);
        tls_thin_stop(d);
        base_list_remove(at);
        d->seen = false;
    }
    if (l->async)
        ASYNC_cleanup_thread();
    l->async = false;
}

void tls_lane_set_tickets(struct tls_lane *l, const struct tls_ticket_key *current,
                          const struct tls_ticket_key *previous)
{
    l->ticket[0] = *current;
    l->ticket_cnt = 1;
    if (previous != NULL)
        l->ticket[l->ticket_cnt++] = *previous;
}

/* The first connection of a domain, on the lane's own thread. */
void tls_lane_enter(struct tls_lane *l, struct tls_domain *d)
{
    if (l->parking && !l->async) {
        /* Made as they are needed. While all are parked, others wait for one. */
        l->async = ASYNC_init_thread(l->settings.parked_max, 0) == 1;
        l->parking = l->async;
    }
    if (!d->seen) {
        d->seen = true;
        base_list_push_back(&l->domains, &d->place);
    }
}

/* ---- turns ---- */

void tls_lane_turn(struct tls_lane *l, struct tls_conn *c)
{
    c->granted = false;
    if (base_list_linked(&c->place))
        return;
    base_list_push_back(&l->turn, &c->place);
    c->in_turn = true;
    l->turn_cnt++;
}

void tls_lane_unqueue(struct tls_lane *l, struct tls_conn *c)
{
    if (!base_list_linked(&c->place))
        return;
    base_list_remove(&c->place);
    if (c->in_turn)
        l->turn_cnt--;
    c->in_turn = false;
}

static void make_ready(struct tls_lane *l, struct tls_conn *c)
{
    tls_lane_unqueue(l, c);
    base_list_push_back(&l->ready, &c->place);
}

/* Jobs that may still be parked: a step without one would only be put back. */
static uint32_t jobs_left(const struct tls_lane *l)
{
    return l->parking ? l->settings.parked_max - l->parked_cnt : UINT32_MAX;
}

/* Those whose operation is done first: each of them makes room for another. */
static uint32_t grant(struct tls_lane *l, struct tls_conn **ready, uint32_t cap)
{
    uint32_t n = 0, jobs = jobs_left(l);

    while (n < cap && l->step_left > 0) {
        bool done = !base_list_empty(&l->ready);
        if (!done && (base_list_empty(&l->turn) || jobs == 0))
            break;
        struct tls_conn *c =
            base_container_of(done ? l->ready.next : l->turn.next, struct tls_conn, place);
        jobs -= !done;
        tls_lane_unqueue(l, c);
        c->granted = true;
        l->step_left--;
        ready[n++] = c;
    }
    return n;
}

/* ---- operations ---- */

static void put_op(struct tls_lane *l, struct tls_op *op)
{
    struct tls_domain *d = op->domain;

    OPENSSL_cleanse(&op->keyop, sizeof(op->keyop));
    base_pool_put(&l->ops, op);
    tls_domain_drop(d);
}

static void count_burst(struct tls_lane *l, uint32_t n)
{
    if (n == 0)
        return;
    stats_add(l->stats, STATS_TLS_KEYOPS, n);
    stats_inc(l->stats, STATS_TLS_KEYOP_BURSTS);
    stats_add(l->stats, STATS_TLS_KEYOP_GATHERED, n);
    l->burst_max = n > l->burst_max ? n : l->burst_max;
    stats_set(l->stats, STATS_TLS_KEYOP_BURST_MAX, l->burst_max);
}

static void submit(struct tls_lane *l)
{
    const struct tls_keyop_driver *driver = &l->settings.keyop;
    struct tls_keyop *burst[TLS_LANE_BURST];

    while (l->gathered_cnt > 0) {
        uint32_t n = l->gathered_cnt < TLS_LANE_BURST ? l->gathered_cnt : TLS_LANE_BURST;
        for (uint32_t i = 0; i < n; i++)
            burst[i] = &l->gathered[i]->keyop;
        uint32_t done = driver->ops->submit(driver->state, burst, n);
        base_assert(done <= n);
        l->gathered_cnt -= done;
        memmove(l->gathered, l->gathered + done, l->gathered_cnt * sizeof(struct tls_op *));
        l->submitted_cnt += done;
        count_burst(l, done);
        if (done < n) {
            stats_inc(l->stats, STATS_TLS_KEYOP_FULL);
            return;
        }
    }
}

static void poll_done(struct tls_lane *l)
{
    const struct tls_keyop_driver *driver = &l->settings.keyop;
    struct tls_keyop *burst[TLS_LANE_BURST];

    while (l->submitted_cnt > 0) {
        uint32_t n = driver->ops->poll(driver->state, burst, TLS_LANE_BURST);
        base_assert(n <= l->submitted_cnt);
        l->submitted_cnt -= n;
        for (uint32_t i = 0; i < n; i++) {
            struct tls_op *op = base_container_of(burst[i], struct tls_op, keyop);
            base_assert(op->keyop.status != TLS_KEYOP_PENDING);
            op->done = true;
            if (op->conn != NULL)
                make_ready(l, op->conn);
            else
                put_op(l, op);
        }
        if (n < TLS_LANE_BURST)
            return;
    }
}

uint32_t tls_lane_run(struct tls_lane *l, struct tls_conn **ready, uint32_t cap)
{
    submit(l);
    poll_done(l);
    l->step_left = l->settings.step_max;
    uint32_t n = grant(l, ready, cap);
    tls_ahead_make(l, ready, n);
    stats_set(l->stats, STATS_TLS_PARKED, tls_lane_under_way(l));
    stats_set(l->stats, STATS_TLS_WAITING, l->turn_cnt);
    return n;
}

bool tls_lane_busy(const struct tls_lane *l)
{
    bool turn = !base_list_empty(&l->turn) && jobs_left(l) > 0;
    bool look = l->settings.keyop_wakes ? l->gathered_cnt > 0 && l->submitted_cnt == 0
                                        : tls_lane_under_way(l) > 0;

    return turn || look || !base_list_empty(&l->ready);
}

uint32_t tls_lane_under_way(const struct tls_lane *l)
{
    return l->gathered_cnt + l->submitted_cnt;
}

/* The job of a connection that is being closed fails; what it waited for becomes nobody's. */
void tls_lane_cancel(struct tls_lane *l, struct tls_conn *c)
{
    struct tls_op *op = c->op;

    c->cancelled = true;
    if (op == NULL)
        return;
    c->op = NULL;
    op->conn = NULL;
    for (uint32_t i = 0; i < l->gathered_cnt; i++) {
        if (l->gathered[i] != op)
            continue;
        l->gathered_cnt--;
        memmove(l->gathered + i, l->gathered + i + 1,
                (l->gathered_cnt - i) * sizeof(struct tls_op *));
        put_op(l, op);
        return;
    }
    if (op->done)
        put_op(l, op);
}

static void fill(struct tls_keyop *k, const struct tls_key *key, uint8_t algorithm, uint8_t digest,
                 struct base_span input)
{
    base_assert(input.len <= sizeof(k->input));
    k->key = key->handle;
    k->algorithm = algorithm;
    k->digest = digest;
    k->status = TLS_KEYOP_PENDING;
    k->input_len = (uint8_t)input.len;
    memcpy(k->input, input.p, input.len);
}

static bool take(const struct tls_keyop *k, struct base_buf *signature)
{
    return k->status == TLS_KEYOP_OK && base_buf_put(signature, k->output, k->output_len) == 0;
}

/* In the job of c: waits outside. */
static bool sign_parked(struct tls_lane *l, struct tls_conn *c, struct tls_op *op,
                        struct base_buf *signature)
{
    bool ok;

    c->op = op;
    c->parked = true;
    l->parked_cnt++;
    l->gathered[l->gathered_cnt++] = op;
    stats_inc(l->stats, STATS_TLS_PARKS);
    /* A resume without a completion pauses again. */
    while (!c->cancelled && !op->done)
        if (ASYNC_pause_job() != 1)
            tls_lane_cancel(l, c);
    c->parked = false;
    l->parked_cnt--;
    if (c->cancelled)
        return false;
    ok = take(&op->keyop, signature);
    c->sign_failed = !ok;
    c->op = NULL;
    put_op(l, op);
    return ok;
}

bool tls_lane_sign(struct tls_key *key, uint8_t algorithm, uint8_t digest, struct base_span input,
                   struct base_buf *signature)
{
    struct tls_lane *l = key->domain->lane;
    struct tls_conn *c = l->current;
    struct tls_op *op = NULL;
    struct tls_keyop now;
    bool ok;

    if (c != NULL && c->cancelled)
        return false;
    if (c != NULL && l->parking && ASYNC_get_current_job() != NULL)
        op = base_pool_get(&l->ops);
    if (op != NULL) {
        op->conn = c;
        op->domain = key->domain;
        tls_domain_hold(op->domain);
        fill(&op->keyop, key, algorithm, digest, input);
        return sign_parked(l, c, op, signature);
    }
    fill(&now, key, algorithm, digest, input);
    l->settings.keyop.ops->execute(l->settings.keyop.state, &now);
    ok = take(&now, signature);
    if (c != NULL)
        c->sign_failed = !ok;
    OPENSSL_cleanse(&now, sizeof(now));
    stats_inc(l->stats, STATS_TLS_KEYOPS);
    return ok;
}
