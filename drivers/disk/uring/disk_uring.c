#include "disk_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk_uring_files.h"

enum { BUFFERS_MAX = 64, HUGE_PAGE_BYTES = 2 << 20 };

struct disk_uring {
    struct io_uring ring;
    struct disk_uring_files files;
    uint32_t depth;
    uint32_t under_way;
    uint32_t unsubmitted;
    bool ring_made;
    bool restricted;         /* to reading and writing */
    bool registered;         /* the ring knows the files by number */
    bool small_pages;        /* although there is memory for large ones */
    bool buffers_registered; /* and the memory of spool_io.buffer */
};

static int uring_submit(void *disk, const struct spool_io *io)
{
    struct disk_uring *d = disk;
    int fd = disk_uring_files_fd(&d->files, io->segment);
    if (fd < 0)
        return -ENOENT;
    struct io_uring_sqe *sqe = d->under_way < d->depth ? io_uring_get_sqe(&d->ring) : NULL;
    if (sqe == NULL)
        return -EAGAIN;
    if (d->registered)
        fd = (int)io->segment;
    if (io->buffer != 0 && d->buffers_registered && io->op == SPOOL_IO_WRITE)
        io_uring_prep_write_fixed(sqe, fd, io->data, io->len, io->offset, io->buffer - 1);
    else if (io->buffer != 0 && d->buffers_registered)
        io_uring_prep_read_fixed(sqe, fd, io->data, io->len, io->offset, io->buffer - 1);
    else if (io->op == SPOOL_IO_WRITE)
        io_uring_prep_write(sqe, fd, io->data, io->len, io->offset);
    else
        io_uring_prep_read(sqe, fd, io->data, io->len, io->offset);
    if (d->registered)
        sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, io->cookie);
    d->under_way++;
    d->unsubmitted++;
    return 0;
}

/* A full kernel (-EAGAIN, -EBUSY) or a signal leaves the rest for the next call. */
static void submit_pending(struct disk_uring *d)
{
    if (d->unsubmitted == 0)
        return;
    int n = io_uring_submit(&d->ring);
    if (n > 0)
        d->unsubmitted -= (uint32_t)n < d->unsubmitted ? (uint32_t)n : d->unsubmitted;
}

static uint32_t uring_poll(void *disk, struct spool_io_done *done, uint32_t cap)
{
    struct disk_uring *d = disk;
    struct io_uring_cqe *cqe;
    unsigned head;
    uint32_t n = 0;

    submit_pending(d);
    io_uring_for_each_cqe(&d->ring, head, cqe)
    {
        if (n == cap)
            break;
        done[n].cookie = cqe->user_data;
        done[n].result = cqe->res;
        n++;
    }
    io_uring_cq_advance(&d->ring, n);
    base_assert(n <= d->under_way);
    d->under_way -= n;
    return n;
}

static int uring_wait(void *disk)
{
    struct disk_uring *d = disk;
    struct io_uring_cqe *cqe;
    int rc;
    if (d->under_way == 0)
        return -EINVAL;
    do {
        submit_pending(d);
        rc = io_uring_wait_cqe(&d->ring, &cqe);
    } while (rc == -EINTR || rc == -EAGAIN);
    return rc;
}

static int uring_wait_fd(void *disk)
{
    struct disk_uring *d = disk;
    return d->ring.ring_fd;
}

/* Where the memory may not be pinned, requests pin it one by one, a little slower. */
static void uring_buffers_set(void *disk, const struct spool_io_buffer *buffers, uint32_t cnt)
{
    struct disk_uring *d = disk;
    struct iovec v[BUFFERS_MAX];
    base_assert(cnt <= BUFFERS_MAX);
    for (uint32_t i = 0; i < cnt; i++) {
        v[i] = (struct iovec){.iov_base = buffers[i].data, .iov_len = buffers[i].len};
        if (buffers[i].len >= HUGE_PAGE_BYTES &&
            madvise(buffers[i].data, buffers[i].len, MADV_HUGEPAGE) < 0)
            d->small_pages = true; /* a little slower */
    }
    d->buffers_registered = io_uring_register_buffers(&d->ring, v, cnt) == 0;
}

static int uring_segment_list(void *disk, uint32_t *numbers, uint32_t cap)
{
    struct disk_uring *d = disk;
    return disk_uring_files_list(&d->files, numbers, cap);
}

/* Tells the ring of a descriptor, or (-1) that it is gone. */
static int file_register(struct disk_uring *d, uint32_t segment, int fd)
{
    if (!d->registered)
        return 0;
    int rc = io_uring_register_files_update(&d->ring, segment, &fd, 1);
    return rc < 0 ? rc : 0;
}

static int uring_segment_create(void *disk, uint32_t segment, uint64_t bytes)
{
    struct disk_uring *d = disk;
    int fd = disk_uring_files_create(&d->files, segment, bytes);
    if (fd < 0)
        return fd;
    int rc = file_register(d, segment, fd);
    if (rc < 0) {
        int removed = disk_uring_files_remove(&d->files, segment);
        (void)removed; /* the first error is the one to tell */
    }
    return rc;
}

