/*
 * A look at a stopped gateway's spool, by lib/spool and by sluicectl: known messages are written
 * through the spool into real files, bytes of these are damaged, and what is told, read and
 * exported is compared with what was written. Nothing of the spool may change by looking.
 */
#include "unit.h"

#include "base_crc32c.h"
#include "base_rand.h"
#include "base_time.h"
#include "disk_readonly.h"
#include "disk_uring.h"
#include "spool_format.h"
#include "spool_inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_CNT = 24,
    BODY_BYTES = 100000,
    CHUNK_BYTES = 10000,
    SEGMENT_BYTES = 1 << 20,
    FILE_MAX = 8,
    FREED = 3,    /* this message is over */
    DEFERRED = 4, /* and this one waits */
    ALL_CNT = MESSAGE_CNT - 1,
};

static char dir_name[] = "test_spool_inspect.XXXXXX";
static int dir_fd = -1;
static struct stats_block stats;
static uint8_t bodies[MESSAGE_CNT][BODY_BYTES];
static char heads[MESSAGE_CNT][64];

/* The files as the spool left them, put back before each test. */
static uint8_t *files[FILE_MAX];
static uint32_t file_cnt;
static const char *skip_why;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static struct spool_id id_of(uint32_t n)
{
    return spool_id_make(1000 + n, 1, 0, n);
}

/* ---- making a spool ---- */

static void push(struct spool *s, struct spool_entry e)
{
    assert_int_equal(spool_push(s, &e), 0);
}

/* Runs until cnt completions of an operation came. */
static void await(struct spool *s, const struct spool_disk *disk, uint8_t op, uint32_t cnt)
{
    for (uint64_t end = now() + 30 * BASE_NS_S; cnt > 0;) {
        struct spool_done d;
        spool_run(s, now());
        if (spool_poll(s, &d, 1) == 0) {
            struct pollfd p = {.fd = disk->ops->wait_fd(disk->state), .events = POLLIN};
            poll(&p, 1, 10);
            assert_true(now() < end);
            continue;
        }
        assert_int_equal(d.status, 0);
        if (d.op == SPOOL_ARRIVED)
            spool_arrival_free(d.arrival);
        cnt -= d.op == op;
    }
}

static void message_send(struct spool *s, uint32_t i)
{
    static uint8_t envelopes[MESSAGE_CNT][256];
    uint8_t arrival[8];
    struct base_buf b = {.p = envelopes[i], .cap = sizeof(envelopes[i])};
    struct spool_id id = id_of(i);
    base_put_le64(arrival, UINT64_C(1700000000) * BASE_NS_S);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_ARRIVAL, base_span_of(arrival, 8)), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c\"@d")), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str("e@f")), 0);
    push(s, (struct spool_entry){.id = id, .op = SPOOL_BEGIN, .p = b.p, .len = (uint32_t)b.len});
    for (uint32_t at = 0; at < BODY_BYTES; at += CHUNK_BYTES)
        push(s, (struct spool_entry){.id = id,
                                     .op = SPOOL_CHUNK,
                                     .part = SPOOL_PART_BODY,
                                     .p = bodies[i] + at,
                                     .len = CHUNK_BYTES});
    push(s, (struct spool_entry){.id = id, /* last: as FORMAT.md allows */
                                 .op = SPOOL_CHUNK,
                                 .part = SPOOL_PART_HEADER,
                                 .p = (const uint8_t *)heads[i],
                                 .len = (uint32_t)strlen(heads[i])});
    push(s, (struct spool_entry){.id = id, .op = SPOOL_COMMIT});
}

