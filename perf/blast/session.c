#include "session.h"

#include "mode.h"
#include "proxy.h"
#include "secure.h"

#define REPLY_BAD 999

static void touch(struct lane *l, struct session *s)
{
    base_wheel_set(&l->wheel, &s->timer, l->now_ns + l->options->timeout_ns);
}

size_t session_bytes(const struct options *o)
{
    return o->mode != NULL && !o->mode->sends ? offsetof(struct session, smtp)
                                              : sizeof(struct session);
}

static void end(struct lane *l, struct session *s)
{
    if (s->tls != NULL)
        secure_end(l, s);
    if (base_list_linked(&s->wait))
        base_list_remove(&s->wait);
    if (s->standing)
        session_release(l, s);
    base_wheel_stop(&l->wheel, &s->timer);
    base_list_remove(&s->place);
    base_pool_put(&l->sessions, s);
    l->open_cnt--;
}

static uint64_t unit_age_ns(const struct lane *l, const struct session *s)
{
    return l->now_ns > s->unit_ns ? l->now_ns - s->unit_ns : 0;
}

void session_fail(struct lane *l, struct session *s, enum lane_counter reason)
{
    lane_add(l, reason, 1);
    if (reason == LANE_FAIL_REPLY)
        histogram_add(&l->refused, unit_age_ns(l, s));
    l->link->abort(l, s);
    end(l, s);
}

void session_start(struct lane *l, uint64_t scheduled_ns)
{
    const struct options *o = l->options;
    struct session *s = base_pool_get(&l->sessions);
    struct net_addr from;

    base_assert(s != NULL); /* the caller counts */
    memset(s, 0, offsetof(struct session, smtp));
    s->unit_ns = scheduled_ns;
    s->unit_left = o->per_connection < l->units_left ? o->per_connection : (uint32_t)l->units_left;
    l->units_left -= s->unit_left;
    base_timer_init(&s->timer);
    base_list_init(&s->wait);
    base_list_push_back(&l->open, &s->place);
    l->open_cnt++;
    lane_add(l, LANE_STARTED, 1);
    o->mode->start(l, s);
    if (l->address_cnt > 0)
        from = lane_address(l, l->address_next++ % l->address_cnt);
    int reason = l->link->open(l, s, l->address_cnt > 0 ? &from : NULL);
    if (reason != 0) {
        lane_add(l, (enum lane_counter)reason, 1);
        end(l, s);
        return;
    }
    touch(l, s);
}

/* What goes before anything else. Returns false when the session is gone. */
static bool begin(struct lane *l, struct session *s)
{
    const struct options *o = l->options;
    uint8_t header[PROXY_WRITE_MAX];
    struct base_buf out = {.p = header, .cap = sizeof(header)};

    s->begun = true;
    if (o->proxy != 0) {
        uint64_t i = l->number + o->lane_cnt * l->client_next++;
        struct net_endpoint client = {.addr = options_client(o, (uint32_t)(i % o->client_cnt)),
                                      .port = (uint16_t)(1024 + i % 60000)};
        int failed = proxy_write(&out, o->proxy, &client, &o->to);
        base_assert(failed == 0);
        (void)l->link->send(l, s, out.p, out.len);
    }
    if (o->tls != OPTIONS_TLS_IMPLICIT || secure_start(l, s))
        return true;
    session_fail(l, s, LANE_FAIL_TLS);
    return false;
}

void session_event(struct lane *l, struct session *s, bool ended)
{
    uint32_t open_cnt = l->open_cnt;

    if (!s->standing)
        touch(l, s);
    if (!s->begun && !begin(l, s))
        return;
    if (s->tls == NULL)
        l->options->mode->run(l, s);
    if (l->open_cnt != open_cnt) /* the mode has ended it, and nothing starts one in between */
        return;
    if (s->tls != NULL && !secure_event(l, s, ended)) /* perhaps only since just now */
        return;
    if (!ended)
        return;
    if (!s->bye)
        return session_fail(l, s, LANE_FAIL_CLOSED);
    lane_add(l, LANE_CONNECTIONS, 1);
    if (s->unit_left > 0) /* a connection is the unit */
        session_unit_done(l, s);
    l->link->close(l, s);
    end(l, s);
}

void session_timer(struct lane *l, struct base_timer *t)
{
    session_fail(l, base_container_of(t, struct session, timer), LANE_FAIL_SILENT);
}

/* ---- for modes ---- */

/* The waiting bytes' first line, in the link's memory or, where it is in pieces, copied to p; its
 * length with the LF, or 0: it is not whole. */
