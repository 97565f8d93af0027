#include "session.h"

#include "mode.h"

#define REPLY_BAD 999

static void touch(struct lane *l, struct session *s)
{
    base_wheel_set(&l->wheel, &s->timer, l->now_ns + l->options->timeout_ns);
}

static void end(struct lane *l, struct session *s)
{
    base_wheel_stop(&l->wheel, &s->timer);
    base_list_remove(&s->place);
    base_pool_put(&l->sessions, s);
    l->open_cnt--;
}

void session_fail(struct lane *l, struct session *s, enum lane_counter reason)
{
    lane_add(l, reason, 1);
    if (s->tcp != NULL)
        tcp_abort(l->tcp, s->tcp);
    end(l, s);
}

static enum lane_counter reason_of(const struct tcp_conn *c)
{
    static const enum lane_counter reason[] = {
        [TCP_OK] = LANE_FAIL_CLOSED,
        [TCP_ERROR_REFUSED] = LANE_FAIL_REFUSED,
        [TCP_ERROR_RESET] = LANE_FAIL_RESET,
        [TCP_ERROR_TIMEOUT] = LANE_FAIL_TIMEOUT,
        [TCP_ERROR_UNREACHABLE] = LANE_FAIL_UNREACHABLE,
        [TCP_ERROR_NO_BUFFERS] = LANE_FAIL_NO_BUFFERS,
    };
    enum tcp_error e = tcp_error(c);

    base_assert(e < BASE_ARRAY_CNT(reason));
    return reason[e];
}

void session_start(struct lane *l, uint64_t scheduled_ns)
{
    const struct options *o = l->options;
    struct session *s = base_pool_get(&l->sessions);
    struct net_endpoint local = {.addr = l->address[l->address_next++ % l->address_cnt]};

    base_assert(s != NULL); /* the caller counts */
    memset(s, 0, offsetof(struct session, smtp));
    s->unit_ns = scheduled_ns;
    s->unit_left = o->per_connection < l->units_left ? o->per_connection : (uint32_t)l->units_left;
    l->units_left -= s->unit_left;
    base_timer_init(&s->timer);
    base_list_push_back(&l->open, &s->place);
    l->open_cnt++;
    lane_add(l, LANE_STARTED, 1);
    o->mode->start(l, s);
    if (tcp_connect(l->tcp, &local, &o->to, s, &s->tcp, l->now_ns) != 0) {
        s->tcp = NULL;
        session_fail(l, s, LANE_FAIL_NO_PORT);
        return;
    }
    touch(l, s);
}

void session_event(struct lane *l, const struct tcp_event *e)
{
    struct session *s = e->user;
    uint32_t open_cnt = l->open_cnt;

    if (e->flags & TCP_EVENT_FAILED)
        return session_fail(l, s, reason_of(e->conn));
    touch(l, s);
    l->options->mode->run(l, s);
    if (l->open_cnt != open_cnt) /* the mode has ended it, and nothing starts one in between */
        return;
    if ((e->flags & TCP_EVENT_PEER_CLOSED) == 0)
        return;
    if (!s->bye)
        return session_fail(l, s, LANE_FAIL_CLOSED);
    lane_add(l, LANE_CONNECTIONS, 1);
    if (s->unit_left > 0) /* a connection is the unit */
        session_unit_done(l, s);
    tcp_close(l->tcp, s->tcp);
    end(l, s);
}

void session_timer(struct lane *l, struct base_timer *t)
{
    session_fail(l, base_container_of(t, struct session, timer), LANE_FAIL_SILENT);
}

/* ---- for modes ---- */

/* Copies the waiting bytes' first line to p; its length with the LF, or 0: it is not whole. */
static uint32_t first_line(const struct session *s, uint8_t *p, uint32_t cap)
{
    struct base_span spans[8];
    uint32_t n = tcp_recv_view(s->tcp, spans, BASE_ARRAY_CNT(spans)), len = 0;

    for (uint32_t i = 0; i < n; i++) {
        for (size_t k = 0; k < spans[i].len && len < cap; k++) {
            p[len++] = spans[i].p[k];
            if (p[len - 1] == '\n')
                return len;
        }
    }
    return len == cap ? cap : 0;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

uint32_t session_reply(struct lane *l, struct session *s)
{
    uint8_t line[SMTP_LINE_MAX];
    uint32_t len;

    while ((len = first_line(s, line, sizeof(line))) > 0) {
        if (len < 5 || line[len - 1] != '\n' || !is_digit(line[0]) || !is_digit(line[1]) ||
            !is_digit(line[2]))
            return REPLY_BAD;
        tcp_recv_consume(l->tcp, s->tcp, len);
        if (line[3] != '-')
            return (line[0] - '0') * 100u + (line[1] - '0') * 10u + (line[2] - '0');
    }
    return 0;
}

void session_send(struct lane *l, struct session *s, const void *p, size_t len)
{
    int64_t n = tcp_send(l->tcp, s->tcp, p, len);

    /* Less only when the pool is empty or the connection is gone: both end it soon. */
    lane_add(l, LANE_BYTES, n > 0 ? (uint64_t)n : 0);
}

void session_unit_done(struct lane *l, struct session *s)
{
    histogram_add(&l->latency, l->now_ns > s->unit_ns ? l->now_ns - s->unit_ns : 0);
    lane_add(l, LANE_UNITS, 1);
    s->unit_left--;
    s->unit_ns = l->now_ns;
}