static int spool_make(void)
{
    char err[256] = "";
    struct spool_disk disk;
    struct disk_uring_config dc = {.dir_fd = dir_fd, .queue_depth = 64, .segment_max = FILE_MAX};
    int rc = disk_uring_open(&disk, &dc, err, sizeof(err));
    if (rc == -EPERM || rc == -ENOSYS) {
        skip_why = "no io_uring here";
        return 0;
    }
    struct spool *s = NULL;
    struct spool_config c = {.disk = disk,
                             .segment_bytes = SEGMENT_BYTES,
                             .segment_max = FILE_MAX,
                             .reserve_segments = 2,
                             .commit_max = 2,
                             .batch_bytes_max = 256 << 10,
                             .stats = &stats,
                             .seed = 5};
    if (rc < 0 || spool_open(&s, &c, now(), err, sizeof(err)) < 0) {
        print_error("%s\n", err);
        return -1;
    }
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        message_send(s, i);
        await(s, &disk, SPOOL_COMMIT, 1);
    }
    static const struct spool_outcome o[] = {{.recipient = 1,
                                              .state = SPOOL_OUTCOME_DEFERRED,
                                              .code = 451,
                                              .enhanced = 4002001,
                                              .attempt_cnt = 2},
                                             {.recipient = SPOOL_OUTCOME_MESSAGE, .state = 1}};
    push(s, (struct spool_entry){.id = id_of(DEFERRED),
                                 .op = SPOOL_OUTCOME,
                                 .p = (const uint8_t *)o,
                                 .len = sizeof(o)});
    await(s, &disk, SPOOL_OUTCOME, 1);
    push(s, (struct spool_entry){.id = id_of(FREED), .op = SPOOL_FREE});
    await(s, &disk, SPOOL_FREE, 1);
    spool_close(s);
    disk_uring_close(&disk);
    return 0;
}

/* ---- the files ---- */

static int file_open(uint32_t segment, int flags)
{
    char name[32];
    snprintf(name, sizeof(name), "seg/%08u.seg", segment);
    return openat(dir_fd, name, flags | O_CLOEXEC);
}

static void bytes_write(uint32_t segment, uint64_t offset, const void *p, size_t len)
{
    int fd = file_open(segment, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, len, (off_t)offset), (ssize_t)len);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void files_restore(void)
{
    for (uint32_t i = 0; i < file_cnt; i++)
        bytes_write(i + 1, 0, files[i], SEGMENT_BYTES);
}

static void flip(uint32_t segment, uint64_t offset)
{
    uint8_t b = (uint8_t)~files[segment - 1][offset];
    bytes_write(segment, offset, &b, 1);
}

/* The number of the file whose segment was the nth of the log, from 1 on. */
static uint32_t segment_of(uint64_t sequence)
{
    struct spool_segment_header h;
    for (uint32_t i = 0; i < file_cnt; i++)
        if (spool_segment_header_read(files[i], &h) == 0 && h.sequence == sequence)
            return i + 1;
    fail_msg("no segment with sequence %llu", (unsigned long long)sequence);
    return 0;
}

/* ---- looking ---- */

static struct look {
    struct spool_disk disk;
    struct spool_inspect *in;
    struct spool_inspect_totals totals;
    uint32_t damage_cnt, normal_cnt;
    uint32_t of_message_cnt;
    struct spool_id last_id;
    uint32_t last_segment;
    uint64_t last_offset;
    char text[65536];
} look;

static void found(void *arg, const struct spool_finding *f)
{
    struct look *l = arg;
    l->damage_cnt += f->damage;
    l->normal_cnt += !f->damage;
    if (f->of_message) {
        l->of_message_cnt++;
        l->last_id = f->id;
        l->last_segment = f->segment;
        l->last_offset = f->offset;
    }
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof(l->text) - len, "%u:%llu %s\n", f->segment,
             (unsigned long long)f->offset, f->text);
}

static void look_begin(void)
{
    char err[256] = "";
    memset(&look, 0, sizeof(look));
    struct spool_inspect_config c = {.found = found, .arg = &look};
    assert_int_equal(disk_readonly_open(&c.disk, dir_fd, err, sizeof(err)), 0);
    look.disk = c.disk;
    int rc = spool_inspect_open(&look.in, &c, err, sizeof(err));
    if (rc != 0)
        print_error("%s\n", err);
    assert_int_equal(rc, 0);
    spool_inspect_totals(look.in, &look.totals);
    assert_int_equal(look.totals.damage_cnt, look.damage_cnt);
}

