#include "gateway_stream.h"
#include "topology.h"

int gateway_stream_open(struct gateway_stream *g, struct topology *topology)
{
    int error = stream_epoll_open(&g->driver, topology->lane_cnt * STREAM_CNT);

    return error != 0 ? error
                      : stream_service_init(&g->service, topology, stream_epoll_driver(g->driver));
}

void gateway_stream_close(struct gateway_stream *g)
{
    stream_service_fini(&g->service);
    stream_epoll_close(g->driver);
    g->driver = NULL;
}

int gateway_stream_wait_fd(const struct gateway_stream *g)
{
    return g->service.driver.ops->wait_fd(g->service.driver.state);
}
