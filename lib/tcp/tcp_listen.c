/*
 * Listeners and half-open passive connections. A SYN takes a struct tcp_syn only; the ACK that
 * completes the handshake makes a connection of it. When all entries are taken, SYNs are answered
 * by cookies (tcp_cookie.c) until there is room again.
 */
#include "tcp_cookie.h"
#include "tcp_internal.h"

#include <errno.h>

static struct tcp_listener **bucket_of(struct tcp_stack *s, uint16_t port)
{
    return &s->listener_of[port % TCP_LISTEN_BUCKETS];
}

static struct tcp_listener *find_exact(struct tcp_stack *s, const struct net_endpoint *local)
{
    struct tcp_listener *l = *bucket_of(s, local->port);

    while (l != NULL &&
           (l->local.port != local->port || !net_addr_eq(&l->local.addr, &local->addr)))
        l = l->next;
    return l;
}

/* Who takes SYNs to the local end of key: the listener on its address, or on any; or NULL. */
struct tcp_listener *tcp_listen_find(const struct tcp_stack *s, const struct tcp_key *key)
{
    static const struct net_addr any;
    struct tcp_listener *of_any = NULL;

    for (struct tcp_listener *l = s->listener_of[key->local_port % TCP_LISTEN_BUCKETS]; l != NULL;
         l = l->next) {
        if (l->local.port != key->local_port)
            continue;
        if (net_addr_eq(&l->local.addr, &key->local))
            return l;
        if (net_addr_eq(&l->local.addr, &any))
            of_any = l;
    }
    return of_any;
}

int tcp_listen(struct tcp_stack *s, const struct net_endpoint *local, void *user)
{
    struct tcp_listener **bucket = bucket_of(s, local->port);

    if (find_exact(s, local) != NULL)
        return -EADDRINUSE;
    for (uint32_t i = 0; i < s->config.listen_max; i++) {
        if (s->listener[i].used)
            continue;
        s->listener[i] =
            (struct tcp_listener){.local = *local, .user = user, .next = *bucket, .used = true};
        *bucket = &s->listener[i];
        return 0;
    }
    return -ENOSPC;
}

void tcp_unlisten(struct tcp_stack *s, const struct net_endpoint *local)
{
    struct tcp_listener **at = bucket_of(s, local->port);
    struct tcp_listener *l = find_exact(s, local);

    if (l == NULL)
        return;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    l->used = false;
    for (uint32_t i = s->syns.head; i != TCP_NIL;) {
        struct tcp_syn *y = base_pool_at(&s->syn_pool, i);
        i = y->links.next;
        if (y->listener == l - s->listener)
            tcp_syn_free(s, y);
    }
}

/* The largest payload that we take in one segment. */
uint16_t tcp_mss_ours(const struct tcp_stack *s, const struct tcp_key *key)
{
    uint16_t segment = net_segment_max(s->net, &key->local);

    return segment > TCP_HEADER_BYTES + TCP_MSS_MIN ? (uint16_t)(segment - TCP_HEADER_BYTES)
                                                    : TCP_MSS_MIN;
}

/* The largest payload that we send (RFC 9293 section 3.7.1), timestamps beside it (RFC 6691). */
uint16_t tcp_mss_effective(struct tcp_stack *s, const struct tcp_key *key,
                           const struct tcp_options *options)
{
    uint32_t mss = options->has_mss ? options->mss : TCP_MSS_DEFAULT;

    if (mss < TCP_MSS_MIN) {
        tcp_count(s, STATS_TCP_TINY_MSS);
        mss = TCP_MSS_MIN;
    }
    mss = tcp_min(mss, tcp_mss_ours(s, key));
    return (uint16_t)(tcp_timestamps_wanted(s, options) ? mss - TCP_OPTION_TIMESTAMP_BYTES : mss);
}

/* The peer's SYN has them, and so will ours. */
bool tcp_timestamps_wanted(const struct tcp_stack *s, const struct tcp_options *options)
{
    return options->has_timestamp && !s->config.timestamps_off;
}

