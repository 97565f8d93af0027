#include "lane_tls.h"
#include "lane.h"

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
    if (u->ticket_cnt > 0)
        tls_lane_set_tickets(t->engine, &u->ticket[0], u->ticket_cnt > 1 ? &u->ticket[1] : NULL);
    atomic_store_explicit(&u->taken, true, memory_order_release);
}

uint32_t lane_tls_pass(struct lane *l)
{
    struct tls_conn *ready[LANE_BURST];
    uint32_t n = tls_lane_run(l->tls->engine, ready, LANE_BURST);

    for (uint32_t i = 0; i < n; i++)
        conn_resume(tls_conn_cookie(ready[i]));
    return n;
}

void lane_tls_leave(struct lane *l)
{
    struct tls_conn *ready[LANE_BURST];

    if (l->tls == NULL)
        return;
    base_list_each (at, &l->open) {
        struct conn *c = base_container_of(at, struct conn, place);
        if (c->tls != NULL)
            tls_conn_close(c->tls);
        c->tls = NULL;
    }
    /* Operations of connections that are gone still come back, and hold their keys. */
    while (tls_lane_busy(l->tls->engine))
        (void)tls_lane_run(l->tls->engine, ready, LANE_BURST);
    if (l->tls->domain != NULL)
        tls_domain_retire(l->tls->domain);
    l->tls->domain = NULL;
    tls_lane_leave(l->tls->engine);
}
