/* The caller's ends of a connection, and facts about it. */
#include "tcp_internal.h"

void tcp_set_user(struct tcp_conn *c, void *user)
{
    c->user = user;
    c->flags |= TCP_CONN_OWNED;
}

/* FIN after what is queued (RFC 9293 section 3.10.4); harmless when it was done before. */
static void queue_fin(struct tcp_stack *s, struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_FIN_QUEUED)
        return;
    if (c->state == TCP_ESTABLISHED)
        tcp_state_change(s, c, TCP_FIN_WAIT_1);
    else if (c->state == TCP_CLOSE_WAIT)
        tcp_state_change(s, c, TCP_LAST_ACK);
    else if (!tcp_conn_is_opening(c))
        return;
    c->flags |= TCP_CONN_FIN_QUEUED;
    c->flags &= ~(uint32_t)TCP_CONN_WANT_WRITE;
    if (c->snd_una == c->snd_max && c->snd_len == 0)
        c->progress_ms = s->now_ms;
    tcp_conn_ready(s, c);
}

void tcp_shutdown(struct tcp_stack *s, struct tcp_conn *c)
{
    queue_fin(s, c);
}

/* The handle is dead; what remains is the stack's. */
static void orphan(struct tcp_stack *s, struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_EVENT)
        tcp_set_remove(&s->events, tcp_conn_index(s, c));
    c->flags &= ~(uint32_t)(TCP_CONN_EVENT | TCP_CONN_WANT_WRITE);
    c->flags |= TCP_CONN_ORPHAN;
    s->memory.orphan_cnt++;
    c->events = 0;
    c->user = NULL;
}

void tcp_close(struct tcp_stack *s, struct tcp_conn *c)
{
    base_assert(!(c->flags & TCP_CONN_ORPHAN));
    if (c->state == TCP_CLOSED) {
        tcp_conn_free(s, c);
        return;
    }
    if ((c->rcv_len > 0 && c->state != TCP_TIME_WAIT) ||
        (c->state == TCP_SYN_SENT && c->snd_len == 0)) {
        tcp_abort(s, c);
        return;
    }
    tcp_recv_drop(s, c);
    orphan(s, c);
    if (c->state == TCP_TIME_WAIT) {
        tcp_time_wait_enter(s, c);
        return;
    }
    queue_fin(s, c);
    c->life_ms = tcp_timer_at(s, s->fin_timeout_ms);
    tcp_recv_drop_ooo(s, c);
    tcp_timer_arm(s, c);
    tcp_orphan_limit(s, c); /* c may be gone after it */
}

void tcp_abort(struct tcp_stack *s, struct tcp_conn *c)
{
    base_assert(!(c->flags & TCP_CONN_ORPHAN));
    if (c->state == TCP_CLOSED) {
        tcp_conn_free(s, c);
        return;
    }
    if (c->state != TCP_SYN_SENT && c->state != TCP_TIME_WAIT)
        tcp_output_rst(s, c);
    orphan(s, c);
    tcp_conn_end(s, c, TCP_OK);
}

enum tcp_error tcp_error(const struct tcp_conn *c)
{
    return (enum tcp_error)c->error;
}

const char *tcp_error_name(enum tcp_error e)
{
    switch (e) {
    case TCP_OK:
        return "ok";
    case TCP_ERROR_REFUSED:
        return "refused";
    case TCP_ERROR_RESET:
        return "reset";
    case TCP_ERROR_TIMEOUT:
        return "timeout";
    case TCP_ERROR_UNREACHABLE:
        return "unreachable";
    case TCP_ERROR_NO_BUFFERS:
        return "no_buffers";
    }
    return "unknown";
}

void tcp_local(const struct tcp_conn *c, struct net_endpoint *out)
{
    *out = (struct net_endpoint){.addr = c->key.local, .port = c->key.local_port};
}

void tcp_remote(const struct tcp_conn *c, struct net_endpoint *out)
{
    *out = (struct net_endpoint){.addr = c->key.remote, .port = c->key.remote_port};
}