/* RFC 7323 section 2.3: more than 14 is taken as 14. */
uint8_t tcp_wscale_peer(struct tcp_stack *s, const struct tcp_options *options)
{
    if (options->wscale <= 14)
        return options->wscale;
    tcp_count(s, STATS_TCP_LARGE_WSCALE);
    return 14;
}

static tcp_ref ref_of(const struct tcp_stack *s, const struct tcp_syn *y)
{
    return tcp_ref_make(TCP_KIND_SYN, base_pool_index(&s->syn_pool, y));
}

/* All but the entry in the table. */
static void put_syn(struct tcp_stack *s, struct tcp_syn *y)
{
    base_wheel_stop(&s->wheel, &y->timer);
    tcp_fifo_remove(&s->syns, y);
    base_pool_put(&s->syn_pool, y);
}

void tcp_syn_free(struct tcp_stack *s, struct tcp_syn *y)
{
    tcp_table_remove(s, ref_of(s, y));
    put_syn(s, y);
}

static void set_timestamp(const struct tcp_stack *s, const struct tcp_syn *y,
                          struct tcp_options *options)
{
    if (!y->has_timestamp)
        return;
    options->has_timestamp = true;
    options->timestamp = s->now_ms + tcp_timestamp_offset(s, &y->key);
    if (y->is_cookie)
        options->timestamp = tcp_cookie_timestamp(y, options->timestamp);
    options->timestamp_echo = y->ts_recent;
}

static void send_syn_ack(struct tcp_stack *s, const struct tcp_syn *y)
{
    struct tcp_options options = {
        .has_mss = true,
        .mss = tcp_mss_ours(s, &y->key),
        .has_wscale = y->has_wscale,
        .wscale = s->recv_wscale,
        .sack_permitted = y->has_sack,
    };
    uint8_t flags = TCP_FLAG_SYN | TCP_FLAG_ACK;

    if (y->has_ecn)
        flags |= TCP_FLAG_ECE;
    set_timestamp(s, y, &options);
    struct rte_mbuf *m =
        tcp_segment_new(s, &y->key, y->iss, y->irs + 1, flags, s->recv_start_bytes, &options);

    if (m != NULL)
        (void)tcp_segment_send(s, &y->key, m, TCP_NOT_ECT);
}

static void set_timer(struct tcp_stack *s, struct tcp_syn *y)
{
    base_wheel_set(&s->wheel, &y->timer, s->now_ns + (BASE_NS_S << y->retry_cnt));
}

/* Whether a SYN is answered now, and by a number past iss_min: a cookie may be behind the clock.
 * With timestamps old duplicates are told from new segments by those (RFC 6191). */
bool tcp_listen_can_follow(struct tcp_stack *s, const struct tcp_segment *seg, uint32_t iss_min)
{
    if (s->conn_pool.free_cnt == 0 || tcp_memory_refuses(s))
        return false;
    if (s->syn_pool.free_cnt > 0 || tcp_timestamps_wanted(s, &seg->options))
        return true;
    struct tcp_syn y = {.key = seg->key, .irs = seg->seq};
    tcp_cookie_make(s, &y, &seg->options);
    return tcp_seq_geq(y.iss, iss_min);
}

static void fill_syn(struct tcp_stack *s, struct tcp_syn *y, const struct tcp_segment *seg)
{
    y->key = seg->key;
    y->irs = seg->seq;
    y->mss = tcp_mss_effective(s, &seg->key, &seg->options);
    y->has_wscale = seg->options.has_wscale;
    y->peer_wscale = y->has_wscale ? tcp_wscale_peer(s, &seg->options) : 0;
    y->has_timestamp = tcp_timestamps_wanted(s, &seg->options);
    y->ts_recent = seg->options.timestamp;
    y->has_sack = seg->options.sack_permitted && !s->config.sack_off;
    y->has_ecn = y->has_sack && s->config.ecn != TCP_ECN_OFF &&
                 (~seg->flags & (TCP_FLAG_ECE | TCP_FLAG_CWR)) == 0;
}

