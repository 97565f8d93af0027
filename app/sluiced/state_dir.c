#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_CAP 4096
#define NAME_CAP 256

static int path_of(char out[PATH_CAP], const char *state_dir, const char *sub)
{
    int n = snprintf(out, PATH_CAP, "%s%s%s", state_dir, sub[0] != 0 ? "/" : "", sub);

    return n < 0 || n >= PATH_CAP ? -ENAMETOOLONG : 0;
}

static int make_one(const char *path, const struct passwd *owner)
{
    struct stat st;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    if (stat(path, &st) != 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    if (owner != NULL && st.st_uid != owner->pw_uid && chown(path, owner->pw_uid, (gid_t)-1) != 0)
        return -errno;
    return 0;
}

int state_dir_make(const char *state_dir, const char *sub, const char *user, char *why, size_t cap)
{
    const struct passwd *owner = NULL;
    char path[PATH_CAP];
    int error = 0;

    if (user != NULL && user[0] != 0 && geteuid() == 0)
        owner = getpwnam(user); /* an unknown one is told of by others */
    for (int i = 0; i < 2 && error == 0; i++) {
        error = path_of(path, state_dir, i == 0 ? "" : sub);
        if (error == 0)
            error = make_one(path, owner);
    }
    if (error != 0)
        snprintf(why, cap, "gateway: state_dir: cannot make %s (%s): make it, or start as root",
                 path, strerror(-error));
    return error;
}

int state_dir_open(const char *state_dir, const char *sub)
{
    char path[PATH_CAP];
    int error = path_of(path, state_dir, sub);

    if (error != 0)
        return error;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int read_whole(int fd, uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, data + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (size_t)n;
    }
    return 0;
}

int state_file_read(int dir, const char *name, size_t max, uint8_t **data, size_t *len)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), error = 0;

    *data = NULL;
    *len = 0;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0)
        error = -errno;
    else if (!S_ISREG(st.st_mode))
        error = -EINVAL;
    else if ((uint64_t)st.st_size > max)
        error = -EFBIG;
    if (error == 0) {
        *len = (size_t)st.st_size;
        *data = malloc(*len + 1);
        error = *data == NULL ? -ENOMEM : read_whole(fd, *data, *len);
    }
    close(fd);
    if (error != 0) {
        free(*data);
        *data = NULL;
        *len = 0;
    }
    return error;
}

int state_file_write(int fd, struct base_span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.p, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        bytes = base_span_of(bytes.p + n, bytes.len - (size_t)n);
    }
    return 0;
}

int state_file_replace(int dir, const char *name, struct base_span bytes)
{
    char other[NAME_CAP];
    int n = snprintf(other, sizeof(other), "%s.new", name);

    if (n < 0 || (size_t)n >= sizeof(other))
        return -ENAMETOOLONG;
    int fd = openat(dir, other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int error = state_file_write(fd, bytes);
    if (error == 0 && fdatasync(fd) != 0)
        error = -errno;
    if (close(fd) != 0 && error == 0)
        error = -errno;
    if (error == 0 && renameat(dir, other, dir, name) != 0)
        error = -errno;
    if (error == 0 && fsync(dir) != 0)
        error = -errno;
    if (error != 0)
        (void)unlinkat(dir, other, 0);
    return error;
}
