/*
 * Policy's maps in a session: what aliases make of a recipient, all of it or nothing; and the From
 * field of who is logged in, judged when the header section is whole and refused at the end of the
 * message, wherever it is cut. Logins are set by the test.
 */
#include "conn_bench.h"

#include "policy_tables.h"

static const uint8_t seed[16] = {3};

static void add(struct policy_tables *t, enum policy_form form, enum policy_role role,
                const char *text)
{
    struct policy_notes notes;
    struct policy_map *m = policy_map_read("map", form, role, base_span_str(text),
                                           base_span_of(NULL, 0), seed, &notes);

    if (m == NULL)
        fail_msg("%u: %s", notes.error.line, notes.error.text);
    assert_int_equal(policy_tables_add(t, role, m), 0);
}

/* A list of cnt members. */
static const char *list_of(const char *name, int from, int cnt)
{
    static char text[200000];
    size_t n = (size_t)snprintf(text, sizeof(text), "%s", name);

    for (int i = 0; i < cnt; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " member%d@far.test", from + i);
    snprintf(text + n, sizeof(text) - n, "\n");
    return text;
}

static void publish(void)
{
    struct policy_tables *t = policy_tables_make();

    assert_non_null(t);
    add(t, POLICY_FORM_ACCOUNTS, POLICY_ROLE_ACCOUNTS, "alice@a.test:x\nbob@a.test:x\n");
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES,
        "sales@a.test alice@a.test\nteam@a.test alice@a.test bob@a.test\n");
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, list_of("list@a.test", 0, 900));
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, list_of("list2@a.test", 450, 900));
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, list_of("list3@a.test", 2000, 900));
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, list_of("list4@a.test", 4000, 900));
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, list_of("list5@a.test", 6000, 900));
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, list_of("list6@a.test", 8000, 900));
    settings_publish_tables(&b->hub, t);
}

static struct conn *only_conn(void)
{
    assert_int_equal(b->lane->in_cnt, 1);
    return base_container_of(b->lane->open.next, struct conn, place);
}

static void log_in(const char *login, enum policy_spoof spoof)
{
    struct conn *c = only_conn();
    /* The listener's, which no other has: a test may change it. */
    struct settings_listener *l = &b->hub.started->listeners[0];

    c->in.login = base_span_str(login);
    l->spoof = spoof;
}

static void forget(void)
{
    b->got_len = 0;
    b->got[0] = 0;
}

/* ---- recipients ---- */

static uint32_t recipients_of(const struct conn *c)
{
    uint32_t cnt = 0;

    for (const struct spool_buf *s = c->in.txn.held; s != NULL; s = s->next) {
        struct base_span rest = base_span_of(s->data, s->hold_cnt);
        struct spool_envelope_field f;
        while (spool_envelope_next(&rest, &f) == 1)
            cnt += f.type == SPOOL_ENVELOPE_RECIPIENT;
    }
    return cnt;
}

static void aliases_in_a_session(void **state)
{
    (void)state;
    publish();
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<x@y.test>\r\n");
    static const struct {
        const char *rcpt;
        uint32_t cnt; /* of the message's recipients after it */
    } steps[] = {{"alice@a.test", 1},    {"Sales@A.test", 1},   {"team@a.test", 2},
                 {"bob@a.test", 2},      {"list@a.test", 902},  {"list2@a.test", 1352},
                 {"list2@a.test", 1352}, {"other@a.test", 1353}};
    for (size_t i = 0; i < BASE_ARRAY_CNT(steps); i++) {
        char line[100];
        snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", steps[i].rcpt);
        forget();
        say(c, line);
        turn(c, 5);
        told("250 2.1.5 Ok");
        assert_int_equal(recipients_of(only_conn()), steps[i].cnt);
    }
    say(c, "DATA\r\n");
    turn(c, 5);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
    turn(c, 30);
    told("queued as");
    tcp_close(b->tcp, c);
    turn(NULL, 20);
    check_home();
    assert_int_equal(lane_stat(STATS_POLICY_RCPT_EXPANDED), 5);
    assert_true(lane_stat(STATS_POLICY_RCPT_DOUBLES) > 450);
}

/* More than a message may have: all of that alias is refused, what was there before stays. */
static void too_many_in_all(void **state)
{
    (void)state;
    publish();
    struct tcp_conn *c =
        client("EHLO c.example\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<list@a.test>\r\n"
               "RCPT TO:<list3@a.test>\r\nRCPT TO:<list4@a.test>\r\nRCPT TO:<list5@a.test>\r\n");
    turn(c, 10);
    assert_int_equal(recipients_of(only_conn()), 3600);
    forget();
    say(c, "RCPT TO:<list6@a.test>\r\n");
    turn(c, 10);
    told("452 4.5.3 ");
    assert_int_equal(recipients_of(only_conn()), 3600);
    forget();
    say(c, "RCPT TO:<alice@a.test>\r\nRSET\r\n");
    turn(c, 10);
    told("250 2.1.5 ");
    tcp_close(b->tcp, c);
    check_home();
}

