/* The spool over real files: what is written is there after a close, a second process is refused.
 */
#include "unit.h"

#include "base_time.h"
#include "disk_uring.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char dir_name[] = "test_disk_uring.XXXXXX";
static int dir_fd = -1;
static struct stats_block stats;
static const struct disk_uring_config disk_config = {.queue_depth = 64, .segment_max = 8};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static int open_disk(struct spool_disk *disk, char *err, size_t cap)
{
    struct disk_uring_config c = disk_config;
    c.dir_fd = dir_fd;
    return disk_uring_open(disk, &c, err, cap);
}

static struct spool *open_spool(const struct spool_disk *disk)
{
    char err[256] = "";
    struct spool *s = NULL;
    struct spool_config c = {.disk = *disk,
                             .segment_bytes = 1 << 20,
                             .segment_max = 8,
                             .reserve_segments = 2,
                             .commit_max = 2,
                             .batch_bytes_max = 256 << 10,
                             .stats = &stats,
                             .seed = now()};
    int rc = spool_open(&s, &c, now(), err, sizeof(err));
    if (rc != 0)
        print_error("%s\n", err);
    assert_int_equal(rc, 0);
    return s;
}

/* Runs, sleeping on the disk's descriptor, until a completion comes. */
static struct spool_done next_done(struct spool *s, const struct spool_disk *disk)
{
    struct spool_done d;
    for (int i = 0; i < 100000; i++) {
        spool_run(s, now());
        if (spool_poll(s, &d, 1) == 1)
            return d;
        struct pollfd p = {.fd = disk->ops->wait_fd(disk->state), .events = POLLIN};
        assert_true(p.fd >= 0);
        poll(&p, 1, 100);
    }
    fail_msg("no completion");
    abort();
}

static void push(struct spool *s, struct spool_entry e)
{
    assert_int_equal(spool_push(s, &e), 0);
}

enum { MESSAGE_CNT = 20, BODY_BYTES = 100000 };
static uint8_t body[BODY_BYTES];

static struct spool_id id_of(uint32_t n)
{
    return spool_id_make(1000 + n, 1, 0, n);
}

static void send_all(struct spool *s, const struct spool_disk *disk)
{
    uint8_t e[64];
    struct base_buf b = {.p = e, .cap = sizeof(e)};
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c@d")), 0);
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        struct spool_id id = id_of(i);
        push(s, (struct spool_entry){.id = id, .op = SPOOL_BEGIN, .p = e, .len = (uint32_t)b.len});
        for (uint32_t at = 0; at < BODY_BYTES; at += 10000)
            push(s, (struct spool_entry){.id = id,
                                         .op = SPOOL_CHUNK,
                                         .part = SPOOL_PART_BODY,
                                         .p = body + at,
                                         .len = 10000});
        push(s, (struct spool_entry){.id = id, .op = SPOOL_COMMIT, .from = 7});
    }
    for (uint32_t committed = 0, arrived = 0; committed + arrived < 2 * MESSAGE_CNT;) {
        struct spool_done d = next_done(s, disk);
        assert_int_equal(d.status, 0);
        if (d.op == SPOOL_COMMIT) {
            assert_int_equal(d.to, 7);
            committed++;
        } else {
            assert_int_equal(d.op, SPOOL_ARRIVED);
            spool_arrival_free(d.arrival);
            arrived++;
        }
    }
}

static void read_all(struct spool *s, const struct spool_disk *disk)
{
    struct spool_buf_pool pool;
    assert_int_equal(spool_buf_pool_init(&pool, 1, 0), 0);
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        uint64_t at = 0;
        struct spool_done d;
        do {
            push(s, (struct spool_entry){.id = id_of(i),
                                         .op = SPOOL_READ,
                                         .offset = at,
                                         .len = SPOOL_BUF_BYTES,
                                         .buf = spool_buf_get(&pool)});
            d = next_done(s, disk);
            assert_int_equal(d.op, SPOOL_READ);
            assert_int_equal(d.status, 0);
            assert_memory_equal(d.buf->data, body + at, d.len);
            at += d.len;
            spool_buf_put(&pool, d.buf);
        } while (d.len > 0);
        assert_int_equal(at, BODY_BYTES);
    }
    spool_buf_pool_fini(&pool);
}

