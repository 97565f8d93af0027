#include "dns_name.h"

#include <errno.h>
#include <stdio.h>

static bool is_name_byte(uint8_t b)
{
    uint8_t lower = b | 0x20;

    return (uint8_t)(lower - 'a') < 26 || (uint8_t)(b - '0') < 10 || b == '-' || b == '_' ||
           b == '/';
}

bool dns_name_valid(struct base_span text)
{
    size_t label = 0;

    if (text.len == 0 || text.len >= DNS_NAME_CAP)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_name_byte(text.p[i]) || ++label > DNS_LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

static char lower(uint8_t b)
{
    return (char)((uint8_t)(b - 'A') < 26 ? b | 0x20 : b);
}

int dns_name_copy(char out[DNS_NAME_CAP], struct base_span text)
{
    if (text.len > 0 && text.p[text.len - 1] == '.')
        text.len--;
    if (!dns_name_valid(text))
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++)
        out[i] = lower(text.p[i]);
    out[text.len] = 0;
    return 0;
}

int dns_name_join(char out[DNS_NAME_CAP], const char *front, const char *zone)
{
    char both[2 * DNS_NAME_CAP];
    int n = snprintf(both, sizeof(both), "%s.%s", front, zone);

    if (zone[0] == 0 || n < 0 || (size_t)n >= sizeof(both))
        return -EINVAL;
    return dns_name_copy(out, base_span_of(both, (size_t)n));
}

int dns_name_read(char out[DNS_NAME_CAP], size_t *used, struct base_span in)
{
    size_t at = 0, len = 0;

    while (at < in.len && in.p[at] != 0) {
        size_t label = in.p[at++];
        if (label > DNS_LABEL_MAX || label > in.len - at || len + label + 2 > DNS_NAME_CAP)
            return -EINVAL;
        if (len > 0)
            out[len++] = '.';
        for (size_t i = 0; i < label; i++) {
            if (!is_name_byte(in.p[at + i]))
                return -EINVAL;
            out[len++] = lower(in.p[at + i]);
        }
        at += label;
    }
    if (at == in.len) /* the root's empty label is missing */
        return -EINVAL;
    out[len] = 0;
    *used = at + 1;
    return 0;
}

int dns_reverse_name(char out[DNS_NAME_CAP], const struct net_addr *a, const char *zone)
{
    static const char hex[] = "0123456789abcdef";
    char front[64];
    size_t n = 0;

    if (net_addr_is_v4(a)) {
        snprintf(front, sizeof(front), "%u.%u.%u.%u", a->b[15], a->b[14], a->b[13], a->b[12]);
        return dns_name_join(out, front, zone);
    }
    for (int i = 15; i >= 0; i--) {
        front[n++] = hex[a->b[i] & 15];
        front[n++] = '.';
        front[n++] = hex[a->b[i] >> 4];
        front[n++] = '.';
    }
    front[n - 1] = 0;
    return dns_name_join(out, front, zone);
}

const char *dns_reverse_zone(const struct net_addr *a)
{
    return net_addr_is_v4(a) ? "in-addr.arpa" : "ip6.arpa";
}
