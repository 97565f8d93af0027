#include "opener.h"
#include "role.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum request_kind {
    REQUEST_ALLOW = 1,
    REQUEST_ALLOW_APPEND,
    REQUEST_SEAL,
    REQUEST_OPEN,
    REQUEST_APPEND,
    REQUEST_SPAWN,
    REQUEST_PING
};

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
        return -ENOTCONN;
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    if (n != sizeof(a))
        return -ENOTCONN;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(c), sizeof(int));
    return a.status;
}

/* -ENOTCONN: it is dead or does not answer. Then the socket is to be closed: an answer that comes
 * late would be taken for that to the next question. */
static int32_t ask(int socket, enum request_kind kind, const char *path, int *fd)
{
    struct request r = {.kind = kind};

    *fd = -1;
    if (socket < 0)
        return -ENOTCONN;
    if (strlen(path) >= sizeof(r.path))
        return -EINVAL;
    memcpy(r.path, path, strlen(path) + 1);
    ssize_t n;
    do
        n = send(socket, &r, sizeof(r), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n != sizeof(r))
        return -ENOTCONN;
    return receive_answer(socket, fd);
}

/* ---- the role ---- */

struct list {
    char path[OPENER_LIST_MAX][OPENER_PATH_MAX];
    uint32_t cnt;
    char append[OPENER_PATH_MAX]; /* "": none */
    bool sealed;
};

static bool goes_up(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")) != NULL; at += 3)
        if (at[3] == '/' || at[3] == 0)
            return true;
    return false;
}

/* The entry that allows the path: it itself, or one that ends in "/" above it; NULL when none does.
 */
static const char *entry_of(const struct list *l, const char *path)
{
    bool up = goes_up(path);

    if (path[0] != '/')
        return NULL;
    for (uint32_t i = 0; i < l->cnt; i++) {
        size_t n = strlen(l->path[i]);
        if (strcmp(l->path[i], path) == 0)
            return l->path[i];
        if (!up && l->path[i][n - 1] == '/' && strncmp(l->path[i], path, n) == 0)
            return l->path[i];
    }
    return NULL;
}

/* Opens the path, which entry allows. Below a directory no link leads out of it: whoever may write
 * there gets nothing else through us. */