static void look_end(void)
{
    spool_inspect_close(look.in);
    disk_readonly_close(&look.disk);
}

/* The index of a message, or -1. */
static int64_t find(uint32_t i, struct spool_inspect_message *m)
{
    struct spool_id id = id_of(i);
    for (uint64_t at = 0; spool_inspect_message(look.in, at, m) == 1; at++)
        if (spool_id_eq(&m->id, &id))
            return (int64_t)at;
    return -1;
}

/* Its bytes are right: 1; told as lost: 0. Wrong ones fail the test. */
static int content_right(uint32_t i, uint64_t index, const struct spool_inspect_message *m)
{
    uint64_t head_at = 0, body_at = 0;
    bool whole = true;
    for (uint32_t n = 0; n < m->piece_cnt; n++) {
        struct spool_inspect_piece p;
        struct base_span data;
        spool_inspect_piece(look.in, index, n, &p);
        whole &= p.segment != 0;
        if (p.segment == 0 || p.part == SPOOL_PART_ENVELOPE)
            continue;
        bool head = p.part == SPOOL_PART_HEADER;
        uint64_t *at = head ? &head_at : &body_at;
        const uint8_t *right = head ? (const uint8_t *)heads[i] : bodies[i];
        int rc = spool_inspect_read(look.in, index, n, &data);
        assert_true(rc == 0 || rc == -EBADMSG);
        whole &= rc == 0;
        if (whole) {
            assert_true(*at + data.len <= (head ? strlen(heads[i]) : BODY_BYTES));
            assert_memory_equal(data.p, right + *at, data.len);
        }
        *at += p.len;
    }
    return whole && head_at == strlen(heads[i]) && body_at == BODY_BYTES;
}

/* Where piece number n of a message lies. */
static struct spool_inspect_piece place_of(uint32_t i, uint32_t n)
{
    struct spool_inspect_message m;
    struct spool_inspect_piece p;
    look_begin();
    int64_t index = find(i, &m);
    assert_true(index >= 0);
    spool_inspect_piece(look.in, (uint64_t)index, n, &p);
    look_end();
    return p;
}

static char printed[1 << 20];

/* Runs sluicectl spool; printed gets what it says. Returns the exit status. */
static int tool(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof(command), "'%s' spool %s 2>&1", SLUICECTL, arguments);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t len = fread(printed, 1, sizeof(printed) - 1, f);
    printed[len] = '\0';
    int status = pclose(f);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int tool_on(const char *verb, const char *more)
{
    char arguments[512];
    snprintf(arguments, sizeof(arguments), "%s %s %s", verb, dir_name, more);
    return tool(arguments);
}

