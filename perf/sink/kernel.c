/*
 * The sink over the kernel's TCP: one thread, epoll by edges. It is the same for whoever delivers,
 * so its own costs stand in all figures.
 */
#include "base_time.h"
#include "device.h"
#include "transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST     256
#define IN_CAP    65536
#define BACKLOG   4096
#define WAIT_MS   100 /* for the end to be seen */
#define DELAY_MS  1   /* while a reply is due */
#define FILES_MAX 65536

struct connection {
    struct session session;
    struct base_list place; /* of all */
    int fd;
};

static struct {
    struct sink *sink;
    pthread_t thread;
    int epoll;
    int listener[OPTIONS_PORT_MAX];
    uint32_t listener_cnt;
    struct base_list all;
    _Atomic bool stop;
    bool runs;
} kernel;

static bool send_all(struct session *s, const void *p, size_t len)
{
    struct connection *c = base_container_of(s, struct connection, session);

    /* Replies are small: a client that reads none is not waited for. */
    return send(c->fd, p, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void end(struct connection *c)
{
    base_list_remove(&c->place);
    session_close(&c->session);
    close(c->fd);
    free(c);
}

/* Takes what is there, unless the session waits. whole: to the very end, as no edge may come. */
static void take(struct connection *c, bool whole)
{
    static uint8_t in[IN_CAP];
    struct session *s = &c->session;

    while (!s->waits && !s->ends) {
        ssize_t n = recv(c->fd, in, sizeof(in), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            s->ends = true;
        else
            session_feed(s, in, (size_t)n);
        if (!whole && n < (ssize_t)sizeof(in) && !s->waits && !s->ends)
            return;
    }
    if (s->ends)
        end(c);
}

static int watch(int fd, void *user)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = user};

    return epoll_ctl(kernel.epoll, EPOLL_CTL_ADD, fd, &e);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = malloc(sizeof(*c));
        if (c == NULL)
            abort(); /* a tool on a machine without memory */
        c->fd = fd;
        base_list_push_back(&kernel.all, &c->place);
        session_open(&c->session, kernel.sink);
        if (c->session.ends || watch(fd, c) != 0)
            end(c);
    }
}

static bool is_listener(const void *user)
{
    return user >= (void *)kernel.listener && user < (void *)(kernel.listener + OPTIONS_PORT_MAX);
}

static void *run(void *arg)
{
    struct epoll_event ready[BURST];
    struct sink *k = kernel.sink;
    struct session *s;

    (void)arg;
    while (!atomic_load_explicit(&kernel.stop, memory_order_relaxed)) {
        int n = epoll_wait(kernel.epoll, ready, BURST,
                           base_list_empty(&k->delayed) ? WAIT_MS : DELAY_MS);
        k->now_ns = device_clock_ns();
        for (int i = 0; i < n; i++) {
            if (is_listener(ready[i].data.ptr))
                accept_all(*(int *)ready[i].data.ptr);
            else
                take(ready[i].data.ptr, (ready[i].events & ~(uint32_t)EPOLLIN) != 0);
        }
        while ((s = sink_due(k)) != NULL) {
            struct connection *c = base_container_of(s, struct connection, session);
            session_resume(s);
            if (s->ends)
                end(c);
            else
                take(c, true);
        }
    }
    return NULL;
}

static int listen_on(const struct net_endpoint *at, uint16_t port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool is_v4 = net_addr_is_v4(&at->addr);
    int yes = 1;
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(&v4.sin_addr, at->addr.b + 12, 4);
    memcpy(&v6.sin6_addr, at->addr.b, 16);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
             is_v4 ? sizeof(v4) : sizeof(v6)) != 0 ||
        listen(fd, BACKLOG) != 0)
        return -1;
    return fd;
}

static int open_kernel(struct sink *k, const struct options *o, char *program, char *err,
                       size_t cap)
{
    struct rlimit files = {FILES_MAX, FILES_MAX};

    (void)program;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* what there is must do */
    kernel.sink = k;
    k->send = send_all;
    base_list_init(&kernel.all);
    kernel.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < o->port_cnt; i++) {
        kernel.listener[i] = listen_on(&o->listen, (uint16_t)(o->listen.port + i));
        if (kernel.listener[i] < 0 || watch(kernel.listener[i], &kernel.listener[i]) != 0) {
            snprintf(err, cap, "port %u: %s", o->listen.port + i, strerror(errno));
            return -1;
        }
        kernel.listener_cnt++;
    }
    return 0;
}

static int start_kernel(char *err, size_t cap)
{
    int error = pthread_create(&kernel.thread, NULL, run, NULL);

    if (error != 0)
        snprintf(err, cap, "no thread: %s", strerror(error));
    kernel.runs = error == 0;
    return error == 0 ? 0 : -1;
}

static void pause_kernel(void)
{
    if (!kernel.runs)
        return;
    atomic_store(&kernel.stop, true);
    pthread_join(kernel.thread, NULL);
    kernel.runs = false;
}

static void close_kernel(void)
{
    pause_kernel();
    base_list_each (node, &kernel.all)
        end(base_container_of(node, struct connection, place));
    for (uint32_t i = 0; i < kernel.listener_cnt; i++)
        close(kernel.listener[i]);
    close(kernel.epoll);
}

const struct transport kernel_transport = {
    .open = open_kernel, .start = start_kernel, .pause = pause_kernel, .close = close_kernel};
