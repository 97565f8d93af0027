/* Active opens: initial sequence numbers (RFC 6528) and local ports (RFC 6056). */
#include "tcp_internal.h"

#include "base_siphash.h"

#include <errno.h>

/* What the keyed hash is for; the table uses it without such a word. */
enum purpose { PURPOSE_ISN = 1, PURPOSE_PORT = 2, PURPOSE_TIMESTAMP = 3 };

static uint64_t keyed(const struct tcp_stack *s, const struct tcp_key *key, enum purpose purpose)
{
    uint8_t in[sizeof(*key) + 1];
    uint32_t len = tcp_key_pack(in, key);

    in[len++] = (uint8_t)purpose;
    return base_siphash(s->config.secret, in, len);
}

/* A clock of 4 us ticks plus a secret function of the 4-tuple. */
uint32_t tcp_isn(const struct tcp_stack *s, const struct tcp_key *key)
{
    return (uint32_t)(s->now_ns / 4000) + (uint32_t)keyed(s, key, PURPOSE_ISN);
}

/* RFC 7323 section 5.4: the clock starts anywhere, but keeps on for a 4-tuple that comes again. */
uint32_t tcp_timestamp_offset(const struct tcp_stack *s, const struct tcp_key *key)
{
    return (uint32_t)keyed(s, key, PURPOSE_TIMESTAMP);
}

static bool port_fits(const struct tcp_stack *s, const struct tcp_key *key)
{
    struct net_endpoint local = {.addr = key->local, .port = key->local_port};
    struct net_endpoint remote = {.addr = key->remote, .port = key->remote_port};

    return s->config.port_fits == NULL ||
           s->config.port_fits(s->config.port_fits_arg, &local, &remote);
}

/* RFC 6056 section 3.3.3, algorithm 3: ports of one destination in turn, from a secret start. */
static bool choose_port(struct tcp_stack *s, struct tcp_key *key, uint64_t *hash)
{
    uint32_t port_cnt = (uint32_t)s->config.port_max - s->config.port_min + 1;
    uint32_t offset = (uint32_t)keyed(s, key, PURPOSE_PORT); /* local_port is 0 here */

    for (uint32_t i = 0; i < port_cnt; i++) {
        uint32_t at = (offset + s->ephemeral_next++) % port_cnt;
        key->local_port = (uint16_t)(s->config.port_min + at);
        if (!port_fits(s, key))
            continue;
        *hash = tcp_hash(s, key);
        if (tcp_table_find(s, key, *hash) == 0)
            return true;
    }
    return false;
}

int tcp_connect(struct tcp_stack *s, const struct net_endpoint *local,
                const struct net_endpoint *remote, void *user, struct tcp_conn **out,
                uint64_t now_ns)
{
    struct tcp_key key = {.local = local->addr,
                          .local_port = local->port,
                          .remote = remote->addr,
                          .remote_port = remote->port};

    tcp_set_now(s, now_ns);
    if (net_addr_is_none(&key.remote) || key.remote_port == 0)
        return -EHOSTUNREACH;
    if (net_addr_is_none(&key.local) && net_source(s->net, &key.remote, &key.local) < 0)
        return -EHOSTUNREACH;
    if (s->conn_pool.free_cnt == 0) {
        tcp_count(s, STATS_TCP_CONNECT_FULL);
        return -ENFILE;
    }
    uint64_t hash = 0;
    bool chosen = key.local_port != 0;
    if (chosen)
        hash = tcp_hash(s, &key);
    if (chosen ? tcp_table_find(s, &key, hash) != 0 : !choose_port(s, &key, &hash)) {
        tcp_count(s, STATS_TCP_CONNECT_NO_PORT);
        return -EADDRNOTAVAIL;
    }
    struct tcp_conn *c = tcp_conn_new(s, &key, hash, 0);
    tcp_set_user(c, user);
    c->mss = tcp_mss_ours(s, &key); /* how much of the send queue goes into an mbuf */
    c->snd_una = c->snd_nxt = c->snd_max = tcp_isn(s, &key);
    c->life_ms = tcp_timer_at(s, s->syn_timeout_ms);
    tcp_state_change(s, c, TCP_SYN_SENT);
    tcp_timer_arm(s, c);
    tcp_conn_ready(s, c);
    *out = c;
    return 0;
}
