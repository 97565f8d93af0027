#include "conn.h"
#include "base_time.h"
#include "conn_trace.h"
#include "lane.h"

#define VIEW_SPANS 16 /* packets that layers look at together */

struct conn *conn_open(struct lane *lane, struct tcp_conn *tcp, const struct conn_app_ops *app)
{
    struct conn *c = base_pool_get(&lane->conns);

    if (c == NULL)
        return NULL;
    c->lane = lane;
    c->link = tcp;
    c->link_ops = &conn_link_tcp;
    c->app = app;
    base_timer_init(&c->timer);
    base_list_init(&c->stall);
    base_list_init(&c->handshake);
    base_list_push_back(&lane->open, &c->place);
    lane_watch_enter(lane, c);
    if (tcp != NULL) {
        tcp_set_user(tcp, c);
        tcp_remote(tcp, &c->remote);
        tcp_local(tcp, &c->local);
    }
    return c;
}

void conn_discard(struct conn *c)
{
    lane_watch_leave(c->lane, c);
    base_list_remove(&c->place);
    base_pool_put(&c->lane->conns, c);
}

void conn_push_layer(struct conn *c, const struct conn_layer_ops *ops, void *state)
{
    base_assert(c->layer_cnt < CONN_LAYER_MAX);
    c->layer[c->layer_cnt++] = (struct conn_layer){.ops = ops, .state = state};
}

static void drop_buf(struct conn *c, struct spool_buf **buf)
{
    if (*buf != NULL)
        spool_buf_put(&c->lane->bufs, *buf);
    *buf = NULL;
}

/* Frees the struct once nothing outside points to it any more. */
static void release_if_done(struct conn *c)
{
    if (c->link != NULL || c->awaited > 0)
        return;
    if (!c->app->release(c))
        return conn_stall(c);
    if (base_list_linked(&c->stall))
        base_list_remove(&c->stall);
    base_wheel_stop(&c->lane->wheel, &c->timer);
    conn_discard(c);
}

void conn_time_begin(struct conn *c)
{
    c->since_us = (uint32_t)(c->lane->now_ns / BASE_NS_US);
}

void conn_time_end(struct conn *c, enum stats_histogram_id id)
{
    uint32_t us = (uint32_t)(c->lane->now_ns / BASE_NS_US) - c->since_us;

    stats_record(c->lane->stats, id, us * BASE_NS_US);
}

static void note_ending(struct conn *c, enum conn_ending ending)
{
    if (c->ending == CONN_ENDING_NONE)
        c->ending = (uint8_t)ending;
}

/* The connection is over, whichever way: the layers and the application give up what they hold. */
static void end(struct conn *c, bool abort)
{
    void *link = c->link;

    if (link == NULL)
        return;
    conn_trace_end(c);
    c->link = NULL;
    c->app->close(c);
    for (uint8_t i = 0; i < c->layer_cnt; i++)
        if (c->layer[i].ops->close != NULL)
            c->layer[i].ops->close(c->layer[i].state);
    c->layer_cnt = 0;
    drop_buf(c, &c->plain);
    drop_buf(c, &c->tail);
    base_wheel_stop(&c->lane->wheel, &c->timer);
    if (abort) {
        c->link_ops->abort(c->lane, link);
        return;
    }
    /* Bytes that nobody will read (behind QUIT, after a 421) would make TCP reset the connection,
     * and the peer lose the replies that are still on their way, a 250 among them. */
    c->link_ops->recv_consume(c->lane, link, c->link_ops->recv_len(link));
    c->link_ops->close(c->lane, link);
}

/* ---- output ---- */

/* Sends what waits in the tail. Returns true when nothing waits any more. */
static bool flush_tail(struct conn *c)
{
    if (c->tail == NULL)
        return true;
    uint32_t left = c->tail->len - c->tail_at;
    int64_t n = c->link_ops->send(c->lane, c->link, c->tail->data + c->tail_at, left);
    if (n < 0)
        return false;
    c->out_bytes += (uint64_t)n;
    c->tail_at += (uint32_t)n;
    if (c->tail_at < c->tail->len)
        return false;
    drop_buf(c, &c->tail);
    return true;
}

