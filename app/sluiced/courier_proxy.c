#include "courier_proxy.h"
#include "base_siphash.h"
#include "courier.h"
#include "proxy.h"

static struct net_endpoint endpoint_of(const uint8_t bytes[18])
{
    struct net_endpoint e = {.port = base_le16(bytes + 16)};

    memcpy(e.addr.b, bytes, sizeof(e.addr.b));
    return e;
}

/* "0.0.0.0" or "::" and no port: a message of a spool that did not keep it. */
static struct net_endpoint nowhere(const struct net_addr *like)
{
    struct net_endpoint e = {0};

    if (net_addr_is_v4(like))
        e.addr = net_addr_v4((const uint8_t[4]){0});
    return e;
}

void courier_proxy_fill(const struct courier *c, struct delivery *d, enum conf_proxy_send send)
{
    uint8_t bytes[1 + 2 * 18];

    d->proxy = (uint8_t)send;
    d->proxy_client = false;
    if (send == CONF_PROXY_SEND_NONE)
        return;
    memset(bytes, 0, sizeof(bytes));
    uint32_t cnt = 0; /* of a question there is no client */
    if (d->verify == NULL)
        cnt = queue_client(d->job.message, bytes + 1, bytes + 19);
    if (cnt > 0) {
        d->client = endpoint_of(bytes + 1);
        d->client_destination = cnt > 1 ? endpoint_of(bytes + 19) : nowhere(&d->client.addr);
        d->proxy_client =
            proxy_plausible(&d->client.addr) && !settings_is_own(c->settings, &d->client.addr);
    }
    if (!d->proxy_client)
        memset(bytes, 0, sizeof(bytes));
    bytes[0] = (uint8_t)send;
    d->policy ^= base_siphash13(c->secret, bytes, sizeof(bytes));
}
