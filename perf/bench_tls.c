/*
 * What TLS costs a server, beside plain OpenSSL (its default library context, no provider of ours,
 * malloc), in one run: the two take turns in small slices, each with eight connections in flight,
 * and only the server's calls are counted. Both have the same versions, ciphers, certificates (with
 * an intermediate) and no tickets but where sessions are resumed; both release their buffers.
 *
 *   bench_tls handshake [CASE]|parked|bulk|idle
 *
 * Lines "who metric value unit". Figures are medians of slices; a ratio is the median of the ratios
 * of neighboring slices, its spread the range of their middle 80 %.
 */
#include "keyop_inline.h"
#include "keyop_pool.h"
#include "tls.h"
#include "tls_kit.h"
#include "tls_memory.h"

#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FLIGHT    8
#define SLICES    60
#define PIPE      32768
#define IDLE_CNT  1000
#define SLICE_CNT (2 * FLIGHT) /* handshakes */

/* ---- the allocator: ours while our engine runs, malloc for all else ---- */

static bool ours, counting; /* counting costs: for idle only */
static int64_t live[2];

static int64_t size_of(void *p)
{
    return counting && p != NULL ? (int64_t)malloc_usable_size(p) + 8 : 0;
}

static void *take(size_t bytes, const char *file, int line)
{
    void *p = ours ? tls_memory_take(bytes, file, line) : malloc(bytes);

    live[ours] += size_of(p);
    return p;
}

static void give(void *p, const char *file, int line)
{
    live[ours] -= size_of(p);
    if (ours)
        tls_memory_give(p, file, line);
    else
        free(p);
}

static void *resize(void *p, size_t bytes, const char *file, int line)
{
    int64_t before = size_of(p);
    void *q = ours ? tls_memory_resize(p, bytes, file, line) : realloc(p, bytes);

    live[ours] += size_of(q) - before;
    return q;
}

/* ---- one connection: a client, and a server of either kind ---- */

enum who { PLAIN, OURS, WHO_CNT };
static const char *const who_names[WHO_CNT] = {"openssl", "sluice"};

struct end {
    struct kit_peer client;
    struct kit_peer plain;
    struct tls_conn *conn;
    uint8_t to_client[PIPE], to_server[PIPE], text[PIPE];
    size_t to_client_len, to_server_len;
    int client_done, server_done;
};

static struct end ends[FLIGHT];
static struct stats_block stats;
static struct tls_lane *lane;
static struct tls_domain *domain;
static SSL_CTX *client_ctx, *server_ctx;
static SSL_SESSION *session[WHO_CNT];
static const char *cipher[WHO_CNT]; /* of the last handshake */
static uint64_t spent_ns, clock_ns; /* CPU time of the server's calls; what a look at it costs */

static void die(const char *what)
{
    fprintf(stderr, "bench_tls: %s\n", what);
    exit(1);
}

/* The thread's CPU time, so that a busy machine spoils little. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Between these two only the server works. */
static uint64_t server_begin(enum who who)
{
    ours = who == OURS;
    return cpu_ns();
}

static void server_end(uint64_t start)
{
    uint64_t n = cpu_ns() - start;

    ours = false;
    spent_ns += n > clock_ns ? n - clock_ns : 0;
}

__attribute__((noinline)) static void server_open(enum who who, struct end *e)
{
    if (who == PLAIN)
        kit_peer_open(&e->plain, server_ctx, false, NULL);
    else
        e->conn = tls_conn_accept(lane, domain, 0, e);
    if (who == OURS && e->conn == NULL)
        die("no connection");
}

__attribute__((noinline)) static void server_close(enum who who, struct end *e)
{
    if (who == PLAIN)
        kit_peer_close(&e->plain);
    else
        tls_conn_close(e->conn);
}

