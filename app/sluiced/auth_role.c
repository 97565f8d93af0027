#include "auth_role.h"
#include "auth_dovecot.h"
#include "auth_message.h"
#include "auth_passwd.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define SLOT_MASK    ((1u << 20) - 1)
#define EXCHANGE_MAX 4096 /* that a driver carries at a time */

struct place {
    struct auth_exchange exchange;
    uint64_t id; /* 0: free */
};

struct role_state {
    int socket;
    struct auth_message_config config;
    struct auth_passwd *passwd;
    struct auth_driver driver;
    struct place *places;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void random_bytes(void *p, size_t len)
{
    base_assert(getrandom(p, len, 0) == (ssize_t)len);
}

/* ---- to main ---- */

/* It reads what we send, always: so this does not wait for long. */
static void send_message(const struct role_state *r, const struct auth_message *m)
{
    uint8_t bytes[AUTH_MESSAGE_MAX];
    size_t len = auth_message_write(bytes, m);

    while (send(r->socket, bytes, len, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static void tell(const struct role_state *r, enum auth_message_kind kind, const char *text)
{
    struct auth_message m = {.kind = (uint8_t)kind};

    auth_message_set_data(&m, base_span_str(text));
    send_message(r, &m);
}

static void answer(const struct role_state *r, uint64_t id, const struct auth_answer *a)
{
    struct auth_message m = {.kind = AUTH_MESSAGE_RESULT, .id = id, .result = (uint8_t)a->result};

    auth_message_set_login(&m, a->login);
    auth_message_set_data(&m, a->challenge);
    send_message(r, &m);
}

static void done(void *user, struct auth_exchange *x, const struct auth_answer *a)
{
    struct place *p = base_container_of(x, struct place, exchange);

    answer(user, p->id, a);
    if (a->result != AUTH_CHALLENGE)
        p->id = 0;
}

/* ---- the passwd file ---- */

static struct auth_passwd_table *read_file(const struct role_state *r, int fd,
                                           char why[AUTH_PASSWD_WHY_CAP],
                                           char warning[AUTH_PASSWD_WHY_CAP])
{
    const char *slash = strrchr(r->config.path, '/');
    const char *name = slash != NULL ? slash + 1 : r->config.path;
    struct stat st;
    size_t len = 0;

    snprintf(why, AUTH_PASSWD_WHY_CAP, "%.100s: cannot be read", name);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > AUTH_PASSWD_BYTES_MAX)
        return NULL;
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    if (bytes == NULL)
        return NULL;
    while (len < (size_t)st.st_size) {
        ssize_t n = pread(fd, bytes + len, (size_t)st.st_size - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    struct auth_passwd_table *t = NULL;
    if (len == (size_t)st.st_size)
        t = auth_passwd_parse(name, base_span_of(bytes, len), why, warning);
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    return t;
}

static void take_file(struct role_state *r, int fd)
{
    char why[AUTH_PASSWD_WHY_CAP], warning[AUTH_PASSWD_WHY_CAP], text[512];

    if (r->passwd == NULL || fd < 0)
        return;
    struct auth_passwd_table *t = read_file(r, fd, why, warning);
    if (t == NULL) {
        snprintf(text, sizeof(text), "accounts: %s", why);
        return tell(r, AUTH_MESSAGE_FAILED, text);
    }
    snprintf(text, sizeof(text), "accounts: %u%s%s", auth_passwd_cnt(t),
             warning[0] != 0 ? "; " : "", warning);
    auth_passwd_use(r->passwd, t);
    tell(r, AUTH_MESSAGE_LOADED, text);
}

/* ---- start ---- */

static bool drop_rights(const struct auth_message_config *c)
{
    char why[SANDBOX_ERROR_CAP];
    gid_t gid = c->gid;

    sandbox_close_rights();
    if (c->sandbox && sandbox_confine_all(why) != 0)
        fprintf(stderr, "sluiced: auth: %s\n", why);
    return c->uid == UINT32_MAX || (setgroups(1, &gid) == 0 && setresgid(gid, gid, gid) == 0 &&
                                    setresuid(c->uid, c->uid, c->uid) == 0);
}

static void note(void *user, const char *text)
{
    tell(user, AUTH_MESSAGE_NOTE, text);
}

static bool open_dovecot(struct role_state *r, uint32_t exchange_max)
{
    struct auth_dovecot_settings s = {
        .path = r->config.path, .exchange_max = exchange_max, .done = {done, r}, .note = note};
    struct auth_dovecot *d;

    if (auth_dovecot_open(&d, &s) != 0)
        return false;
    r->driver = auth_dovecot_driver(d);
    return true;
}

static bool open_driver(struct role_state *r)
{
    const struct auth_message_config *c = &r->config;
    struct auth_passwd_settings s = {
        .exchange_max = c->exchanges < EXCHANGE_MAX ? c->exchanges : EXCHANGE_MAX,
        .thread_cnt = c->workers,
        .job_max = c->workers + c->queue,
        .random = random_bytes,
        .done = {done, r},
    };

    if (c->backend == AUTH_BACKEND_DOVECOT)
        return open_dovecot(r, s.exchange_max);
    if (c->backend != AUTH_BACKEND_PASSWD)
        return false;
    random_bytes(s.secret, sizeof(s.secret));
    if (auth_passwd_open(&r->passwd, &s) != 0)
        return false;
    r->driver = auth_passwd_driver(r->passwd);
    return true;
}

static bool take_config(struct role_state *r, const struct auth_message *m)
{
    if (r->places != NULL || m->data_len != sizeof(r->config))
        return false;
    memcpy(&r->config, m->data, sizeof(r->config));
    struct auth_message_config *c = &r->config;
    if (memchr(c->path, 0, sizeof(c->path)) == NULL || c->exchanges == 0 ||
        c->exchanges > SLOT_MASK || c->workers == 0 || c->workers > 64)
        return false;
    r->places = calloc(c->exchanges, sizeof(r->places[0]));
    if (r->places == NULL || !drop_rights(c) || !open_driver(r))
        return false;
    char why[SANDBOX_ERROR_CAP];
    sandbox_close_memory(); /* another user's now */
    if (sandbox_allow(SANDBOX_AUTH, why) != 0)
        fprintf(stderr, "sluiced: auth: %s\n", why);
    return true;
}

/* ---- logins ---- */

static struct place *place_of(struct role_state *r, uint64_t id)
{
    uint64_t slot = id & SLOT_MASK;

    return slot < r->config.exchanges ? &r->places[slot] : NULL;
}

static void begin(struct role_state *r, const struct auth_message *m)
{
    struct place *p = place_of(r, m->id);
    bool none = m->flags & AUTH_MESSAGE_NO_RESPONSE;

    if (p == NULL || m->id == 0)
        return;
    if (p->id != 0) /* main has given it up, and we were not told */
        r->driver.ops->cancel(r->driver.state, &p->exchange);
    p->id = m->id;
    p->exchange = (struct auth_exchange){.mechanism = m->mechanism,
                                         .secure = m->flags & AUTH_MESSAGE_SECURE,
                                         .plus_offered = m->flags & AUTH_MESSAGE_PLUS,
                                         .bound = m->flags & AUTH_MESSAGE_BOUND,
                                         .identity = base_span_of(m->login, m->login_len)};
    memcpy(p->exchange.client, m->client, sizeof(p->exchange.client));
    memcpy(p->exchange.binding, m->binding, sizeof(p->exchange.binding));
    r->driver.ops->begin(r->driver.state, &p->exchange,
                         base_span_of(none ? NULL : m->data, none ? 0 : m->data_len));
}

static void go_on(struct role_state *r, const struct auth_message *m)
{
    struct place *p = place_of(r, m->id);

    if (p == NULL || p->id != m->id) { /* begun with the process before this one */
        answer(r, m->id, &(struct auth_answer){.result = AUTH_UNAVAILABLE});
        return;
    }
    r->driver.ops->resume(r->driver.state, &p->exchange, base_span_of(m->data, m->data_len));
}

static void give_up(struct role_state *r, const struct auth_message *m)
{
    struct place *p = place_of(r, m->id);

    if (p == NULL || p->id != m->id)
        return;
    r->driver.ops->cancel(r->driver.state, &p->exchange);
    p->id = 0;
}

static bool take_message(struct role_state *r, const struct auth_message *m, int fd)
{
    if (m->kind == AUTH_MESSAGE_CONFIG)
        return take_config(r, m);
    if (r->driver.ops == NULL)
        return false;
    switch (m->kind) {
    case AUTH_MESSAGE_FILE:
        take_file(r, fd);
        return true;
    case AUTH_MESSAGE_BEGIN:
        begin(r, m);
        return true;
    case AUTH_MESSAGE_RESPONSE:
        go_on(r, m);
        return true;
    case AUTH_MESSAGE_CANCEL:
        give_up(r, m);
        return true;
    default:
        return false;
    }
}

/* One message, which is there. False: main has gone, or talks nonsense. */
static bool receive(struct role_state *r)
{
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct auth_message m;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(r->socket, &h, MSG_CMSG_CLOEXEC);
    int fd = -1;

    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(c), sizeof(int));
    bool ok = auth_message_read(&m, base_span_of(bytes, (size_t)n)) == 0 && take_message(r, &m, fd);
    OPENSSL_cleanse(bytes, (size_t)n);
    OPENSSL_cleanse(&m, sizeof(m));
    if (fd >= 0)
        close(fd);
    return ok;
}

int auth_role_main(int socket)
{
    struct role_state r = {.socket = socket};

    signal(SIGINT, SIG_IGN); /* from a terminal it is meant for main; we end with its socket */
    for (;;) {
        const struct auth_driver *d = &r.driver;
        struct pollfd fds[2] = {
            {.fd = socket, .events = POLLIN},
            {.fd = d->ops != NULL ? d->ops->wait_fd(d->state) : -1, .events = POLLIN}};
        int n = poll(fds, 2, fds[1].fd < 0 ? 200 : 1000); /* while there is no Dovecot */
        if (n < 0 && errno != EINTR)
            return 1;
        if (n > 0 && fds[0].revents != 0 && !receive(&r)) {
            free(r.places);
            return 0;
        }
        if (d->ops != NULL)
            d->ops->run(d->state, now_ns());
    }
}