static uint32_t first_line(struct lane *l, struct session *s, const uint8_t **line, uint8_t *p,
                           uint32_t cap)
{
    struct base_span spans[8];
    uint32_t n = session_view(l, s, spans, BASE_ARRAY_CNT(spans)), len = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *end = memchr(spans[i].p, '\n', spans[i].len);
        size_t part = end != NULL ? (size_t)(end - spans[i].p) + 1 : spans[i].len;
        *line = i == 0 ? spans[i].p : p;
        if (i == 0 && end != NULL && part <= cap)
            return (uint32_t)part;
        part = part < cap - len ? part : cap - len;
        memcpy(p + len, spans[i].p, part);
        len += (uint32_t)part;
        *line = p;
        if (len == cap || (len > 0 && p[len - 1] == '\n'))
            return len;
    }
    return 0;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

uint32_t session_reply(struct lane *l, struct session *s)
{
    uint8_t pieces[SMTP_LINE_MAX];
    const uint8_t *line = NULL;
    uint32_t len;

    while ((len = first_line(l, s, &line, pieces, sizeof(pieces))) > 0) {
        if (len < 5 || line[len - 1] != '\n' || !is_digit(line[0]) || !is_digit(line[1]) ||
            !is_digit(line[2]))
            return REPLY_BAD;
        uint32_t code = (line[0] - '0') * 100u + (line[1] - '0') * 10u + (line[2] - '0');
        bool more = line[3] == '-';
        session_consume(l, s, len);
        if (!more)
            return code;
    }
    return 0;
}

uint32_t session_view(struct lane *l, struct session *s, struct base_span *spans, uint32_t cap)
{
    return s->secured ? secure_view(l, spans) : l->link->view(l, s, spans, cap);
}

void session_consume(struct lane *l, struct session *s, uint32_t n)
{
    if (s->secured)
        secure_consume(l, n);
    else
        l->link->consume(l, s, n);
}

uint32_t session_space(struct lane *l, struct session *s)
{
    return s->secured ? secure_space(l, s) : l->link->space(l, s);
}

size_t session_send_some(struct lane *l, struct session *s, const void *p, size_t len)
{
    int64_t n = s->secured ? (int64_t)secure_send(l, s, p, len) : l->link->send(l, s, p, len);

    if (n <= 0)
        return 0;
    lane_add(l, LANE_BYTES, (uint64_t)n);
    return (size_t)n;
}

void session_send(struct lane *l, struct session *s, const void *p, size_t len)
{
    /* Less only when buffers are short or the connection is gone: both end it soon. */
    (void)session_send_some(l, s, p, len);
}

void session_unit_done(struct lane *l, struct session *s)
{
    histogram_add(&l->latency, unit_age_ns(l, s));
    lane_add(l, LANE_UNITS, 1);
    s->unit_left--;
    s->unit_ns = l->now_ns;
}

void session_unit_refused(struct lane *l, struct session *s, uint16_t code)
{
    lane_add(l, code < 500 ? LANE_REFUSED_4XX : LANE_REFUSED_5XX, 1);
    histogram_add(&l->refused, unit_age_ns(l, s));
    s->unit_left--;
    s->unit_ns = l->now_ns;
}

void session_start_tls(struct lane *l, struct session *s)
{
    if (!secure_start(l, s))
        session_fail(l, s, LANE_FAIL_TLS);
}

/* ---- waiting ---- */

static void wait(struct lane *l, struct session *s)
{
    base_wheel_stop(&l->wheel, &s->timer);
    if (!base_list_linked(&s->wait))
        base_list_push_back(&l->waiting, &s->wait);
}

bool session_next(struct lane *l, struct session *s)
{
    if (l->ending)
        s->unit_left = 0;
    if (s->unit_left == 0 || l->unit_interval_ns == 0)
        return true;
    /* Who has waited longer goes first. */
    if (l->unit_next_ns > l->now_ns || l->unit_next_ns >= l->last_ns ||
        (!s->woken && !base_list_empty(&l->waiting))) {
        wait(l, s);
        return false;
    }
    s->woken = false;
    s->unit_ns = l->unit_next_ns;
    l->unit_next_ns += l->unit_interval_ns;
    return true;
}

void session_hold(struct lane *l, struct session *s)
{
    s->standing = true;
    lane_add(l, LANE_STANDING, 1);
    wait(l, s);
}

void session_release(struct lane *l, struct session *s)
{
    s->standing = false;
    lane_take(l, LANE_STANDING, 1);
}
