/* Who may send as what: accounts, aliases, owners' maps and patterns together; where mail goes and
 * who exists; columns that are swapped. */
#include "unit.h"

#include "policy.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t seed[16] = {7};

static const char accounts_text[] = "alice@example.org:x\n"
                                    "bob@example.org:x\n"
                                    "carol@example.org:x\n"
                                    "alice+own@example.org:x\n"
                                    "boss@example.net:x\n"
                                    "eve@evil.test:x\n";
static const char aliases_text[] =
    "sales@example.org  alice@example.org\n"
    "team@example.org   alice@example.org, bob@example.org\n"
    "chain@example.org  sales@example.org\n"
    "all@example.org    team@example.org carol@example.org all@example.org\n"
    "loop1@example.org  loop2@example.org\n"
    "loop2@example.org  loop1@example.org\n"
    "half@example.org   loop1@example.org bob@example.org\n"
    "away@example.org   friend@far.test\n"
    "keep@example.org   keep@example.org, friend@far.test\n"
    "twice@example.org  bob@example.org, BOB@example.org, team@example.org\n"
    "hostmaster         carol@example.org\n"
    "bob+list@example.org carol@example.org\n"
    "@example.net       boss@example.net\n"
    "@old.example       @example.org\n"
    "j\xc3\xbcrgen@example.org alice@example.org\n";
static const char alias_patterns[] = "/^shop-[0-9]+@example\\.org$/  carol@example.org\n"
                                     "/^to-(.+)@example\\.org$/  $1@example.org\n"
                                     "/^bad-(.+)@example\\.org$/  $1\n";
static const char owners_text[] = "press@example.org  alice@example.org carol\n"
                                  "info               bob@example.org\n"
                                  "@brand.test        carol@example.org\n"
                                  "one@brand.test     bob@example.org\n"
                                  "desk@b\xc3\xbc"
                                  "cher.example  bob@example.org\n"
                                  "alice@example.org  boss@example.net\n";
static const char owner_patterns[] = "/^team-([a-z]+)@example\\.org$/  $1@example.org\n"
                                     "/^slow-(a+)+b@/  bob@example.org\n";
static const char recipients_text[] = "dave@example.org  x\n"
                                      "@open.test  x\n";

static struct policy_tables *tables;
static struct policy_work *work;
static struct base_span domains[] = {{(const uint8_t *)"example.net", 11},
                                     {(const uint8_t *)"example.org", 11},
                                     {(const uint8_t *)"open.test", 9},
                                     {(const uint8_t *)"xn--bcher-kva.example", 21}};
static struct policy_settings settings = {
    .relay_domains = domains, .relay_domain_cnt = 4, .extension = '+', .expansion_max = 1000};
static struct stats_block stats;
static struct policy_view view = {.settings = &settings, .stats = &stats};

static void add(struct policy_tables *t, enum policy_form form, enum policy_role role,
                const char *text)
{
    struct policy_notes notes;
    struct policy_map *m = policy_map_read("map", form, role, base_span_str(text),
                                           settings.login_domain, seed, &notes);

    if (m == NULL)
        fail_msg("%u: %s", notes.error.line, notes.error.text);
    assert_int_equal(policy_tables_add(t, role, m), 0);
}

static int setup(void **state)
{
    (void)state;
    tables = policy_tables_make();
    work = policy_work_open();
    if (tables == NULL || work == NULL)
        return -1;
    settings.login_domain = base_span_str("example.org");
    add(tables, POLICY_FORM_ACCOUNTS, POLICY_ROLE_ACCOUNTS, accounts_text);
    add(tables, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, aliases_text);
    add(tables, POLICY_FORM_PATTERNS, POLICY_ROLE_ALIASES, alias_patterns);
    add(tables, POLICY_FORM_TEXT, POLICY_ROLE_OWNERS, owners_text);
    add(tables, POLICY_FORM_PATTERNS, POLICY_ROLE_OWNERS, owner_patterns);
    add(tables, POLICY_FORM_TEXT, POLICY_ROLE_RECIPIENTS, recipients_text);
    view.tables = tables;
    view.work = work;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    policy_work_close(work);
    policy_tables_free(tables);
    return 0;
}

static enum policy_verdict mail(struct policy_client client, const char *path,
                                struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    struct smtp_address sender;
    size_t used;

    assert_int_equal(smtp_path_parse_utf8(&sender, &used, base_span_str(path), SMTP_PATH_REVERSE),
                     0);
    return policy_mail(&view, &client, &sender, reply, text);
}