static void test_survives(void **state)
{
    (void)state;
    char err[256] = "";
    struct spool_disk disk, second;
    int rc = open_disk(&disk, err, sizeof(err));
    if (rc == -EPERM || rc == -ENOSYS) {
        print_message("skipped: %s\n", err);
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(open_disk(&second, err, sizeof(err)), -EBUSY);
    assert_string_equal(
        err, "the spool is in use by another process: stop that one, or name another path");
    for (uint32_t i = 0; i < BODY_BYTES; i++)
        body[i] = (uint8_t)(i * 2654435761U >> 13);
    struct spool *s = open_spool(&disk);
    send_all(s, &disk);
    if (disk_uring_buffered(&disk))
        print_message("this file system has no O_DIRECT\n");
    read_all(s, &disk);
    spool_close(s);
    disk_uring_close(&disk);

    assert_int_equal(open_disk(&disk, err, sizeof(err)), 0);
    s = open_spool(&disk);
    bool seen[MESSAGE_CNT] = {false}; /* they arrive in no order */
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        struct spool_done d = next_done(s, &disk);
        uint32_t which = 0;
        assert_int_equal(d.op, SPOOL_ARRIVED);
        for (; which < MESSAGE_CNT; which++) {
            struct spool_id id = id_of(which);
            if (spool_id_eq(&d.id, &id))
                break;
        }
        assert_true(which < MESSAGE_CNT && !seen[which]);
        seen[which] = true;
        assert_int_equal(d.arrival->content_bytes, BODY_BYTES);
        spool_arrival_free(d.arrival);
    }
    read_all(s, &disk);
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        push(s, (struct spool_entry){.id = id_of(i), .op = SPOOL_FREE});
        assert_int_equal(next_done(s, &disk).status, 0);
    }
    struct spool_usage u;
    spool_usage(s, &u);
    assert_int_equal(u.message_cnt + u.live_bytes, 0);
    spool_close(s);
    assert_true(disk.ops->free_bytes(disk.state) > 0);
    uint32_t numbers[16];
    int cnt = disk.ops->segment_list(disk.state, numbers, 16);
    assert_true(cnt >= 4 && cnt <= 8);
    for (int i = 0; i < cnt; i++) {
        assert_int_equal(numbers[i], i + 1);
        assert_int_equal(disk.ops->segment_remove(disk.state, numbers[i]), 0);
    }
    disk_uring_close(&disk);
}

/* "name:\tn" in what the kernel tells of the ring. */
static uint32_t ring_told(int ring_fd, const char *name)
{
    char path[64], line[256];
    unsigned n = 0;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ring_fd);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            n = (unsigned)strtoul(line + strlen(name), NULL, 10);
    fclose(f);
    return n;
}

/* Puts /dev/null where the driver's own descriptor of the file is. Returns how many there were. */
static uint32_t descriptors_spoil(const char *name)
{
    uint32_t cnt = 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(null >= 0);
    for (int fd = 0; fd < 256; fd++) {
        char path[64], target[512];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        const char *base = strrchr(target, '/');
        if (base != NULL && strcmp(base + 1, name) == 0) {
            assert_int_equal(dup2(null, fd), fd);
            cnt++;
        }
    }
    close(null);
    return cnt;
}

static void io_one(const struct spool_disk *disk, const struct spool_io *io)
{
    struct spool_io_done done;
    assert_int_equal(disk->ops->submit(disk->state, io), 0);
    while (disk->ops->poll(disk->state, &done, 1) == 0)
        assert_int_equal(disk->ops->wait(disk->state), 0);
    assert_int_equal(done.result, io->len);
}

