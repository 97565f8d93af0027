/*
 * A lane's connections over the kernel's sockets: non-blocking, in an epoll that tells of edges, so
 * that each is registered once. A connection that has news reads until there is no more, and what
 * it answers leaves in one call, the message's bytes straight from where they lie.
 */
#include "base_time.h"
#include "lane.h"
#include "link.h"
#include "session.h"
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EVENT_CNT  256
#define KEEP_CNT   1024 /* buffers for what connections leave behind */
#define FILE_SPARE 64

static uint64_t clock_of(const struct lane *l)
{
    struct timespec t;

    (void)l;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

/* ---- start and end ---- */

int sockets_raise_limit(uint32_t connection_cnt, char *err, size_t cap)
{
    rlim_t wanted = (rlim_t)connection_cnt + FILE_SPARE;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur >= wanted)
        return 0;
    if (files.rlim_max < wanted)
        files.rlim_max = wanted;
    files.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return 0;
    snprintf(err, cap,
             "no %u open files: fewer --connections, or raise the limit (ulimit -n, and "
             "fs.nr_open beyond a million)",
             connection_cnt);
    return -1;
}

int sockets_open(struct lane *l)
{
    struct sockets *k = l->sockets;
    uint32_t cnt = 2 * l->session_max;

    l->now_ns = clock_of(l);
    k->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (k->epoll < 0)
        return -errno;
    return base_pool_init(&k->keeps, cnt < KEEP_CNT ? cnt : KEEP_CNT, SOCKETS_KEEP_BYTES, 64, 0);
}

void sockets_close(struct sockets *k)
{
    if (k->epoll > 0)
        close(k->epoll);
    if (k->keeps.memory != NULL)
        base_pool_fini(&k->keeps);
}

static int prepare(struct lane *l, const _Atomic bool *stop)
{
    (void)l;
    (void)stop;
    return 0;
}

/* ---- what a connection leaves behind ---- */

static void keep_free(struct sockets *k, uint8_t **keep)
{
    if (*keep != NULL)
        base_pool_put(&k->keeps, *keep);
    *keep = NULL;
}

/* Returns false when there is no room for it. */
static bool keep(struct sockets *k, uint8_t **to, const void *p, size_t len)
{
    if (*to == NULL)
        *to = base_pool_get(&k->keeps);
    if (*to == NULL || len > SOCKETS_KEEP_BYTES)
        return false;
    memmove(*to, p, len); /* p may lie in it */
    return true;
}

/* ---- sending ---- */

/* What waits of earlier passes. Returns false when it still waits. */
static bool send_kept(struct sockets *k, struct socket_conn *c)
{
    if (c->out_len == 0)
        return true;
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len, MSG_NOSIGNAL);
    if (n > 0) {
        c->out_at += (uint32_t)n;
        c->out_len -= (uint32_t)n;
    }
    if (c->out_len == 0)
        keep_free(k, &c->out);
    return c->out_len == 0;
}

/* What was gathered, and p behind it. Returns how much of p went, negative: an error that epoll
 * tells of as well; then, or when the socket is full, the rest of what was gathered is kept. */
static int64_t send_gathered(struct sockets *k, struct socket_conn *c, const void *p, size_t len)
{
    struct iovec v[2] = {{k->output, k->output_len},
                         {(void *)(uintptr_t)p, len}}; /* is read only: sendmsg(2) */
    struct msghdr m = {.msg_iov = v, .msg_iovlen = len > 0 ? 2 : 1};
    size_t gathered = k->output_len;

    if (gathered + len == 0)
        return 0;
    ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    k->output_len = 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent >= gathered)
        return (int64_t)(sent - gathered);
    if (!keep(k, &c->out, k->output + sent, gathered - sent))
        return -1; /* it stays silent, and is given up for that */
    c->out_at = 0;
    c->out_len = (uint32_t)(gathered - sent);
    return 0;
}

static uint32_t space(struct lane *l, struct session *s)
{
    struct sockets *k = l->sockets;

    base_assert(k->at == s); /* nobody sends without news */
    /* Less than all of it is told only where the socket is full, so that there will be news. */
    if (k->output_len > sizeof(k->output) / 2)
        (void)send_gathered(k, &s->socket, NULL, 0);
    if (s->socket.out_len > 0)
        return 0;
    return (uint32_t)(sizeof(k->output) - k->output_len);
}

static int64_t send_bytes(struct lane *l, struct session *s, const void *p, size_t len)
{
    struct sockets *k = l->sockets;

    base_assert(k->at == s);
    if (s->socket.out_len > 0)
        return 0;
    if (len > sizeof(k->output) - k->output_len)
        return send_gathered(k, &s->socket, p, len);
    memcpy(k->output + k->output_len, p, len);
    k->output_len += len;
    return (int64_t)len;
}

/* ---- the end of a connection ---- */

static void end_conn(struct lane *l, struct session *s, bool abort)
{
    struct sockets *k = l->sockets;

    if (k->at == s) {
        if (!abort)
            (void)send_gathered(k, &s->socket, NULL, 0);
        k->output_len = 0;
        k->at = NULL;
    }
    keep_free(k, &s->socket.in);
    keep_free(k, &s->socket.out);
    if (abort) { /* RST: RFC 793's ABORT, as our own stack has it */
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(s->socket.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(s->socket.fd);
}

static void close_conn(struct lane *l, struct session *s)
{
    end_conn(l, s, false);
}

static void abort_conn(struct lane *l, struct session *s)
{
    end_conn(l, s, true);
}

static enum lane_counter reason_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return LANE_FAIL_REFUSED;
    case ETIMEDOUT:
        return LANE_FAIL_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
        return LANE_FAIL_UNREACHABLE;
    case ENOBUFS:
    case ENOMEM:
        return LANE_FAIL_NO_BUFFERS;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EMFILE:
    case ENFILE:
        return LANE_FAIL_NO_PORT;
    default:
        return LANE_FAIL_RESET;
    }
}