/* A segment for which there is no connection (RFC 9293 section 3.10.7.1 and .2). iss_min is what
 * the connection before it on the same 4-tuple had reached. */
void tcp_listen_input(struct tcp_stack *s, struct tcp_segment *seg, uint32_t iss_min, bool has_min)
{
    struct tcp_listener *l = tcp_listen_find(s, &seg->key);

    if (l == NULL || seg->flags & (TCP_FLAG_RST | TCP_FLAG_ACK) || !(seg->flags & TCP_FLAG_SYN)) {
        if (l != NULL && tcp_cookie_input(s, seg, (uint16_t)(l - s->listener)))
            return;
        if (tcp_segment_stray(s, seg, l != NULL))
            return;
        tcp_count(s, STATS_TCP_DROP_UNKNOWN);
        tcp_segment_refuse(s, seg);
        return;
    }
    if (s->conn_pool.free_cnt == 0) { /* no promise that cannot be kept; the peer tries again */
        tcp_count(s, STATS_TCP_DROP_SYN_FULL);
        return;
    }
    if (tcp_memory_refuses(s)) {
        tcp_count(s, STATS_TCP_DROP_SYN_MEMORY);
        return;
    }
    if (s->watched)
        tcp_watch_tell(s, &seg->key, NULL, tcp_state_name(TCP_SYN_RECEIVED),
                       tcp_state_name(TCP_LISTEN));
    struct tcp_syn *y = base_pool_get(&s->syn_pool);
    if (y == NULL) {
        struct tcp_syn cookie = {0};
        fill_syn(s, &cookie, seg);
        tcp_cookie_make(s, &cookie, &seg->options);
        s->cookie_ms = tcp_timer_at(s, TCP_COOKIE_LIFE_MS);
        tcp_count(s, STATS_TCP_COOKIES_SENT);
        send_syn_ack(s, &cookie);
        return;
    }
    fill_syn(s, y, seg);
    y->listener = (uint16_t)(l - s->listener);
    y->iss = tcp_isn(s, &seg->key);
    if (has_min && tcp_seq_lt(y->iss, iss_min))
        y->iss = iss_min;
    base_timer_init(&y->timer);
    tcp_fifo_push(&s->syns, y);
    tcp_table_add(s, ref_of(s, y), seg->hash);
    set_timer(s, y);
    send_syn_ack(s, y);
}

void tcp_syn_timer(struct tcp_stack *s, struct tcp_syn *y)
{
    if (y->retry_cnt >= TCP_SYN_RETRY_MAX) {
        tcp_count(s, STATS_TCP_SYN_TIMEOUTS);
        if (s->watched)
            tcp_watch_tell(s, &y->key, NULL, tcp_state_name(TCP_CLOSED),
                           tcp_state_name(TCP_SYN_RECEIVED));
        tcp_syn_free(s, y);
        return;
    }
    y->retry_cnt++;
    tcp_count(s, STATS_TCP_RETRANSMITS);
    if (s->watched)
        tcp_watch_tell(s, &y->key, NULL, "SYN-ACK sent again", "");
    set_timer(s, y);
    send_syn_ack(s, y);
}

