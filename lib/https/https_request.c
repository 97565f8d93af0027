#include "https_request.h"
#include "base_bytes.h"

#include <errno.h>
#include <stdio.h>

#define PORT_HTTPS 443

const char *https_result_name(enum https_result result)
{
    static const char *const name[HTTPS_RESULT_CNT] = {
        [HTTPS_OK] = "ok",
        [HTTPS_STATUS] = "status",
        [HTTPS_REDIRECT] = "redirect",
        [HTTPS_TOO_LARGE] = "too-large",
        [HTTPS_TIMEOUT] = "timeout",
        [HTTPS_NO_NAME] = "no-name",
        [HTTPS_DNS] = "dns",
        [HTTPS_PRIVATE] = "private-address",
        [HTTPS_CONNECT] = "connect",
        [HTTPS_TLS] = "tls",
        [HTTPS_CERTIFICATE] = "certificate",
        [HTTPS_BROKEN] = "broken",
        [HTTPS_FAILED] = "failed",
    };

    return result < HTTPS_RESULT_CNT ? name[result] : "failed";
}

bool https_path_valid(struct base_span path)
{
    if (path.len == 0 || path.len >= HTTPS_PATH_CAP || path.p[0] != '/')
        return false;
    for (size_t i = 0; i < path.len; i++)
        if (path.p[i] <= ' ' || path.p[i] > '~' || path.p[i] == '#' || path.p[i] == '\\')
            return false;
    return true;
}

static int set_host(struct https_request *r, struct base_span host)
{
    struct net_addr address;

    /* An address has no certificate that anybody could go by. */
    if (!dns_name_valid(host) || net_addr_parse(&address, host) == 0)
        return -EINVAL;
    return dns_name_copy(r->host, host);
}

static int set_path(struct https_request *r, struct base_span path)
{
    if (!https_path_valid(path))
        return -EINVAL;
    memcpy(r->path, path.p, path.len);
    r->path[path.len] = 0;
    return 0;
}

int https_request_init(struct https_request *r, struct base_span host, struct base_span path,
                       uint64_t timeout_ns, void *room, uint32_t room_cap)
{
    base_assert(timeout_ns > 0 && room_cap <= HTTPS_ROOM_MAX);
    memset(r, 0, sizeof(*r));
    r->port = PORT_HTTPS;
    r->timeout_ns = timeout_ns;
    r->room = room;
    r->room_cap = room_cap;
    base_list_init(&r->node);
    return set_host(r, host) != 0 ? -EINVAL : set_path(r, path);
}

/* The digits up to the path. Returns 0 or -EINVAL. */
static int set_port(struct https_request *r, struct base_span digits)
{
    uint32_t port = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9' || port > 65535)
            return -EINVAL;
        port = port * 10 + (uint32_t)(digits.p[i] - '0');
    }
    if (port == 0 || port > 65535)
        return -EINVAL;
    r->port = (uint16_t)port;
    return 0;
}

int https_request_url(struct https_request *r, struct base_span url)
{
    static const char scheme[] = "https://";
    size_t at = sizeof(scheme) - 1;

    if (url.len <= at || !base_span_caseeq(base_span_of(url.p, at), base_span_str(scheme)))
        return -EINVAL;
    struct base_span rest = base_span_of(url.p + at, url.len - at);
    size_t host_len = 0;
    while (host_len < rest.len && rest.p[host_len] != '/' && rest.p[host_len] != ':')
        host_len++;
    size_t end = host_len;
    while (end < rest.len && rest.p[end] != '/')
        end++;
    r->port = PORT_HTTPS;
    r->method = HTTPS_POST;
    if (end > host_len && set_port(r, base_span_of(rest.p + host_len + 1, end - host_len - 1)) != 0)
        return -EINVAL;
    if (set_host(r, base_span_of(rest.p, host_len)) != 0)
        return -EINVAL;
    return set_path(r, end < rest.len ? base_span_of(rest.p + end, rest.len - end)
                                      : base_span_str("/"));
}

void https_request_fail(struct https_request *r, enum https_result result, const char *why)
{
    r->result = (uint8_t)result;
    r->status = 0;
    r->len = 0;
    r->answer_type[0] = 0;
    snprintf(r->why, sizeof(r->why), "%s", why != NULL ? why : "");
}

bool https_type_is(const char *content_type, const char *media)
{
    struct base_span type = base_span_str(content_type);
    size_t len = 0;

    while (type.len > 0 && (type.p[0] == ' ' || type.p[0] == '\t'))
        type = base_span_of(type.p + 1, type.len - 1);
    while (len < type.len && type.p[len] != ';' && type.p[len] != ' ' && type.p[len] != '\t')
        len++;
    return base_span_caseeq(base_span_of(type.p, len), base_span_str(media));
}
