/* Statements: one row of the table each. Those that ask are in script_fact.c. */
#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of injected segments: bytes an mbuf, and mbufs. */
#define PIECE_DEFAULT 1980
#define PIECE_MAX     2048
#define PIECE_CNT_MAX 500

bool script_duration(const char *text, uint64_t *out_ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}};
    char *end;
    double value = strtod(text, &end);

    for (size_t i = 0; i < BASE_ARRAY_CNT(units); i++) {
        if (end != text && value >= 0 && strcmp(end, units[i].unit) == 0) {
            *out_ns = (uint64_t)(value * units[i].ns + 0.5);
            return true;
        }
    }
    return false;
}

/* key=value: the value when word begins with key=, else NULL */
const char *script_value(const char *word, const char *key)
{
    size_t len = strlen(key);

    return strncmp(word, key, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

bool script_want_number(struct script *s, const char *text, int64_t *out)
{
    if (text != NULL && script_number(text, out))
        return true;
    return script_fail(s, "a number belongs here: %s", text != NULL ? text : "");
}

bool script_has_conn(struct script *s)
{
    if (s->at->conn != NULL)
        return true;
    return script_fail(s, "there is no connection");
}

static void flush(struct script *s)
{
    tcp_flush(s->lab.s, s->lab.now_ns);
    tcp_check_invariants(s->lab.s);
    script_poll(s);
}

/* ---- the bench ---- */

/* A setting whose value is a word; false when it is none. */
static bool config_word(struct script *s, const char *word)
{
    static const struct {
        const char *word;
        enum { FAMILY, CONGESTION, ECN } what;
        int value;
    } table[] = {
        {"family=v4", FAMILY, false},
        {"family=v6", FAMILY, true},
        {"congestion=newreno", CONGESTION, TCP_NEWRENO},
        {"congestion=cubic", CONGESTION, TCP_CUBIC},
        {"ecn=answer", ECN, TCP_ECN_ANSWER},
        {"ecn=ask", ECN, TCP_ECN_ASK},
        {"ecn=off", ECN, TCP_ECN_OFF},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(table); i++) {
        if (strcmp(table[i].word, word) != 0)
            continue;
        if (table[i].what == CONGESTION) {
            s->config.congestion = (enum tcp_congestion)table[i].value;
        } else if (table[i].what == ECN) {
            s->config.ecn = (enum tcp_ecn)table[i].value;
        } else {
            s->link.v6 = table[i].value;
            s->link.mtu = LAB_MTU;
        }
        return true;
    }
    return false;
}

static bool run_config(struct script *s, char **word, uint32_t cnt)
{
    struct tcp_config *g = &s->config;
    const struct {
        const char *key;
        uint32_t *number;
        uint64_t *span_ns;
    } table[] = {
        {"conn_max", &g->conn_max, NULL},
        {"syn_max", &g->syn_max, NULL},
        {"time_wait_max", &g->time_wait_max, NULL},
        {"recv_window", &g->recv_window_bytes, NULL},
        {"recv_window_start", &g->recv_window_start_bytes, NULL},
        {"recv_mbufs", &g->recv_mbuf_max, NULL},
        {"send_mbufs", &g->send_mbuf_max, NULL},
        {"orphan_max", &g->orphan_max, NULL},
        {"send_buffer", &g->send_buffer_bytes, NULL},
        {"keepalive_cnt", &g->keepalive_cnt, NULL},
        {"mtu", &s->link.mtu, NULL},
        {"tso", &s->link.large_mbufs, NULL},
        {"rto_min", NULL, &g->rto_min_ns},
        {"msl", NULL, &g->msl_ns},
        {"keepalive", NULL, &g->keepalive_ns},
        {"keepalive_interval", NULL, &g->keepalive_interval_ns},
        {"syn_timeout", NULL, &g->syn_timeout_ns},
        {"user_timeout", NULL, &g->user_timeout_ns},
        {"fin_timeout", NULL, &g->fin_timeout_ns},
    };

    if (s->open)
        return script_fail(s, "config comes before all that uses the stack");
    for (uint32_t i = 1; i < cnt; i++) {
        bool done = config_word(s, word[i]);
        for (size_t k = 0; k < BASE_ARRAY_CNT(table) && !done; k++) {
            const char *value = script_value(word[i], table[k].key);
            int64_t n;
            if (value == NULL)
                continue;
            done = table[k].number == NULL ? script_duration(value, table[k].span_ns)
                                           : script_number(value, &n);
            if (done && table[k].number != NULL)
                *table[k].number = (uint32_t)n;
        }
        if (!done)
            return script_fail(s, "cannot read the setting %s", word[i]);
    }
    return true;
}

static bool run_listen(struct script *s, char **word, uint32_t cnt)
{
    int64_t port = LAB_LOCAL_PORT;

    if (cnt > 1 && !script_want_number(s, word[1], &port))
        return false;
    struct net_endpoint at = {.port = (uint16_t)port};
    if (word[0][0] == 'u')
        tcp_unlisten(s->lab.s, &at);
    else if (tcp_listen(s->lab.s, &at, NULL) != 0)
        return script_fail(s, "listen failed");
    return true;
}

/* peer PORT [local=PORT] [isn=N] */
static bool run_peer(struct script *s, char **word, uint32_t cnt)
{
    int64_t port, local = s->at->local_port, isn = -1;

    if (!script_want_number(s, cnt > 1 ? word[1] : NULL, &port))
        return false;
    for (uint32_t i = 2; i < cnt; i++) {
        const char *value = script_value(word[i], "local");
        if (value != NULL ? !script_want_number(s, value, &local)
                          : !script_want_number(s, script_value(word[i], "isn"), &isn))
            return false;
    }
    struct script_peer *p = script_peer_at(s, (uint16_t)port, (uint16_t)local);
    if (p == NULL)
        return script_fail(s, "too many peers");
    s->at = p;
    if (isn >= 0)
        p->irs = (uint32_t)isn;
    return true;
}

/* A new life of the 4-tuple: the peer's initial sequence number is N, ours comes with the SYN. */
static bool run_isn(struct script *s, char **word, uint32_t cnt)
{
    int64_t isn;

    if (!script_want_number(s, cnt > 1 ? word[1] : NULL, &isn))
        return false;
    s->at->irs = (uint32_t)isn;
    s->at->next = s->at->sent_end = s->at->taken = s->at->written = 0;
    s->at->has_iss = false;
    return true;
}

/* The clock goes on until the initial sequence number that we would choose is N. */
static bool run_iss(struct script *s, char **word, uint32_t cnt)
{
    struct tcp_key key = script_key(s);
    int64_t want;

    if (!script_want_number(s, cnt > 1 ? word[1] : NULL, &want))
        return false;
    uint64_t tick_ns = 4 * BASE_NS_US;
    uint32_t ticks = (uint32_t)want - tcp_isn(s->lab.s, &key);
    script_advance(s, s->lab.now_ns + ticks * tick_ns, false);
    if (tcp_isn(s->lab.s, &key) != (uint32_t)want)
        return script_fail(s, "no time gives this initial sequence number");
    return true;
}

/* pool data=N ctrl=N frame=N: so many mbufs are left in them, the others are in use elsewhere; pool
 * full */
static bool run_pool(struct script *s, char **word, uint32_t cnt)
{
    const struct {
        const char *name;
        struct rte_mempool *pool;
    } table[] = {
        {"data", s->lab.data_pool}, {"ctrl", s->lab.ctrl_pool}, {"frame", s->lab.frame_pool}};

    script_pool_refill(s);
    for (uint32_t i = 1; i < cnt; i++) {
        const char *value = NULL;
        size_t at = 0;
        int64_t left;
        if (strcmp(word[i], "full") == 0)
            continue;
        for (size_t k = 0; k < BASE_ARRAY_CNT(table) && value == NULL; k++) {
            value = script_value(word[i], table[k].name);
            at = k;
        }
        if (!script_want_number(s, value, &left))
            return false;
        script_pool_leave(s, table[at].pool, (uint32_t)left);
    }
    return true;
}

/* What net_output answers from here on. */
static bool run_output(struct script *s, char **word, uint32_t cnt)
{
    bool ok = cnt > 1 && strcmp(word[1], "ok") == 0;

    if (!ok && (cnt < 2 || strcmp(word[1], "unreachable") != 0))
        return script_fail(s, "ok or unreachable");
    s->lab.output_result = ok ? 0 : -EHOSTUNREACH;
    return true;
}

/* ---- socket calls ---- */

/* connect [local=PORT] [= full|no_port] */
static bool run_connect(struct script *s, char **word, uint32_t cnt)
{
    int64_t port = 0;
    int want = 0;

    for (uint32_t i = 1; i < cnt; i++) {
        if (strcmp(word[i], "full") == 0)
            want = -ENFILE;
        else if (strcmp(word[i], "no_port") == 0)
            want = -EADDRNOTAVAIL;
        else if (strcmp(word[i], "=") != 0 &&
                 !script_want_number(s, script_value(word[i], "local"), &port))
            return false;
    }
    struct net_endpoint local = {.port = (uint16_t)port};
    struct net_endpoint remote = {.addr = lab_address(&s->lab, false), .port = s->at->peer_port};
    struct tcp_conn *c;
    int rc = tcp_connect(s->lab.s, &local, &remote, NULL, &c, s->lab.now_ns);
    if (rc != want)
        return script_fail(s, "connect returned %d, not %d", rc, want);
    if (rc < 0)
        return true;
    tcp_local(c, &local);
    struct script_peer *p = script_peer_at(s, remote.port, local.port);
    if (p == NULL)
        return script_fail(s, "too many peers");
    if (p != s->at)
        p->irs = s->at->irs;
    s->at = p;
    p->conn = c;
    p->written = p->taken = 0;
    flush(s);
    return true;
}

/* send N [= TAKEN|EPIPE] */
static bool run_send(struct script *s, char **word, uint32_t cnt)
{
    static uint8_t bytes[1 << 20];
    int64_t len, want;

    if (!script_want_number(s, cnt > 1 ? word[1] : NULL, &len) || !script_has_conn(s))
        return false;
    want = len;
    if (cnt == 4 && strcmp(word[3], "EPIPE") == 0)
        want = -EPIPE;
    else if (cnt == 4 && !script_want_number(s, word[3], &want))
        return false;
    if (len > (int64_t)sizeof(bytes))
        return script_fail(s, "too much at once");
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = script_byte(1 + s->at->written + i);
    int64_t rc = tcp_send(s->lab.s, s->at->conn, bytes, (size_t)len);
    if (rc > 0)
        s->at->written += (uint32_t)rc;
    flush(s);
    return rc == want || script_fail(s, "send took %lld, not %lld", (long long)rc, (long long)want);
}

/* The first len bytes that wait are what they should be. */
static bool check_bytes(struct script *s, uint32_t len, char fill, const char *data)
{
    struct base_span span[1024];
    uint32_t n = tcp_recv_view(s->at->conn, span, BASE_ARRAY_CNT(span)), at = 0;

    for (uint32_t i = 0; i < n; i++) {
        for (size_t k = 0; k < span[i].len && at < len; k++, at++) {
            uint8_t want = fill != 0 ? (uint8_t)fill : script_byte(1 + s->at->taken + at);
            if (data != NULL)
                want = (uint8_t)data[at];
            if (span[i].p[k] != want)
                return script_fail(s, "received byte %u is 0x%02x (%c), not 0x%02x (%c)",
                                   s->at->taken + at, span[i].p[k],
                                   span[i].p[k] >= 32 && span[i].p[k] < 127 ? span[i].p[k] : '.',
                                   want, want >= 32 && want < 127 ? want : '.');
        }
    }
    return true;
}

/* recv N [fill=C]; recv data=TEXT */
static bool run_recv(struct script *s, char **word, uint32_t cnt)
{
    const char *data = cnt > 1 ? script_value(word[1], "data") : NULL;
    const char *fill = cnt > 2 ? script_value(word[2], "fill") : NULL;
    int64_t len;

    if (!script_has_conn(s))
        return false;
    if (data != NULL)
        len = (int64_t)strlen(data);
    else if (!script_want_number(s, cnt > 1 ? word[1] : NULL, &len))
        return false;
    if (tcp_recv_len(s->at->conn) < len)
        return script_fail(s, "expected: %lld bytes to receive; there are: %u", (long long)len,
                           tcp_recv_len(s->at->conn));
    if (!check_bytes(s, (uint32_t)len, fill != NULL ? fill[0] : 0, data))
        return false;
    tcp_recv_consume(s->lab.s, s->at->conn, (uint32_t)len);
    s->at->taken += (uint32_t)len;
    flush(s);
    return true;
}

/* shutdown, close, abort */
static bool run_end(struct script *s, char **word, uint32_t cnt)
{
    (void)cnt;
    if (!script_has_conn(s))
        return false;
    if (word[0][0] == 's') {
        tcp_shutdown(s->lab.s, s->at->conn);
    } else {
        if (word[0][0] == 'c')
            tcp_close(s->lab.s, s->at->conn);
        else
            tcp_abort(s->lab.s, s->at->conn);
        s->at->conn = NULL;
    }
    flush(s);
    return true;
}

static bool run_flush(struct script *s, char **word, uint32_t cnt)
{
    (void)word;
    (void)cnt;
    flush(s);
    return true;
}

/* ---- segments ---- */

static bool run_inject(struct script *s, char **word, uint32_t cnt)
{
    struct script_segment seg;
    static uint8_t bytes[SCRIPT_PAYLOAD_MAX + 64];

    if (!script_silent(s) || !script_segment_parse(s, &seg, word + 1, cnt - 1, true))
        return false;
    if (seg.len.value > SCRIPT_PAYLOAD_MAX || seg.option_len > 40)
        return script_fail(s, "the segment is too long");
    uint32_t len = script_segment_write(s, &seg, bytes);
    uint32_t piece = seg.piece.set ? (uint32_t)seg.piece.value : PIECE_DEFAULT;
    if (seg.piece.set && (piece == 0 || piece > PIECE_MAX || len > PIECE_CNT_MAX * piece))
        return script_fail(s, "the pieces are too small or too large");
    script_push(s, bytes, len, (uint8_t)seg.ecn.value, seg.one ? 0 : piece);
    if (!seg.no_flush)
        flush(s);
    script_poll(s);
    return true;
}

/* icmp too_big mtu=N [seq=N]; icmp unreachable [seq=N]: as lib/net hands it up */
static bool run_icmp(struct script *s, char **word, uint32_t cnt)
{
    struct tcp_key key = script_key(s);
    uint8_t quoted[8];
    int64_t mtu = -1, seq = 1;

    if (!script_silent(s))
        return false;
    for (uint32_t i = 2; i < cnt; i++) {
        const char *value = script_value(word[i], "mtu");
        if (value != NULL ? !script_want_number(s, value, &mtu)
                          : !script_want_number(s, script_value(word[i], "seq"), &seq))
            return false;
    }
    base_put_be16(quoted, key.local_port);
    base_put_be16(quoted + 2, key.remote_port);
    base_put_be32(quoted + 4, s->at->iss + (uint32_t)seq);
    if (cnt > 1 && strcmp(word[1], "unreachable") == 0)
        (void)tcp_unreachable(s->lab.s, &key.local, &key.remote, quoted, sizeof(quoted),
                              s->lab.now_ns);
    else if (cnt > 1 && strcmp(word[1], "too_big") == 0 && mtu >= 0 && mtu <= UINT16_MAX)
        (void)tcp_too_big(s->lab.s, &key.local, &key.remote, (uint16_t)mtu, quoted, sizeof(quoted),
                          s->lab.now_ns);
    else
        return script_fail(s, "icmp too_big mtu=N or icmp unreachable");
    flush(s);
    return true;
}

static bool expect_nothing(struct script *s, char **word, uint32_t cnt)
{
    uint64_t span_ns = 0;

    if (cnt == 4 && strcmp(word[2], "for") == 0 && !script_duration(word[3], &span_ns))
        return script_fail(s, "cannot read the time %s", word[3]);
    if (cnt != 2 && cnt != 4)
        return script_fail(s, "expect nothing [for TIME]");
    if (!script_silent(s))
        return false;
    uint64_t start_ns = s->lab.now_ns;
    if (span_ns > 0)
        script_advance(s, start_ns + span_ns, true);
    if (s->lab.now_ns < start_ns + span_ns || s->lab.out_cnt > 0)
        (void)script_silent(s);
    return !s->failed;
}

static bool expect_segment(struct script *s, char **word, uint32_t cnt, const char *when)
{
    struct script_segment want;
    char wanted[SCRIPT_TEXT_CAP] = "", came[SCRIPT_TEXT_CAP], why[SCRIPT_TEXT_CAP];
    size_t n = 0;

    for (uint32_t i = 1; i < cnt && n < sizeof(wanted); i++)
        n += (size_t)snprintf(wanted + n, sizeof(wanted) - n, " %s", word[i]);
    /* What was sent comes first: relative numbers count from what it tells. */
    const struct lab_segment *seg = script_out(s);
    if (!script_segment_parse(s, &want, word + 1, cnt - 1, false))
        return false;
    if (seg == NULL)
        return script_fail(s, "expected:%s; came: nothing%s", wanted, when);
    if (script_segment_match(s, &want, seg, why))
        return true;
    script_segment_text(s, seg, came);
    return script_fail(s, "expected:%s; came: %s (%s differs)", wanted, came, why);
}

/* expect SEGMENT [within TIME]; expect nothing [for TIME] */
static bool run_expect(struct script *s, char **word, uint32_t cnt)
{
    uint64_t span_ns;

    if (cnt >= 2 && strcmp(word[1], "nothing") == 0)
        return expect_nothing(s, word, cnt);
    if (cnt < 4 || strcmp(word[cnt - 2], "within") != 0)
        return expect_segment(s, word, cnt, "");
    if (!script_duration(word[cnt - 1], &span_ns))
        return script_fail(s, "cannot read the time %s", word[cnt - 1]);
    if (s->lab.out_cnt == 0)
        script_advance(s, s->lab.now_ns + span_ns, true);
    return expect_segment(s, word, cnt - 2, " in that time");
}

static bool run_discard(struct script *s, char **word, uint32_t cnt)
{
    (void)word;
    (void)cnt;
    while (script_out(s) != NULL)
        ;
    return true;
}

/* +TIME [expect SEGMENT]: what is expected comes after that time, not before */
static bool run_time(struct script *s, char **word, uint32_t cnt)
{
    uint64_t span_ns, start_ns = s->lab.now_ns;

    if (!script_duration(word[0] + 1, &span_ns))
        return script_fail(s, "cannot read the time %s", word[0]);
    if (!script_silent(s))
        return false;
    if (cnt == 1) {
        script_advance(s, start_ns + span_ns, false);
        return true;
    }
    if (strcmp(word[1], "expect") != 0)
        return script_fail(s, "expect comes after +TIME, or nothing");
    script_advance(s, start_ns + span_ns + s->tolerance_ns, true);
    if (s->lab.out_cnt > 0 && s->lab.now_ns + s->tolerance_ns < start_ns + span_ns) {
        char came[SCRIPT_TEXT_CAP];
        script_segment_text(s, script_out(s), came);
        return script_fail(s, "expected after %s; came after %.3fs: %s", word[0] + 1,
                           (double)(s->lab.now_ns - start_ns) / 1e9, came);
    }
    return expect_segment(s, word + 1, cnt - 1, " by then");
}

static bool run_tolerance(struct script *s, char **word, uint32_t cnt)
{
    if (cnt < 2 || !script_duration(word[1], &s->tolerance_ns))
        return script_fail(s, "tolerance TIME");
    return true;
}

static const struct {
    const char *name;
    bool (*run)(struct script *s, char **word, uint32_t cnt);
} statements[] = {
    {"config", run_config},       {"listen", run_listen},  {"unlisten", run_listen},
    {"peer", run_peer},           {"isn", run_isn},        {"iss", run_iss},
    {"pool", run_pool},           {"output", run_output},  {"connect", run_connect},
    {"send", run_send},           {"recv", run_recv},      {"shutdown", run_end},
    {"close", run_end},           {"abort", run_end},      {"flush", run_flush},
    {"inject", run_inject},       {"expect", run_expect},  {"discard", run_discard},
    {"tolerance", run_tolerance}, {"state", script_state}, {"count", script_count},
    {"usage", script_usage},      {"event", script_event}, {"error", script_error},
    {"readable", script_ask},     {"pending", script_ask}, {"space", script_ask},
    {"ended", script_ask},        {"icmp", run_icmp},
};

bool script_statement(struct script *s, char *text)
{
    char *word[SCRIPT_WORD_MAX], *save = NULL;
    uint32_t cnt = 0;

    for (char *w = strtok_r(text, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save)) {
        if (cnt == SCRIPT_WORD_MAX)
            return script_fail(s, "too many words");
        word[cnt++] = w;
    }
    if (cnt == 0)
        return true;
    if (strcmp(word[0], "config") != 0)
        script_open(s);
    if (word[0][0] == '+')
        return run_time(s, word, cnt) && !s->failed;
    for (size_t i = 0; i < BASE_ARRAY_CNT(statements); i++)
        if (strcmp(statements[i].name, word[0]) == 0)
            return statements[i].run(s, word, cnt) && !s->failed;
    return script_fail(s, "there is no statement %s", word[0]);
}
