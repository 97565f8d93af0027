/*
 * Bodies through a whole gateway, to the next hop: by DATA, by BDAT in chunks, with bare LF that is
 * normalized; and clients that go away in a chunk, at every byte.
 */
#include "conn_bench.h"

#define TO_SINK "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"

/* Delivers what is queued to a next hop that takes everything; what it was sent is in b->asked. */
static void deliver(void)
{
    for (int i = 0; b->sink == NULL && i < 100; i++)
        turn(NULL, 10);
    assert_non_null(b->sink);
    answer("220 sink.example\r\n");
    answer("250-sink.example\r\n250 8BITMIME\r\n");
    answer("250 ok\r\n");
    answer("250 ok\r\n");
    answer("354 go\r\n");
    turn(NULL, 20);
}

/* The message as the next hop got it, behind our Received field, with its end. */
static const char *delivered(void)
{
    static const char mark[] = "+0000\r\n";
    const char *at = strstr(b->asked, mark);

    assert_non_null(at);
    assert_memory_equal(b->asked, "Received: from c.example", 24);
    return at + strlen(mark);
}

/* One message by these commands and bytes; expects it at the next hop. */
static void goes_through(const char *data, size_t step, const char *expected)
{
    struct tcp_conn *c = client(TO_SINK);
    size_t len = strlen(data);

    b->courier_off = false;
    for (size_t at = 0; at < len; at += step) {
        say_bytes(c, data + at, len - at < step ? len - at : step);
        turn(c, 1);
    }
    turn(c, 20);
    told("queued as");
    tcp_close(b->tcp, c);
    deliver();
    assert_string_equal(delivered(), expected);
    answer("250 stored\r\n");
    tcp_abort(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 50);
    b->got_len = 0;
    b->got[0] = 0;
    check_home();
}

static void chunks_to_the_next_hop(void **state)
{
    static const char one[] = "BDAT 35 LAST\r\nSubject: x\r\n\r\n.\r\n..\r\nQUIT\r\n.\r\n.last";
    static const char many[] =
        "BDAT 13\r\nSubject: x\r\n\rBDAT 0\r\nBDAT 5\r\n\n.\r\n.BDAT 19\r\n.\r\nQUIT"
        "\r\n.\r\n.last\r\n";
    static const char want[] = "Subject: x\r\n\r\n..\r\n...\r\nQUIT\r\n..\r\n..last\r\n.\r\n";

    (void)state;
    assert_int_equal(strlen(one), 14 + 35);
    for (size_t step = 1; step <= sizeof(one); step += 17)
        goes_through(one, step, want);
    for (size_t step = 1; step <= sizeof(many); step += 23) {
        char text[200];
        snprintf(text, sizeof(text), "%sBDAT 0 LAST\r\n", many);
        goes_through(text, step, want);
    }
    assert_true(lane_stat(STATS_SMTP_CHUNKED) > 0);
    assert_int_equal(lane_stat(STATS_SMTP_CHUNKED), lane_stat(STATS_CONN_MESSAGES));
}

/* A message without an empty line, and one without a byte. */
static void chunks_without_a_body(void **state)
{
    (void)state;
    goes_through("BDAT 0 LAST\r\n", 100, ".\r\n");
    goes_through("BDAT 5 LAST\r\nA: bc", 1, "A: bc\r\n.\r\n");
}

/* Chunks over many buffers of the spool, as large ones and as small ones. */
static void many_chunks(void **state)
{
    static char text[300000], line[64];
    static const size_t sizes[] = {700, 16384, 100000};

    (void)state;
    for (size_t k = 0; k < BASE_ARRAY_CNT(sizes); k++) {
        struct tcp_conn *c = client(TO_SINK);
        size_t len = (size_t)sprintf(text, "Subject: x\r\n\r\n");
        while (len < 200000)
            len += (size_t)sprintf(text + len, "%060zu\r\n", len);
        for (size_t at = 0; at < len; at += sizes[k]) {
            size_t n = len - at < sizes[k] ? len - at : sizes[k];
            snprintf(line, sizeof(line), "BDAT %zu%s\r\n", n, at + n == len ? " LAST" : "");
            say(c, line);
            say_bytes(c, text + at, n);
            while (tcp_send_pending(c) > 50000)
                turn(c, 1);
        }
        turn(c, 200);
        told("queued as");
        tcp_close(b->tcp, c);
        b->got_len = 0;
        b->got[0] = 0;
        check_home();
    }
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), BASE_ARRAY_CNT(sizes));
}

/* Whether a text of BDAT commands and their chunks is cut off in a command. */
static bool cut_in_a_command(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t line = (size_t)(strstr(text + at, "\r\n") - text) + 2;
        if (len < line)
            return true;
        at = line + strtoul(text + at + 5, NULL, 10);
    }
    return false;
}

/* A client that ends or is reset, behind every byte: nothing is queued, and all is given back. (One
 * that only ends in the middle of a command has its time to go on: that is not looked at.) */
