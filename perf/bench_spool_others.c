#include "bench_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a bare program: two writes under way, each of so many records ---- */

void bench_load_bare(const char *dir, uint32_t bytes, uint32_t at_a_time)
{
    enum { UNDER_WAY = 2 };
    char path[512];
    struct io_uring ring;
    struct tally t;
    uint64_t start[UNDER_WAY], offset = 0;
    uint32_t len = (bytes + 4095) / 4096 * 4096 * at_a_time;
    uint64_t file_bytes = 4 * SEGMENT_BYTES / len * len;
    uint8_t *data = aligned_alloc(4096, len);
    uint8_t *ones = aligned_alloc(4096, 1 << 20);
    snprintf(path, sizeof(path), "%s/bare", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
    if (fd < 0 || data == NULL || ones == NULL || file_bytes == 0)
        bench_die(path, fd < 0 ? errno : ENOMEM);
    memset(data, 1, len);
    memset(ones, 1, 1 << 20);
    for (uint64_t at = 0; at < 4 * SEGMENT_BYTES; at += 1 << 20)
        if (pwrite(fd, ones, 1 << 20, (off_t)at) != 1 << 20)
            bench_die(path, errno);
    free(ones);
    struct iovec v = {.iov_base = data, .iov_len = len};
    int rc = io_uring_queue_init(8, &ring, 0);
    if (rc < 0 || (rc = io_uring_register_files(&ring, &fd, 1)) < 0 ||
        (rc = io_uring_register_buffers(&ring, &v, 1)) < 0)
        bench_die("io_uring", rc);
    bench_tally_begin(&t);
    for (uint32_t i = 0; i < UNDER_WAY; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_write_fixed(sqe, 0, data, len, offset, 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, i);
        start[i] = bench_now_ns();
        offset = (offset + len) % file_bytes;
    }
    while (!bench_tally_over(&t, bytes)) {
        struct io_uring_cqe *cqe;
        if ((rc = io_uring_submit_and_wait(&ring, 1)) < 0 ||
            (rc = io_uring_wait_cqe(&ring, &cqe)) < 0)
            bench_die("io_uring", rc);
        uint32_t i = (uint32_t)cqe->user_data;
        if (cqe->res != (int)len)
            bench_die("write", cqe->res);
        io_uring_cqe_seen(&ring, cqe);
        uint64_t now = bench_now_ns();
        for (uint32_t k = 0; k < at_a_time; k++)
            bench_tally_add(&t, now - start[i]);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_write_fixed(sqe, 0, data, len, offset, 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, i);
        start[i] = now;
        offset = (offset + len) % file_bytes;
    }
    bench_tally_end(&t);
    io_uring_queue_exit(&ring);
    close(fd);
    unlink(path);
    free(data);
}

/* ---- one file a message, as Postfix does it: create, write, fsync ---- */

struct writer {
    pthread_t thread;
    const char *dir;
    uint32_t number;
    uint32_t bytes;
    struct tally tally;
};

static void *files_write(void *arg)
{
    struct writer *w = arg;
    char path[512];
    uint8_t *data = malloc(w->bytes);
    if (data == NULL)
        bench_die("memory", ENOMEM);
    memset(data, 1, w->bytes);
    while (!bench_tally_over(&w->tally, w->bytes)) {
        uint64_t start = bench_now_ns();
        snprintf(path, sizeof(path), "%s/%u-%u", w->dir, w->number, (uint32_t)w->tally.done);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, data, w->bytes) != (ssize_t)w->bytes || fsync(fd) != 0)
            bench_die(path, errno);
        close(fd);
        bench_tally_add(&w->tally, bench_now_ns() - start);
    }
    free(data);
    return NULL;
}

void bench_load_files(const char *dir, uint32_t bytes, uint32_t at_a_time)
{
    struct writer *w = calloc(at_a_time, sizeof(*w));
    struct tally all;
    char path[512];
    if (w == NULL)
        bench_die("memory", ENOMEM);
    bench_tally_begin(&all);
    for (uint32_t i = 0; i < at_a_time; i++) {
        w[i] = (struct writer){.dir = dir, .number = i, .bytes = bytes};
        bench_tally_begin(&w[i].tally);
        if (pthread_create(&w[i].thread, NULL, files_write, &w[i]) != 0)
            bench_die("thread", EAGAIN);
    }
    for (uint32_t i = 0; i < at_a_time; i++) {
        pthread_join(w[i].thread, NULL);
        for (uint32_t k = 0; k < w[i].tally.cnt; k++)
            bench_tally_add(&all, w[i].tally.us[k] * UINT64_C(1000));
    }
    bench_tally_end(&all);
    for (uint32_t i = 0; i < at_a_time; i++) {
        for (uint32_t k = 0; k < w[i].tally.done; k++) {
            snprintf(path, sizeof(path), "%s/%u-%u", dir, i, k);
            unlink(path);
        }
        free(w[i].tally.us);
    }
    free(w);
}