/* Gives bytes to TCP; keeps what it has no buffers for. */
static void send_bytes(struct conn *c, struct base_span bytes)
{
    int64_t n = c->link_ops->send(c->lane, c->link, bytes.p, bytes.len);

    if (n > 0)
        c->out_bytes += (uint64_t)n;
    if (n < 0 || (size_t)n == bytes.len)
        return; /* a failed connection tells by its own event */
    size_t rest = bytes.len - (size_t)n;
    c->tail = spool_buf_get(&c->lane->bufs);
    if (c->tail == NULL || rest > SPOOL_BUF_BYTES) {
        stats_inc(c->lane->stats, STATS_CONN_NO_BUFFERS);
        conn_drop(c, "no buffers");
        return;
    }
    memcpy(c->tail->data, bytes.p + n, rest);
    c->tail->len = (uint32_t)rest;
    c->tail_at = 0;
}

size_t conn_space(const struct conn *c)
{
    if (c->link == NULL || c->tail != NULL)
        return 0;
    size_t space = c->link_ops->send_space(c->link);
    for (uint8_t i = 0; i < c->layer_cnt; i++) {
        size_t overhead = c->layer[i].ops->overhead_bytes;
        space = space > overhead ? space - overhead : 0;
    }
    return space < LANE_OUT_BYTES / 2 ? space : LANE_OUT_BYTES / 2;
}

/* Through the layers below the given number of them, to TCP. */
static void write_below(struct conn *c, uint8_t layer_cnt, struct base_span bytes)
{
    uint8_t *from = c->lane->layer_out[0], *to = c->lane->layer_out[1];

    for (uint8_t i = layer_cnt; i-- > 0;) {
        struct base_buf out = {.p = to, .cap = LANE_OUT_BYTES};
        size_t consumed = 0;
        enum conn_layer_result r =
            c->layer[i].ops->encode(c->layer[i].state, bytes, &consumed, &out);
        if (r != CONN_LAYER_OK || consumed != bytes.len) {
            conn_drop(c, "layer failed to encode");
            return;
        }
        bytes = base_buf_span(&out);
        to = from;
        from = out.p;
    }
    send_bytes(c, bytes);
}

void conn_write(struct conn *c, struct base_span bytes)
{
    if (c->link == NULL || bytes.len == 0)
        return;
    if (c->link_ops->failure(c->link) != NULL)
        return; /* the event that tells is on its way: the peer may fail at any time */
    base_assert(bytes.len <= conn_space(c));
    if (c->listener != NULL) /* of a message that we send, nothing is shown: conn_out.c */
        conn_trace_said(c, true, bytes, false);
    write_below(c, c->layer_cnt, bytes);
}

void conn_write_first(struct conn *c, struct base_span bytes)
{
    base_assert(c->link != NULL && c->tail == NULL && c->link_ops->send_pending(c->link) == 0);
    send_bytes(c, bytes);
}

/* Room for what a layer says itself: while earlier output waits there is none. */
static struct base_buf down_room(struct conn *c)
{
    return (struct base_buf){.p = c->lane->layer_out[0],
                             .cap = c->tail == NULL ? LANE_OUT_BYTES / 2 : 0};
}

static void send_down(struct conn *c, uint8_t layer, const struct base_buf *down)
{
    if (down->len > 0 && c->link_ops->failure(c->link) == NULL)
        write_below(c, layer, base_buf_span(down));
}

/* What layers say at the end, the topmost first. */
static void say_farewell(struct conn *c)
{
    for (uint8_t i = c->layer_cnt; i-- > 0 && c->link != NULL;) {
        struct base_buf down = down_room(c);
        if (c->layer[i].ops->farewell == NULL || down.cap == 0)
            continue;
        c->layer[i].ops->farewell(c->layer[i].state, &down);
        send_down(c, i, &down);
    }
}

/* ---- input ---- */

/* A layer gives up. What it has still said, an alert, goes out first. */
static void layer_bad(struct conn *c, uint8_t i, bool said)
{
    const char *why = c->layer[i].ops->bad;

    stats_inc(c->lane->stats, STATS_CONN_LAYER_BAD);
    if (why == NULL)
        why = "layer failed to decode";
    if (said)
        conn_finish(c, why);
    else
        conn_drop(c, why);
}

