#include "courier_link.h"
#include "base_siphash.h"
#include "courier.h"

#include <stdio.h>

void courier_link_fill(const struct courier *c, struct delivery *d,
                       const struct settings_route *route, const struct plan_target *target)
{
    uint8_t bytes[2 + NET_STREAM_PATH_CAP] = {0};

    d->lmtp = route->lmtp;
    d->return_path = route->return_path;
    d->delivered_to = route->delivered_to;
    d->stream = target->by_kernel ? &target->stream : NULL;
    if (!d->lmtp && d->stream == NULL)
        return;
    bytes[0] = d->lmtp;
    bytes[1] = d->stream != NULL;
    if (d->stream != NULL)
        memcpy(bytes + 2, d->stream->path, NET_STREAM_PATH_CAP);
    d->policy ^= base_siphash13(c->secret, bytes, sizeof(bytes));
}

void courier_link_format(char out[COURIER_LINK_TEXT_CAP], const struct net_endpoint *host,
                         const struct net_stream_target *stream)
{
    char text[NET_ENDPOINT_TEXT_CAP];

    net_endpoint_format(text, host);
    if (stream != NULL && stream->path[0] != 0)
        snprintf(out, COURIER_LINK_TEXT_CAP, "unix:%s", stream->path);
    else
        snprintf(out, COURIER_LINK_TEXT_CAP, "%s", text);
}
