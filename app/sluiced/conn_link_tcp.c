/* The lane's own TCP as what a connection stands on. */
#include "conn_link.h"
#include "lane.h"

static int64_t send_bytes(struct lane *l, void *link, const void *p, size_t len)
{
    enum lane_part part = lane_cycles_enter(&l->cycles, LANE_PART_NET_TCP);
    int64_t n = tcp_send(l->tcp, link, p, len);

    lane_cycles_enter(&l->cycles, part);
    return n;
}

static uint32_t send_space(const void *link)
{
    return tcp_send_space(link);
}

static uint32_t send_pending(const void *link)
{
    return tcp_send_pending(link);
}

static uint32_t recv_view(const void *link, struct base_span *spans, uint32_t cap)
{
    return tcp_recv_view(link, spans, cap);
}

static uint32_t recv_len(const void *link)
{
    return tcp_recv_len(link);
}

static void recv_consume(struct lane *l, void *link, uint32_t n)
{
    enum lane_part part = lane_cycles_enter(&l->cycles, LANE_PART_NET_TCP);

    tcp_recv_consume(l->tcp, link, n);
    lane_cycles_enter(&l->cycles, part);
}

static void recv_acknowledge(struct lane *l, void *link)
{
    tcp_recv_acknowledge(l->tcp, link);
}

static bool recv_ended(const void *link)
{
    return tcp_recv_ended(link);
}

static const char *failure(const void *link)
{
    enum tcp_error error = tcp_error(link);

    return error != TCP_OK ? tcp_error_name(error) : NULL;
}

static void close_link(struct lane *l, void *link)
{
    tcp_close(l->tcp, link);
}

static void abort_link(struct lane *l, void *link)
{
    tcp_abort(l->tcp, link);
}

const struct conn_link_ops conn_link_tcp = {
    .name = "tcp",
    .send = send_bytes,
    .send_space = send_space,
    .send_pending = send_pending,
    .recv_view = recv_view,
    .recv_len = recv_len,
    .recv_consume = recv_consume,
    .recv_acknowledge = recv_acknowledge,
    .recv_ended = recv_ended,
    .failure = failure,
    .close = close_link,
    .abort = abort_link,
};