/* No buffer for the last of a list: none of it stays. */
static void no_buffer_in_the_middle(void **state)
{
    (void)state;
    publish();
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<z@y.test>\r\n");
    struct spool_buf *kept = NULL, *s;
    struct spool_buf_pool *pool = &b->lane->bufs;

    while (pool->free_cnt > pool->buf_cnt / 8 + 1) {
        s = spool_buf_get(pool);
        s->next = kept;
        kept = s;
    }
    forget();
    say(c, "RCPT TO:<list@a.test>\r\n");
    turn(c, 10);
    told("452 4.3.2 ");
    assert_int_equal(recipients_of(only_conn()), 1);
    while (kept != NULL) {
        s = kept;
        kept = s->next;
        spool_buf_put(pool, s);
    }
    forget();
    say(c, "RCPT TO:<list@a.test>\r\n");
    turn(c, 10);
    told("250 2.1.5 ");
    assert_int_equal(recipients_of(only_conn()), 901);
    tcp_close(b->tcp, c);
    check_home();
}

/* What the envelope says, a line a recipient: mailbox, NOTIFY, ORCPT, sender, "expanded". */
static const char *envelope_of(const struct conn *c)
{
    static char text[4096];
    size_t len = 0;

    text[0] = 0;
    for (const struct spool_buf *s = c->in.txn.held; s != NULL; s = s->next) {
        struct base_span rest = base_span_of(s->data, s->hold_cnt);
        struct spool_envelope_field f;
        while (spool_envelope_next(&rest, &f) == 1) {
            if (f.type != SPOOL_ENVELOPE_RECIPIENT)
                continue;
            struct spool_envelope_recipient r = spool_envelope_recipient_read(rest);
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, "%.*s %u %.*s %.*s%s\n",
                                 (int)f.value.len, f.value.p, r.notify, (int)r.orcpt.len, r.orcpt.p,
                                 (int)r.from.len, r.from.p, r.expanded ? " expanded" : "");
        }
    }
    return text;
}

/* RFC 3461 section 5.2.7: success is told of the list; one target keeps all that was asked. */
static void expanded(void **state)
{
    static const struct {
        const char *rcpt, *want;
    } rows[] = {
        {"<team@a.test> NOTIFY=SUCCESS", "team@a.test 2   expanded\n"
                                         "alice@a.test 1 rfc822;team@a.test \n"
                                         "bob@a.test 1 rfc822;team@a.test \n"},
        {"<team@a.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@x.test",
         "team@a.test 2 rfc822;o@x.test  expanded\n"
         "alice@a.test 8 rfc822;o@x.test \n"
         "bob@a.test 8 rfc822;o@x.test \n"},
        {"<team@a.test> NOTIFY=FAILURE", "alice@a.test 4 rfc822;team@a.test \n"
                                         "bob@a.test 4 rfc822;team@a.test \n"},
        {"<team@a.test>", "alice@a.test 0 rfc822;team@a.test \n"
                          "bob@a.test 0 rfc822;team@a.test \n"},
        {"<sales@a.test> NOTIFY=SUCCESS,FAILURE", "alice@a.test 6 rfc822;sales@a.test \n"},
        {"<alice@a.test> NOTIFY=SUCCESS", "alice@a.test 2  \n"},
    };

    (void)state;
    publish();
    struct tcp_conn *c = client("EHLO c.example\r\n");
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char line[160];
        snprintf(line, sizeof(line), "MAIL FROM:<x@y.test>\r\nRCPT TO:%s\r\n", rows[i].rcpt);
        say(c, line);
        turn(c, 5);
        assert_string_equal(envelope_of(only_conn()), rows[i].want);
        say(c, "RSET\r\n");
        turn(c, 5);
    }
    tcp_close(b->tcp, c);
    check_home();
}

/* The sender is told of the list, and of no member; nothing is delivered to the list. */
static void expanded_and_told(void **state)
{
    (void)state;
    publish();
    b->courier_off = false;
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<x@y.test>\r\n"
                                "RCPT TO:<team@a.test> NOTIFY=SUCCESS\r\nDATA\r\n");
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
    turn(c, 30);
    told("queued as");
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_TOLD_EXPANDED), 1);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_BOUNCES), 1);
    assert_int_equal(queued().message_cnt, 2); /* it, and the report */
    tcp_close(b->tcp, c);
    if (b->sink != NULL)
        tcp_abort(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
}