static void fail(struct lane *l, struct session *s)
{
    int error = 0;
    socklen_t len = sizeof(error);

    (void)getsockopt(s->socket.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    session_fail(l, s, reason_of(error));
}

/* ---- receiving ---- */

/* The session with what lies in k->input. Returns false when it is gone. */
static bool tell(struct lane *l, struct session *s, bool ended)
{
    struct sockets *k = l->sockets;

    k->at = s;
    k->output_len = 0;
    session_event(l, s, ended);
    if (k->at != s) /* closed or aborted, which end_conn saw */
        return false;
    if (send_gathered(k, &s->socket, NULL, 0) < 0) {
        session_fail(l, s, LANE_FAIL_RESET);
        return false;
    }
    k->at = NULL;
    s->socket.in_len = (uint32_t)k->input.len;
    if (k->input.len == 0) {
        keep_free(k, &s->socket.in);
    } else if (!keep(k, &s->socket.in, k->input.p, k->input.len)) {
        session_fail(l, s, LANE_FAIL_NO_BUFFERS);
        return false;
    }
    return true;
}

/* There is nothing to read. */
static void writable(struct lane *l, struct session *s)
{
    l->sockets->input = base_span_of(s->socket.in, s->socket.in_len);
    (void)tell(l, s, false);
}

/* Reads all there is; each piece is told of. ended: the peer's end has come, so the last read
 * finds it. */
static void readable(struct lane *l, struct session *s, bool ended)
{
    struct sockets *k = l->sockets;
    struct socket_conn *c = &s->socket;

    for (;;) {
        uint8_t *at = k->read + SOCKETS_KEEP_BYTES;
        ssize_t n = recv(c->fd, at, SOCKETS_IN_BYTES, 0);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return session_fail(l, s, reason_of(errno));
        size_t len = n > 0 ? (size_t)n : 0;
        if (c->in_len > 0)
            memcpy(at - c->in_len, c->in, c->in_len);
        k->input = base_span_of(at - c->in_len, c->in_len + len);
        if (!tell(l, s, n == 0) || n <= 0)
            return;
        if (len < SOCKETS_IN_BYTES && !ended)
            return;
    }
}

static void event(struct lane *l, const struct epoll_event *e)
{
    struct session *s = e->data.ptr;

    if (e->events & EPOLLERR)
        return fail(l, s);
    (void)send_kept(l->sockets, &s->socket);
    if (e->events & ~(uint32_t)EPOLLOUT)
        readable(l, s, (e->events & (EPOLLRDHUP | EPOLLHUP)) != 0);
    else
        writable(l, s);
}

static void begin(struct lane *l, uint64_t wait_ns)
{
    struct epoll_event ready[EVENT_CNT];
    struct timespec wait = {(time_t)(wait_ns / BASE_NS_S), (long)(wait_ns % BASE_NS_S)};
    int n = epoll_pwait2(l->sockets->epoll, ready, EVENT_CNT, &wait, NULL);

    l->now_ns = clock_of(l);
    for (int i = 0; i < n; i++) /* each is of another session, and none ends another one */
        event(l, &ready[i]);
}

static void end(struct lane *l)
{
    (void)l; /* each connection's has left already */
}

/* ---- the beginning of a connection ---- */

static socklen_t address(struct sockaddr_storage *to, const struct net_addr *a, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (net_addr_is_v4(a)) {
        memcpy(&v4.sin_addr, a->b + 12, 4);
        memcpy(to, &v4, sizeof(v4));
        return sizeof(v4);
    }
    memcpy(&v6.sin6_addr, a->b, 16);
    memcpy(to, &v6, sizeof(v6));
    return sizeof(v6);
}

/* The port is chosen at connect, so that one serves for each destination. */
static int bind_to(int fd, const struct net_addr *from)
{
    struct sockaddr_storage local;
    int yes = 1;

    (void)setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
    socklen_t len = address(&local, from, 0);
    return bind(fd, (struct sockaddr *)&local, len);
}

static int open_conn(struct lane *l, struct session *s, const struct net_addr *from)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    const struct net_endpoint *to = &l->options->to;
    struct sockaddr_storage remote;
    socklen_t len = address(&remote, &to->addr, to->port);
    int yes = 1;
    int fd = socket(remote.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return (int)reason_of(errno);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if ((from != NULL && bind_to(fd, from) != 0) ||
        (connect(fd, (struct sockaddr *)&remote, len) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(l->sockets->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        int error = errno;
        close(fd);
        return (int)reason_of(error);
    }
    s->socket = (struct socket_conn){.fd = fd};
    return 0;
}

/* ---- what waits ---- */

static uint32_t view(struct lane *l, struct session *s, struct base_span *spans, uint32_t cap)
{
    struct sockets *k = l->sockets;

    base_assert(k->at == s && cap > 0);
    spans[0] = k->input;
    return k->input.len > 0 ? 1 : 0;
}

static void consume(struct lane *l, struct session *s, uint32_t n)
{
    struct sockets *k = l->sockets;

    base_assert(k->at == s && n <= k->input.len);
    k->input = base_span_of(k->input.p + n, k->input.len - n);
}

const struct link_ops link_kernel = {
    .clock = clock_of,
    .prepare = prepare,
    .begin = begin,
    .end = end,
    .open = open_conn,
    .view = view,
    .consume = consume,
    .space = space,
    .send = send_bytes,
    .wake = writable,
    .close = close_conn,
    .abort = abort_conn,
};