static void logins(void **state)
{
    (void)state;
#define YES POLICY_SENDER_OWNED
#define NO  POLICY_SENDER_NOT_OWNED
    static const struct {
        const char *login, *sender;
        enum policy_verdict verdict;
    } rows[] = {
        /* its own */
        {"alice@example.org", "<alice@example.org>", YES},
        {"alice@example.org", "<Alice@EXAMPLE.org>", YES},
        {"Alice@Example.Org", "<alice@example.org>", YES},
        {"alice@example.org", "<\"alice\"@example.org>", YES},
        {"alice", "<alice@example.org>", YES},
        {"alice", "<alice@example.net>", NO},
        {"alice@example.org", "<alice+news@example.org>", YES},
        {"alice@example.org", "<alice+own@example.org>", NO}, /* an account of its own */
        {"alice@example.org", "<alice@b.example.org>", NO},
        {"alice@example.org", "<alice@evil.test>", NO},
        {"alice@example.org", "<bob@example.org>", NO},
        {"alice@example.org", "<\"alice@example.org\"@evil.test>", NO},
        {"alice@example.org", "<alice@[192.0.2.1]>", NO},
        {"alice@example.org", "<>", POLICY_SENDER_ACCEPTED},
        {"nobody", "<nobody@example.org>", YES}, /* whoever is logged in has an account */
        /* aliases, chains, lists */
        {"alice@example.org", "<sales@example.org>", YES},
        {"alice@example.org", "<SALES+x@example.org>", YES},
        {"bob@example.org", "<sales@example.org>", NO},
        {"alice@example.org", "<chain@example.org>", YES},
        {"alice@example.org", "<team@example.org>", YES},
        {"bob@example.org", "<team@example.org>", YES},
        {"carol@example.org", "<team@example.org>", NO},
        {"bob@example.org", "<all@example.org>", YES},
        {"carol@example.org", "<all@example.org>", YES},
        {"eve@evil.test", "<all@example.org>", NO},
        {"bob@example.org", "<half@example.org>", YES},
        {"alice@example.org", "<loop1@example.org>", NO},
        {"carol@example.org", "<hostmaster@example.org>", YES},
        {"carol@example.org", "<hostmaster@example.net>", YES}, /* a name: in all local domains */
        {"carol@example.org", "<hostmaster@evil.test>", NO},
        {"carol@example.org", "<bob+list@example.org>", YES},
        {"bob@example.org", "<bob+list@example.org>", NO},
        {"alice@example.org", "<j\xc3\xbcrgen@example.org>", YES},
        {"alice@example.org", "<J\xc3\x9cRGEN@example.org>", YES},
        /* catch-alls take nothing from accounts */
        {"boss@example.net", "<anything@example.net>", YES},
        {"boss@example.net", "<boss@example.net>", YES},
        {"alice@example.org", "<alice@old.example>", YES},
        {"alice@example.org", "<sales@old.example>", YES},
        {"bob@example.org", "<alice@old.example>", NO},
        /* patterns of aliases */
        {"carol@example.org", "<shop-12@example.org>", YES},
        {"carol@example.org", "<shop-x@example.org>", NO},
        {"bob@example.org", "<to-bob@example.org>", YES},
        {"bob@example.org", "<to-alice@example.org>", NO},
        {"bob@example.org", "<bad-x@example.org>", POLICY_SENDER_LOOKUP},
        /* owners' maps, together with all the others */
        {"alice@example.org", "<press@example.org>", YES},
        {"carol", "<press@example.org>", YES},
        {"carol@example.org", "<press@example.org>", YES},
        {"bob@example.org", "<press@example.org>", NO},
        {"bob@example.org", "<info@example.net>", YES},
        {"bob@example.org", "<info@evil.test>", NO},
        {"carol@example.org", "<any@brand.test>", YES},
        {"carol@example.org", "<one@brand.test>", NO}, /* the first key that is there counts */
        {"bob@example.org", "<one@brand.test>", YES},
        {"boss@example.net", "<alice@example.org>", YES},
        {"alice@example.org", "<alice@example.org>", YES},
        /* a domain in any spelling is one */
        {"bob@example.org",
         "<desk@b\xc3\xbc"
         "cher.example>",
         YES},
        {"bob@example.org",
         "<desk@B\xc3\x9c"
         "CHER.example>",
         YES},
        {"bob@example.org", "<Desk+x@xn--bcher-kva.example>", YES},
        {"alice@example.org", "<desk@xn--bcher-kva.example>", NO},
        /* patterns of owners */
        {"bob@example.org", "<team-bob@example.org>", YES},
        {"alice@example.org", "<team-bob@example.org>", NO},
        {"bob@example.org", "<slow-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac@example.org>",
         POLICY_SENDER_LOOKUP},
    };
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct policy_client client = {
            .login = base_span_str(rows[i].login), .submission = true, .spoof = POLICY_SPOOF_LOGIN};
        enum policy_verdict v = mail(client, rows[i].sender, &reply, text);
        if (v != rows[i].verdict)
            fail_msg("%s as %s: %s", rows[i].login, rows[i].sender, policy_verdict_name(v));
        client.spoof = POLICY_SPOOF_OFF;
        assert_int_equal(mail(client, rows[i].sender, &reply, text), POLICY_SENDER_ACCEPTED);
    }
}

