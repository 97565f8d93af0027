#include "web_access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

/* ---- names ---- */

bool web_host_read(char out[WEB_HOST_CAP], const char *host, bool *literal)
{
    struct in6_addr address;
    bool bracket = host[0] == '[';
    size_t len = bracket ? strcspn(host, "]") : strcspn(host, ":");
    const char *rest = host + len + bracket;

    if (host[len] != (bracket ? ']' : 0) && (bracket || host[len] != ':'))
        return false;
    if (*rest == ':' && strspn(rest + 1, "0123456789") != strlen(rest + 1))
        return false;
    if (*rest != 0 && *rest != ':')
        return false;
    host += bracket;
    len -= bracket;
    len -= len > 1 && host[len - 1] == '.';
    if (len == 0 || len >= WEB_HOST_CAP)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)host[i]) && strchr(bracket ? ":." : "-._", host[i]) == NULL)
            return false;
        out[i] = (char)tolower((unsigned char)host[i]);
    }
    out[len] = 0;
    *literal = inet_pton(bracket ? AF_INET6 : AF_INET, out, &address) == 1;
    return *literal || !bracket;
}

bool web_same_origin(const char *fetch_site, const char *origin, const char *host)
{
    if (fetch_site != NULL && strcmp(fetch_site, "same-origin") != 0 &&
        strcmp(fetch_site, "none") != 0)
        return false;
    if (origin == NULL)
        return true;
    const char *at = strstr(origin, "://");
    return at != NULL && host != NULL && strcasecmp(at + 3, host) == 0;
}

/* ---- users of this machine ---- */

#define END_CAP 40 /* "0000000000000000FFFF00000100007F:1F59" */

/* An end as the kernel writes it: words of 32 bits as they lie in memory. */
static void write_end(char out[END_CAP], const struct sockaddr_storage *a, bool as_v6)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    uint32_t w[4] = {0, 0, htonl(0xffff), 0};

    if (a->ss_family == AF_INET6)
        memcpy(w, &v6->sin6_addr, sizeof(w));
    else
        memcpy(&w[3], &v4->sin_addr, sizeof(w[3]));
    uint16_t port = ntohs(a->ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
    if (as_v6)
        snprintf(out, END_CAP, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], port);
    else
        snprintf(out, END_CAP, "%08X:%04X", w[3], port);
}

bool web_peer_find(FILE *table, const struct sockaddr_storage *own,
                   const struct sockaddr_storage *other, uint32_t *uid)
{
    char line[512], near[2][END_CAP], far[2][END_CAP], local[64], remote[64];
    unsigned state, user;
    unsigned long inode;

    for (int v6 = 0; v6 < 2; v6++) {
        write_end(near[v6], other, v6);
        write_end(far[v6], own, v6);
    }
    while (fgets(line, sizeof(line), table) != NULL) {
        if (sscanf(line, " %*[0-9]: %63s %63s %x %*s %*s %*s %u %*s %lu", local, remote, &state,
                   &user, &inode) != 5)
            continue;
        int v6 = strlen(local) > sizeof("00000000:0000");
        /* One that is being closed has no owner any more, and says 0. */
        if (strcmp(local, near[v6]) != 0 || strcmp(remote, far[v6]) != 0 || state != 1 ||
            inode == 0)
            continue;
        *uid = user;
        return true;
    }
    return false;
}

bool web_peer_uid(int fd, uint32_t *uid)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    struct sockaddr_storage own, other;
    socklen_t own_len = sizeof(own), other_len = sizeof(other);
    bool found = false;

    memset(&own, 0, sizeof(own));
    memset(&other, 0, sizeof(other));
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) != 0 ||
        getpeername(fd, (struct sockaddr *)&other, &other_len) != 0)
        return false;
    for (size_t i = 0; i < BASE_ARRAY_CNT(tables) && !found; i++) {
        FILE *table = fopen(tables[i], "re");
        if (table == NULL)
            continue;
        found = web_peer_find(table, &own, &other, uid);
        fclose(table);
    }
    return found;
}