/* ---- forwarding ---- */

static void publish_srs(void)
{
    struct policy_tables *t = policy_tables_make();
    static struct base_span ours[2];

    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES,
        "away@a.test friend@far.test\nmixed@a.test friend@far.test bob@a.test\n");
    struct mail_srs *srs = policy_tables_add_srs(t, "srs.a.test");
    assert_non_null(srs);
    srs->key_cnt = 1;
    srs->age_max_days = 10;
    settings_publish_tables(&b->hub, t);
    struct settings *s = b->hub.started;
    ours[0] = base_span_str("a.test");
    ours[1] = base_span_str("srs.a.test");
    s->policy.relay_network_cnt = 0;
    s->policy.relay_domains = ours;
    s->policy.relay_domain_cnt = 2;
}

static void rewritten(void **state)
{
    char address[128], line[200];

    (void)state;
    publish_srs();
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<Joe@y.test>\r\n"
                                "RCPT TO:<mixed@a.test>\r\n");
    const char *text = envelope_of(only_conn());
    assert_int_equal(sscanf(text, "friend@far.test 0 rfc822;mixed@a.test %127s", address), 1);
    assert_true(strncmp(address, "SRS0=", 5) == 0);
    assert_string_equal(strstr(text, "=y.test=Joe@srs.a.test\nbob@a.test 0 rfc822;mixed@a.test \n"),
                        "=y.test=Joe@srs.a.test\nbob@a.test 0 rfc822;mixed@a.test \n");
    /* Our own users, reports, and what cannot be rewritten. */
    static const char *const as_they_are[] = {"<bob@a.test>", "<>", "<\"a b\"@y.test>"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(as_they_are); i++) {
        snprintf(line, sizeof(line), "RSET\r\nMAIL FROM:%s\r\nRCPT TO:<away@a.test>\r\n",
                 as_they_are[i]);
        say(c, line);
        turn(c, 5);
        assert_string_equal(envelope_of(only_conn()), "friend@far.test 0 rfc822;away@a.test \n");
    }
    assert_int_equal(lane_stat(STATS_POLICY_SRS_REWRITTEN), 1);
    assert_int_equal(lane_stat(STATS_POLICY_SRS_UNFIT), 1);
    /* A report goes back to the sender, whoever that is; other mail does not. */
    forget();
    snprintf(line, sizeof(line), "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\n", address);
    say(c, line);
    turn(c, 5);
    told("250 2.1.5");
    assert_string_equal(envelope_of(only_conn()), "Joe@y.test 0  \n");
    forget();
    snprintf(line, sizeof(line), "RSET\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<%s>\r\n", address);
    say(c, line);
    turn(c, 5);
    told("550 5.7.1 <SRS0=");
    forget();
    address[6] ^= 1;
    snprintf(line, sizeof(line), "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nRCPT TO:<x@far.test>\r\n",
             address);
    say(c, line);
    turn(c, 5);
    told("550 5.1.1 <SRS0=");
    told("554 5.7.1 <x@far.test>: Relay access denied");
    assert_string_equal(envelope_of(only_conn()), "");
    assert_int_equal(lane_stat(STATS_POLICY_SRS_FORGED), 1);
    assert_int_equal(lane_stat(STATS_POLICY_SRS_NO_REPORT), 1);
    tcp_close(b->tcp, c);
    check_home();
}

/* One message, two senders: the next hop sees two transactions. */
static void two_senders(void **state)
{
    (void)state;
    publish_srs();
    b->courier_off = false;
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<joe@y.test>\r\n"
                                "RCPT TO:<mixed@a.test>\r\nDATA\r\n");
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
    turn(c, 30);
    told("queued as");
    assert_non_null(b->sink);
    struct tcp_conn *first = b->sink;
    say(first, "220 sink\r\n");
    turn(c, 10);
    say(first, "250 sink\r\n");
    turn(c, 10);
    bool rewritten_first = strstr(b->asked, "MAIL FROM:<SRS0=") != NULL;
    assert_true(rewritten_first || strstr(b->asked, "MAIL FROM:<joe@y.test>") != NULL);
    say(first, "250 2.1.0 ok\r\n");
    turn(c, 10);
    assert_int_equal(strstr(b->asked, "RCPT TO:<friend@far.test>") != NULL, rewritten_first);
    say(first, "250 2.1.5 ok\r\n");
    turn(c, 10);
    assert_non_null(strstr(b->asked, "DATA\r\n"));
    tcp_abort(b->tcp, first);
    b->sink = NULL;
    tcp_close(b->tcp, c);
    turn(NULL, 20);
}

