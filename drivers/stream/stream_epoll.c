#include "stream_epoll.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define POLL_BURST 64

struct stream_epoll {
    int epoll;
    uint32_t cnt;
    int fd[]; /* by number; -1: not open */
};

static socklen_t address_of(struct sockaddr_storage *out, const struct net_stream_target *t)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(t->address.port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(t->address.port)};

    base_static_assert(sizeof(un.sun_path) == NET_STREAM_PATH_CAP, "the same bound");
    memset(out, 0, sizeof(*out));
    if (t->path[0] != 0) {
        memcpy(un.sun_path, t->path, sizeof(un.sun_path));
        memcpy(out, &un, sizeof(un));
        return sizeof(un);
    }
    if (net_addr_is_v4(&t->address.addr)) {
        memcpy(&in.sin_addr, t->address.addr.b + 12, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    memcpy(&in6.sin6_addr, t->address.addr.b, 16);
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}

static int watch(struct stream_epoll *s, uint32_t number)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.u32 = number};

    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fd[number], &e) != 0 ? -errno : 0;
}

static void close_stream(void *state, uint32_t number)
{
    struct stream_epoll *s = state;

    if (s->fd[number] >= 0)
        close(s->fd[number]); /* and it leaves the set */
    s->fd[number] = -1;
}

static int open_stream(void *state, uint32_t number, const struct net_stream_target *target)
{
    struct stream_epoll *s = state;
    struct sockaddr_storage to;
    socklen_t len = address_of(&to, target);
    int one = 1;

    base_assert(number < s->cnt && s->fd[number] < 0);
    s->fd[number] = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd[number] < 0)
        return -errno;
    if (to.ss_family != AF_UNIX)
        (void)setsockopt(s->fd[number], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int error = connect(s->fd[number], (const struct sockaddr *)&to, len) != 0 ? -errno : 0;
    if (error == 0 || error == -EINPROGRESS)
        error = watch(s, number);
    if (error != 0)
        close_stream(s, number);
    return error;
}

static int error_of(void *state, uint32_t number)
{
    struct stream_epoll *s = state;
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(s->fd[number], SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return -errno;
    return -error;
}

static ssize_t send_bytes(void *state, uint32_t number, const void *p, size_t len)
{
    struct stream_epoll *s = state;
    ssize_t n = send(s->fd[number], p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static ssize_t recv_bytes(void *state, uint32_t number, void *p, size_t cap)
{
    struct stream_epoll *s = state;
    ssize_t n = recv(s->fd[number], p, cap, MSG_DONTWAIT);

    return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static uint32_t poll_streams(void *state, struct net_stream_event *events, uint32_t cap)
{
    struct stream_epoll *s = state;
    struct epoll_event e[POLL_BURST];
    int n = epoll_wait(s->epoll, e, (int)(cap < POLL_BURST ? cap : POLL_BURST), 0);

    for (int i = 0; i < n; i++) {
        bool in = (e[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        bool out = (e[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
        events[i] = (struct net_stream_event){.number = e[i].data.u32,
                                              .flags = (in ? NET_STREAM_READABLE : 0U) |
                                                       (out ? NET_STREAM_WRITABLE : 0U)};
    }
    return n > 0 ? (uint32_t)n : 0;
}

static int wait_fd(void *state)
{
    return ((struct stream_epoll *)state)->epoll;
}

static const struct net_stream_ops ops = {
    .open = open_stream,
    .error = error_of,
    .send = send_bytes,
    .recv = recv_bytes,
    .close = close_stream,
    .poll = poll_streams,
    .wait_fd = wait_fd,
};

int stream_epoll_open(struct stream_epoll **out, uint32_t cnt)
{
    struct stream_epoll *s = malloc(sizeof(*s) + cnt * sizeof(s->fd[0]));

    if (s == NULL)
        return -ENOMEM;
    s->cnt = cnt;
    for (uint32_t i = 0; i < cnt; i++)
        s->fd[i] = -1;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0) {
        int error = -errno;
        free(s);
        return error;
    }
    *out = s;
    return 0;
}

void stream_epoll_close(struct stream_epoll *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->cnt; i++)
        close_stream(s, i);
    close(s->epoll);
    free(s);
}

struct net_stream_driver stream_epoll_driver(struct stream_epoll *s)
{
    return (struct net_stream_driver){.ops = &ops, .state = s};
}
