#include "tcp_internal.h"

void tcp_facts(const struct tcp_conn *c, struct tcp_facts *out)
{
    *out = (struct tcp_facts){
        .state = tcp_state_name((enum tcp_state)c->state),
        .srtt_us = c->srtt_us,
        .min_rtt_us = c->min_rtt_us,
        .cwnd_bytes = c->cwnd,
        .mss_bytes = c->mss,
        .send_window_bytes = c->snd_wnd,
        .unacked_bytes = c->snd_max - c->snd_una,
        .queued_bytes = c->snd_len,
        .unread_bytes = c->rcv_len,
        .timestamps = (c->flags & TCP_CONN_TIMESTAMPS) != 0,
        .sack = (c->flags & TCP_CONN_SACK) != 0,
        .ecn = (c->flags & TCP_CONN_ECN) != 0,
    };
}

void tcp_watch(struct tcp_stack *s, bool on)
{
    s->watched = on && s->config.watch != NULL;
}

void tcp_watch_tell(struct tcp_stack *s, const struct tcp_key *key, void *user, const char *what,
                    const char *was)
{
    struct net_endpoint local = {.addr = key->local, .port = key->local_port};
    struct net_endpoint remote = {.addr = key->remote, .port = key->remote_port};

    s->config.watch(s->config.watch_arg, user, &local, &remote, what, was);
}