static int64_t uring_segment_open(void *disk, uint32_t segment)
{
    struct disk_uring *d = disk;
    int64_t bytes = disk_uring_files_open(&d->files, segment);
    if (bytes < 0)
        return bytes;
    int rc = file_register(d, segment, disk_uring_files_fd(&d->files, segment));
    return rc < 0 ? rc : bytes;
}

static int uring_segment_remove(void *disk, uint32_t segment)
{
    struct disk_uring *d = disk;
    int rc = file_register(d, segment, -1);
    int removed = disk_uring_files_remove(&d->files, segment);
    return removed < 0 ? removed : rc;
}

static int uring_segment_set_aside(void *disk, uint32_t segment)
{
    struct disk_uring *d = disk;
    int rc = disk_uring_files_set_aside(&d->files, segment);
    return rc < 0 ? rc : file_register(d, segment, -1);
}

static int64_t uring_free_bytes(void *disk)
{
    const struct disk_uring *d = disk;
    struct statvfs v;
    if (fstatvfs(d->files.seg_fd, &v) < 0)
        return -errno;
    return (int64_t)(v.f_bavail * v.f_frsize);
}

static const struct spool_disk_ops uring_ops = {
    .name = "uring",
    .submit = uring_submit,
    .poll = uring_poll,
    .wait = uring_wait,
    .wait_fd = uring_wait_fd,
    .buffers_set = uring_buffers_set,
    .segment_list = uring_segment_list,
    .segment_create = uring_segment_create,
    .segment_open = uring_segment_open,
    .segment_remove = uring_segment_remove,
    .segment_set_aside = uring_segment_set_aside,
    .free_bytes = uring_free_bytes,
};

/* What the ring takes from now on: reading and writing of segments, and other segments; nothing
 * that would open, connect, or send, whoever should come to write into it. Where it knows the files
 * by number there are no others. */
static int ring_restrict(struct disk_uring *d)
{
    struct io_uring_restriction r[8] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ_FIXED},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE_FIXED},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_BUFFERS},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_FILES_UPDATE},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
    };
    /* liburing 2.3 has functions for both in its header, and not in the library. */
    d->restricted = syscall(SYS_io_uring_register, d->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, r,
                            d->registered ? 8 : 7) == 0;
    return syscall(SYS_io_uring_register, d->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) ==
                   0
               ? 0
               : -errno;
}

/* A ring that does nothing yet, where the kernel has such (5.10). */
static int ring_make(struct disk_uring *d, uint32_t depth)
{
    int rc = io_uring_queue_init(depth, &d->ring, IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED);

    if (rc == -EINVAL)
        rc = io_uring_queue_init(depth, &d->ring, IORING_SETUP_CLAMP);
    d->ring_made = rc == 0;
    return rc;
}

int disk_uring_open(struct spool_disk *out, const struct disk_uring_config *config, char *err,
                    size_t err_cap)
{
    base_assert(config->queue_depth >= 1 && config->queue_depth <= 4096);
    uint32_t file_max = 2 * config->segment_max + 64;
    struct disk_uring *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        snprintf(err, err_cap, "out of memory");
        return -ENOMEM;
    }
    *out = (struct spool_disk){.ops = &uring_ops, .state = d};
    d->depth = config->queue_depth;
    int rc = disk_uring_files_init(&d->files, config->dir_fd, file_max, err, err_cap);
    if (rc == 0) {
        rc = ring_make(d, config->queue_depth);
        if (rc < 0)
            snprintf(err, err_cap, "io_uring: %s%s", strerror(-rc),
                     rc == -EPERM ? " (see sysctl kernel.io_uring_disabled)" : "");
    }
    if (rc < 0) {
        disk_uring_close(out);
        return rc;
    }
    /* The table may be larger than the limit of open files: then by descriptor, a little slower. */
    d->registered = io_uring_register_files_sparse(&d->ring, file_max) == 0;
    if ((d->ring.flags & IORING_SETUP_R_DISABLED) == 0)
        return 0; /* disk_uring_restricted tells */
    rc = ring_restrict(d);
    if (rc < 0) {
        snprintf(err, err_cap, "io_uring: the ring cannot be enabled (%s)", strerror(-rc));
        disk_uring_close(out);
    }
    return rc;
}

void disk_uring_close(struct spool_disk *disk)
{
    struct disk_uring *d = disk->state;
    if (d->ring_made)
        io_uring_queue_exit(&d->ring);
    disk_uring_files_fini(&d->files);
    free(d);
    disk->state = NULL;
}

bool disk_uring_restricted(const struct spool_disk *disk)
{
    const struct disk_uring *d = disk->state;
    return d->restricted;
}

bool disk_uring_buffered(const struct spool_disk *disk)
{
    const struct disk_uring *d = disk->state;
    return d->files.buffered;
}

int disk_uring_give(const struct spool_disk *disk, uid_t uid, gid_t gid)
{
    const struct disk_uring *d = disk->state;

    return fchown(d->files.seg_fd, uid, gid) != 0 || fchown(d->files.aside_fd, uid, gid) != 0
               ? -errno
               : 0;
}
