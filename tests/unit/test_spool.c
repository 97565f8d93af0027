/*
 * The spool's engine on the simulated disk: what is told, in which order, what survives, what is
 * refused, and that space comes back.
 */
#include "spool_rig.h"

static void test_order_and_read(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    uint32_t len;
    const char *why;
    bench_open(b);
    assert_true(spool_accepting(b->spool, &why));
    send(b, 1, BODY_MAX);
    send(b, 2, 0);
    settle(b);
    assert_int_equal(b->done_cnt, 4);
    assert_int_equal(b->done[0].op, SPOOL_COMMIT);
    assert_int_equal(b->done[0].to, 3);
    assert_int_equal(b->done[1].op, SPOOL_ARRIVED);
    assert_int_equal(b->done[1].to, SPOOL_TO_COURIER);
    assert_int_equal(status_of(b, 2, SPOOL_COMMIT), 0);
    read_whole(b, 1, BODY_MAX);
    read_whole(b, 2, 0);
    assert_int_equal(read_status(b, 1, 12345, 1, &len), 0);
    assert_int_equal(len, 1);
    assert_int_equal(read_status(b, 1, BODY_MAX, 5, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(read_status(b, 3, 0, 5, &len), -ENOENT);
    free_message(b, 1);
    free_message(b, 7);
    settle(b);
    assert_int_equal(status_of(b, 1, SPOOL_FREE), 0);
    assert_int_equal(status_of(b, 7, SPOOL_FREE), -ENOENT);
    assert_int_equal(read_status(b, 1, 0, 5, &len), -ENOENT);
    bench_free(b);
}

/* Header pieces lie before the body in the content, whenever they came. */
static void test_header_after_body(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    struct spool_id id = id_of(1);
    bench_open(b);
    push(b, (struct spool_entry){.id = id, .op = SPOOL_BEGIN, .p = envelope, .len = 10});
    push(b,
         (struct spool_entry){
             .id = id, .op = SPOOL_CHUNK, .part = SPOOL_PART_BODY, .p = body + 50, .len = 40000});
    push(b, (struct spool_entry){
                .id = id, .op = SPOOL_CHUNK, .part = SPOOL_PART_HEADER, .p = body, .len = 30});
    push(b, (struct spool_entry){.id = id,
                                 .op = SPOOL_CHUNK,
                                 .part = SPOOL_PART_ENVELOPE,
                                 .p = envelope + 10,
                                 .len = envelope_len - 10});
    push(b, (struct spool_entry){
                .id = id, .op = SPOOL_CHUNK, .part = SPOOL_PART_HEADER, .p = body + 30, .len = 20});
    push(b, (struct spool_entry){.id = id, .op = SPOOL_COMMIT});
    settle(b);
    assert_int_equal(status_of(b, 1, SPOOL_COMMIT), 0);
    read_whole(b, 1, 40050);
    crash(b);
    bench_open(b);
    settle(b);
    assert_int_equal(status_of(b, 1, SPOOL_ARRIVED), 0);
    read_whole(b, 1, 40050);
    bench_free(b);
}

static void test_refused(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    struct spool_buf *buf = spool_buf_get(&b->pool);
    struct spool_usage u;
    bench_open(b);
    push(b, (struct spool_entry){.id = id_of(1), .op = SPOOL_COMMIT});
    push(b, (struct spool_entry){.id = id_of(2), .op = SPOOL_BEGIN, .p = body, .len = 20});
    push(b, (struct spool_entry){.id = id_of(2), .op = SPOOL_COMMIT});
    send(b, 3, 100);
    settle(b);
    assert_int_equal(status_of(b, 1, SPOOL_COMMIT), -ENOENT);
    assert_int_equal(status_of(b, 2, SPOOL_COMMIT), -EINVAL); /* no envelope */
    assert_int_equal(status_of(b, 3, SPOOL_COMMIT), 0);
    send(b, 3, 50);
    send_parts(b, 4, 5000);
    push(b, (struct spool_entry){.id = id_of(4), .op = SPOOL_ABORT, .buf = buf});
    settle(b);
    assert_int_equal(status_of(b, 3, SPOOL_COMMIT), -EEXIST);
    assert_int_equal(status_of(b, 4, SPOOL_RELEASE), 0);
    spool_buf_put(&b->pool, buf);
    struct spool_outcome o = {.recipient = 2, .state = SPOOL_OUTCOME_FAILED};
    push(b, (struct spool_entry){
                .id = id_of(3), .op = SPOOL_OUTCOME, .p = (void *)&o, .len = sizeof(o)});
    settle(b);
    assert_int_equal(status_of(b, 3, SPOOL_OUTCOME), -EINVAL);
    spool_usage(b->spool, &u);
    assert_int_equal(u.message_cnt, 1);
    assert_int_equal(u.open_cnt, 0);
    bench_free(b);
}

/* Buffers come home when their bytes are durable; a lane may have one for many entries. */
static void test_release(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    struct spool_buf *buf = spool_buf_get(&b->pool);
    bench_open(b);
    memcpy(buf->data, envelope, envelope_len);
    push(b, (struct spool_entry){
                .id = id_of(1), .op = SPOOL_BEGIN, .p = buf->data, .len = envelope_len});
    push(b, (struct spool_entry){.id = id_of(1),
                                 .op = SPOOL_CHUNK,
                                 .part = SPOOL_PART_BODY,
                                 .p = buf->data,
                                 .len = 20,
                                 .from = 5,
                                 .buf = buf,
                                 .cookie = b});
    settle(b);
    assert_int_equal(b->done_cnt, 1);
    assert_int_equal(b->done[0].op, SPOOL_RELEASE);
    assert_int_equal(b->done[0].to, 5);
    assert_ptr_equal(b->done[0].buf, buf);
    assert_ptr_equal(b->done[0].cookie, b);
    spool_buf_put(&b->pool, buf);
    bench_free(b);
}

/* Many times the spool's size goes through while a few messages stay, and must be moved. */
static void test_space_comes_back(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    struct spool_usage u;
    struct spool_outcome o = {
        .recipient = 1, .state = SPOOL_OUTCOME_DEFERRED, .code = 450, .attempt_cnt = 3};
    bench_open(b);
    for (uint32_t n = 0; n < 5; n++)
        send(b, n, 30000);
    settle(b);
    push(b, (struct spool_entry){
                .id = id_of(2), .op = SPOOL_OUTCOME, .p = (void *)&o, .len = sizeof(o)});
    send_parts(b, 5, 20000); /* and one that takes its time */
    for (uint32_t n = 10; n < 10 + 64 * 1024 * 1024 / 100000; n++) {
        send(b, n, 100000);
        settle(b);
        assert_int_equal(status_of(b, n, SPOOL_COMMIT), 0);
        free_message(b, n);
        if (n % 100 == 0) {
            settle(b);
            crash(b);
            bench_open(b);
            settle(b);
            assert_int_equal(b->done_cnt, 5);
            if (n == 100)
                send_parts(b, 6, 20000);
        }
    }
    settle(b);
    spool_usage(b->spool, &u);
    assert_int_equal(u.message_cnt, 5);
    assert_int_equal(u.segment_cnt, 8);
    assert_true(stats_get(&b->stats, STATS_SPOOL_MOVED_BYTES) > 5 * 30000);
    assert_true(stats_get(&b->stats, STATS_SPOOL_BATCH_BYTES) > 60 << 20);
    for (uint32_t n = 0; n < 5; n++)
        read_whole(b, n, 30000);
    crash(b);
    bench_open(b);
    uint32_t seen = 0;
    while (seen < 5) {
        struct spool_done d;
        spool_run(b->spool, ++b->now_ns);
        if (spool_poll(b->spool, &d, 1) == 0)
            continue;
        struct spool_id two = id_of(2);
        bool it = spool_id_eq(&d.id, &two);
        assert_int_equal(d.arrival->outcomes[1].attempt_cnt, it ? 3 : 0);
        assert_int_equal(d.arrival->outcomes[1].code, it ? 450 : 0);
        assert_int_equal(d.arrival->outcomes[0].state, SPOOL_OUTCOME_QUEUED);
        spool_arrival_free(d.arrival);
        seen++;
    }
    bench_free(b);
}

/* Without frees the spool fills up, says so, still takes outcomes and frees, and recovers. */
static void fill_and_drain(struct bench *b)
{
    const char *why = NULL;
    uint32_t n = 0;
    struct spool_outcome o = {.state = SPOOL_OUTCOME_DELIVERED, .code = 250};
    while (spool_accepting(b->spool, &why) && n < 1000) {
        send(b, n++, 50000);
        settle(b);
        assert_int_equal(status_of(b, n - 1, SPOOL_COMMIT), 0);
    }
    assert_true(n > 10 && n < 1000);
    assert_string_equal(why, "spool is full");
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 30; i++) {
        send(b, 5000 + i, 50000);
        settle(b);
        int status = status_of(b, 5000 + i, SPOOL_COMMIT);
        assert_true(status == 0 || status == -ENOSPC);
        refused += status != 0;
    }
    assert_true(refused > 20);
    for (uint32_t k = 0; k < 400; k++) { /* the reserve is for these */
        push(b, (struct spool_entry){
                    .id = id_of(k % n), .op = SPOOL_OUTCOME, .p = (void *)&o, .len = sizeof(o)});
        settle(b);
        assert_int_equal(b->done[0].status, 0);
    }
    for (uint32_t k = 0; k < n; k++) {
        free_message(b, k);
        settle(b);
        assert_int_equal(status_of(b, k, SPOOL_FREE), 0);
    }
    assert_true(spool_accepting(b->spool, &why));
    send(b, 9000, 50000);
    settle(b);
    assert_int_equal(status_of(b, 9000, SPOOL_COMMIT), 0);
    read_whole(b, 9000, 50000);
}

static void test_full(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    bench_open(b);
    fill_and_drain(b);
    bench_free(b);
}

/* The disk has room for fewer files than the spool may make; later it has more. */
static void test_disk_full(void **state)
{
    (void)state;
    const char *why;
    struct bench *b = bench_make(5 << 20);
    struct spool_usage u;
    bench_open(b);
    fill_and_drain(b);
    spool_usage(b->spool, &u);
    assert_int_equal(u.segment_cnt, 5);
    assert_true(stats_get(&b->stats, STATS_SPOOL_CREATE_ERRORS) > 0);
    for (uint32_t n = 100; n < 200 && spool_accepting(b->spool, &why); n++) {
        send(b, n, 50000);
        settle(b);
    }
    assert_false(spool_accepting(b->spool, &why));
    b->disk_config.capacity_bytes = 8 << 20;
    disk_sim_configure(&b->disk, &b->disk_config);
    assert_true(spool_deadline(b->spool) != BASE_NS_NONE);
    for (int i = 0; i < 3; i++) {
        b->now_ns += 11 * BASE_NS_S;
        settle(b);
    }
    assert_true(spool_accepting(b->spool, &why));
    bench_free(b);
    /* Not even the first */
    b = bench_make(1 << 20);
    char err[100];
    assert_int_equal(bench_open_rc(b, err, sizeof(err)), -ENOSPC);
    b->spool = NULL;
    bench_free(b);
}

/* Mail that comes faster than segments are made has more of them made ahead, and the file system
 * keeps its room for others. */
static void test_ahead(void **state)
{
    static const struct {
        uint64_t capacity_bytes;
        uint64_t ready_most;
    } table[] = {{UINT64_C(200) << 20, 8}, {UINT64_C(26) << 20, 4}};
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct bench *b = bench_make(table[i].capacity_bytes);
        b->config.segment_max = 64;
        bench_open(b);
        uint64_t ready_most = 0;
        for (uint32_t n = 0; n < 240; n++) { /* some 13 segments */
            send(b, n, 50000);
            settle(b);
            assert_int_equal(status_of(b, n, SPOOL_COMMIT), 0);
            uint64_t ready = stats_get(&b->stats, STATS_SPOOL_READY_NOW);
            if (n >= 200 && ready > ready_most)
                ready_most = ready;
        }
        assert_int_equal(ready_most, table[i].ready_most);
        assert_true(spool_accepting(b->spool, &why));
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_CREATE_ERRORS), 0);
        bench_free(b);
    }
}