/* The kernel has the files and the memory by number, and requests name files so: they reach the
 * file although its descriptor is another one by now. */
static void test_registered(void **state)
{
    (void)state;
    char err[256] = "";
    struct spool_disk disk;
    int rc = open_disk(&disk, err, sizeof(err));
    if (rc == -EPERM || rc == -ENOSYS) {
        print_message("skipped: %s\n", err);
        skip();
    }
    assert_int_equal(rc, 0);
    int ring = disk.ops->wait_fd(disk.state);
    assert_int_equal(ring_told(ring, "UserFiles:"), 2 * disk_config.segment_max + 64);
    assert_int_equal(ring_told(ring, "UserBufs:"), 0);
    uint8_t *data = aligned_alloc(4096, 4 * 4096);
    uint8_t *other = data + 2 * 4096;
    assert_non_null(data);
    memset(data, 0, (size_t)4 * 4096);
    struct spool_io_buffer buffers[2] = {{data, 2 * 4096}, {other, 2 * 4096}};
    disk.ops->buffers_set(disk.state, buffers, 2);
    assert_int_equal(ring_told(ring, "UserBufs:"), 2);
    assert_int_equal(disk.ops->segment_create(disk.state, 5, 1 << 20), 0);
    assert_int_equal(descriptors_spoil("00000005.seg"), 1);
    for (uint32_t i = 0; i < 2 * 4096; i++)
        data[i] = (uint8_t)(i * 2654435761U >> 11);
    /* In registered memory, and beside it. */
    struct spool_io io = {.op = SPOOL_IO_WRITE, .segment = 5, .data = data, .len = 4096};
    io_one(&disk, &io);
    io = (struct spool_io){.op = SPOOL_IO_WRITE,
                           .segment = 5,
                           .offset = 4096,
                           .data = data + 4096,
                           .len = 4096,
                           .buffer = 1};
    io_one(&disk, &io);
    io = (struct spool_io){
        .op = SPOOL_IO_READ, .segment = 5, .data = other, .len = 2 * 4096, .buffer = 2};
    io_one(&disk, &io);
    assert_memory_equal(other, data, 2 * 4096);
    memset(other, 0, (size_t)2 * 4096);
    int fd = openat(dir_fd, "seg/00000005.seg", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, other, 2 * 4096, 0), 2 * 4096);
    assert_memory_equal(other, data, 2 * 4096);
    close(fd);
    assert_int_equal(disk.ops->segment_remove(disk.state, 5), 0);
    disk_uring_close(&disk);
    free(data);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir_name) == NULL)
        return -1;
    dir_fd = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    unlinkat(dir_fd, "lock", 0);
    unlinkat(dir_fd, "seg", AT_REMOVEDIR);
    close(dir_fd);
    rmdir(dir_name);
    return 0;
}

/* The ring takes reading and writing and nothing else, whoever writes into it. */
static int32_t refused_with(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    assert_int_equal(io_uring_submit(ring), 1);
    assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
    int32_t result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return result;
}

static void test_restricted(void **state)
{
    (void)state;
    char err[256] = "", byte;
    struct spool_disk disk;
    assert_int_equal(open_disk(&disk, err, sizeof(err)), 0);
    assert_true(disk_uring_restricted(&disk));
    struct io_uring *ring = disk.state; /* its first member */
    io_uring_prep_openat(io_uring_get_sqe(ring), AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    assert_int_equal(refused_with(ring), -EACCES);
    io_uring_prep_read(io_uring_get_sqe(ring), dir_fd, &byte, 1, 0); /* not by its number */
    assert_int_equal(refused_with(ring), -EACCES);
    assert_int_equal(io_uring_register_eventfd(ring, 0), -EACCES);
    disk_uring_close(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_registered),
                                       cmocka_unit_test(test_restricted),
                                       cmocka_unit_test(test_survives)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
