#include "gateway_auth.h"
#include "base_time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOAD_MS    10000     /* for the first file */
#define LOOK_NS    BASE_NS_S /* between looks at the file */
#define RESTART_NS BASE_NS_S /* between starts of the process */

/* ---- the file ---- */

static struct gateway_auth_file facts_of(int fd)
{
    struct gateway_auth_file f = {0};
    struct stat st;

    if (fstat(fd, &st) == 0) {
        f.dev = st.st_dev;
        f.ino = st.st_ino;
        f.size = st.st_size;
        f.changed = st.st_ctim;
        f.modified = st.st_mtim;
    }
    return f;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const struct gateway_auth_file *a, const struct gateway_auth_file *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->changed, b->changed) && same_time(a->modified, b->modified);
}

/* ---- the process ---- */

static void fill_config(struct gateway_auth *g, const struct conf *conf, uint32_t lane_cnt)
{
    static const uint32_t backends[] = {[CONF_AUTH_NONE] = AUTH_BACKEND_NONE,
                                        [CONF_AUTH_PASSWD] = AUTH_BACKEND_PASSWD,
                                        [CONF_AUTH_DOVECOT] = AUTH_BACKEND_DOVECOT};
    const struct conf_auth *a = &conf->auth;
    const struct passwd *user = NULL;

    if (conf->gateway.user != NULL && conf->gateway.user[0] != 0)
        user = getpwnam(conf->gateway.user);
    g->config = (struct auth_message_config){
        .backend = backends[a->backend],
        .workers = (uint32_t)a->workers,
        .queue = (uint32_t)a->queue,
        .exchanges = lane_cnt * (uint32_t)a->exchanges,
        .uid = user != NULL && geteuid() == 0 ? user->pw_uid : UINT32_MAX,
        .gid = user != NULL && geteuid() == 0 ? user->pw_gid : UINT32_MAX,
        .sandbox = conf->gateway.sandbox,
    };
    snprintf(g->config.path, sizeof(g->config.path), "%s",
             a->backend == CONF_AUTH_PASSWD ? a->passwd_file : a->dovecot_socket);
}

/* A process that has its configuration and the file; its socket, or a negative error. */
static int start(struct gateway_auth *g, struct opener *opener)
{
    struct auth_message m = {.kind = AUTH_MESSAGE_CONFIG};
    int socket = -1, file = -1;
    int error = opener_spawn(opener, "auth", &socket);

    if (error < 0)
        return error;
    g->pid = error;
    auth_message_set_data(&m, base_span_of(&g->config, sizeof(g->config)));
    error = auth_send(socket, &m, -1);
    if (error == 0 && g->config.backend == AUTH_BACKEND_PASSWD) {
        file = opener_open(opener, g->config.path);
        error = file < 0 ? file : 0;
    }
    if (error == 0 && file >= 0) {
        struct auth_message f = {.kind = AUTH_MESSAGE_FILE};
        g->loaded = g->seen = facts_of(file);
        error = auth_send(socket, &f, file);
    }
    if (file >= 0)
        close(file);
    if (error == 0)
        return socket;
    close(socket);
    return error;
}

/* What the process says to its first file: 0, or why it cannot be used. */
static int await_file(int socket, char *err, size_t err_cap)
{
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct pollfd p = {.fd = socket, .events = POLLIN};
    struct auth_message m;
    int ready;

    do
        ready = poll(&p, 1, LOAD_MS);
    while (ready < 0 && errno == EINTR);
    ssize_t n = ready > 0 ? recv(socket, bytes, sizeof(bytes), 0) : -1;
    snprintf(err, err_cap,
             "auth: the process of the accounts does not start: see the log and the kernel's "
             "(dmesg), then start again");
    if (n <= 0 || auth_message_read(&m, base_span_of(bytes, (size_t)n)) != 0)
        return -EIO;
    if (m.kind == AUTH_MESSAGE_LOADED)
        return 0;
    snprintf(err, err_cap, "auth: passwd_file: %.*s", (int)m.data_len, (const char *)m.data);
    return -EINVAL;
}

int gateway_auth_open(struct gateway_auth *g, const struct conf *conf, struct topology *t,
                      struct opener *opener, char *err, size_t err_cap)
{
    uint8_t secret[16];

    if (conf->auth.backend == CONF_AUTH_NONE)
        return 0;
    fill_config(g, conf, t->lane_cnt);
    int socket = start(g, opener);
    if (socket < 0) {
        snprintf(err, err_cap, "auth: %s: %s",
                 g->config.backend == AUTH_BACKEND_PASSWD ? g->config.path : "cannot be started",
                 strerror(-socket));
        return socket;
    }
    int error = 0;
    if (g->config.backend == AUTH_BACKEND_PASSWD)
        error = await_file(socket, err, err_cap);
    if (error == 0 && getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        error = -EIO;
    if (error != 0) {
        close(socket);
        return error;
    }
    error = auth_init(&g->auth, &conf->auth, t, socket, secret);
    if (error != 0)
        snprintf(err, err_cap, "no memory for logins: lower auth: exchanges");
    return error;
}

void gateway_auth_close(struct gateway_auth *g)
{
    auth_fini(&g->auth);
}

/* A file that is still being written has other facts at the next look: it is taken when they stay.
 */
static void look(struct gateway_auth *g, struct opener *opener, bool at_once)
{
    int file = opener_open(opener, g->config.path);

    if (file < 0)
        return; /* between its removal and its return the old accounts stay */
    struct gateway_auth_file now = facts_of(file);
    if (!same_file(&now, &g->loaded) && (at_once || same_file(&now, &g->seen))) {
        g->loaded = now;
        auth_give_file(&g->auth, file);
        return;
    }
    g->seen = now;
    close(file);
}

void gateway_auth_reload(struct gateway_auth *g, struct opener *opener)
{
    if (g->auth.conf != NULL && g->config.backend == AUTH_BACKEND_PASSWD)
        look(g, opener, true);
}

bool gateway_auth_tend(struct gateway_auth *g, struct opener *opener, uint64_t now_ns)
{
    if (g->auth.conf == NULL)
        return false;
    if (atomic_load_explicit(&g->auth.lost, memory_order_acquire)) {
        if (now_ns - g->started_ns < RESTART_NS)
            return false;
        g->started_ns = now_ns;
        int socket = start(g, opener);
        if (socket < 0)
            return false;
        g->restart_cnt++;
        auth_give_socket(&g->auth, socket);
        return true;
    }
    if (g->config.backend == AUTH_BACKEND_PASSWD && now_ns - g->looked_ns >= LOOK_NS) {
        g->looked_ns = now_ns;
        look(g, opener, false);
    }
    return false;
}
