/*
 * A next hop for benchmarks: takes mail over the kernel's TCP and throws it away. One thread,
 * epoll; PIPELINING, 8BITMIME, SIZE, and STARTTLS where asked for. It is the same for whoever
 * delivers, so its own costs stand in both figures.
 *
 * usage: sink ADDRESS PORT PORTS SECONDS [tls]
 *
 * Listens on PORTS ports from PORT on; says "ready". A line on standard input is answered by
 * "connections N tls N messages N bytes N" (what has come so far; bytes are of messages). It ends
 * with standard input, or after SECONDS.
 */
#include "base_bytes.h"
#include "base_time.h"
#include "tls_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX   1024
#define BURST       256
#define IN_CAP      65536
#define OUT_CAP     4096
#define COMMAND_CAP 1024

struct session {
    int fd;
    SSL *ssl; /* NULL: in clear */
    bool in_body, starts_tls, ends;
    uint8_t tail; /* how much of CRLF.CRLF has come */
    uint32_t line_len, out_len;
    char line[COMMAND_CAP]; /* a command that is not whole */
    char out[OUT_CAP];
};

static struct {
    int epoll;
    SSL_CTX *tls;
    uint64_t connection_cnt, tls_cnt, message_cnt, byte_cnt;
} sink;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static void session_free(struct session *s)
{
    SSL_free(s->ssl);
    close(s->fd);
    free(s);
}

/* The replies of a burst leave together; a client that reads none is not waited for. */
static bool flush(struct session *s)
{
    if (s->out_len == 0)
        return true;
    int n = s->ssl != NULL ? SSL_write(s->ssl, s->out, (int)s->out_len)
                           : (int)send(s->fd, s->out, s->out_len, MSG_NOSIGNAL);
    bool whole = n == (int)s->out_len;
    s->out_len = 0;
    return whole;
}

static void say(struct session *s, const char *text)
{
    size_t len = strlen(text);

    if (s->out_len + len > OUT_CAP && !flush(s))
        s->ends = true;
    memcpy(s->out + s->out_len, text, len);
    s->out_len += (uint32_t)len;
}

static void greet(struct session *s)
{
    if (sink.tls != NULL && s->ssl == NULL)
        say(s, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 SIZE "
               "100000000\r\n");
    else
        say(s, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n");
}

static void command(struct session *s, const char *line)
{
    if (strncasecmp(line, "MAIL", 4) == 0 || strncasecmp(line, "RCPT", 4) == 0 ||
        strncasecmp(line, "RSET", 4) == 0 || strncasecmp(line, "NOOP", 4) == 0) {
        say(s, "250 2.0.0 Ok\r\n");
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        say(s, "354 End data with <CR><LF>.<CR><LF>\r\n");
        s->in_body = true;
        s->tail = 2; /* as if behind a CRLF: the message may be empty */
    } else if (strncasecmp(line, "EHLO", 4) == 0) {
        greet(s);
    } else if (strncasecmp(line, "STARTTLS", 8) == 0 && sink.tls != NULL && s->ssl == NULL) {
        say(s, "220 2.0.0 Ready\r\n");
        s->starts_tls = true;
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        say(s, "221 2.0.0 Bye\r\n");
        s->ends = true;
    } else {
        say(s, "502 5.5.2 Not known\r\n");
    }
}

/* Takes body bytes up to its end; how many. */
static size_t body(struct session *s, const uint8_t *p, size_t len)
{
    static const char end[] = "\r\n.\r\n";
    size_t i = 0;

    while (i < len) {
        if (s->tail == 0) {
            const uint8_t *cr = memchr(p + i, '\r', len - i);
            if (cr == NULL) {
                i = len;
                break;
            }
            i = (size_t)(cr - p) + 1;
            s->tail = 1;
            continue;
        }
        uint8_t c = p[i++];
        s->tail = c == end[s->tail] ? s->tail + 1 : c == '\r' ? 1 : 0;
        if (s->tail == 5) {
            s->in_body = false;
            sink.message_cnt++;
            say(s, "250 2.0.0 Ok: taken\r\n");
            break;
        }
    }
    sink.byte_cnt += i;
    return i;
}

static void take(struct session *s, const uint8_t *p, size_t len)
{
    while (len > 0 && !s->ends) {
        size_t n = len;
        if (s->in_body) {
            n = body(s, p, len);
        } else {
            const uint8_t *lf = memchr(p, '\n', len);
            n = lf == NULL ? len : (size_t)(lf - p) + 1;
            if (s->line_len + n >= COMMAND_CAP) {
                s->ends = true;
                return;
            }
            memcpy(s->line + s->line_len, p, n);
            s->line_len += (uint32_t)n;
            if (lf != NULL) {
                s->line[s->line_len] = 0;
                s->line_len = 0;
                command(s, s->line);
            }
        }
        p += n;
        len -= n;
    }
}

static void start_tls(struct session *s)
{
    s->starts_tls = false;
    s->ssl = SSL_new(sink.tls);
    if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1)
        die("TLS");
    SSL_set_accept_state(s->ssl);
    sink.tls_cnt++;
}