static int open_path(const char *entry, const char *path)
{
    size_t len = strlen(path), entry_len = strlen(entry);
    bool is_directory = path[len - 1] == '/' || (len > 1 && strcmp(path + len - 2, "/.") == 0);
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
                                    (is_directory ? (unsigned)O_DIRECTORY : 0),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    if (entry_len == len) {
        int fd = open(path, (int)how.flags);
        return fd < 0 ? -errno : fd;
    }
    int dir = open(entry, O_PATH | O_CLOEXEC | O_DIRECTORY);
    if (dir < 0)
        return -errno;
    int fd = (int)syscall(SYS_openat2, dir, path + entry_len, &how, sizeof(how));
    int error = errno;
    close(dir);
    return fd < 0 ? -error : fd;
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

static int32_t allow_append(struct list *l, const char *path)
{
    if (l->sealed || l->append[0] != 0)
        return -EACCES;
    if (path[0] != '/')
        return -EINVAL;
    memcpy(l->append, path, strlen(path) + 1);
    return 0;
}

/* No link: who may write to the log's directory gets no other file changed through us. */
static int append(const struct list *l, const char *path)
{
    if (!l->sealed || l->append[0] == 0 || strcmp(path, l->append) != 0)
        return -EACCES;
    int fd = open(
        path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    return fd < 0 ? -errno : fd;
}

/* Starts a role; a new opener gets this one's list, sealed, before anyone else can talk to it. */
static int32_t spawn(const struct list *l, const char *role, int *fd)
{
    if (role_find(role) == NULL)
        return -EINVAL;
    pid_t pid = role_spawn(role, fd);
    int unused;

    if (pid < 0 || strcmp(role, "opener") != 0)
        return (int32_t)pid;
    int32_t status = 0;
    for (uint32_t i = 0; i < l->cnt && status == 0; i++)
        status = ask(*fd, REQUEST_ALLOW, l->path[i], &unused);
    if (status == 0 && l->append[0] != 0)
        status = ask(*fd, REQUEST_ALLOW_APPEND, l->append, &unused);
    if (status == 0)
        status = ask(*fd, REQUEST_SEAL, "", &unused);
    if (status == 0)
        return (int32_t)pid;
    close(*fd);
    *fd = -1;
    return status;
}

#define RIGHT(name) (UINT64_C(1) << CAP_##name)

/* The list is whole: from here on it reads what others may not, appends to the log, and starts
 * roles, which become other users and give up the rest by themselves. */
static void seal(struct list *l)
{
    char why[SANDBOX_ERROR_CAP], directory[OPENER_PATH_MAX] = "/nowhere";
    const char *const writable[] = {"/dev/null", directory, NULL};
    uint64_t rights = RIGHT(DAC_READ_SEARCH) | RIGHT(SETUID) | RIGHT(SETGID) | RIGHT(SETPCAP);
    size_t len = l->append[0] != 0 ? (size_t)(strrchr(l->append, '/') - l->append) : 0;

    l->sealed = true;
    if (len > 0) {
        memcpy(directory, l->append, len);
        directory[len] = 0;
        rights |= RIGHT(DAC_OVERRIDE);
    }
    /* After 16 of them, one started by the other, no more fit on top of each other (E2BIG): it is
     * confined by the ones below. */
    int error = sandbox_confine(
        &(struct sandbox_paths){.write = writable, .write_only = true, .no_signals = true}, why);
    if (error != 0 && error != -E2BIG)
        fprintf(stderr, "sluiced: opener: %s\n", why);
    if (sandbox_keep_rights(rights) != 0)
        fprintf(stderr, "sluiced: opener: keeps all of its rights\n");
}

static int32_t serve(struct list *l, const struct request *r, int *fd)
{
    switch (r->kind) {
    case REQUEST_ALLOW:
        return allow(l, r->path);
    case REQUEST_ALLOW_APPEND:
        return allow_append(l, r->path);
    case REQUEST_SEAL:
        if (!l->sealed)
            seal(l);
        return 0;
    case REQUEST_OPEN: {
        const char *entry = l->sealed ? entry_of(l, r->path) : NULL;
        *fd = entry != NULL ? open_path(entry, r->path) : -EACCES;
        return *fd < 0 ? *fd : 0;
    }
    case REQUEST_APPEND:
        *fd = append(l, r->path);
        return *fd < 0 ? *fd : 0;
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
        if (status == -ENOTCONN) /* to main it says that we are gone */
            status = -EIO;
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

/* A dead one's socket; or that of one which did not answer, and ends with it. */
static void drop(struct opener *o, int i)
{
    if (o->socket[i] >= 0)
        close(o->socket[i]);
    o->socket[i] = -1;
    o->pid[i] = 0;
}

/* Those that have ended and are our children; after a restart they are others'. */
static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

void opener_stop(struct opener *o)
{
    pid_t pid[2] = {o->pid[0], o->pid[1]};

    for (int i = 0; i < 2; i++)
        drop(o, i);
    for (int i = 0; i < 2; i++) /* they end with their sockets; one that hangs is not waited for */
        for (int ms = 0; pid[i] > 0 && ms < 1000 && waitpid(pid[i], NULL, WNOHANG) == 0; ms++)
            usleep(1000);
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

int opener_allow_append(struct opener *o, const char *path)
{
    return both(o, REQUEST_ALLOW_APPEND, path);
}

int opener_seal(struct opener *o)
{
    return both(o, REQUEST_SEAL, "");
}

/* Asks the one that answers; when it dies over it, the other. */
static int32_t ask_one(struct opener *o, enum request_kind kind, const char *path, int *fd)
{
    int32_t status = -ENOTCONN;

    for (int attempt = 0; attempt < 2 && status == -ENOTCONN; attempt++) {
        status = ask(o->socket[0], kind, path, fd);
        if (status == -ENOTCONN) {
            drop(o, 0);
            (void)opener_tend(o);
        }
    }
    return status;
}

int opener_open(struct opener *o, const char *path)
{
    int fd = -1;
    int32_t status = ask_one(o, REQUEST_OPEN, path, &fd);

    if (status == 0 && fd < 0)
        return -EPROTO;
    return status == 0 ? fd : status;
}

int opener_append(struct opener *o, const char *path)
{
    int fd = -1;
    int32_t status = ask_one(o, REQUEST_APPEND, path, &fd);

    if (status == 0 && fd < 0)
        return -EPROTO;
    return status == 0 ? fd : status;
}

int opener_spawn(struct opener *o, const char *role, int *socket)
{
    int32_t status = ask_one(o, REQUEST_SPAWN, role, socket);

    if (status > 0 && *socket < 0)
        return -EPROTO;
    return status != 0 ? status : -EPROTO;
}

/* Nothing to read: no end of file, no stray answer. Control has signal handlers (net_tap's). */
static bool alive(int socket)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};
    int ready;

    do
        ready = poll(&p, 1, 0);
    while (ready < 0 && errno == EINTR);
    return ready == 0;
}

bool opener_tend(struct opener *o)
{
    reap();
    for (int i = 0; i < 2; i++)
        if (o->socket[i] >= 0 && !alive(o->socket[i]))
            drop(o, i);
    if (o->socket[0] < 0) {
        o->socket[0] = o->socket[1];
        o->pid[0] = o->pid[1];
        o->socket[1] = -1;
        o->pid[1] = 0;
    }
    if (o->socket[0] < 0 || o->socket[1] >= 0)
        return false;
    int32_t pid = ask(o->socket[0], REQUEST_SPAWN, "opener", &o->socket[1]);
    if (pid == -ENOTCONN)
        drop(o, 0);
    if (pid <= 0)
        return false;
    o->pid[1] = pid;
    o->restart_cnt++;
    return true;
}

bool opener_lost(const struct opener *o)
{
    return o->socket[0] < 0 && o->socket[1] < 0;
}