static void replies(void **state)
{
    (void)state;
    struct policy_client client = {
        .login = base_span_str("bob@example.org"), .submission = true, .spoof = POLICY_SPOOF_LOGIN};
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    mail(client, "<Alice@example.org>", &reply, text);
    assert_int_equal(reply.code, 553);
    assert_string_equal(reply.enhanced, "5.7.1");
    assert_string_equal(
        reply.text,
        "<Alice@example.org>: Sender address rejected: not owned by user bob@example.org");
    client.login = base_span_of(NULL, 0);
    assert_int_equal(mail(client, "<alice@example.org>", &reply, text),
                     POLICY_SENDER_NOT_LOGGED_IN);
    assert_string_equal(reply.text, "<alice@example.org>: Sender address rejected: not logged in");
    mail(client, "<bad-x@example.org>", &reply, text);
    assert_int_equal(reply.code, 451);
    assert_string_equal(reply.text, "<bad-x@example.org>: Temporary lookup failure");
}

static void not_logged_in(void **state)
{
    (void)state;
    static const struct {
        const char *sender;
        bool owned;
    } rows[] = {
        {"<alice@example.org>", true},     {"<ALICE+x@example.org>", true},
        {"<\"alice\"@example.org>", true}, {"<team@example.org>", true},
        {"<chain@example.org>", true},     {"<press@example.org>", true},
        {"<shop-1@example.org>", true},    {"<any@brand.test>", true},
        {"<any@example.net>", true},       {"<away@example.org>", false}, /* nobody's account */
        {"<stranger@example.org>", false}, {"<alice@far.test>", false},
        {"<loop1@example.org>", false},    {"<>", false},
        {"<\"\"@example.org>", false},
    };
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct policy_client user = {.submission = true, .spoof = POLICY_SPOOF_LOGIN}, server = {0};
        enum policy_verdict wanted =
            rows[i].owned ? POLICY_SENDER_NOT_LOGGED_IN : POLICY_SENDER_ACCEPTED;
        struct smtp_address unused;
        size_t used;
        if (smtp_path_parse(&unused, &used, base_span_str(rows[i].sender), SMTP_PATH_REVERSE) != 0)
            fail_msg("%s", rows[i].sender);
        if (mail(user, rows[i].sender, &reply, text) != wanted)
            fail_msg("%s", rows[i].sender);
        assert_int_equal(mail(server, rows[i].sender, &reply, text), POLICY_SENDER_ACCEPTED);
        server.refuse_unauthenticated = true;
        assert_int_equal(mail(server, rows[i].sender, &reply, text), wanted);
    }
}