static void assert_printed(const char *text)
{
    if (strstr(printed, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, printed);
}

static void assert_told(const char *text)
{
    if (strstr(look.text, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, look.text);
}

static const char *text_of(uint32_t i)
{
    static char text[SPOOL_ID_TEXT_LEN + 1];
    struct spool_id id = id_of(i);
    spool_id_format(text, &id);
    return text;
}

#define SKIP_WITHOUT_SPOOL()                                                                       \
    do {                                                                                           \
        (void)state;                                                                               \
        if (skip_why != NULL) {                                                                    \
            print_message("skipped: %s\n", skip_why);                                              \
            skip();                                                                                \
        }                                                                                          \
        files_restore();                                                                           \
    } while (0)

/* ---- tests ---- */

static void test_clean(void **state)
{
    SKIP_WITHOUT_SPOOL();
    struct spool_inspect_message m;
    look_begin();
    assert_string_equal(look.text, "");
    assert_int_equal(look.totals.queued_cnt, ALL_CNT);
    assert_int_equal(look.totals.damaged_cnt + look.totals.unfinished_cnt, 0);
    assert_true(look.totals.summary_cnt >= 2 && look.totals.log_cnt > look.totals.summary_cnt);
    assert_int_equal(find(FREED, &m), -1);
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        int64_t index = find(i, &m);
        if (i == FREED)
            continue;
        assert_true(index >= 0);
        assert_int_equal(m.state, SPOOL_INSPECT_QUEUED);
        assert_int_equal(m.content_bytes, strlen(heads[i]) + BODY_BYTES);
        assert_int_equal(content_right(i, (uint64_t)index, &m), 1);
        assert_int_equal(spool_envelope_check(m.envelope), 2);
        assert_int_equal(m.outcome_cnt, i == DEFERRED ? 2 : 0);
        assert_int_equal(m.held, i == DEFERRED);
    }
    assert_int_equal(find(DEFERRED, &m), DEFERRED - 1);
    assert_int_equal(m.outcomes[1].code, 451);
    look_end();
}

/* A file of the export is these two stretches of bytes. */
static void assert_file(const char *path, const void *a, size_t a_len, const void *b, size_t b_len)
{
    static uint8_t data[2 * BODY_BYTES];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(data, 1, sizeof(data), f);
    fclose(f);
    assert_int_equal(len, a_len + b_len);
    assert_memory_equal(data, a, a_len);
    if (b_len > 0)
        assert_memory_equal(data + a_len, b, b_len);
}

static void test_tool(void **state)
{
    SKIP_WITHOUT_SPOOL();
    char path[256], out[64];
    snprintf(out, sizeof(out), "%s/out", dir_name);
    assert_int_equal(tool_on("check", ""), 0);
    assert_printed("23 messages queued, 0 damaged, 0 unfinished");
    assert_int_equal(tool_on("check --json", ""), 0);
    assert_printed("\"queued\":23");
    assert_int_equal(tool_on("dump --json", ""), 0);
    assert_printed("{\"address\":\"c\\\"@d\",\"state\":\"queued\",\"code\":0,\"enhanced\":\"\","
                   "\"attempts\":0}");
    assert_printed("{\"address\":\"e@f\",\"state\":\"deferred\",\"code\":451,\"enhanced\":\"4.2."
                   "1\",\"attempts\":2}");
    assert_null(strstr(printed, text_of(FREED)));
    assert_int_equal(tool_on("dump", ""), 0);
    assert_printed("queued 2023-11-14T22:13:20Z");
    assert_printed("from <a@b> to <c\"@d> queued <e@f> deferred (code 451 4.2.1, attempt 2) at ");
    /* One file is there already. */
    assert_int_equal(mkdir(out, 0700), 0);
    snprintf(path, sizeof(path), "%s/%s.eml", out, text_of(0));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("mine", f);
    fclose(f);
    assert_int_equal(tool_on("export", out), 0);
    assert_printed("23 messages exported\n");
    assert_file(path, "mine", 4, "", 0);
    for (uint32_t i = 1; i < MESSAGE_CNT; i++) {
        snprintf(path, sizeof(path), "%s/%s.eml", out, text_of(i));
        if (i == FREED)
            assert_int_equal(access(path, F_OK), -1);
        else
            assert_file(path, heads[i], strlen(heads[i]), bodies[i], BODY_BYTES);
        snprintf(path, sizeof(path), "%s/%s.envelope", out, text_of(i));
        assert_int_equal(access(path, F_OK), i == FREED ? -1 : 0);
    }
    assert_int_equal(tool_on("export", out), 1);
    assert_printed("0 messages exported, 23 were there already\n");
    snprintf(path, sizeof(path), "rm -r '%s'", out);
    assert_int_equal(system(path), 0);
}

static void test_wrong_use(void **state)
{
    SKIP_WITHOUT_SPOOL();
    static const char *const wrong[] = {"", "check", "check --jsn .", "dump . .", "export .", "x"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(wrong); i++)
        assert_int_equal(tool(wrong[i]), 2);
    assert_int_equal(tool("check /nonexistent") + tool("check ."), 3 + 3);
    assert_printed("this is no spool");
    assert_int_equal(tool_on("export", dir_name), 2);
    assert_printed("is the spool itself");
}

/* While a gateway has it: refused; while one looks at it, no gateway. */
static void test_lock(void **state)
{
    SKIP_WITHOUT_SPOOL();
    char err[256] = "";
    struct spool_disk a, b;
    struct disk_uring_config dc = {.dir_fd = dir_fd, .queue_depth = 4, .segment_max = FILE_MAX};
    assert_int_equal(disk_uring_open(&a, &dc, err, sizeof(err)), 0);
    assert_int_equal(tool_on("check", ""), 3);
    assert_printed("in use by another process");
    disk_uring_close(&a);
    assert_int_equal(disk_readonly_open(&a, dir_fd, err, sizeof(err)), 0);
    assert_int_equal(tool_on("check", ""), 0);
    assert_int_equal(disk_uring_open(&b, &dc, err, sizeof(err)), -EBUSY);
    struct spool_io io = {.op = SPOOL_IO_WRITE, .segment = 1};
    assert_int_equal(a.ops->submit(a.state, &io), -EROFS);
    assert_int_equal(a.ops->segment_create(a.state, 99, SEGMENT_BYTES), -EROFS);
    assert_int_equal(a.ops->segment_remove(a.state, 1), -EROFS);
    assert_int_equal(a.ops->segment_set_aside(a.state, 1), -EROFS);
    disk_readonly_close(&a);
    /* A copy has no lock file, and gets none. */
    assert_int_equal(unlinkat(dir_fd, "lock", 0), 0);
    assert_int_equal(tool_on("check", ""), 0);
    assert_int_equal(faccessat(dir_fd, "lock", F_OK, 0), -1);
}

static void test_newer(void **state)
{
    SKIP_WITHOUT_SPOOL();
    uint8_t header[SPOOL_BLOCK_BYTES];
    memcpy(header, files[segment_of(2) - 1], sizeof(header));
    base_put_le32(header + 8, 2);
    bytes_write(segment_of(2), 0, header, sizeof(header));
    assert_int_equal(tool_on("check", ""), 1); /* its checksum does not fit */
    assert_printed("header is damaged");
    base_put_le32(header + 12, 0);
    base_put_le32(header + 12, base_crc32c(0, header, sizeof(header)));
    bytes_write(segment_of(2), 0, header, sizeof(header));
    assert_int_equal(tool_on("check", ""), 3);
    assert_printed("has format version 2, not 1");
    assert_int_equal(tool_on("dump", ""), 3);
    assert_int_equal(tool_on("export", "/nonexistent/out"), 3);
    assert_printed("has format version 2, not 1");
}

/* A byte of a body: that message is named, all others are whole. */
static void test_body(void **state)
{
    SKIP_WITHOUT_SPOOL();
    struct spool_inspect_message m;
    char out[64], expected[128], path[256];
    struct spool_inspect_piece p = place_of(0, 2);
    flip(p.segment, p.offset + SPOOL_RECORD_HEADER_LEN + 77);
    look_begin();
    assert_int_equal(look.damage_cnt, 2); /* the batch, the message */
    assert_told("was acknowledged");
    assert_told("damaged: 1, of those known from the summary: 0");
    assert_told("acknowledged, and 10000 bytes of its body are damaged");
    struct spool_id id = id_of(0);
    assert_true(look.of_message_cnt == 1 && spool_id_eq(&look.last_id, &id));
    assert_true(look.last_segment == p.segment && look.last_offset == p.offset);
    assert_int_equal(look.totals.damaged_cnt, 1);
    assert_int_equal(look.totals.queued_cnt, ALL_CNT - 1);
    assert_int_equal(content_right(0, (uint64_t)find(0, &m), &m), 0);
    assert_int_equal(m.state, SPOOL_INSPECT_DAMAGED);
    assert_int_equal(content_right(1, (uint64_t)find(1, &m), &m), 1);
    look_end();
    snprintf(out, sizeof(out), "%s/out", dir_name);
    assert_int_equal(tool_on("check", ""), 1);
    snprintf(expected, sizeof(expected), "message %s: segment %u, offset %llu: ", text_of(0),
             p.segment, (unsigned long long)p.offset);
    assert_printed(expected);
    assert_int_equal(tool_on("export", out), 1);
    assert_printed("22 messages exported, 1 are damaged and were not\n");
    snprintf(path, sizeof(path), "ls '%s' | wc -l", out);
    FILE *f = popen(path, "r");
    int cnt = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &cnt), 1);
    pclose(f);
    assert_int_equal(cnt, 2 * (ALL_CNT - 1));
    snprintf(path, sizeof(path), "rm -r '%s'", out);
    assert_int_equal(system(path), 0);
}