/* Runs bytes through all layers into c->plain; *consumed is how many of them. Returns whether it is
 * to be called again at once. */
static bool decode_piece(struct conn *c, struct base_span in, size_t *consumed)
{
    bool again = false;

    for (uint8_t i = 0; i < c->layer_cnt; i++) {
        bool top = i + 1 == c->layer_cnt;
        struct base_buf out = {.p = c->lane->layer_in[i & 1], .cap = LANE_OUT_BYTES};
        struct base_buf down = down_room(c);
        size_t used = 0;
        if (top)
            out = (struct base_buf){c->plain->data, c->plain->len, SPOOL_BUF_BYTES};
        enum conn_layer_result r =
            c->layer[i].ops->decode(c->layer[i].state, in, &used, &out, &down);
        if (i == 0)
            *consumed = used;
        if (top)
            c->plain->len = (uint32_t)out.len;
        send_down(c, i, &down);
        if (c->link != NULL && r == CONN_LAYER_BAD)
            layer_bad(c, i, down.len > 0);
        if (c->link == NULL || c->finishing)
            return false;
        if (i > 0 && used != in.len) {
            conn_drop(c, "layer kept bytes outside");
            return false;
        }
        again |= r == CONN_LAYER_AGAIN;
        c->input_ended |= r == CONN_LAYER_ENDED;
        in = base_buf_span(&out);
    }
    return again && c->tail == NULL;
}

/* Up to room bytes of what waits at TCP. Of several packets they are put together, as a layer's
 * call costs more than the copy: TLS would look for a record's end after each. */
static struct base_span view_below(struct conn *c, size_t room)
{
    struct base_span spans[VIEW_SPANS];
    uint8_t *to = c->lane->layer_in[1]; /* which the lowest layer does not write to */
    uint32_t n = c->link_ops->recv_view(c->link, spans, VIEW_SPANS);
    size_t len = 0;

    base_assert(room <= LANE_OUT_BYTES);
    if (n == 0)
        return base_span_of(NULL, 0);
    if (n == 1 || spans[0].len >= room)
        return base_span_of(spans[0].p, spans[0].len < room ? spans[0].len : room);
    for (uint32_t i = 0; i < n && len < room; i++) {
        size_t part = spans[i].len < room - len ? spans[i].len : room - len;
        memcpy(to + len, spans[i].p, part);
        len += part;
    }
    return base_span_of(to, len);
}

/* Runs what waits at TCP through the layers into c->plain. */
static void decode(struct conn *c)
{
    bool again = true;

    if (c->plain == NULL)
        c->plain = spool_buf_get(&c->lane->bufs);
    if (c->plain == NULL)
        return conn_stall(c);
    if (c->plain_at > 0) {
        c->plain->len -= c->plain_at;
        memmove(c->plain->data, c->plain->data + c->plain_at, c->plain->len);
        c->plain_at = 0;
    }
    /* Each round but the last takes bytes from TCP, of which there is a window full, or sends. */
    for (bool first = true; first || again; first = false) {
        size_t consumed = 0;
        /* Bounded by the room above, so that what one layer produces always fits the next. */
        struct base_span piece = view_below(c, (SPOOL_BUF_BYTES - c->plain->len) / 2);
        again = decode_piece(c, piece, &consumed);
        if (c->link == NULL || c->finishing)
            return;
        c->link_ops->recv_consume(c->lane, c->link, (uint32_t)consumed);
        c->in_bytes += consumed;
        again |= consumed > 0 && consumed == piece.len && c->link_ops->recv_len(c->link) > 0;
    }
}

uint32_t conn_view(struct conn *c, struct base_span *spans, uint32_t cap)
{
    if (c->link == NULL)
        return 0;
    if (c->layer_cnt == 0)
        return c->link_ops->recv_view(c->link, spans, cap);
    decode(c);
    if (c->link == NULL || c->plain == NULL || c->finishing)
        return 0;
    if (c->plain->len == c->plain_at) { /* an idle connection holds no buffer */
        drop_buf(c, &c->plain);
        return 0;
    }
    spans[0] = base_span_of(c->plain->data + c->plain_at, c->plain->len - c->plain_at);
    return 1;
}

