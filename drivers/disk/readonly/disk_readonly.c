#include "disk_readonly.h"

#include "disk_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk_readonly {
    int lock_fd; /* -1: there is none */
    int seg_fd;  /* the folder */
    int fd;      /* of the open segment, or -1 */
    uint32_t segment;
    struct spool_io_done done; /* of the last request, until it is polled */
    uint32_t done_cnt;
};

/* Makes the segment the open one. Returns 0 or a negative error. */
static int segment_use(struct disk_readonly *d, uint32_t segment)
{
    char name[DISK_NAME_CAP];
    if (d->fd >= 0 && d->segment == segment)
        return 0;
    if (d->fd >= 0)
        close(d->fd);
    disk_name_format(name, segment);
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
    /* What is on the disk, not what the page cache holds of it, where the file system can. */
    d->fd = openat(d->seg_fd, name, flags | O_DIRECT);
    if (d->fd < 0 && errno == EINVAL)
        d->fd = openat(d->seg_fd, name, flags);
    d->segment = segment;
    return d->fd < 0 ? -errno : 0;
}

static int64_t readonly_read(int fd, const struct spool_io *io)
{
    uint32_t len = 0;
    while (len < io->len) {
        ssize_t n = pread(fd, (uint8_t *)io->data + len, io->len - len, (off_t)(io->offset + len));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        len += n > 0 ? (uint32_t)n : 0;
    }
    return len;
}

static int readonly_submit(void *disk, const struct spool_io *io)
{
    struct disk_readonly *d = disk;
    if (io->op != SPOOL_IO_READ)
        return -EROFS;
    if (d->done_cnt > 0)
        return -EAGAIN;
    int rc = segment_use(d, io->segment);
    if (rc < 0)
        return rc;
    d->done = (struct spool_io_done){.cookie = io->cookie, .result = readonly_read(d->fd, io)};
    d->done_cnt = 1;
    return 0;
}

static uint32_t readonly_poll(void *disk, struct spool_io_done *done, uint32_t cap)
{
    struct disk_readonly *d = disk;
    if (cap == 0 || d->done_cnt == 0)
        return 0;
    done[0] = d->done;
    d->done_cnt = 0;
    return 1;
}

static int readonly_wait(void *disk)
{
    const struct disk_readonly *d = disk;
    return d->done_cnt > 0 ? 0 : -EINVAL;
}

static int readonly_wait_fd(void *disk)
{
    (void)disk;
    return -1;
}

static int readonly_segment_list(void *disk, uint32_t *numbers, uint32_t cap)
{
    const struct disk_readonly *d = disk;
    return disk_name_list(d->seg_fd, numbers, cap);
}

static int64_t readonly_segment_open(void *disk, uint32_t segment)
{
    struct disk_readonly *d = disk;
    struct stat st;
    int rc = segment_use(d, segment);
    if (rc < 0)
        return rc;
    return fstat(d->fd, &st) < 0 ? -errno : st.st_size;
}

static int readonly_segment_create(void *disk, uint32_t segment, uint64_t bytes)
{
    (void)disk, (void)segment, (void)bytes;
    return -EROFS;
}

static int readonly_segment_refuse(void *disk, uint32_t segment)
{
    (void)disk, (void)segment;
    return -EROFS;
}

static int64_t readonly_free_bytes(void *disk)
{
    (void)disk;
    return 0;
}

static const struct spool_disk_ops readonly_ops = {
    .name = "readonly",
    .submit = readonly_submit,
    .poll = readonly_poll,
    .wait = readonly_wait,
    .wait_fd = readonly_wait_fd,
    .segment_list = readonly_segment_list,
    .segment_create = readonly_segment_create,
    .segment_open = readonly_segment_open,
    .segment_remove = readonly_segment_refuse,
    .segment_set_aside = readonly_segment_refuse,
    .free_bytes = readonly_free_bytes,
};

static int fail(char *err, size_t err_cap, const char *what)
{
    int rc = -errno;
    snprintf(err, err_cap, "%s: %s", what, strerror(-rc));
    return rc;
}

static int files_open(struct disk_readonly *d, int dir_fd, char *err, size_t err_cap)
{
    d->seg_fd = openat(dir_fd, "seg", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (d->seg_fd < 0 && errno == ENOENT) {
        snprintf(err, err_cap, "this is no spool: it has no folder seg");
        return -ENOENT;
    }
    if (d->seg_fd < 0)
        return fail(err, err_cap, "spool's folder seg");
    d->lock_fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (d->lock_fd < 0 && errno == ENOENT)
        return 0;
    if (d->lock_fd < 0)
        return fail(err, err_cap, "spool's lock file");
    if (flock(d->lock_fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return fail(err, err_cap, "spool's lock file");
    snprintf(err, err_cap, "the spool is in use by another process: stop the gateway first");
    return -EBUSY;
}

int disk_readonly_open(struct spool_disk *out, int dir_fd, char *err, size_t err_cap)
{
    struct disk_readonly *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        snprintf(err, err_cap, "out of memory");
        return -ENOMEM;
    }
    d->lock_fd = -1;
    d->seg_fd = -1;
    d->fd = -1;
    *out = (struct spool_disk){.ops = &readonly_ops, .state = d};
    int rc = files_open(d, dir_fd, err, err_cap);
    if (rc < 0)
        disk_readonly_close(out);
    return rc;
}

void disk_readonly_close(struct spool_disk *disk)
{
    struct disk_readonly *d = disk->state;
    if (d->fd >= 0)
        close(d->fd);
    if (d->seg_fd >= 0)
        close(d->seg_fd);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d);
    disk->state = NULL;
}
