/*
 * The same loads as bench_tcp over the kernel's TCP on loopback: an epoll server in one thread, an
 * epoll client in another. CPU is that of both ends together, user and system: the kernel charges
 * the receiver's work to the sender, so the ends cannot be told apart.
 *
 * usage: bench_kernel connect|pingpong|bulk. Prints lines "metric value unit".
 */
#include "base_time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define WINDOW     64
#define RUN_NS     (2 * BASE_NS_S)
#define BULK_BYTES (1024ull << 20)

static const char usage[] = "usage: bench_kernel connect|pingpong|bulk\n";

struct server {
    int listener;
    bool bulk;
    _Atomic bool stop;
    _Atomic uint64_t bytes;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void *serve(void *arg)
{
    struct server *s = arg;
    struct epoll_event events[WINDOW];
    static char buf[1 << 18];
    int epoll = epoll_create1(0), on = 1;

    watch(epoll, s->listener);
    while (!atomic_load(&s->stop)) {
        int n = epoll_wait(epoll, events, WINDOW, 100);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == s->listener) {
                int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
                if (c >= 0) {
                    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                    watch(epoll, c);
                }
                continue;
            }
            ssize_t got = read(fd, buf, sizeof(buf));
            if (got <= 0) {
                if (got == 0 || errno != EAGAIN)
                    close(fd);
                continue;
            }
            atomic_fetch_add(&s->bytes, (uint64_t)got);
            if (!s->bulk && write(fd, "y", 1) != 1)
                close(fd);
        }
    }
    close(epoll);
    return NULL;
}

static int connect_client(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* Each connection: connect, a byte, a byte back, reset-free close. */
static uint64_t run_requests(const struct sockaddr_in *to, bool reconnect)
{
    struct epoll_event events[WINDOW];
    int epoll = epoll_create1(0);
    uint64_t done = 0, end_ns = now_ns() + RUN_NS;

    for (int i = 0; i < WINDOW; i++) {
        int fd = connect_client(to);
        watch(epoll, fd);
        if (write(fd, "x", 1) != 1)
            die("write");
    }
    while (now_ns() < end_ns) {
        int n = epoll_wait(epoll, events, WINDOW, 100);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            char c;
            if (read(fd, &c, 1) != 1)
                die("read");
            done++;
            if (reconnect) {
                close(fd);
                fd = connect_client(to);
                watch(epoll, fd);
            }
            if (write(fd, "x", 1) != 1)
                die("write");
        }
    }
    close(epoll);
    return done;
}

static uint64_t run_bulk(const struct sockaddr_in *to, struct server *s)
{
    static char buf[1 << 18];
    int fd = connect_client(to);

    for (uint64_t sent = 0; sent < BULK_BYTES;) {
        ssize_t n = write(fd, buf, sizeof(buf));
        if (n <= 0)
            die("write");
        sent += (uint64_t)n;
    }
    while (atomic_load(&s->bytes) < BULK_BYTES)
        ;
    close(fd);
    return BULK_BYTES;
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    struct server s = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_t thread;

    if (argc != 2 || (strcmp(argv[1], "connect") != 0 && strcmp(argv[1], "pingpong") != 0 &&
                      strcmp(argv[1], "bulk") != 0)) {
        fputs(usage, stderr);
        return 2;
    }
    s.bulk = strcmp(argv[1], "bulk") == 0;
    if (bind(s.listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(s.listener, 1024) != 0 ||
        getsockname(s.listener, (struct sockaddr *)&a, &len) != 0)
        die("listen");
    if (pthread_create(&thread, NULL, serve, &s) != 0)
        die("pthread_create");
    uint64_t start_ns = now_ns(), start_tsc = __rdtsc();
    double cpu = cpu_seconds();
    uint64_t done = s.bulk ? run_bulk(&a, &s) : run_requests(&a, strcmp(argv[1], "connect") == 0);
    double seconds = (double)(now_ns() - start_ns) / 1e9;
    double hz = (double)(__rdtsc() - start_tsc) / seconds;
    cpu = cpu_seconds() - cpu;
    if (s.bulk) {
        printf("cycles_per_kib_both_ends %.0f cycles\n", cpu * hz / ((double)done / 1024));
        printf("gbit_per_s %.2f Gbit/s\n", (double)done * 8 / seconds / 1e9);
    } else {
        const char *what = strcmp(argv[1], "connect") == 0 ? "connection" : "pingpong";
        printf("cycles_per_%s_both_ends %.0f cycles\n", what, cpu * hz / (double)done);
        printf("%ss_per_s_both_ends %.0f /s\n", what, (double)done / seconds);
    }
    fflush(stdout);
    _exit(0);
}
