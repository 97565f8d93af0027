/* The control socket: who may connect, and what whoever has connected may do. */
#include "control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static bool is_set(const char *group)
{
    return group != NULL && group[0] != 0;
}

/* Who owns the socket, and what its mode is. It has room for one group: with two of them everyone
 * may connect, and the peer's credentials alone decide, as they do behind any mode. Returns 0, or
 * -ENOENT with a sentence in err. */
static int door_of(const struct conf_control *conf, gid_t *gid, mode_t *mode, char *err,
                   size_t err_cap)
{
    const char *const keys[] = {"group", "change_group"};
    const char *const names[] = {conf->group, conf->change_group};
    uint32_t cnt = 0;

    *gid = (gid_t)-1;
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(names); i++) {
        if (!is_set(names[i]))
            continue;
        const struct group *g = getgrnam(names[i]);
        if (g == NULL) {
            snprintf(err, err_cap,
                     "control: %s: there is no group '%s': make it (groupadd --system %s), or name "
                     "another",
                     keys[i], names[i], names[i]);
            return -ENOENT;
        }
        cnt += *gid != g->gr_gid;
        *gid = g->gr_gid;
    }
    *mode = cnt == 0 ? 0600 : cnt == 1 ? 0660 : 0666;
    return 0;
}

int control_listen(const struct conf *conf, char *err, size_t err_cap)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *path = conf->control.socket;
    gid_t gid;
    mode_t mode;

    if (strlen(path) >= sizeof(a.sun_path)) {
        snprintf(err, err_cap,
                 "control: socket: the path is longer than %zu bytes: name a shorter one",
                 sizeof(a.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    int rc = door_of(&conf->control, &gid, &mode, err, err_cap);
    if (rc != 0)
        return rc;
    memcpy(a.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Left over from a crash, or in use: only an answer tells. */
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
        close(fd);
        snprintf(err, err_cap,
                 "control: socket: another gateway answers at %s: stop it, or name another socket",
                 path);
        return -EADDRINUSE;
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        int error = errno;
        close(fd);
        snprintf(err, err_cap,
                 "control: socket: cannot remove %s, which another run has left (%s): remove it, "
                 "or start as root",
                 path, strerror(error));
        return -error;
    }
    mode_t old = umask(0777);
    int failed = bind(fd, (struct sockaddr *)&a, sizeof(a));
    int error = errno;
    umask(old);
    if (failed == 0 &&
        (chown(path, (uid_t)-1, gid) != 0 || chmod(path, mode) != 0 || listen(fd, BACKLOG) != 0)) {
        failed = -1;
        error = errno;
    }
    if (failed != 0) {
        close(fd);
        snprintf(err, err_cap,
                 "control: socket: cannot listen at %s (%s): is the directory there, "
                 "and may we write it?",
                 path, strerror(error));
        return -error;
    }
    return fd;
}

/* Whether the peer is in the group: by its own group or one of the others. */
static bool is_member(const struct ucred *peer, const gid_t *groups, size_t cnt, const char *name)
{
    const struct group *g = is_set(name) ? getgrnam(name) : NULL;

    if (g == NULL)
        return false;
    if (peer->gid == g->gr_gid)
        return true;
    for (size_t i = 0; i < cnt; i++)
        if (groups[i] == g->gr_gid)
            return true;
    return false;
}

/* By the kernel's word on the peer, not by the socket's mode alone. */
enum control_right control_right_of(int fd, const struct conf_control *conf, uid_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    gid_t groups[256];

    *uid = (uid_t)-1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return CONTROL_NONE;
    *uid = peer.uid;
    if (peer.uid == 0 || peer.uid == geteuid())
        return CONTROL_CHANGE;
    len = sizeof(groups);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
        len = 0;
    size_t cnt = len / sizeof(gid_t);
    if (is_member(&peer, groups, cnt, conf->change_group))
        return CONTROL_CHANGE;
    return is_member(&peer, groups, cnt, conf->group) ? CONTROL_LOOK : CONTROL_NONE;
}