static void exempt(void **state)
{
    (void)state;
    struct net_prefix lan;
    struct net_addr inside, outside;
    struct policy_key robot;
    struct policy_settings s = settings;
    struct policy_view v = view;
    struct smtp_address sender;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];
    size_t used;

    assert_int_equal(net_prefix_parse(&lan, base_span_str("10.0.0.0/8")), 0);
    assert_int_equal(net_addr_parse(&inside, base_span_str("10.1.1.1")), 0);
    assert_int_equal(net_addr_parse(&outside, base_span_str("11.1.1.1")), 0);
    assert_int_equal(policy_key_text(&robot, base_span_str("robot@example.org")), 0);
    s.exempt_networks = &lan;
    s.exempt_network_cnt = 1;
    s.exempt_logins = &robot;
    s.exempt_login_cnt = 1;
    v.settings = &s;
    assert_int_equal(
        smtp_path_parse(&sender, &used, base_span_str("<alice@example.org>"), SMTP_PATH_REVERSE),
        0);
    struct policy_client c = {.submission = true, .spoof = POLICY_SPOOF_STRICT, .network = &inside};
    assert_int_equal(policy_mail(&v, &c, &sender, &reply, text), POLICY_SENDER_EXEMPT);
    c.network = &outside;
    assert_int_equal(policy_mail(&v, &c, &sender, &reply, text), POLICY_SENDER_NOT_LOGGED_IN);
    c.network = NULL;
    assert_int_equal(policy_mail(&v, &c, &sender, &reply, text), POLICY_SENDER_NOT_LOGGED_IN);
    c.login = base_span_str("ROBOT");
    assert_int_equal(policy_mail(&v, &c, &sender, &reply, text), POLICY_SENDER_EXEMPT);
    assert_false(policy_from_wanted(&v, &c));
    c.login = base_span_str("robot2");
    assert_int_equal(policy_mail(&v, &c, &sender, &reply, text), POLICY_SENDER_NOT_OWNED);
    assert_true(policy_from_wanted(&v, &c));
}

static void expansions(void **state)
{
    (void)state;
    static const struct {
        const char *rcpt;
        enum policy_verdict verdict;
        const char *targets;
    } rows[] = {
        {"<alice@example.org>", POLICY_ACCEPTED_DOMAIN, ""},
        {"<alice+x@example.org>", POLICY_ACCEPTED_DOMAIN, ""},
        {"<unknown@far.test>", POLICY_ACCEPTED_DOMAIN, ""},
        {"<sales@example.org>", POLICY_RCPT_EXPANDED, "alice@example.org"},
        {"<Sales+x@Example.ORG>", POLICY_RCPT_EXPANDED, "alice@example.org"},
        {"<chain@example.org>", POLICY_RCPT_EXPANDED, "alice@example.org"},
        {"<team@example.org>", POLICY_RCPT_EXPANDED, "alice@example.org bob@example.org"},
        {"<all@example.org>", POLICY_RCPT_EXPANDED,
         "carol@example.org all@example.org alice@example.org bob@example.org"},
        {"<twice@example.org>", POLICY_RCPT_EXPANDED, "bob@example.org alice@example.org"},
        {"<keep@example.org>", POLICY_RCPT_EXPANDED, "keep@example.org friend@far.test"},
        {"<half@example.org>", POLICY_RCPT_EXPANDED, "bob@example.org"},
        {"<any@example.net>", POLICY_RCPT_EXPANDED, "boss@example.net"},
        {"<boss@example.net>", POLICY_ACCEPTED_DOMAIN, ""},
        {"<sales@old.example>", POLICY_RCPT_EXPANDED, "alice@example.org"},
        {"<new@old.example>", POLICY_RCPT_EXPANDED, "new@example.org"},
        {"<\"a b\"@old.example>", POLICY_RCPT_EXPANDED, "\"a b\"@example.org"},
        {"<shop-1@example.org>", POLICY_RCPT_EXPANDED, "carol@example.org"},
        {"<to-sales@example.org>", POLICY_RCPT_EXPANDED, "alice@example.org"},
        {"<loop1@example.org>", POLICY_RCPT_LOOP, ""},
        {"<bad-x@example.org>", POLICY_RCPT_LOOKUP, ""},
        {"<j\xc3\xbcrgen@example.org>", POLICY_RCPT_EXPANDED, "alice@example.org"},
    };
    static struct policy_expansion e;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP], got[1024];

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct smtp_address rcpt;
        size_t used, n = 0;
        assert_int_equal(
            smtp_path_parse_utf8(&rcpt, &used, base_span_str(rows[i].rcpt), SMTP_PATH_FORWARD), 0);
        enum policy_verdict v = policy_rcpt_expand(&view, &rcpt, false, &e, &reply, text);
        got[0] = 0;
        for (uint32_t k = 0; k < e.cnt; k++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", k > 0 ? " " : "",
                                  (int)e.target[k].len, (const char *)e.target[k].p);
        if (v != rows[i].verdict ||
            (policy_verdict_accepts(v) && strcmp(got, rows[i].targets) != 0))
            fail_msg("%s: %s %s", rows[i].rcpt, policy_verdict_name(v), got);
    }
}