/* Returns false when the session is over. */
static bool readable(struct session *s)
{
    static uint8_t in[IN_CAP];

    for (;;) {
        int n;
        if (s->ssl != NULL) {
            n = SSL_read(s->ssl, in, sizeof(in));
            if (n <= 0)
                return SSL_get_error(s->ssl, n) == SSL_ERROR_WANT_READ;
        } else {
            n = (int)recv(s->fd, in, sizeof(in), 0);
            if (n <= 0)
                return n < 0 && errno == EAGAIN;
        }
        take(s, in, (size_t)n);
        if (!flush(s) || s->ends)
            return false;
        if (s->starts_tls)
            start_tls(s);
        if (s->ssl == NULL && n < (int)sizeof(in))
            return true;
    }
}

static void watch(int fd, void *user)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = user};

    if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct session *s = calloc(1, sizeof(*s));
        if (s == NULL)
            die("memory");
        s->fd = fd;
        sink.connection_cnt++;
        say(s, "220 sink.example ESMTP\r\n");
        if (flush(s))
            watch(fd, s);
        else
            session_free(s);
    }
}

static int listen_on(const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(fd, 4096) != 0)
        die(address);
    return fd;
}

/* Returns false when nobody asks any more. */
static bool answer(void)
{
    char line[64];
    ssize_t n = read(STDIN_FILENO, line, sizeof(line));

    if (n <= 0)
        return false;
    printf("connections %lu tls %lu messages %lu bytes %lu\n", sink.connection_cnt, sink.tls_cnt,
           sink.message_cnt, sink.byte_cnt);
    fflush(stdout);
    return true;
}

static void serve(int *listeners, uint64_t end_ns)
{
    struct epoll_event ready[BURST];

    while (now_ns() < end_ns) {
        int n = epoll_wait(sink.epoll, ready, BURST, 100);
        for (int i = 0; i < n; i++) {
            void *p = ready[i].data.ptr;
            if (p == NULL && !answer())
                return;
            else if (p >= (void *)listeners && p < (void *)(listeners + PORTS_MAX))
                accept_all(*(int *)p);
            else if (p != NULL && !readable(p))
                session_free(p);
        }
    }
}

int main(int argc, char **argv)
{
    static int listeners[PORTS_MAX];
    const char *name = "sink.example";
    struct kit_certificate certificate;

    uint32_t cnt = argc < 5 ? 0 : (uint32_t)strtoul(argv[3], NULL, 10);
    uint32_t port = argc < 5 ? 0 : (uint32_t)strtoul(argv[2], NULL, 10);
    if (argc < 5 || argc > 6 || cnt == 0 || cnt > PORTS_MAX || port == 0 || port + cnt > 65536) {
        fprintf(stderr, "usage: sink ADDRESS PORT PORTS SECONDS [tls]\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files = {65536, 65536};
    (void)setrlimit(RLIMIT_NOFILE, &files); /* what there is must do */
    if (argc == 6) {
        kit_certificate_make(&certificate, "EC", &name, 1, -1, 30);
        sink.tls = kit_server_context(0, &certificate);
        SSL_CTX_clear_options(sink.tls, SSL_OP_NO_TICKET); /* one ticket, as Postfix gives */
        SSL_CTX_set_num_tickets(sink.tls, 1);
        SSL_CTX_set_mode(sink.tls, SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    sink.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (sink.epoll < 0)
        die("epoll");
    watch(STDIN_FILENO, NULL);
    for (uint32_t i = 0; i < cnt; i++) {
        listeners[i] = listen_on(argv[1], (uint16_t)(port + i));
        watch(listeners[i], &listeners[i]);
    }
    puts("ready");
    fflush(stdout);
    serve(listeners, now_ns() + strtoul(argv[4], NULL, 10) * BASE_NS_S);
    return 0;
}