/* ---- senders ---- */

static void owned_or_not(void **state)
{
    (void)state;
    publish();
    struct tcp_conn *c = client("EHLO c.example\r\n");
    log_in("alice@a.test", POLICY_SPOOF_LOGIN);
    say(c, "MAIL FROM:<bob@a.test>\r\nMAIL FROM:<sales@a.test>\r\nRSET\r\nMAIL FROM:<>\r\n");
    turn(c, 10);
    told("553 5.7.1 <bob@a.test>: Sender address rejected: not owned by user alice@a.test\r\n"
         "250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n");
    tcp_close(b->tcp, c);
    check_home();
    assert_int_equal(lane_stat(STATS_POLICY_SENDER_NOT_OWNED), 1);
    assert_int_equal(lane_stat(STATS_POLICY_SENDER_OWNED), 1);
}

#define BEGIN "MAIL FROM:<alice@a.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\n"

static void from_field(void **state)
{
    static const struct {
        const char *message, *reply;
    } rows[] = {
        {"From: A <alice@a.test>\r\n\r\nbody\r\n.\r\n", "250 2.0.0 Ok: queued as"},
        {"from: team@a.test\r\nSubject: x\r\n\r\n.\r\n", "250 2.0.0 Ok: queued as"},
        {"From: bob@a.test\r\n\r\nbody\r\n.\r\n",
         "550 5.7.1 <bob@a.test>: From header rejected: not owned by user alice@a.test"},
        {"Subject: x\r\nFrom: alice@a.test, bob@a.test\r\n.\r\n", "550 5.7.1 <bob@a.test>: From"},
        {"Subject: x\r\n\r\nFrom: alice@a.test\r\n.\r\n",
         "550 5.7.1 From header rejected: it names"},
        {"From: alice@a.test\r\nFrom: alice@a.test\r\n\r\n.\r\n",
         "550 5.7.1 From header rejected: there are several"},
        {"From: bob@a.test <alice@a.test>\r\n\r\n.\r\n",
         "550 5.7.1 From header rejected: its form is ambiguous"},
        {".\r\n", "550 5.7.1 From header rejected: it names no address"},
    };

    (void)state;
    publish();
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (size_t cut = 0; cut < strlen(rows[i].message); cut += 7) {
            forget();
            struct tcp_conn *c = client("EHLO c.example\r\n");
            log_in("alice@a.test", POLICY_SPOOF_STRICT);
            say(c, BEGIN);
            turn(c, 5);
            say_bytes(c, rows[i].message, cut);
            turn(c, 5);
            say(c, rows[i].message + cut);
            turn(c, 20);
            told(rows[i].reply);
            say(c, "RSET\r\n"); /* and the session goes on */
            turn(c, 5);
            told("250 2.0.0 ");
            tcp_close(b->tcp, c);
            check_home();
        }
}

/* A header section of several buffers, with From in the last of them. */
static void from_behind_a_long_header(void **state)
{
    static char filler[40000];

    (void)state;
    publish();
    memset(filler, 'x', sizeof(filler) - 1);
    for (size_t i = 0; i + 80 < sizeof(filler); i += 80)
        memcpy(filler + i, "\r\nX: ", 5);
    for (int own = 0; own < 2; own++) {
        forget();
        struct tcp_conn *c = client("EHLO c.example\r\n");
        log_in("alice@a.test", POLICY_SPOOF_STRICT);
        say(c, BEGIN "Subject: x");
        turn(c, 5);
        say_bytes(c, filler, sizeof(filler) - 1);
        turn(c, 20);
        say(c, own ? "\r\nFrom: alice@a.test\r\n\r\nbody\r\n.\r\n"
                   : "\r\nFrom: bob@a.test\r\n\r\nbody\r\n.\r\n");
        turn(c, 30);
        told(own ? "queued as" : "550 5.7.1 <bob@a.test>");
        tcp_close(b->tcp, c);
        check_home();
    }
    assert_int_equal(lane_stat(STATS_POLICY_FROM_ACCEPTED), 1);
    assert_int_equal(lane_stat(STATS_POLICY_FROM_NOT_OWNED), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        CASE(aliases_in_a_session),
        CASE(too_many_in_all),
        CASE(no_buffer_in_the_middle),
        CASE(expanded),
        CASE(expanded_and_told),
        CASE(rewritten),
        CASE(two_senders),
        CASE(owned_or_not),
        CASE(from_field),
        CASE(from_behind_a_long_header),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn_addresses", tests, NULL, NULL);
    free(b);
    return status;
}