/* user+x becomes target+x, where the alias is that of user. */
static void extensions(void **state)
{
    static const struct {
        const char *rcpt, *targets;
    } rows[] = {
        {"<sales+x@example.org>", "alice+x@example.org"},
        {"<Sales+X+y@Example.ORG>", "alice+x+y@example.org"},
        {"<chain+x@example.org>", "alice+x@example.org"},
        {"<team+x@example.org>", "alice+x@example.org bob+x@example.org"},
        {"<sales@example.org>", "alice@example.org"},
        {"<bob+list@example.org>", "carol@example.org"}, /* the alias has the extension */
        {"<any+x@example.net>", "boss+x@example.net"},
        {"<sales+x@old.example>", "alice+x@example.org"}, /* once */
        {"<new+x@old.example>", "new+x@example.org"},
        {"<hostmaster+x@example.org>", "carol+x@example.org"},
        {"<\"sales+a b\"@example.org>", "alice@example.org"}, /* no plain local part */
        {"<shop-1@example.org>", "carol@example.org"},
        {"<all+x@example.org>",
         "carol+x@example.org all+x@example.org alice+x@example.org bob+x@example.org"},
    };
    static struct policy_expansion e;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP], got[1024];
    char longest[100];

    (void)state;
    settings.extension_propagate = true;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct smtp_address rcpt;
        size_t used, n = 0;
        assert_int_equal(
            smtp_path_parse(&rcpt, &used, base_span_str(rows[i].rcpt), SMTP_PATH_FORWARD), 0);
        enum policy_verdict v = policy_rcpt_expand(&view, &rcpt, false, &e, &reply, text);
        got[0] = 0;
        for (uint32_t k = 0; k < e.cnt; k++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", k > 0 ? " " : "",
                                  (int)e.target[k].len, (const char *)e.target[k].p);
        if (v != POLICY_RCPT_EXPANDED || strcmp(got, rows[i].targets) != 0)
            fail_msg("%s: %s %s", rows[i].rcpt, policy_verdict_name(v), got);
    }
    /* What would be too long is left out. */
    for (size_t len = 50; len <= 64 - 6; len++) {
        struct smtp_address rcpt;
        size_t used;
        memset(longest, 'x', sizeof(longest));
        int n = snprintf(longest, sizeof(longest), "<team+%0*d@example.org>", (int)len, 0);
        assert_int_equal(
            smtp_path_parse(&rcpt, &used, base_span_of(longest, (size_t)n), SMTP_PATH_FORWARD), 0);
        assert_int_equal(policy_rcpt_expand(&view, &rcpt, false, &e, &reply, text),
                         POLICY_RCPT_EXPANDED);
        assert_int_equal(e.cnt, 2);
        assert_int_equal(e.target[0].len > 17, len + 1 + 5 <= 64);
        assert_int_equal(e.target[1].len > 15, len + 1 + 3 <= 64);
    }
    settings.extension_propagate = false;
}

/* Bounds: a list longer than the limit, and a chain as long as it. */
static void limits(void **state)
{
    (void)state;
    static char text[400000];
    static struct policy_expansion e;
    struct policy_tables *t = policy_tables_make();
    struct policy_reading r = {0};
    struct policy_key key;
    size_t n = 0;

    n += (size_t)snprintf(text + n, sizeof(text) - n, "list@x.test");
    for (int i = 0; i < 999; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " m%d@x.test,", i);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "\n");
    for (int i = 0; i < 3000; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "c%d@x.test c%d@x.test\n", i, i + 1);
    add(t, POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, text);
    assert_int_equal(policy_key_text(&key, base_span_str("list@x.test")), 0);
    assert_int_equal(policy_expand(t, &r, work, &key, 1000, &e), POLICY_EXPANSION_OTHER);
    assert_int_equal(e.cnt, 999);
    assert_int_equal(policy_expand(t, &r, work, &key, 999, &e), POLICY_EXPANSION_LIMIT);
    assert_int_equal(policy_key_text(&key, base_span_str("c0@x.test")), 0);
    assert_int_equal(policy_expand(t, &r, work, &key, 1000, &e), POLICY_EXPANSION_LIMIT);
    assert_int_equal(policy_expand(t, &r, work, &key, POLICY_TARGET_MAX, &e),
                     POLICY_EXPANSION_OTHER);
    assert_int_equal(e.cnt, 1);
    policy_tables_free(t);
}

