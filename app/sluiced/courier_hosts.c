#include "courier_hosts.h"
#include "courier_log.h"

static void log_host(struct courier *c, const struct delivery *d)
{
    if (!base_limit_pass(&c->host_log, c->now_ns)) {
        stats_inc(c->stats, STATS_COURIER_HOST_UNTOLD);
        return;
    }
    courier_log_host(c, d);
}

/* What is about the host, and good for later. */
static bool is_for_now(const struct delivery *d)
{
    return d->result[0].code / 100 != 5;
}

void courier_hosts_note(struct courier *c, struct delivery *d)
{
    base_assert(d->next_host && d->job.recipient_cnt > 0);
    log_host(c, d);
    if (!is_for_now(d))
        return;
    d->earlier.any = true;
    d->earlier.host = d->host;
    d->earlier.name = d->host_name;
    d->earlier.tls = d->tls;
    d->earlier.result = d->result[0];
}

void courier_hosts_end(struct delivery *d)
{
    if (!d->next_host || !d->earlier.any || is_for_now(d))
        return;
    d->host = d->earlier.host;
    d->host_name = d->earlier.name;
    d->tls = d->earlier.tls;
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        d->result[i] = d->earlier.result;
}
