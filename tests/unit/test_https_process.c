/*
 * The process that makes HTTPS requests, as a process, against a server of OpenSSL's that answers
 * as the path says: well, by a redirect, too much, slowly, by half, as no HTTP, without TLS; with
 * the right certificate, another one's, an expired one, and one of an unknown authority.
 */
#include "dane_rig.h"

#include "base_time.h"
#include "https_process.h"
#include "https_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLICY "version: STSv1\r\n"

static struct authority root, leaf, other, expired, strange;
static pid_t server_pid, process_pid;
static uint16_t ports[2]; /* with TLS, without */
static int process;
static uint8_t room[HTTPS_WIRE_MAX];

/* ---- the server ---- */

static SSL_CTX *context_of(const struct authority *a, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(ctx, a->x);
    SSL_CTX_use_PrivateKey(ctx, a->key);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    if (version != 0) {
        SSL_CTX_set_max_proto_version(ctx, version);
        SSL_CTX_set_security_level(ctx, 0);
    }
    return ctx;
}

static int choose(SSL *ssl, int *alert, void *arg)
{
    SSL_CTX *const *ctx = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    if (name != NULL && strncmp(name, "other", 5) == 0)
        SSL_set_SSL_CTX(ssl, ctx[1]);
    else if (name != NULL && strncmp(name, "expired", 7) == 0)
        SSL_set_SSL_CTX(ssl, ctx[2]);
    else if (name != NULL && strncmp(name, "strange", 7) == 0)
        SSL_set_SSL_CTX(ssl, ctx[3]);
    else if (name == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static void say(SSL *ssl, const char *text)
{
    SSL_write(ssl, text, (int)strlen(text));
}

static void reply(SSL *ssl, const char *request)
{
    static char line[16384];

    memset(line, 'x', sizeof(line));
    if (strstr(request, " /ok ") != NULL)
        say(ssl, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: 16\r\n\r\n" POLICY);
    else if (strstr(request, " /redirect ") != NULL)
        say(ssl, "HTTP/1.1 301 Moved\r\nLocation: https://good.example/ok\r\n"
                 "Content-Length: 2\r\n\r\nhi");
    else if (strstr(request, " /missing ") != NULL)
        say(ssl, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    else if (strstr(request, " /huge ") != NULL) {
        say(ssl, "HTTP/1.1 200 OK\r\n\r\n");
        while (SSL_write(ssl, line, sizeof(line)) > 0)
            ;
    } else if (strstr(request, " /header ") != NULL) {
        say(ssl, "HTTP/1.1 200 OK\r\n");
        for (line[0] = 'A', line[1] = ':', memcpy(line + sizeof(line) - 2, "\r\n", 2);
             SSL_write(ssl, line, sizeof(line)) > 0;)
            ;
    } else if (strstr(request, " /half ") != NULL)
        say(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" POLICY);
    else if (strstr(request, " /strange ") != NULL)
        say(ssl, "220 mx.example ESMTP\r\n");
    else if (strstr(request, " /slow ") != NULL)
        pause();
    else if (strstr(request, "POST /report ") != NULL)
        say(ssl, strstr(request, "Content-Type: application/tlsrpt+gzip\r\n") != NULL &&
                         strstr(request, "\r\n\r\na report") != NULL
                     ? "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
                     : "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
}

/* One request a connection, each in a process of its own. */
static void serve(int listener, SSL_CTX *ctx)
{
    static char request[8192];
    int fd = accept(listener, NULL, NULL);
    SSL *ssl;

    if (fd < 0 || fork() != 0) {
        close(fd);
        return;
    }
    if (ctx == NULL) {
        (void)!write(fd, "HTTP/1.1 200 OK\r\n\r\n", 19);
        _exit(0);
    }
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        int len = SSL_read(ssl, request, sizeof(request) - 1);
        if (len > 0 && strncmp(request, "POST", 4) == 0 && strstr(request, "a report") == NULL)
            SSL_read(ssl, request + len, (int)sizeof(request) - 1 - len);
        reply(ssl, request);
        SSL_shutdown(ssl);
    }
    _exit(0);
}

static int listen_at(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int start(void **state)
{
    int64_t now_s = time(NULL);
    int fds[2], pair[2];
    SSL_CTX *ctx[4];

    (void)state;
    make(&root, "root", NULL, "critical,CA:TRUE", NULL, now_s - DAY_S, now_s + DAY_S);
    make(&leaf, "good", &root, NULL, "DNS:good.example,DNS:*.wild.example", now_s - DAY_S,
         now_s + DAY_S);
    make(&other, "other", &root, NULL, "DNS:another.example", now_s - DAY_S, now_s + DAY_S);
    make(&expired, "expired", &root, NULL, "DNS:expired.example", now_s - 2 * DAY_S, now_s - DAY_S);
    make(&strange, "strange", NULL, NULL, "DNS:strange.example", now_s - DAY_S, now_s + DAY_S);
    for (int i = 0; i < 2; i++)
        fds[i] = listen_at(&ports[i]);
    fflush(NULL);
    server_pid = fork();
    if (server_pid == 0) {
        setpgid(0, 0);
        signal(SIGCHLD, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        ctx[0] = context_of(&leaf, 0);
        ctx[1] = context_of(&other, 0);
        ctx[2] = context_of(&expired, 0);
        ctx[3] = context_of(&strange, 0);
        SSL_CTX_set_tlsext_servername_callback(ctx[0], choose);
        SSL_CTX_set_tlsext_servername_arg(ctx[0], ctx);
        if (fork() == 0)
            for (;;)
                serve(fds[1], NULL);
        for (;;)
            serve(fds[0], ctx[0]);
    }
    setpgid(server_pid, server_pid);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    process = pair[0];
    return pair[1];
}

/* ---- the process ---- */

static bool confined;
static void confine(void)
{
    confined = true;
}

static struct https_wire_message receive(void)
{
    struct https_wire_message m;
    ssize_t n = recv(process, room, sizeof(room), 0);

    assert_true(n > 0);
    assert_int_equal(https_wire_read(&m, base_span_of(room, (size_t)n)), 0);
    return m;
}

static void send_start(int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct base_buf b = {.p = room, .cap = sizeof(room)};

    assert_int_equal(https_wire_put_start(&b), 0);
    struct iovec iov = {.iov_base = room, .iov_len = b.len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    assert_int_equal(sendmsg(process, &m, 0), b.len);
}

static void run(int far)
{
    fflush(NULL);
    process_pid = fork();
    if (process_pid == 0) {
        close(process);
        _exit(https_process_run(far, confine));
    }
    close(far);
}

static int start_all(void **state)
{
    FILE *file = tmpfile();

    run(start(state));
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, root.x), 1);
    rewind(file);
    send_start(fileno(file));
    fclose(file);
    assert_int_equal(receive().kind, HTTPS_WIRE_READY);
    return 0;
}

static int stop_all(void **state)
{
    int status;

    (void)state;
    close(process);
    assert_int_equal(waitpid(process_pid, &status, 0), process_pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kill(-server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
    return 0;
}

static void ask(struct https_request *r, uint32_t id, const char *host, const char *path,
                uint32_t timeout_ms)
{
    struct base_buf b = {.p = room, .cap = sizeof(room)};
    struct https_request fresh;

    if (r == NULL) {
        r = &fresh;
        assert_int_equal(https_request_init(r, base_span_str(host), base_span_str(path), BASE_NS_S,
                                            NULL, HTTPS_ROOM_MAX),
                         0);
        r->port = ports[0];
    }
    assert_int_equal(net_addr_parse(&r->address[0], base_span_str("127.0.0.1")), 0);
    r->address_cnt = 1;
    assert_int_equal(https_wire_put_ask(&b, id, r, timeout_ms), 0);
    assert_int_equal(send(process, b.p, b.len, 0), b.len);
}

static void exchanges(void **state)
{
    static const struct {
        const char *host, *path;
        enum https_result result;
        uint16_t status;
    } rows[] = {
        {"good.example", "/ok", HTTPS_OK, 200},
        {"a.wild.example", "/ok", HTTPS_OK, 200},
        {"a.b.wild.example", "/ok", HTTPS_CERTIFICATE, 0},
        {"good.example", "/redirect", HTTPS_REDIRECT, 301},
        {"good.example", "/missing", HTTPS_STATUS, 404},
        {"good.example", "/huge", HTTPS_TOO_LARGE, 0},
        {"good.example", "/header", HTTPS_BROKEN, 0},
        {"good.example", "/half", HTTPS_BROKEN, 0},
        {"good.example", "/strange", HTTPS_BROKEN, 0},
        {"other.example", "/ok", HTTPS_CERTIFICATE, 0},
        {"expired.example", "/ok", HTTPS_CERTIFICATE, 0},
        {"strange.example", "/ok", HTTPS_CERTIFICATE, 0},
        {"good.example", "/slow", HTTPS_TIMEOUT, 0},
    };

    (void)state;
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        ask(NULL, i, rows[i].host, rows[i].path, rows[i].result == HTTPS_TIMEOUT ? 300 : 20000);
        struct https_wire_message m = receive();
        assert_true(m.kind == HTTPS_WIRE_ANSWER && m.id == i);
        if (m.result != rows[i].result || m.status != rows[i].status)
            fail_msg("%s%s: %s %u %s", rows[i].host, rows[i].path, https_result_name(m.result),
                     m.status, m.why);
        if (m.result == HTTPS_OK) {
            assert_true(base_span_eq(m.body, base_span_str(POLICY)));
            assert_true(https_type_is(m.type, "text/plain"));
        } else {
            assert_int_equal(m.body.len, 0);
            assert_true(m.status != 0 || m.why[0] != 0);
        }
    }
}

static struct https_request request_of(const char *host, const char *path, uint16_t port)
{
    struct https_request r;

    assert_int_equal(https_request_init(&r, base_span_str(host), base_span_str(path), BASE_NS_S,
                                        NULL, HTTPS_ROOM_MAX),
                     0);
    r.port = port;
    return r;
}

static void others(void **state)
{
    struct https_request r = request_of("good.example", "/ok", ports[1]);

    (void)state;
    ask(&r, 1, NULL, NULL, 20000); /* speaks no TLS */
    assert_int_equal(receive().result, HTTPS_TLS);
    r.port = 1;
    ask(&r, 2, NULL, NULL, 20000);
    assert_int_equal(receive().result, HTTPS_CONNECT);
    r = request_of("good.example", "/report", ports[0]);
    r.method = HTTPS_POST;
    memcpy(r.type, "application/tlsrpt+gzip", sizeof("application/tlsrpt+gzip"));
    r.body = base_span_str("a report");
    ask(&r, 3, NULL, NULL, 20000);
    struct https_wire_message m = receive();
    assert_true(m.result == HTTPS_OK && m.status == 201);
    /* Whoever the server is, where that is asked for. */
    r = request_of("strange.example", "/ok", ports[0]);
    r.any_certificate = true;
    ask(&r, 4, NULL, NULL, 20000);
    assert_int_equal(receive().result, HTTPS_OK);
    /* A slow one holds up no other. */
    ask(NULL, 5, "good.example", "/slow", 2000);
    ask(NULL, 6, "good.example", "/ok", 20000);
    assert_int_equal(receive().id, 6);
    assert_int_equal(receive().id, 5);
}

/* Without a certificate in the file nothing would ever be trusted: said at once. */
static void no_authorities(void **state)
{
    FILE *file = tmpfile();
    int pair[2], kept = process, status;
    pid_t kept_pid = process_pid;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    process = pair[0];
    run(pair[1]);
    assert_non_null(file);
    send_start(fileno(file));
    fclose(file);
    assert_int_equal(receive().kind, HTTPS_WIRE_REFUSED);
    assert_int_equal(waitpid(process_pid, &status, 0), process_pid);
    close(process);
    process = kept;
    process_pid = kept_pid;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges),
        cmocka_unit_test(others),
        cmocka_unit_test(no_authorities),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