static void gone_in_a_chunk(void **state)
{
    static const char text[] = TO_SINK "BDAT 20\r\nSubject: x\r\n\r\nbody\r\nBDAT 8\r\nmore\r\n.\n"
                                       "BDAT 5\r\nQUIT\nBDAT 6 LAST\r\nQUIT\r";
    size_t from = strlen(TO_SINK);

    (void)state;
    for (size_t len = from; len < strlen(text); len++)
        for (int end = cut_in_a_command(text + from, len - from); end < 2; end++) {
            struct tcp_conn *c = client("");
            say_bytes(c, text, len);
            turn(c, 5);
            not_told("queued as");
            if (end == 0)
                tcp_shutdown(b->tcp, c);
            else
                tcp_abort(b->tcp, c);
            if (end == 0) {
                turn(c, 5);
                tcp_close(b->tcp, c);
            }
            b->got_len = 0;
            b->got[0] = 0;
            if (len % 5 == 0)
                check_home();
            else
                turn(NULL, 300);
        }
    check_home();
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), 0);
}

static void silent_in_a_chunk(void **state)
{
    (void)state;
    for (int between = 0; between < 2; between++) {
        struct tcp_conn *c = client(TO_SINK "BDAT 20\r\nSubject: x\r\n\r\nbody");
        if (between != 0)
            say(c, "\r\n");
        turn(c, 5);
        skip_time(c, (between != 0 ? 290 : 170) * BASE_NS_S);
        not_told("421");
        skip_time(c, 15 * BASE_NS_S);
        told("421 4.4.2 gw.example Error: timeout exceeded");
        tcp_close(b->tcp, c);
        b->got_len = 0;
        b->got[0] = 0;
        check_home();
    }
}

/* No buffer is free for a first chunk: it is thrown away, and the client is told to come again. */
static void no_room_for_a_chunk(void **state)
{
    (void)state;
    struct tcp_conn *c = client(TO_SINK);
    struct spool_buf *taken = NULL;

    while (b->lane->bufs.free_cnt > 0) {
        struct spool_buf *buf = spool_buf_get(&b->lane->bufs);
        buf->next = taken;
        taken = buf;
    }
    while (b->lane->transaction_cnt > 0 && strstr(b->got, "452") == NULL) {
        say(c, "BDAT 20000\r\n");
        static char header[20000];
        memset(header, 'x', sizeof(header));
        for (size_t i = 80; i < sizeof(header); i += 80)
            memcpy(header + i, "\r\nX: ", 5);
        memcpy(header + sizeof(header) - 2, "\r\n", 2);
        say_bytes(c, header, sizeof(header));
        turn(c, 50);
    }
    told("452 4.3.2 System is busy");
    say(c, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    turn(c, 5);
    told("503 5.5.1 Error: message was refused at an earlier chunk\r\n250 2.0.0 Ok\r\n");
    while (taken != NULL) {
        struct spool_buf *buf = taken;
        taken = buf->next;
        spool_buf_put(&b->lane->bufs, buf);
    }
    tcp_close(b->tcp, c);
    check_home();
}

static int open_normalizing(void **state)
{
    b->normalize = true;
    return open_bench(state);
}

static int close_normalizing(void **state)
{
    b->normalize = false;
    return close_bench(state);
}

/* A client of a listed network; another one is refused. */
static void normalized_by_network(void **state)
{
    (void)state;
    goes_through("DATA\r\nA: b\n\nx\n.\n.\r\ny\r\n.\r\n", 3,
                 "A: b\r\n\r\nx\r\n..\r\n..\r\ny\r\n.\r\n");
    goes_through("BDAT 11 LAST\r\nA: b\n\nx\n.\ny", 4, "A: b\r\n\r\nx\r\n..\r\ny\r\n.\r\n");
}

static void not_of_that_network(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE "A: b\n\nx\r\n.\r\n");

    told("550 5.5.2 Error: bare <LF> received");
    tcp_close(b->tcp, c);
    check_home();
}

/* More than twice what a message may have: the client hears it, and is cut off. */
static void endless_message(void **state)
{
    static char block[1 << 16];
    struct tcp_conn *c = client(ENVELOPE "A: b\r\n\r\n");

    (void)state;
    memset(block, 'x', sizeof(block));
    for (size_t i = 62; i < sizeof(block); i += 64)
        memcpy(block + i, "\r\n", 2);
    for (size_t sent = 0; sent <= 110 << 20 && strstr(b->got, "552") == NULL;
         sent += sizeof(block)) {
        if (tcp_send(b->tcp, c, block, sizeof(block)) != (int64_t)sizeof(block))
            break;
        while (tcp_send_pending(c) > 100000 && strstr(b->got, "552") == NULL)
            turn(c, 1);
    }
    turn(c, 5);
    told("552 5.3.4 Error: message file too big");
    assert_int_equal(lane_stat(STATS_SMTP_CLOSED_SIZE), 1);
    assert_int_equal(lane_stat(STATS_SMTP_REFUSED_SIZE), 1);
    tcp_abort(b->tcp, c);
    check_home();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chunks_to_the_next_hop, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(chunks_without_a_body, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(many_chunks, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(gone_in_a_chunk, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(silent_in_a_chunk, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(no_room_for_a_chunk, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(normalized_by_network, open_normalizing, close_normalizing),
        cmocka_unit_test_setup_teardown(not_of_that_network, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(endless_message, open_bench, close_bench),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn_body", tests, NULL, NULL);
    free(b);
    return status;
}