static void test_write_errors(void **state)
{
    (void)state;
    const char *why;
    struct bench *b = bench_make(0);
    bench_open(b);
    send(b, 1, 1000);
    settle(b);
    /* Once: written again, nobody notices. */
    disk_sim_fail_writes(&b->disk, 0, 1, -EIO);
    send(b, 2, 100000);
    settle(b);
    assert_int_equal(status_of(b, 2, SPOOL_COMMIT), 0);
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_REWRITES), 1);
    read_whole(b, 2, 100000);
    /* For long: failed, and told so; reading goes on. */
    disk_sim_fail_writes(&b->disk, 0, UINT64_MAX, -EIO);
    send(b, 3, 100000);
    settle(b);
    assert_int_equal(status_of(b, 3, SPOOL_COMMIT), -EIO);
    assert_false(spool_accepting(b->spool, &why));
    assert_string_equal(why, "spool cannot write");
    send(b, 4, 100);
    free_message(b, 1);
    settle(b);
    assert_int_equal(status_of(b, 4, SPOOL_COMMIT), -EIO);
    assert_int_equal(status_of(b, 1, SPOOL_FREE), -EIO);
    read_whole(b, 1, 1000);
    assert_true(spool_deadline(b->spool) != BASE_NS_NONE);
    for (int i = 0; i < 5; i++) {
        b->now_ns += 11 * BASE_NS_S;
        settle(b);
        assert_false(spool_accepting(b->spool, &why));
    }
    /* It comes back by itself. */
    disk_sim_fail_writes(&b->disk, 0, 0, 0);
    b->now_ns += 11 * BASE_NS_S;
    settle(b);
    assert_true(spool_accepting(b->spool, &why));
    send(b, 5, 100000);
    free_message(b, 1);
    settle(b);
    assert_int_equal(status_of(b, 5, SPOOL_COMMIT), 0);
    assert_int_equal(status_of(b, 1, SPOOL_FREE), 0);
    crash(b);
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 2);
    assert_int_equal(status_of(b, 2, SPOOL_ARRIVED), 0);
    assert_int_equal(status_of(b, 5, SPOOL_ARRIVED), 0);
    read_whole(b, 2, 100000);
    read_whole(b, 5, 100000);
    bench_free(b);
}

