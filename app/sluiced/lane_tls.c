#include "lane_tls.h"
#include "lane.h"

#include <sched.h>

/* Looked at in a pass: more than may be parked before the first that is not. */
#define RELIEVE_MAX 512

/* Unfinished handshakes that a client may have without being one of those that fill the lane: a
 * flood comes faster than an honest client's next flight. */
#define CLIENT_FEW 4

int lane_tls_init(struct lane_tls *t, uint32_t handshake_max, const uint8_t key[16])
{
    t->handshake_max = handshake_max;
    base_list_init(&t->handshakes);
    base_list_init(&t->unproved);
    return client_table_init(&t->clients, handshake_max, key);
}

void lane_tls_fini(struct lane_tls *t)
{
    client_table_fini(&t->clients);
}

bool lane_tls_allows(const struct conn *c)
{
    uint64_t max = c->lane->settings->conf->tls.handshakes_per_client;

    return max == 0 || client_table_count(&c->lane->tls->clients, &c->remote.addr) < max;
}

void lane_tls_begin(struct conn *c)
{
    struct lane_tls *t = c->lane->tls;

    base_assert(!base_list_linked(&c->handshake));
    client_table_add(&t->clients, &c->remote.addr);
    base_list_push_back(&t->handshakes, &c->handshake);
}

void lane_tls_end(struct conn *c)
{
    if (!base_list_linked(&c->handshake))
        return;
    base_list_remove(&c->handshake);
    if (c->listener != NULL) /* else it is one to a next hop, which nobody counts */
        client_table_remove(&c->lane->tls->clients, &c->remote.addr);
}

static bool has_more(const struct lane_tls *t, const struct conn *c, uint32_t few)
{
    return client_table_count(&t->clients, &c->remote.addr) > few;
}

/* Those that wait for their client give way until keep are left, the oldest first; but for those of
 * clients that have few. */
static void press_waiting(struct lane *l, uint32_t keep, uint32_t few)
{
    struct lane_tls *t = l->tls;
    struct base_list *at = t->handshakes.next;

    for (uint32_t i = 0; i < RELIEVE_MAX && t->clients.cnt > keep && at != &t->handshakes; i++) {
        struct conn *c = base_container_of(at, struct conn, handshake);
        at = at->next;
        if (tls_conn_wants(c->tls) == TLS_WANT_INPUT && has_more(t, c, few))
            conn_tls_press(c);
    }
}

/* Likewise those whose turn has not come, the newest first: they have cost least. */
static void press_unserved(struct lane *l, uint32_t keep)
{
    struct lane_tls *t = l->tls;
    struct base_list *at = t->handshakes.prev;

    for (uint32_t i = 0; i < RELIEVE_MAX && t->clients.cnt > keep && at != &t->handshakes; i++) {
        struct conn *c = base_container_of(at, struct conn, handshake);
        at = at->prev;
        if (tls_conn_wants(c->tls) == TLS_WANT_TURN && has_more(t, c, CLIENT_FEW))
            conn_tls_press(c);
    }
}

void lane_tls_relieve(struct lane *l)
{
    uint32_t max = l->tls->handshake_max, keep = max - (max + 15) / 16;

    press_waiting(l, max - (max + 7) / 8, CLIENT_FEW);
    press_unserved(l, keep);
    press_waiting(l, keep, 0);
}

void lane_tls_make_room(struct conn *c)
{
    struct lane_tls *t = c->lane->tls;

    if (t->clients.cnt < t->handshake_max || t->stepping || has_more(t, c, CLIENT_FEW - 1))
        return;
    lane_tls_relieve(c->lane);
}

void lane_tls_take(struct lane_tls *t)
{
    struct lane_tls_update *u;

    if (atomic_load_explicit(&t->next, memory_order_relaxed) == NULL)
        return;
    u = atomic_exchange_explicit(&t->next, NULL, memory_order_acquire);
    if (u == NULL)
        return; /* control has taken it back */
    if (u->domain != t->domain) {
        if (t->domain != NULL)
            tls_domain_retire(t->domain);
        t->domain = u->domain;
    }
    t->trust = u->trust;
    t->client_policy = u->client_policy;
    t->accepts = u->accepts;
    if (u->ticket_cnt > 0)
        tls_lane_set_tickets(t->engine, &u->ticket[0], u->ticket_cnt > 1 ? &u->ticket[1] : NULL);
    atomic_store_explicit(&u->taken, true, memory_order_release);
}

uint32_t lane_tls_pass(struct lane *l)
{
    struct tls_conn *ready[LANE_BURST];
    enum lane_part part = lane_cycles_enter(&l->cycles, LANE_PART_TLS);
    uint32_t n = tls_lane_run(l->tls->engine, ready, LANE_BURST);

    lane_cycles_enter(&l->cycles, part);
    l->tls->stepping = true;
    for (uint32_t i = 0; i < n; i++)
        conn_resume(tls_conn_cookie(ready[i]));
    l->tls->stepping = false;
    return n;
}

void lane_tls_leave(struct lane *l)
{
    struct tls_conn *ready[LANE_BURST];

    if (l->tls == NULL)
        return;
    base_list_each (at, &l->open) {
        struct conn *c = base_container_of(at, struct conn, place);
        if (c->tls == NULL)
            continue;
        lane_tls_end(c);
        tls_conn_close(c->tls);
        c->tls = NULL;
    }
    /* Operations of connections that are gone still come back, and hold their keys. */
    while (tls_lane_under_way(l->tls->engine) > 0) {
        (void)tls_lane_run(l->tls->engine, ready, LANE_BURST);
        sched_yield();
    }
    if (l->tls->domain != NULL)
        tls_domain_retire(l->tls->domain);
    l->tls->domain = NULL;
    tls_lane_leave(l->tls->engine);
}