bool conn_has_more(struct conn *c, size_t n)
{
    if (c->link == NULL)
        return false;
    if (c->layer_cnt == 0)
        return c->link_ops->recv_len(c->link) > n;
    return c->link_ops->recv_len(c->link) > 0 ||
           (c->plain != NULL && c->plain->len - c->plain_at > n);
}

void conn_starve(struct conn *c)
{
    c->starved = true;
}

void conn_consume(struct conn *c, size_t n)
{
    if (c->link == NULL || n == 0)
        return;
    if (c->layer_cnt == 0) {
        c->link_ops->recv_consume(c->lane, c->link, (uint32_t)n);
        c->in_bytes += n;
    } else {
        c->plain_at += (uint32_t)n;
    }
}

/* ---- events ---- */

static void service(struct conn *c)
{
    if (c->link == NULL)
        return;
    if (!flush_tail(c))
        return;
    c->starved = false;
    if (!c->finishing)
        c->app->run(c);
}

/* Whether no byte comes any more, and the application has had all. */
static bool input_is_over(struct conn *c)
{
    if (!c->input_ended && !(c->peer_closed && (c->starved || c->link_ops->recv_ended(c->link))))
        return false;
    /* Layers may hold bytes that the application could not take yet: no room for its replies. */
    return c->layer_cnt == 0 || conn_space(c) >= SMTP_OUT_MIN;
}

/* After the application had its turn: the ends that it does not see itself. */
static void settle(struct conn *c)
{
    if (c->link != NULL && !c->finishing && !base_list_linked(&c->stall) && input_is_over(c)) {
        note_ending(c, CONN_ENDING_PEER);
        c->app->ended(c, "closed by peer");
        for (uint8_t i = c->layer_cnt; c->finishing && i-- > 0;)
            if (c->layer[i].ops->ended != NULL)
                c->layer[i].ops->ended(c->layer[i].state);
    }
    if (c->link != NULL && c->finishing && flush_tail(c))
        say_farewell(c);
    if (c->link != NULL && c->finishing && flush_tail(c))
        end(c, false);
    release_if_done(c);
}

void conn_event(struct conn *c, uint32_t flags)
{
    if (c->link == NULL)
        return settle(c);
    if (flags & TCP_EVENT_CONNECTED) {
        c->connected = true;
        if (c->app->connected != NULL)
            c->app->connected(c);
    }
    if (flags & TCP_EVENT_PEER_CLOSED)
        c->peer_closed = true;
    if (flags & TCP_EVENT_FAILED) {
        c->reason = c->link_ops->failure(c->link);
        note_ending(c, CONN_ENDING_FAILED);
        c->app->ended(c, c->reason);
        end(c, true);
    } else {
        service(c);
    }
    settle(c);
}

void conn_timer(struct conn *c)
{
    if (c->link == NULL)
        return;
    if (c->finishing)
        end(c, true); /* the peer takes no output: enough waited */
    else
        c->app->timeout(c);
    service(c);
    settle(c);
}

void conn_spooled(struct conn *c, const struct spool_done *done)
{
    base_assert(c->awaited > 0);
    c->awaited--;
    c->app->spooled(c, done);
    service(c);
    settle(c);
}

void conn_resume(struct conn *c)
{
    service(c);
    settle(c);
}

void conn_stall(struct conn *c)
{
    if (!base_list_linked(&c->stall))
        base_list_push_back(&c->lane->stalled, &c->stall);
}

void conn_deadline(struct conn *c, uint64_t after_ns)
{
    base_wheel_set(&c->lane->wheel, &c->timer, c->lane->now_ns + after_ns);
}

void conn_finish(struct conn *c, const char *reason)
{
    if (c->finishing || c->link == NULL)
        return;
    note_ending(c, CONN_ENDING_FINISHED);
    c->finishing = true;
    c->reason = reason;
    conn_deadline(c, 30 * BASE_NS_S);
}

void conn_drop(struct conn *c, const char *reason)
{
    if (c->reason == NULL)
        c->reason = reason;
    note_ending(c, CONN_ENDING_DROPPED);
    end(c, true);
}