/* Finds the file whose bytes hold the text, and where. */
static uint8_t *find_bytes(struct bench *b, const void *text, size_t len)
{
    for (uint32_t n = 1; n <= 8; n++) {
        uint64_t bytes;
        uint8_t *p = disk_sim_data(&b->disk, n, &bytes);
        void *at = p == NULL ? NULL : memmem(p, bytes, text, len);
        if (at != NULL)
            return at;
    }
    fail_msg("not on disk");
    return NULL;
}

static void test_damage(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    char err[256];
    uint32_t len;
    bench_open(b);
    for (uint32_t n = 1; n <= 3; n++) {
        send(b, n, 5000 * n);
        settle(b);
    }
    /* While running: told, and nothing wrong is handed out. */
    struct spool_id one = id_of(1);
    uint8_t *record = find_bytes(b, one.b, 16);
    uint8_t *p = memmem(record, 20000, body, 5000);
    assert_non_null(p);
    p[77] ^= 4;
    assert_int_equal(read_status(b, 1, 0, 100, &len), -EBADMSG);
    read_whole(b, 2, 10000);
    crash(b);
    /* At start: acknowledged, and damaged. */
    assert_int_equal(bench_open_rc(b, err, sizeof(err)), -EBADMSG);
    assert_non_null(strstr(err, "damaged"));
    b->config.accept_corruption = true;
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 2);
    read_whole(b, 2, 10000);
    read_whole(b, 3, 15000);
    b->config.accept_corruption = false;
    crash(b);
    p[77] ^= 4;
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 3);
    read_whole(b, 1, 5000);
    crash(b);
    /* The last batch: it may never have been acknowledged, so it is a torn tail. */
    struct spool_id three = id_of(3);
    find_bytes(b, three.b, 16)[0] ^= 1;
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 2);
    bench_free(b);
}

