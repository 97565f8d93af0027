#include "https_process.h"
#include "https_exchange.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXCHANGE_MAX    64
#define RECEIVE_BURST   16
#define AUTHORITIES_MAX (8 << 20) /* bytes of the file */
#define WAIT_MS         60000

struct process {
    int socket;
    bool started, broken;
    CURLM *multi;
    X509_STORE *authorities; /* NULL: none */
    uint32_t busy_cnt;
    struct https_exchange exchange[EXCHANGE_MAX];
    uint8_t in[HTTPS_WIRE_MAX], out[HTTPS_WIRE_MAX];
};

/* ---- answers ---- */

static void send_out(struct process *p, const struct base_buf *b)
{
    ssize_t n;

    do
        n = send(p->socket, b->p, b->len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    p->broken |= n != (ssize_t)b->len;
}

static void send_answer(struct process *p, const struct https_wire_message *m)
{
    struct base_buf b = {.p = p->out, .cap = sizeof(p->out)};

    if (https_wire_put_answer(&b, m) == 0)
        send_out(p, &b);
    else
        p->broken = true;
}

static void send_failure(struct process *p, uint32_t id, const char *why)
{
    struct https_wire_message m = {.id = id, .result = HTTPS_FAILED};

    memcpy(m.why, why, strlen(why) + 1);
    send_answer(p, &m);
}

/* ---- the authorities ---- */

/* NULL when there is no certificate in it. */
static X509_STORE *read_store(const void *pem, size_t len)
{
    X509_STORE *store = X509_STORE_new();
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    uint32_t cnt = 0;
    X509 *x;

    while (store != NULL && bio != NULL && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        cnt += X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (cnt > 0)
        return store;
    X509_STORE_free(store);
    return NULL;
}

static X509_STORE *read_authorities(int fd)
{
    uint8_t *text = malloc(AUTHORITIES_MAX);
    size_t len = 0;
    ssize_t n = 1;

    while (text != NULL && n > 0 && len < AUTHORITIES_MAX) {
        n = read(fd, text + len, AUTHORITIES_MAX - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    X509_STORE *store = text != NULL && n == 0 ? read_store(text, len) : NULL;
    free(text);
    return store;
}

/* ---- requests ---- */

static void start(struct process *p, int authorities, void (*confine)(void))
{
    struct base_buf b = {.p = p->out, .cap = sizeof(p->out)};
    int failed;

    if (authorities >= 0)
        p->authorities = read_authorities(authorities);
    p->started = authorities < 0 || p->authorities != NULL;
    if (p->started) {
        confine();
        failed = https_wire_put_ready(&b);
    } else {
        failed = https_wire_put_refused(&b, "no certificate in delivery: ca_file");
    }
    if (failed == 0)
        send_out(p, &b);
    p->broken |= failed != 0 || !p->started;
}

static void ask(struct process *p, const struct https_wire_message *m)
{
    struct https_exchange *x = p->exchange;

    if (p->authorities == NULL && !m->any_certificate)
        return send_failure(p, m->id, "no authorities are set (delivery: ca_file)");
    if (p->busy_cnt == EXCHANGE_MAX)
        return send_failure(p, m->id, "too many requests at a time");
    while (x->curl != NULL)
        x++;
    if (https_exchange_open(x, m, p->authorities) == NULL)
        return send_failure(p, m->id, "memory is short");
    if (curl_multi_add_handle(p->multi, x->curl) != CURLM_OK) {
        https_exchange_close(x);
        return send_failure(p, m->id, "memory is short");
    }
    p->busy_cnt++;
}

static void ended(struct process *p, CURL *curl, CURLcode code)
{
    struct https_wire_message m;
    struct https_exchange *x = NULL;

    curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&x);
    https_exchange_answer(x, code, &m);
    send_answer(p, &m);
    curl_multi_remove_handle(p->multi, curl);
    https_exchange_close(x);
    p->busy_cnt--;
}

/* One datagram; *fd is the descriptor that came with it, or -1. */
static ssize_t receive_message(struct process *p, int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = p->in, .iov_len = sizeof(p->in)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};

    *fd = -1;
    ssize_t n = recvmsg(p->socket, &m, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(c), sizeof(int));
    return n;
}

static void receive(struct process *p, void (*confine)(void))
{
    struct https_wire_message m;

    for (int i = 0; i < RECEIVE_BURST && !p->broken; i++) {
        int fd;
        ssize_t n = receive_message(p, &fd);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        bool valid = n > 0 && (size_t)n <= sizeof(p->in) &&
                     https_wire_read(&m, base_span_of(p->in, (size_t)n)) == 0;
        if (valid && m.kind == HTTPS_WIRE_START && !p->started)
            start(p, fd, confine);
        else if (valid && m.kind == HTTPS_WIRE_ASK && p->started)
            ask(p, &m);
        else
            p->broken = true;
        if (fd >= 0)
            close(fd);
    }
}

int https_process_run(int socket, void (*confine)(void))
{
    struct process *p = calloc(1, sizeof(*p));
    const int bytes = 2 * HTTPS_WIRE_MAX;

    if (p == NULL)
        return 1;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(p);
        return 1;
    }
    p->socket = socket;
    p->multi = curl_multi_init();
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    while (p->multi != NULL && !p->broken) {
        struct curl_waitfd extra = {.fd = socket, .events = CURL_WAIT_POLLIN};
        int running, left;
        CURLMsg *done;
        if (curl_multi_poll(p->multi, &extra, 1, WAIT_MS, NULL) != CURLM_OK)
            break;
        receive(p, confine);
        if (curl_multi_perform(p->multi, &running) != CURLM_OK)
            break;
        while ((done = curl_multi_info_read(p->multi, &left)) != NULL)
            if (done->msg == CURLMSG_DONE)
                ended(p, done->easy_handle, done->data.result);
    }
    int status = p->started ? 0 : 1;
    free(p); /* what is open ends with the process */
    return status;
}
