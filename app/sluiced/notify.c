#include "notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_CAP 512
#define USEC_MAX (UINT64_MAX / 1000)

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = text != NULL ? strtoull(text, &end, 10) : 0;

    return text != NULL && *end == 0 ? n : 0;
}

void notify_open(struct notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET"), *pid = getenv("WATCHDOG_PID");
    uint64_t usec = number(getenv("WATCHDOG_USEC"));

    *n = (struct notify){.fd = -1, .address.sun_family = AF_UNIX};
    size_t len = path != NULL ? strlen(path) : 0;
    if (len > 1 && len < sizeof(n->address.sun_path) && (path[0] == '/' || path[0] == '@')) {
        memcpy(n->address.sun_path, path, len);
        if (path[0] == '@') /* abstract */
            n->address.sun_path[0] = 0;
        n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (n->fd >= 0 && usec > 0 && usec < USEC_MAX &&
        (pid == NULL || number(pid) == (uint64_t)getpid()))
        n->watchdog_ns = usec * 1000;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void notify_send(const struct notify *n, const char *format, ...)
{
    char text[TEXT_CAP];
    va_list list;

    if (n->fd < 0)
        return;
    va_start(list, format);
    int len = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    base_assert(len >= 0 && len < TEXT_CAP);
    (void)sendto(n->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&n->address, n->address_len);
}
