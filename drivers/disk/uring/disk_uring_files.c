#include "disk_uring_files.h"

#include "disk_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char *err, size_t err_cap, const char *what)
{
    int rc = -errno;
    snprintf(err, err_cap, "%s: %s", what, strerror(-rc));
    return rc;
}

static int lock_take(struct disk_uring_files *f, int dir_fd, char *err, size_t err_cap)
{
    f->lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->lock_fd < 0)
        return fail(err, err_cap, "spool's lock file");
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return fail(err, err_cap, "spool's lock file");
    snprintf(err, err_cap,
             "the spool is in use by another process: stop that one, or name another path");
    return -EBUSY;
}

/* Made when it is not there. Returns the descriptor, or -1 and errno. */
static int folder_open(int dir_fd, const char *name)
{
    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int disk_uring_files_init(struct disk_uring_files *f, int dir_fd, uint32_t file_max, char *err,
                          size_t err_cap)
{
    f->seg_fd = -1;
    f->aside_fd = -1;
    f->lock_fd = -1;
    f->fds = malloc(file_max * sizeof(*f->fds));
    if (f->fds == NULL) {
        snprintf(err, err_cap, "out of memory");
        return -ENOMEM;
    }
    f->fd_cnt = file_max;
    for (uint32_t i = 0; i < file_max; i++)
        f->fds[i] = -1;
    int rc = lock_take(f, dir_fd, err, err_cap);
    if (rc < 0)
        return rc;
    f->seg_fd = folder_open(dir_fd, "seg");
    f->aside_fd = f->seg_fd < 0 ? -1 : folder_open(dir_fd, "quarantine");
    if (f->seg_fd < 0 || f->aside_fd < 0)
        return fail(err, err_cap,
                    f->seg_fd < 0 ? "spool's folder seg" : "spool's folder quarantine");
    if (fsync(dir_fd) < 0)
        return fail(err, err_cap, "spool's folder");
    return 0;
}

void disk_uring_files_fini(struct disk_uring_files *f)
{
    for (uint32_t i = 0; i < f->fd_cnt; i++)
        if (f->fds[i] >= 0)
            close(f->fds[i]);
    free(f->fds);
    f->fds = NULL;
    f->fd_cnt = 0;
    if (f->seg_fd >= 0)
        close(f->seg_fd);
    if (f->aside_fd >= 0)
        close(f->aside_fd);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
}

int disk_uring_files_list(struct disk_uring_files *f, uint32_t *numbers, uint32_t cap)
{
    return disk_name_list(f->seg_fd, numbers, cap);
}

/* Opens for durable writes; without O_DIRECT only where the file system has none. */
static int open_segment(struct disk_uring_files *f, uint32_t segment, int flags)
{
    char name[DISK_NAME_CAP];
    disk_name_format(name, segment);
    flags |= O_RDWR | O_DSYNC | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(f->seg_fd, name, flags | O_DIRECT, 0600);
    if (fd < 0 && errno == EINVAL) {
        /* With O_CREAT the file may have been made before O_DIRECT was refused. */
        if ((flags & O_CREAT) != 0)
            unlinkat(f->seg_fd, name, 0);
        fd = openat(f->seg_fd, name, flags, 0600);
        if (fd >= 0)
            f->buffered = true;
    }
    return fd < 0 ? -errno : fd;
}

/* Real space, so that a later write cannot find the disk full. */
static int allocate(int fd, uint64_t bytes)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) < 0 &&
        (errno != EOPNOTSUPP || ftruncate(fd, (off_t)bytes) < 0))
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

int disk_uring_files_create(struct disk_uring_files *f, uint32_t segment, uint64_t bytes)
{
    char name[DISK_NAME_CAP];
    if (segment >= f->fd_cnt)
        return -EMFILE;
    int fd = open_segment(f, segment, O_CREAT | O_EXCL);
    if (fd < 0)
        return fd;
    int rc = allocate(fd, bytes);
    if (rc == 0 && fsync(f->seg_fd) < 0)
        rc = -errno;
    if (rc < 0) {
        disk_name_format(name, segment);
        unlinkat(f->seg_fd, name, 0);
        close(fd);
        return rc;
    }
    f->fds[segment] = fd;
    return fd;
}

int64_t disk_uring_files_open(struct disk_uring_files *f, uint32_t segment)
{
    struct stat st;
    if (segment >= f->fd_cnt)
        return -EMFILE;
    int fd = open_segment(f, segment, 0);
    if (fd < 0)
        return fd;
    /* What an earlier process left in the cache is made durable before it is read as the truth.
     * Where that failed before, the cache is clean and wrong: it goes. */
    if (fsync(fd) < 0 || fstat(fd, &st) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    if (f->buffered)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    f->fds[segment] = fd;
    return st.st_size;
}

int disk_uring_files_remove(struct disk_uring_files *f, uint32_t segment)
{
    char name[DISK_NAME_CAP];
    if (segment >= f->fd_cnt || f->fds[segment] < 0)
        return -ENOENT;
    close(f->fds[segment]);
    f->fds[segment] = -1;
    disk_name_format(name, segment);
    if (unlinkat(f->seg_fd, name, 0) < 0 || fsync(f->seg_fd) < 0)
        return -errno;
    return 0;
}

int disk_uring_files_set_aside(struct disk_uring_files *f, uint32_t segment)
{
    char from[DISK_NAME_CAP], to[DISK_NAME_CAP + 8];
    if (segment >= f->fd_cnt || f->fds[segment] < 0)
        return -ENOENT;
    disk_name_format(from, segment);
    int rc = -1;
    for (int i = 0; i < 1000 && rc < 0; i++) {
        snprintf(to, sizeof(to), "%s.%d", from, i);
        rc = renameat2(f->seg_fd, from, f->aside_fd, to, RENAME_NOREPLACE);
        if (rc < 0 && errno != EEXIST)
            return -errno;
    }
    if (rc < 0)
        return -EEXIST;
    close(f->fds[segment]);
    f->fds[segment] = -1;
    return fsync(f->aside_fd) < 0 || fsync(f->seg_fd) < 0 ? -errno : 0;
}