/* The handshake is complete: the entry becomes a connection, which takes the segment too. */
void tcp_syn_complete(struct tcp_stack *s, struct tcp_syn *y, struct tcp_segment *seg)
{
    bool cookie = y->is_cookie; /* then y is in no table */
    struct tcp_conn *c = tcp_conn_new(s, &seg->key, seg->hash, cookie ? 0 : ref_of(s, y));
    tcp_count(s, STATS_TCP_PASSIVE_OPENS);

    c->user = s->listener[y->listener].user;
    c->mss = y->mss;
    c->wscale = y->has_wscale ? (uint8_t)(y->peer_wscale << 4 | s->recv_wscale) : 0;
    c->flags |= y->retry_cnt > 0 ? TCP_CONN_SYN_LOST : 0;
    c->flags |= y->has_timestamp ? TCP_CONN_TIMESTAMPS : 0;
    c->flags |= y->has_sack ? TCP_CONN_SACK : 0;
    c->flags |= y->has_ecn ? TCP_CONN_ECN : 0;
    c->ts_recent = y->ts_recent;
    c->snd_una = c->snd_nxt = c->snd_max = y->iss + 1;
    c->recover = y->iss;
    c->rcv_nxt = y->irs + 1;
    c->rcv_adv = c->rcv_nxt + tcp_min(s->recv_start_bytes, 0xffff);
    c->snd_wl1 = seg->seq;
    if (!cookie)
        put_syn(s, y);
    tcp_ack_window(s, c, seg);
    if (!cookie) /* its timestamp was not the time */
        tcp_rtt_echo(s, c, seg);
    tcp_conn_established(s, c, TCP_EVENT_ACCEPTED);
    tcp_conn_input(s, c, seg);
}

/* The ACK of the entry's SYN-ACK, or of a cookie that was sent when there was no entry yet. */
static void finish(struct tcp_stack *s, struct tcp_syn *y, struct tcp_segment *seg, bool cookie)
{
    uint16_t listener = y->listener;

    if (s->conn_pool.free_cnt == 0) {
        tcp_count(s, STATS_TCP_DROP_SYN_FULL);
    } else if (!cookie) {
        tcp_syn_complete(s, y, seg);
    } else {
        tcp_syn_free(s, y);
        if (!tcp_cookie_input(s, seg, listener))
            base_assert(false && "it was a good one a moment ago");
    }
}

/* SYN-RECEIVED of a passive open (RFC 9293 section 3.10.7.4, RFC 5961). */
void tcp_syn_input(struct tcp_stack *s, struct tcp_syn *y, struct tcp_segment *seg)
{
    uint32_t window = tcp_min(s->recv_start_bytes, 0xffff);
    uint32_t offset = seg->seq - (y->irs + 1);

    if (seg->flags & TCP_FLAG_RST) {
        if (offset == 0) {
            tcp_count(s, STATS_TCP_RX_RESETS);
            tcp_syn_free(s, y);
            return;
        }
        tcp_count(s, STATS_TCP_DROP_RST);
    } else if (seg->flags & TCP_FLAG_SYN) {
        if (seg->seq == y->irs && !(seg->flags & TCP_FLAG_ACK)) { /* it has not seen our SYN-ACK */
            if (tcp_segment_allowed(s))
                send_syn_ack(s, y);
            return;
        }
        tcp_count(s, STATS_TCP_DROP_SYN);
    } else if (!(seg->flags & TCP_FLAG_ACK)) {
        tcp_count(s, STATS_TCP_DROP_FLAGS);
        return;
    } else if (offset <= window && seg->ack != y->iss + 1) {
        struct tcp_syn cookie;
        if (tcp_cookie_check(s, seg, &cookie) == TCP_COOKIE_GOOD) {
            finish(s, y, seg, true);
            return;
        }
        tcp_count(s, STATS_TCP_DROP_ACK);
        tcp_segment_refuse(s, seg);
        return;
    } else if (y->has_timestamp && seg->options.has_timestamp &&
               tcp_seq_lt(seg->options.timestamp, y->ts_recent)) {
        tcp_count(s, STATS_TCP_DROP_PAWS);
    } else if (offset <= window) {
        finish(s, y, seg, false);
        return;
    } else {
        tcp_count(s, STATS_TCP_DROP_SEQUENCE);
    }
    if ((seg->flags & TCP_FLAG_RST && offset >= window) || !tcp_segment_allowed(s))
        return;
    struct tcp_options options = {0};
    set_timestamp(s, y, &options);
    struct rte_mbuf *m =
        tcp_segment_new(s, &y->key, y->iss + 1, y->irs + 1, TCP_FLAG_ACK, window, &options);
    if (m != NULL)
        (void)tcp_segment_send(s, &y->key, m, TCP_NOT_ECT);
}