/* The header of a batch: its records are found one by one, nothing is lost. */
static void test_batch_header(void **state)
{
    SKIP_WITHOUT_SPOOL();
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        files_restore();
        flip(segment_of(sequence), SPOOL_SEGMENT_HEADER_LEN + 40);
        look_begin();
        assert_int_equal(look.damage_cnt, 1);
        assert_told("damaged: 0");
        assert_int_equal(look.totals.queued_cnt, ALL_CNT);
        look_end();
    }
}

/* A segment's header: what stood there is known from the first batch. */
static void test_segment_header(void **state)
{
    SKIP_WITHOUT_SPOOL();
    look_begin();
    uint32_t log_cnt = look.totals.log_cnt;
    look_end();
    for (uint64_t sequence = 1; sequence <= log_cnt; sequence++) {
        files_restore();
        flip(segment_of(sequence), 50);
        look_begin();
        assert_told("header is damaged");
        assert_int_equal(look.totals.log_cnt, log_cnt);
        assert_int_equal(look.totals.queued_cnt, ALL_CNT);
        assert_int_equal(look.totals.damaged_cnt, 0);
        look_end();
    }
}

static void test_summary(void **state)
{
    SKIP_WITHOUT_SPOOL();
    struct spool_segment_header next;
    struct spool_summary_header h;
    static uint8_t copy[SEGMENT_BYTES];
    uint32_t segment = segment_of(1);
    assert_int_equal(spool_segment_header_read(files[segment_of(2) - 1], &next), 0);
    uint64_t at = next.previous_summary_offset;
    assert_true(at > 0);
    flip(segment, at + 100);
    look_begin();
    assert_int_equal(look.damage_cnt, 1);
    assert_told("summary is damaged; nothing is lost");
    assert_int_equal(look.totals.queued_cnt, ALL_CNT);
    look_end();
    /* One that is valid in itself and says something else. */
    files_restore();
    memcpy(copy, files[segment - 1] + at, next.previous_summary_len);
    assert_int_equal(spool_summary_header_read(copy, next.previous_summary_len, &h), 0);
    copy[SPOOL_SUMMARY_HEADER_LEN + 5] ^= 1;
    spool_summary_header_write(copy, &h);
    bytes_write(segment, at, copy, next.previous_summary_len);
    look_begin();
    assert_int_equal(look.damage_cnt, 1);
    assert_told("the summary disagrees with 1 of the segment's records");
    assert_int_equal(look.totals.queued_cnt, ALL_CNT);
    look_end();
}