static void test_headers(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    char err[256];
    bench_open(b);
    send(b, 1, 5000);
    settle(b);
    crash(b);
    uint8_t *p = find_bytes(b, "SluiceSg", 8);
    /* Of another version, and whole: nobody goes past it. */
    uint32_t crc = base_le32(p + 12);
    p[8] = 2;
    base_put_le32(p + 12, 0);
    base_put_le32(p + 12, base_crc32c(0, p, SPOOL_BLOCK_BYTES));
    for (int accept = 0; accept < 2; accept++) {
        b->config.accept_corruption = accept != 0;
        assert_int_equal(bench_open_rc(b, err, sizeof(err)), -EPROTO);
        assert_non_null(strstr(err, "version 2"));
    }
    b->config.accept_corruption = false;
    /* The version has rotted. */
    base_put_le32(p + 12, crc);
    assert_int_equal(bench_open_rc(b, err, sizeof(err)), -EBADMSG);
    assert_non_null(strstr(err, "header is damaged"));
    p[8] = 1;
    p[33] ^= 1;
    assert_int_equal(bench_open_rc(b, err, sizeof(err)), -EBADMSG);
    assert_non_null(strstr(err, "header is damaged"));
    p[33] ^= 1;
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 1);
    crash(b);
    p[8] ^= 0x40;
    b->config.accept_corruption = true;
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 1);
    read_whole(b, 1, 5000);
    bench_free(b);
}

