#include "opener.h"
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum request_kind { REQUEST_ALLOW = 1, REQUEST_SEAL, REQUEST_OPEN, REQUEST_SPAWN, REQUEST_PING };

struct request {
    uint32_t kind;
    uint32_t flags;
    char path[OPENER_PATH_MAX]; /* terminated; SPAWN: the role */
};

struct answer {
    int32_t status; /* 0, a pid, or a negative error */
};

#define ANSWER_TIMEOUT_MS 2000

/* ---- messages with a descriptor ---- */

static int send_answer(int socket, int32_t status, int fd)
{
    struct answer a = {.status = status};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &a, .iov_len = sizeof(a)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Waits for one answer; *fd is the descriptor that came with it, or -1. */
static int32_t receive_answer(int socket, int *fd)
{
    struct answer a = {0};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &a, .iov_len = sizeof(a)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct pollfd p = {.fd = socket, .events = POLLIN};
    int ready;

    *fd = -1;
    do
        ready = poll(&p, 1, ANSWER_TIMEOUT_MS);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return ready == 0 ? -ETIMEDOUT : -errno;
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    if (n != sizeof(a))
        return -EPIPE;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(c), sizeof(int));
    return a.status;
}

static int32_t ask(int socket, enum request_kind kind, const char *path, int *fd)
{
    struct request r = {.kind = kind};

    *fd = -1;
    if (socket < 0)
        return -EPIPE;
    if (strlen(path) >= sizeof(r.path))
        return -EINVAL;
    memcpy(r.path, path, strlen(path) + 1);
    if (send(socket, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
        return -EPIPE;
    return receive_answer(socket, fd);
}

/* ---- the role ---- */

struct list {
    char path[OPENER_LIST_MAX][OPENER_PATH_MAX];
    uint32_t cnt;
    bool sealed;
};

/* On the list, or below an entry that ends in "/". */
static bool allowed(const struct list *l, const char *path)
{
    if (path[0] != '/' || strstr(path, "..") != NULL)
        return false;
    for (uint32_t i = 0; i < l->cnt; i++) {
        size_t n = strlen(l->path[i]);
        if (strcmp(l->path[i], path) == 0)
            return true;
        if (l->path[i][n - 1] == '/' && strncmp(l->path[i], path, n) == 0)
            return true;
    }
    return false;
}

static int32_t allow(struct list *l, const char *path)
{
    if (l->sealed)
        return -EACCES;
    if (l->cnt == OPENER_LIST_MAX)
        return -ENOSPC;
    if (path[0] != '/')
        return -EINVAL;
    memcpy(l->path[l->cnt++], path, strlen(path) + 1);
    return 0;
}

/* Starts a role; a new opener gets this one's list, sealed, before anyone else can talk to it. */
static int32_t spawn(const struct list *l, const char *role, int *fd)
{
    pid_t pid = role_spawn(role, fd);
    int unused;

    if (pid < 0 || strcmp(role, "opener") != 0)
        return (int32_t)pid;
    int32_t status = 0;
    for (uint32_t i = 0; i < l->cnt && status == 0; i++)
        status = ask(*fd, REQUEST_ALLOW, l->path[i], &unused);
    if (status == 0)
        status = ask(*fd, REQUEST_SEAL, "", &unused);
    if (status == 0)
        return (int32_t)pid;
    close(*fd);
    *fd = -1;
    return status;
}

static int32_t serve(struct list *l, const struct request *r, int *fd)
{
    size_t len = strlen(r->path);

    switch (r->kind) {
    case REQUEST_ALLOW:
        return allow(l, r->path);
    case REQUEST_SEAL:
        l->sealed = true;
        return 0;
    case REQUEST_OPEN:
        if (!l->sealed || !allowed(l, r->path))
            return -EACCES;
        *fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
                                (r->path[len - 1] == '/' ? O_DIRECTORY : 0));
        return *fd < 0 ? -errno : 0;
    case REQUEST_SPAWN:
        return l->sealed ? spawn(l, r->path, fd) : -EACCES;
    case REQUEST_PING:
        return 0;
    default:
        return -EINVAL;
    }
}

int opener_main(int socket)
{
    struct list list = {0};
    struct request r;

    signal(SIGCHLD, SIG_IGN); /* roles that it started are reaped by the kernel */
    signal(SIGINT, SIG_IGN);  /* from a terminal it is meant for main; we end with its socket */
    for (;;) {
        ssize_t n = recv(socket, &r, sizeof(r), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0; /* main has gone */
        int fd = -1;
        int32_t status = -EINVAL;
        if (n == sizeof(r) && memchr(r.path, 0, sizeof(r.path)) != NULL)
            status = serve(&list, &r, &fd);
        if (send_answer(socket, status, fd) != 0)
            return 1;
        if (fd >= 0)
            close(fd);
    }
}

/* ---- main's side ---- */

int opener_start(struct opener *o)
{
    *o = (struct opener){.socket = {-1, -1}};
    for (int i = 0; i < 2; i++) {
        o->pid[i] = role_spawn("opener", &o->socket[i]);
        if (o->pid[i] < 0) {
            int error = (int)o->pid[i];
            opener_stop(o);
            return error;
        }
    }
    return 0;
}

void opener_stop(struct opener *o)
{
    for (int i = 0; i < 2; i++) {
        if (o->socket[i] >= 0)
            close(o->socket[i]);
        o->socket[i] = -1;
        if (o->pid[i] > 0)
            waitpid(o->pid[i], NULL, 0); /* not our child after a restart: fails at once */
        o->pid[i] = 0;
    }
}

static int both(struct opener *o, enum request_kind kind, const char *path)
{
    int unused;

    for (int i = 0; i < 2; i++) {
        int32_t status = ask(o->socket[i], kind, path, &unused);
        if (status != 0)
            return status;
    }
    return 0;
}

int opener_allow(struct opener *o, const char *path)
{
    return both(o, REQUEST_ALLOW, path);
}

int opener_seal(struct opener *o)
{
    return both(o, REQUEST_SEAL, "");
}

int opener_open(struct opener *o, const char *path)
{
    int fd;
    int32_t status = ask(o->socket[0], REQUEST_OPEN, path, &fd);

    if (status == -EPIPE && opener_tend(o))
        status = ask(o->socket[0], REQUEST_OPEN, path, &fd);
    if (status == 0 && fd < 0)
        return -EPROTO;
    return status == 0 ? fd : status;
}

static bool alive(int socket)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};

    return socket >= 0 &&
           poll(&p, 1, 0) == 0; /* nothing to read: no end of file, no stray answer */
}

bool opener_tend(struct opener *o)
{
    bool dead[2] = {!alive(o->socket[0]), !alive(o->socket[1])};

    if (!dead[0] && !dead[1])
        return false;
    for (int i = 0; i < 2; i++)
        if (dead[i] && o->socket[i] >= 0) {
            close(o->socket[i]);
            o->socket[i] = -1;
            waitpid(o->pid[i], NULL, WNOHANG);
            o->pid[i] = 0;
        }
    if (dead[0]) {
        o->socket[0] = o->socket[1];
        o->pid[0] = o->pid[1];
        o->socket[1] = -1;
        o->pid[1] = 0;
    }
    int32_t pid = ask(o->socket[0], REQUEST_SPAWN, "opener", &o->socket[1]);
    o->pid[1] = pid > 0 ? pid : 0;
    o->restart_cnt++;
    return true;
}