/* Behind the last batch of the newest segment: a write that was under way. */
static void test_torn_tail(void **state)
{
    SKIP_WITHOUT_SPOOL();
    look_begin();
    uint32_t segment = segment_of(look.totals.log_cnt);
    look_end();
    const uint8_t *p = files[segment - 1];
    struct spool_batch_header h, last = {0};
    uint64_t at = SPOOL_SEGMENT_HEADER_LEN;
    while (spool_batch_header_read(p + at, &h) == 0) {
        last = h;
        at += h.len;
    }
    assert_true(last.len > 0);
    uint8_t torn[SPOOL_BATCH_HEADER_LEN];
    last.previous_crc = last.crc;
    last.lsn++;
    last.record_cnt = 3;
    last.len = 8192;
    last.used = 5000;
    spool_batch_header_write(torn, &last);
    bytes_write(segment, at, torn, sizeof(torn));
    look_begin();
    assert_true(look.damage_cnt == 0 && look.normal_cnt == 1);
    assert_told("torn tail");
    look_end();
    assert_int_equal(tool_on("check", ""), 0);
    assert_printed("normal: segment");
    /* The same where it was committed: the next batch says so. */
    last.lsn++;
    last.committed_lsn = last.lsn - 1;
    spool_batch_header_write(torn, &last);
    bytes_write(segment, at + 8192, torn, sizeof(torn));
    look_begin();
    assert_true(look.damage_cnt > 0);
    assert_told("was acknowledged");
    look_end();
}