static void known_recipients(void **state)
{
    (void)state;
    static const struct {
        const char *rcpt;
        enum policy_verdict verdict;
    } rows[] = {
        {"<dave@example.org>", POLICY_ACCEPTED_DOMAIN},
        {"<Dave+x@EXAMPLE.org>", POLICY_ACCEPTED_DOMAIN},
        {"<alice@example.org>", POLICY_ACCEPTED_DOMAIN},
        {"<sales@example.org>", POLICY_ACCEPTED_DOMAIN},
        {"<shop-7@example.org>", POLICY_ACCEPTED_DOMAIN},
        {"<any@example.net>", POLICY_ACCEPTED_DOMAIN},
        {"<any@open.test>", POLICY_ACCEPTED_DOMAIN},
        {"<nobody@example.org>", POLICY_RCPT_UNKNOWN},
        {"<dave@far.test>", POLICY_REFUSED_DOMAIN},
        {"<Postmaster>", POLICY_ACCEPTED_POSTMASTER},
    };
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];
    struct smtp_address rcpt;
    size_t used;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        assert_int_equal(
            smtp_path_parse(&rcpt, &used, base_span_str(rows[i].rcpt), SMTP_PATH_FORWARD), 0);
        enum policy_verdict v = policy_rcpt(&view, &(struct policy_client){0}, &rcpt, &reply, text);
        if (v != rows[i].verdict)
            fail_msg("%s: %s", rows[i].rcpt, policy_verdict_name(v));
    }
    /* For who is logged in as well; other domains are not ours to know. */
    struct policy_client user = {.submission = true, .login = base_span_str("alice")};
    assert_int_equal(
        smtp_path_parse(&rcpt, &used, base_span_str("<no@example.org>"), SMTP_PATH_FORWARD), 0);
    assert_int_equal(policy_rcpt(&view, &user, &rcpt, &reply, text), POLICY_RCPT_UNKNOWN);
    assert_int_equal(reply.code, 550);
    assert_string_equal(reply.enhanced, "5.1.1");
    assert_string_equal(reply.text, "<no@example.org>: Recipient address rejected: User unknown in "
                                    "relay recipient table");
    assert_int_equal(
        smtp_path_parse(&rcpt, &used, base_span_str("<no@far.test>"), SMTP_PATH_FORWARD), 0);
    assert_int_equal(policy_rcpt(&view, &user, &rcpt, &reply, text), POLICY_ACCEPTED_LOGIN);
}

static void columns(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool with_accounts, swapped;
    } rows[] = {
        {"sales@example.org alice@example.org\npress@example.org bob@example.org\n", true, false},
        {"alice@example.org sales@example.org, press@example.org\n", true, true},
        {"alice@example.org sales@example.org\nsales@example.org alice@example.org\n", true, false},
        {"alice@example.org alice@example.org, sales@example.org\n", true, false},
        {"alice sales@example.org\nbob press@example.org\n", false, true},
        {"sales@example.org alice\n", false, false},
        {"sales@example.org alice@example.org\n", false, false},
        {"alice@example.org @brand.test\n", false, true},
        {"sales alice\n", false, false},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct policy_tables *t = policy_tables_make();
        uint32_t line = 0;
        if (rows[i].with_accounts)
            add(t, POLICY_FORM_ACCOUNTS, POLICY_ROLE_ACCOUNTS, accounts_text);
        add(t, POLICY_FORM_TEXT, POLICY_ROLE_OWNERS, rows[i].text);
        bool swapped = policy_tables_swapped(t, t->map[POLICY_ROLE_OWNERS][0], &line);
        if (swapped != rows[i].swapped)
            fail_msg("%s", rows[i].text);
        if (swapped)
            assert_int_equal(line, 1);
        policy_tables_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins),        cmocka_unit_test(replies),
        cmocka_unit_test(not_logged_in), cmocka_unit_test(exempt),
        cmocka_unit_test(extensions),    cmocka_unit_test(expansions),
        cmocka_unit_test(limits),        cmocka_unit_test(known_recipients),
        cmocka_unit_test(columns),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