static void decode(struct end *e)
{
    struct base_buf text = {e->text, 0, PIPE}, out = {e->to_client, e->to_client_len, PIPE};
    size_t consumed;
    enum tls_state state = tls_conn_decode(e->conn, base_span_of(e->to_server, e->to_server_len),
                                           &consumed, &text, &out);

    e->to_server_len -= consumed;
    memmove(e->to_server, e->to_server + consumed, e->to_server_len);
    e->to_client_len = out.len;
    e->server_done = state == TLS_OPEN ? 1 : state == TLS_HANDSHAKE ? 0 : -1;
}

static void server_step(enum who who, struct end *e)
{
    if (who == PLAIN) {
        kit_peer_give(&e->plain, e->to_server, e->to_server_len);
        e->to_server_len = 0;
        e->server_done = kit_peer_step(&e->plain);
        e->to_client_len +=
            kit_peer_take(&e->plain, e->to_client + e->to_client_len, PIPE - e->to_client_len);
    } else {
        decode(e);
    }
}

/* A pass of the server: what came in, then the lane's part. One that finds nothing is not work of
 * the handshakes. */
__attribute__((noinline)) static void server_pass(enum who who, struct end *e, uint32_t cnt)
{
    struct tls_conn *ready[FLIGHT];
    uint64_t start = server_begin(who), before = spent_ns;
    uint32_t n = 0;
    bool worked = false;

    for (uint32_t i = 0; i < cnt; i++) {
        if (e[i].to_server_len > 0 &&
            (who == PLAIN || tls_conn_wants(e[i].conn) != TLS_WANT_KEYOP)) {
            server_step(who, &e[i]);
            worked = true;
        }
    }
    if (who == OURS)
        n = tls_lane_run(lane, ready, FLIGHT);
    for (uint32_t i = 0; i < n; i++)
        decode(tls_conn_cookie(ready[i]));
    server_end(start);
    if (n > 0 || worked)
        return;
    spent_ns = before;
    sched_yield();
}

static void client_step(struct end *e)
{
    uint8_t byte;
    size_t n;

    kit_peer_give(&e->client, e->to_client, e->to_client_len);
    e->to_client_len = 0;
    if (e->client_done == 0)
        e->client_done = kit_peer_step(&e->client);
    else
        SSL_read_ex(e->client.ssl, &byte, 1, &n); /* a ticket */
    e->to_server_len +=
        kit_peer_take(&e->client, e->to_server + e->to_server_len, PIPE - e->to_server_len);
}

static void open_end(enum who who, struct end *e, bool resume)
{
    memset(&e->to_client_len, 0, sizeof(*e) - offsetof(struct end, to_client_len));
    kit_peer_open(&e->client, client_ctx, true, "mx.example.org");
    if (resume && session[who] != NULL)
        SSL_set_session(e->client.ssl, session[who]);
    client_step(e);
}

/* All of them to the end of their handshakes. */
static void finish(enum who who, struct end *e, uint32_t cnt)
{
    uint32_t open = cnt;

    while (open > 0) {
        open = 0;
        server_pass(who, e, cnt);
        for (uint32_t i = 0; i < cnt; i++) {
            if (e[i].to_client_len > 0 || e[i].client_done == 0)
                client_step(&e[i]);
            if (e[i].client_done < 0 || e[i].server_done < 0)
                die("a handshake failed");
            open += e[i].client_done == 0 || e[i].server_done == 0 || e[i].to_client_len > 0;
        }
    }
}

static void slice(enum who who, bool resume)
{
    bool again = session[who] != NULL;
    uint64_t start;

    for (uint32_t i = 0; i < FLIGHT; i++)
        open_end(who, &ends[i], resume);
    start = server_begin(who);
    for (uint32_t i = 0; i < FLIGHT; i++)
        server_open(who, &ends[i]);
    server_end(start);
    finish(who, ends, FLIGHT);
    start = server_begin(who);
    for (uint32_t i = 0; i < FLIGHT; i++)
        server_close(who, &ends[i]);
    server_end(start);
    for (uint32_t i = 0; i < FLIGHT; i++) {
        if (resume) {
            if (again && !SSL_session_reused(ends[i].client.ssl))
                die("a session was not resumed");
            SSL_SESSION_free(session[who]);
            session[who] = SSL_get1_session(ends[i].client.ssl);
        }
        cipher[who] = SSL_get_cipher_name(ends[i].client.ssl);
        SSL_shutdown(ends[i].client.ssl); /* or the session is thrown away */
        kit_peer_close(&ends[i].client);
    }
}