/* ---- a disk with a bad block ---- */

static struct spool_disk_ops bad_ops;
static const struct spool_disk_ops *good_ops;
static uint32_t bad_segment;
static uint64_t bad_offset;

/* Reads what does not touch the bad block; the rest fails when it is polled. */
static bool bad_read;

static int bad_submit(void *disk, const struct spool_io *io)
{
    bad_read =
        io->segment == bad_segment && io->offset <= bad_offset && bad_offset < io->offset + io->len;
    return good_ops->submit(disk, io);
}

static uint32_t bad_poll(void *disk, struct spool_io_done *done, uint32_t cap)
{
    uint32_t n = good_ops->poll(disk, done, cap);
    if (n == 1 && bad_read)
        done->result = -EIO;
    return n;
}

/* A block that the disk cannot read: its message is named, the others are whole. */
static void test_unreadable(void **state)
{
    SKIP_WITHOUT_SPOOL();
    char err[256] = "";
    struct spool_inspect_message m;
    struct spool_inspect_piece p = place_of(2, 5);
    memset(&look, 0, sizeof(look));
    struct spool_inspect_config c = {.found = found, .arg = &look};
    assert_int_equal(disk_readonly_open(&c.disk, dir_fd, err, sizeof(err)), 0);
    good_ops = c.disk.ops;
    bad_ops = *good_ops;
    bad_ops.submit = bad_submit;
    bad_ops.poll = bad_poll;
    bad_segment = p.segment;
    bad_offset = (p.offset + 5000) & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1); /* in the piece alone */
    c.disk.ops = &bad_ops;
    assert_int_equal(spool_inspect_open(&look.in, &c, err, sizeof(err)), 0);
    spool_inspect_totals(look.in, &look.totals);
    assert_int_equal(look.damage_cnt, 3); /* the block, the batch, the message */
    assert_told("4096 bytes cannot be read: Input/output error");
    assert_true(look.last_segment == p.segment && look.last_offset == p.offset);
    assert_int_equal(look.totals.damaged_cnt, 1);
    assert_int_equal(look.totals.queued_cnt, ALL_CNT - 1);
    assert_int_equal(content_right(2, (uint64_t)find(2, &m), &m), 0);
    assert_int_equal(content_right(1, (uint64_t)find(1, &m), &m), 1);
    spool_inspect_close(look.in);
    disk_readonly_close(&c.disk);
}