/* A start knows full segments by their summaries; a damaged one costs the time to read the segment.
 */
static void test_summaries(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    bench_open(b);
    for (uint32_t n = 1; n <= 20; n++) {
        send(b, n, 120000);
        settle(b);
    }
    free_message(b, 3);
    settle(b);
    for (int damaged = 0; damaged < 2; damaged++) {
        crash(b);
        uint64_t read = stats_get(&b->stats, STATS_SPOOL_SUMMARY_READ);
        uint64_t bad = stats_get(&b->stats, STATS_SPOOL_SUMMARY_BAD);
        uint64_t reads = stats_get(&b->stats, STATS_SPOOL_READS);
        uint8_t *p = find_bytes(b, "SluiceSu", 8);
        p[70] ^= (uint8_t)damaged;
        bench_open(b);
        settle(b);
        assert_int_equal(b->done_cnt, 19);
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_READS), reads); /* envelopes are in it */
        assert_true(stats_get(&b->stats, STATS_SPOOL_SUMMARY_READ) > read);
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_SUMMARY_BAD), bad + (uint64_t)damaged);
        for (uint32_t n = 1; n <= 20; n++)
            if (n != 3)
                read_whole(b, n, 120000);
    }
    bench_free(b);
}

static uint32_t damaged_cnt(const struct bench *b, uint32_t n)
{
    struct spool_id id = id_of(n);
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < b->done_cnt; i++)
        cnt += b->done[i].op == SPOOL_DAMAGED && spool_id_eq(&b->done[i].id, &id);
    return cnt;
}

static void run_some(struct bench *b)
{
    struct spool_done d;
    b->now_ns += BASE_NS_MS;
    spool_run(b->spool, b->now_ns);
    while (spool_poll(b->spool, &d, 1) == 1)
        spool_arrival_free(d.arrival);
}