/* ---- set-up of a case ---- */

static struct kit_certificate ec, rsa;
static struct keyop_inline *own;
static struct keyop_pool *pool;
static struct tls_ticket_key ticket = {.name = "bench", .cipher = {1}, .mac = {2}};

static bool openssl_records; /* ours, too, seals by OpenSSL's AES-GCM */
/* The suite of both sides, of TLS 1.3 and of 1.2. */
static const char *suite = "TLS_AES_128_GCM_SHA256";
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
static char signatures[] = "ECDSA+SHA256:ECDSA+SHA384:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
                           "rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

enum driver { INLINE, DEFERRED, POOL };

static void set_up(int version, const struct kit_certificate *c, bool tickets, enum driver driver)
{
    struct tls_lane_settings s = {.connection_max = IDLE_CNT + FLIGHT,
                                  .handshake_max = 64,
                                  .parked_max = 64,
                                  .step_max = 10000,
                                  .openssl_records = openssl_records,
                                  .stats = &stats};
    struct tls_certificate_spec certificate = kit_spec(c, "certificate");
    struct tls_policy_spec policy = {
        .label = "policy", .version_min = TLS_VERSION_12, .tickets = tickets};
    struct tls_domain_spec spec = {
        .certificates = &certificate, .certificate_cnt = 1, .policies = &policy, .policy_cnt = 1};
    char why[200];

    client_ctx = kit_client_context(version);
    server_ctx = kit_server_context(version, c);
    /* As our policies have it: what is compared is the same handshake. */
    if (SSL_CTX_set_cipher_list(server_ctx, ciphers) != 1 ||
        SSL_CTX_set1_sigalgs_list(server_ctx, signatures) != 1)
        die("lists");
    SSL_CTX_set_options(server_ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_ciphersuites(client_ctx, suite);
    if (tickets) {
        SSL_CTX_clear_options(server_ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(server_ctx, 1);
    }
    ours = true;
    if (driver == POOL) {
        struct keyop_pool_settings p = {.lane_cnt = 1, .thread_cnt = 1, .queue_max = 64};
        pool = keyop_pool_open(&p);
        s.keyop = (struct tls_keyop_driver){&keyop_pool_ops, keyop_pool_lane(pool, 0)};
    } else {
        own = keyop_inline_open(driver == DEFERRED, 64);
        s.keyop = (struct tls_keyop_driver){&keyop_inline_ops, own};
    }
    lane = tls_lane_init(&s);
    if (lane == NULL || (domain = tls_domain_build(lane, &spec, why, sizeof(why))) == NULL)
        die(lane == NULL ? "memory" : why);
    if (tickets)
        tls_lane_set_tickets(lane, &ticket, NULL);
    ours = false;
}

static void tear_down(void)
{
    for (int who = 0; who < WHO_CNT; who++) {
        SSL_SESSION_free(session[who]);
        session[who] = NULL;
    }
    ours = true;
    tls_domain_retire(domain);
    tls_domain_free(domain);
    tls_lane_leave(lane);
    tls_lane_fini(lane);
    if (pool != NULL)
        keyop_pool_close(pool);
    if (own != NULL)
        keyop_inline_close(own);
    pool = NULL;
    own = NULL;
    ours = false;
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* ---- figures ---- */

static void calibrate(void)
{
    clock_ns = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t a = cpu_ns(), b = cpu_ns();
        clock_ns = b - a < clock_ns ? b - a : clock_ns;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double share(double *values, uint32_t cnt, double at)
{
    qsort(values, cnt, sizeof(values[0]), by_value);
    return values[(uint32_t)(at * (cnt - 1) + 0.5)];
}

static void tell(const char *who, const char *name, const char *metric, double value,
                 const char *unit)
{
    printf("%s %s_%s %.4g %s\n", who, name, metric, value, unit);
    fflush(stdout);
}

static void tell_ratio(const char *name, double *ratio, uint32_t cnt)
{
    tell("sluice", name, "ratio", share(ratio, cnt, 0.5), "x");
    tell("sluice", name, "ratio_p10", share(ratio, cnt, 0.1), "x");
    tell("sluice", name, "ratio_p90", share(ratio, cnt, 0.9), "x");
}

static void run_handshakes(const char *name, bool resume, bool only_ours)
{
    double us[WHO_CNT][SLICES], ratio[SLICES];

    for (int i = -2; i < SLICES; i++) {
        for (int who = only_ours ? OURS : PLAIN; who < WHO_CNT; who++) {
            spent_ns = 0;
            for (int j = 0; j < SLICE_CNT / FLIGHT; j++)
                slice(who, resume);
            if (i >= 0)
                us[who][i] = (double)spent_ns / 1000 / SLICE_CNT;
        }
        if (i >= 0 && !only_ours)
            ratio[i] = us[PLAIN][i] / us[OURS][i];
    }
    for (int who = only_ours ? OURS : PLAIN; who < WHO_CNT; who++) {
        double median = share(us[who], SLICES, 0.5);
        tell(who_names[who], name, "cpu_us", median, "us");
        tell(who_names[who], name, "handshakes_per_cpu_s", 1e6 / median, "/s");
    }
    if (only_ours)
        return;
    if (cipher[PLAIN] != cipher[OURS]) /* one table's text */
        die("the two do not make the same handshake");
    tell_ratio(name, ratio, SLICES);
}

static const char *only; /* one case of handshakes */

static void handshake(void)
{
    static const struct {
        const char *name;
        int version;
        bool rsa, resume;
    } cases[] = {
        {"13_ecdsa", TLS1_3_VERSION, false, false},
        {"12_ecdsa", TLS1_2_VERSION, false, false},
        {"13_rsa", TLS1_3_VERSION, true, false},
        {"12_rsa", TLS1_2_VERSION, true, false},
        {"13_ecdsa_resumed", TLS1_3_VERSION, false, true},
        {"12_ecdsa_resumed", TLS1_2_VERSION, false, true},
        {"13_rsa_resumed", TLS1_3_VERSION, true, true},
        {"12_rsa_resumed", TLS1_2_VERSION, true, true},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(cases); i++) {
        if (only != NULL && strcmp(only, cases[i].name) != 0)
            continue;
        set_up(cases[i].version, cases[i].rsa ? &rsa : &ec, cases[i].resume, INLINE);
        run_handshakes(cases[i].name, cases[i].resume, false);
        tear_down();
    }
}

/* What parking itself costs, and what is left to the lane when others sign. */
static void parked(void)
{
    set_up(TLS1_3_VERSION, &ec, false, DEFERRED);
    run_handshakes("13_ecdsa_parked", false, false);
    tear_down();
    set_up(TLS1_3_VERSION, &rsa, false, DEFERRED);
    run_handshakes("13_rsa_parked", false, false);
    tear_down();
    set_up(TLS1_3_VERSION, &ec, false, POOL);
    run_handshakes("13_ecdsa_pool_lane", false, true);
    tear_down();
    set_up(TLS1_3_VERSION, &rsa, false, POOL);
    run_handshakes("13_rsa_pool_lane", false, true);
    tear_down();
}

/* ---- bulk ---- */

static void open_one(enum who who, struct end *e)
{
    open_end(who, e, false);
    ours = who == OURS;
    server_open(who, e);
    ours = false;
    finish(who, e, 1);
}

#define BATCH_CNT 16 /* records between two looks at the clock */

static void receive_one(enum who who, struct end *e, size_t record)
{
    size_t n, got = 0;

    if (who == PLAIN) {
        kit_peer_give(&e->plain, e->to_server, e->to_server_len);
        while (got < record && SSL_read_ex(e->plain.ssl, e->text, PIPE, &n) == 1)
            got += n;
    } else {
        decode(e);
    }
}

static void receive(enum who who, struct end *e, size_t record)
{
    static uint8_t bytes[16384], wire[BATCH_CNT][PIPE];
    size_t n, len[BATCH_CNT];
    uint64_t start;

    for (int i = 0; i < BATCH_CNT; i++) {
        SSL_write_ex(e->client.ssl, bytes, record, &n);
        len[i] = kit_peer_take(&e->client, wire[i], PIPE);
    }
    start = server_begin(who);
    for (int i = 0; i < BATCH_CNT; i++) {
        memcpy(e->to_server, wire[i], len[i]); /* as it comes from a network, in both */
        e->to_server_len = len[i];
        receive_one(who, e, record);
        e->to_server_len = 0;
    }
    server_end(start);
}

static void send_back(enum who who, struct end *e, size_t record)
{
    static uint8_t bytes[16384], wire[BATCH_CNT][PIPE];
    size_t n, len[BATCH_CNT];
    uint64_t start = server_begin(who);

    for (int i = 0; i < BATCH_CNT; i++) {
        struct base_buf out = {wire[i], 0, PIPE};
        if (who == PLAIN) {
            SSL_write_ex(e->plain.ssl, bytes, record, &n);
            out.len = kit_peer_take(&e->plain, wire[i], PIPE);
        } else {
            tls_conn_encode(e->conn, base_span_of(bytes, record), &n, &out);
        }
        len[i] = out.len;
    }
    server_end(start);
    for (int i = 0; i < BATCH_CNT; i++) {
        kit_peer_give(&e->client, wire[i], len[i]);
        while (SSL_read_ex(e->client.ssl, e->text, PIPE, &n) == 1)
            ;
    }
}

static void run_bulk(const char *prefix, const char *way, size_t record,
                     void (*one)(enum who who, struct end *e, size_t record), struct end *pair)
{
    double mbs[WHO_CNT][SLICES], ratio[SLICES];
    const char *who_name = openssl_records ? "sluice-ossl" : "sluice";
    char name[64];

    snprintf(name, sizeof(name), "%s_%s_%zu", prefix, way, record);
    for (int i = -2; i < SLICES; i++) {
        for (int who = 0; who < WHO_CNT; who++) {
            spent_ns = 0;
            one(who, &pair[who], record);
            if (i >= 0)
                mbs[who][i] = (double)BATCH_CNT * (double)record / ((double)spent_ns / 1000);
        }
        if (i >= 0)
            ratio[i] = mbs[OURS][i] / mbs[PLAIN][i];
    }
    if (!openssl_records)
        tell("openssl", name, "mbytes_per_s", share(mbs[PLAIN], SLICES, 0.5), "MB/s");
    tell(who_name, name, "mbytes_per_s", share(mbs[OURS], SLICES, 0.5), "MB/s");
    tell(who_name, name, "ratio", share(ratio, SLICES, 0.5), "x");
}

static void bulk_case(const char *prefix, int version)
{
    static const size_t records[] = {64, 256, 1024, 4096, 16384};

    set_up(version, &ec, false, INLINE);
    for (int who = 0; who < WHO_CNT; who++)
        open_one(who, &ends[who]);
    for (size_t i = 0; i < BASE_ARRAY_CNT(records); i++)
        run_bulk(prefix, "receive", records[i], receive, ends);
    for (size_t i = 0; i < BASE_ARRAY_CNT(records); i++)
        run_bulk(prefix, "send", records[i], send_back, ends);
    for (int who = 0; who < WHO_CNT; who++) {
        ours = who == OURS;
        server_close(who, &ends[who]);
        ours = false;
        kit_peer_close(&ends[who].client);
    }
    tear_down();
}

/* "sluice" takes what the product takes: libipsec-mb's AES-GCM where the processor has VAES with
 * AVX-512; "sluice-ossl" is the same engine with OpenSSL's. */
static void bulk(void)
{
    for (int i = 0; i < 2; i++) {
        openssl_records = i == 1;
        suite = "TLS_AES_128_GCM_SHA256";
        bulk_case("13_aes128", TLS1_3_VERSION);
        bulk_case("12_aes128", TLS1_2_VERSION);
        suite = "TLS_AES_256_GCM_SHA384";
        bulk_case("13_aes256", TLS1_3_VERSION);
    }
}

/* ---- idle connections ---- */

static void idle(void)
{
    static const struct {
        const char *name;
        int version;
    } cases[] = {{"13_idle", TLS1_3_VERSION}, {"12_idle", TLS1_2_VERSION}};
    struct end *all = calloc(IDLE_CNT, sizeof(*all));

    counting = true;
    for (size_t c = 0; all != NULL && c < BASE_ARRAY_CNT(cases); c++) {
        set_up(cases[c].version, &ec, false, INLINE);
        for (int who = 0; who < WHO_CNT; who++) {
            int64_t before;
            slice(who, false);
            before = live[who];
            for (uint32_t i = 0; i < IDLE_CNT; i++) {
                struct end *e = &all[i];
                open_one(who, e);
                /* Has talked: what reading and writing leave behind is counted. */
                receive(who, e, 1024);
                send_back(who, e, 1024);
            }
            if (who == PLAIN) /* its clients', too, use malloc: half each would be a guess */
                for (uint32_t i = 0; i < IDLE_CNT; i++)
                    kit_peer_close(&all[i].client);
            tell(who_names[who], cases[c].name, "bytes_per_connection",
                 (double)(live[who] - before) / IDLE_CNT, "bytes");
            for (uint32_t i = 0; i < IDLE_CNT; i++) {
                ours = who == OURS;
                server_close(who, &all[i]);
                ours = false;
                if (who == OURS)
                    kit_peer_close(&all[i].client);
            }
        }
        tear_down();
    }
    free(all);
}

/* For a counter of instructions: handshakes of one of the two, TLS 1.3 with ECDSA, and nothing
 * printed. The server's are in server_open, server_pass and server_close. */
static void count(enum who who, unsigned long cnt)
{
    set_up(TLS1_3_VERSION, &ec, false, INLINE);
    for (unsigned long i = 0; i < cnt; i += FLIGHT)
        slice(who, false);
    tear_down();
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"mx.example.org"};
    static const struct {
        const char *name;
        void (*run)(void);
    } loads[] = {{"handshake", handshake}, {"parked", parked}, {"bulk", bulk}, {"idle", idle}};

    if (!CRYPTO_set_mem_functions(take, resize, give))
        die("OpenSSL has allocated already");
    if (!tls_memory_short_names())
        die("OpenSSL has started already");
    calibrate();
    kit_certificate_make(&ec, "EC", names, 1, -1, 90);
    kit_certificate_make(&rsa, "RSA", names, 1, -1, 90);
    if (argc == 4 && strcmp(argv[1], "count") == 0) {
        count(strcmp(argv[2], "plain") == 0 ? PLAIN : OURS, strtoul(argv[3], NULL, 10));
        kit_certificate_free(&ec);
        kit_certificate_free(&rsa);
        return 0;
    }
    only = argc == 3 ? argv[2] : NULL;
    for (size_t i = 0; argc >= 2 && i < BASE_ARRAY_CNT(loads); i++) {
        if (strcmp(argv[1], loads[i].name) != 0)
            continue;
        loads[i].run();
        kit_certificate_free(&ec);
        kit_certificate_free(&rsa);
        return 0;
    }
    fprintf(stderr, "usage: bench_tls handshake [CASE]|parked|bulk|idle|count ours|plain N\n");
    return 2;
}