/* Any bytes at all: nothing wrong is read, and nothing is unsaid. */
static void test_random(void **state)
{
    SKIP_WITHOUT_SPOOL();
    struct base_rand rand;
    base_rand_init(&rand, 11);
    for (uint32_t round = 0; round < 150; round++) {
        static uint8_t junk[20000];
        uint32_t segment = 1 + (uint32_t)(base_rand_next(&rand) % file_cnt);
        uint64_t offset = base_rand_next(&rand) % (SEGMENT_BYTES - sizeof(junk));
        size_t len = round % 3 == 0 ? 1 : 1 + base_rand_next(&rand) % sizeof(junk);
        for (size_t i = 0; i < len; i++)
            junk[i] = (uint8_t)base_rand_next(&rand);
        bytes_write(segment, offset, junk, len);
        look_begin();
        uint32_t right = 0;
        for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
            struct spool_inspect_message m;
            int64_t index = find(i, &m);
            if (index < 0 || i == FREED)
                continue;
            int whole = content_right(i, (uint64_t)index, &m);
            right += m.state == SPOOL_INSPECT_QUEUED && whole == 1;
            assert_true(m.state != SPOOL_INSPECT_QUEUED || whole == 1);
        }
        if (right < ALL_CNT && look.damage_cnt == 0)
            fail_msg("round %u: segment %u, offset %llu, %zu bytes: nothing was told", round,
                     segment, (unsigned long long)offset, len);
        look_end();
        bytes_write(segment, offset, files[segment - 1] + offset, len);
    }
}

/* After all of it the files are, byte for byte, what the tests left. */
static void test_untouched(void **state)
{
    SKIP_WITHOUT_SPOOL();
    static uint8_t data[SEGMENT_BYTES];
    struct stat before[FILE_MAX], after;
    for (uint32_t i = 0; i < file_cnt; i++) {
        int fd = file_open(i + 1, O_RDONLY);
        assert_int_equal(fstat(fd, &before[i]), 0);
        close(fd);
    }
    assert_int_equal(tool_on("check", ""), 0);
    assert_int_equal(tool_on("dump", ""), 0);
    for (uint32_t i = 0; i < file_cnt; i++) {
        int fd = file_open(i + 1, O_RDONLY);
        assert_int_equal(read(fd, data, sizeof(data)), SEGMENT_BYTES);
        assert_memory_equal(data, files[i], SEGMENT_BYTES);
        assert_int_equal(fstat(fd, &after), 0);
        assert_true(after.st_mtim.tv_sec == before[i].st_mtim.tv_sec &&
                    after.st_mtim.tv_nsec == before[i].st_mtim.tv_nsec);
        close(fd);
    }
    assert_int_equal(file_open(file_cnt + 1, O_RDONLY), -1);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir_name) == NULL)
        return -1;
    dir_fd = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t i = 0; i < MESSAGE_CNT; i++) {
        snprintf(heads[i], sizeof(heads[i]), "Subject: message %u\r\n\r\n", i);
        for (uint32_t k = 0; k < BODY_BYTES; k++)
            bodies[i][k] = (uint8_t)((k + i * 7919) * 2654435761U >> 13);
    }
    if (dir_fd < 0 || spool_make() < 0)
        return -1;
    for (; skip_why == NULL && file_cnt < FILE_MAX; file_cnt++) {
        int fd = file_open(file_cnt + 1, O_RDONLY);
        if (fd < 0)
            break;
        files[file_cnt] = malloc(SEGMENT_BYTES);
        if (read(fd, files[file_cnt], SEGMENT_BYTES) != SEGMENT_BYTES)
            return -1;
        close(fd);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[64];
    for (uint32_t i = 0; i < file_cnt; i++)
        free(files[i]);
    close(dir_fd);
    snprintf(command, sizeof(command), "rm -r '%s'", dir_name);
    return system(command) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),        cmocka_unit_test(test_tool),
        cmocka_unit_test(test_wrong_use),    cmocka_unit_test(test_lock),
        cmocka_unit_test(test_newer),        cmocka_unit_test(test_body),
        cmocka_unit_test(test_batch_header), cmocka_unit_test(test_segment_header),
        cmocka_unit_test(test_summary),      cmocka_unit_test(test_torn_tail),
        cmocka_unit_test(test_unreadable),   cmocka_unit_test(test_random),
        cmocka_unit_test(test_untouched),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