/* A damaged segment is let go by its last reader while a header is under way that still counts it
 * to the log: it is put aside only after the next header, or a start would miss it. */
static void test_aside_after_header(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    bench_open(b);
    uint32_t n = 0;
    while (b->spool->log_cnt < 2) {
        send(b, ++n, 60000);
        settle(b);
    }
    uint32_t slot = spool_log_slot(b->spool, 0);
    struct spool_segment *g = &b->spool->segments[slot];
    g->read_refs++;
    spool_segment_damaged(b->spool, slot);
    b->spool->mover.retry_ns = BASE_NS_NONE; /* nothing is to be moved */
    for (uint32_t i = 1; i <= n; i++)
        free_message(b, i);
    for (int i = 0; i < 200; i++)
        run_some(b);
    assert_int_equal(g->live_bytes, 0);
    assert_int_equal(g->state, SPOOL_SEGMENT_SEALED);
    b->disk_config.delay_max = 200; /* so that the header is under way for a while */
    disk_sim_configure(&b->disk, &b->disk_config);
    for (int i = 0; i < 20000 && !b->spool->header_under_way; i++) {
        if (i % 50 == 0)
            send(b, ++n, 60000);
        run_some(b);
    }
    assert_true(b->spool->header_under_way);
    g->read_refs--;
    run_some(b);
    assert_int_equal(g->state, SPOOL_SEGMENT_LEAVING);
    assert_true(b->spool->header_under_way);
    while (b->spool->header_under_way)
        run_some(b);
    crash(b);
    bench_open(b);
    settle(b);
    bench_free(b);
}

/* An envelope of several pieces, one of which rots: it is not in the summary as a whole, so this is
 * found after the start. The message ends, its segments go aside, all others stay; and the next
 * start finds nothing wrong. */
static void test_envelope_lost(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    uint8_t part[1027] = {200, 0, 4}; /* a field of an unknown type */
    for (uint32_t i = 3; i < sizeof(part); i++)
        part[i] = (uint8_t)(i * 2654435761U >> 9);
    bench_open(b);
    push(b, (struct spool_entry){
                .id = id_of(1), .op = SPOOL_BEGIN, .p = envelope, .len = envelope_len});
    push(b, (struct spool_entry){.id = id_of(1),
                                 .op = SPOOL_CHUNK,
                                 .part = SPOOL_PART_ENVELOPE,
                                 .p = part,
                                 .len = sizeof(part)});
    push(b, (struct spool_entry){.id = id_of(1), .op = SPOOL_COMMIT, .from = 3});
    for (uint32_t n = 2; n <= 24; n++) {
        send(b, n, 60000 + n);
        settle(b);
    }
    assert_true(b->spool->log_cnt >= 2);
    crash(b);
    bench_open(b); /* whole: it is told, after reading */
    settle(b);
    assert_int_equal(b->done_cnt, 24);
    crash(b);
    struct spool_id one = id_of(1);
    uint8_t *p = memmem(find_bytes(b, one.b, 16), 4096, part + 100, 500);
    assert_non_null(p);
    p[7] ^= 1;
    bench_open(b);
    settle(b);
    uint32_t arrived = 0;
    for (uint32_t i = 0; i < b->done_cnt; i++) {
        arrived += b->done[i].op == SPOOL_ARRIVED;
        assert_true(b->done[i].op != SPOOL_FREE);
    }
    assert_int_equal(arrived, 23);
    for (int i = 0; i < 10; i++) {
        b->now_ns += BASE_NS_S;
        settle(b);
    }
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_ENVELOPES_LOST), 1);
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_FREED), 1);
    assert_true(stats_get(&b->stats, STATS_SPOOL_SET_ASIDE) >= 1);
    for (int again = 0; again < 2; again++) {
        for (uint32_t n = 2; n <= 24; n++)
            read_whole(b, n, 60000 + n);
        crash(b);
        bench_open(b);
        settle(b);
        assert_int_equal(b->done_cnt, 23);
    }
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_ENVELOPES_LOST), 1);
    bench_free(b);
}

/* A body that rots in a full segment: found when it is read, its message told as damaged once, the
 * rest of the segment saved, and the segment put aside; the next start finds nothing wrong. */
static void test_salvage(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    char err[256];
    uint32_t len;
    bench_open(b);
    for (uint32_t n = 1; n <= 12; n++) {
        send(b, n, 60000 + n);
        settle(b);
    }
    struct spool_outcome o = {.recipient = 1, .state = SPOOL_OUTCOME_DEFERRED, .attempt_cnt = 9};
    push(b, (struct spool_entry){
                .id = id_of(2), .op = SPOOL_OUTCOME, .p = (const uint8_t *)&o, .len = sizeof(o)});
    settle(b);
    for (uint32_t n = 13; n <= 24; n++) {
        send(b, n, 60000 + n);
        settle(b);
    }
    crash(b);
    struct spool_id one = id_of(1);
    uint8_t *p = memmem(find_bytes(b, one.b, 16), 20000, body, 5000);
    assert_non_null(p);
    p[77] ^= 4;
    bench_open(b);
    settle(b);
    assert_int_equal(damaged_cnt(b, 1), 0);
    assert_int_equal(read_status(b, 1, 0, 100, &len), -EBADMSG);
    assert_int_equal(damaged_cnt(b, 1), 1);
    for (int i = 0; i < 10; i++) { /* it tries again before it takes the disk's word */
        b->now_ns += BASE_NS_S;
        settle(b);
    }
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_SET_ASIDE), 1);
    assert_int_equal(read_status(b, 1, 0, 100, &len), -EBADMSG);
    assert_int_equal(damaged_cnt(b, 1), 0);
    for (uint32_t n = 2; n <= 24; n++)
        read_whole(b, n, 60000 + n);
    /* Until it is freed, a start refuses: it was acknowledged. */
    crash(b);
    assert_int_equal(bench_open_rc(b, err, sizeof(err)), -EBADMSG);
    assert_non_null(strstr(err, "lacks parts"));
    b->config.accept_corruption = true;
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 25);
    assert_int_equal(damaged_cnt(b, 1), 1);
    free_message(b, 1);
    settle(b);
    b->config.accept_corruption = false;
    crash(b);
    bench_open(b);
    settle(b);
    assert_int_equal(b->done_cnt, 23);
    for (uint32_t n = 2; n <= 24; n++)
        read_whole(b, n, 60000 + n);
    bench_free(b);
}

/* More than the spool takes at once: told by -EAGAIN, nothing is lost. */
static void test_backpressure(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    uint32_t pushed = 0, done = 0;
    bench_open(b);
    send(b, 0, 100);
    settle(b);
    for (; pushed < 100000; pushed++) {
        struct spool_entry e = {.id = id_of(9), .op = SPOOL_FREE};
        if (spool_push(b->spool, &e) == -EAGAIN)
            break;
    }
    assert_true(pushed > 1000 && pushed < 100000);
    settle(b);
    for (uint32_t i = 0; i < b->done_cnt; i++)
        done += b->done[i].op == SPOOL_FREE;
    assert_int_equal(done, pushed);
    send(b, 1, 100);
    settle(b);
    assert_int_equal(status_of(b, 1, SPOOL_COMMIT), 0);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_read),   cmocka_unit_test(test_header_after_body),
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_release),
        cmocka_unit_test(test_space_comes_back), cmocka_unit_test(test_full),
        cmocka_unit_test(test_disk_full),        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_write_errors),     cmocka_unit_test(test_damage),
        cmocka_unit_test(test_headers),          cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_summaries),        cmocka_unit_test(test_envelope_lost),
        cmocka_unit_test(test_salvage),          cmocka_unit_test(test_aside_after_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
