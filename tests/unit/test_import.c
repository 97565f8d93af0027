/* What is read of Postfix's files, and what single parameters become: a table each. Whole
 * configurations: tests/e2e/test_import.py. */
#include "unit.h"

#include "conf.h"
#include "import.h"
#include "import_cf.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- main.cf ---- */

static void test_parameters(void **state)
{
    static const char text[] = "# comment\n"
                               "a = 1\n"
                               "b=x,\n"
                               "  y\r\n"
                               "# amid them\n"
                               "\n"
                               "\tz\n"
                               " \n"
                               "a = 2\n"
                               "no parameter\n"
                               "empty =\n"
                               "last = no end";
    static const struct {
        const char *name, *value, *where;
        bool again;
    } wanted[] = {
        {"a", "1", "m:2", true},      {"b", "x,  y\tz", "m:3", false},
        {"a", "2", "m:9", false},     {"no parameter", NULL, "m:10", false},
        {"empty", "", "m:11", false}, {"last", "no end", "m:12", false},
    };
    struct import_arena arena = {0};
    struct import_items items = {0};
    size_t n = 0;

    (void)state;
    import_cf_read(&arena, &items, "m", base_span_str(text));
    for (const struct import_item *i = items.first; i != NULL; i = i->next, n++) {
        assert_true(n < BASE_ARRAY_CNT(wanted));
        assert_string_equal(i->name, wanted[n].name);
        assert_true((i->value == NULL) == (wanted[n].value == NULL));
        if (i->value != NULL)
            assert_string_equal(i->value, wanted[n].value);
        assert_string_equal(i->where, wanted[n].where);
        assert_int_equal(i->again, wanted[n].again);
    }
    assert_int_equal(n, BASE_ARRAY_CNT(wanted));
    assert_string_equal(import_items_find(&items, "a")->value, "2");
    import_arena_free(&arena);
}

static const char *none(void *user, const char *name)
{
    (void)user;
    return strcmp(name, "usual") == 0 ? "default" : NULL;
}

static void test_expansion(void **state)
{
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"$a", "one"},
        {"${a}$(a)-$a.x", "oneone-one.x"},
        {"$$a $ $", "$a $ $"},
        {"$nobody|${nobody}", "|"},
        {"$usual", "default"},
        {"$twice", "one-one"},
        {"${a?yes}${nobody?yes}", "yes"},
        {"${a:no}${nobody:no}${empty:no}", "nono"},
        {"${a?{yes}:{no}} ${nobody?{yes}:{no}}", "yes no"},
        {"${nobody?{yes} : {$a}}", "one"},
        {"${stress?{10}:{300}}s", "300s"},
        {"${{$level} < {2} ? {old} : {new}}", "new"},
        {"${{$level} >= {3} ? {new}}", "new"},
        {"${{$a} == {one} ? {same} : {other}}${{$a} != {one} ? {x}:{y}}", "samey"},
        {"${{9} < {10} ? {number} : {text}}", "number"},
        {"${{3.6} <level {3.10} ? {old} : {new}}${{3.6} >=level {3.6} ? {x}}", "oldx"},
        {"$loop.", "."},
        {"${a", "one"},
        {"${", ""},
        {"${{x", ""},
        {"${{a}{b}}", ""},
    };
    struct import_arena arena = {0};
    struct import_items items = {0};
    struct import_scope s = {.arena = &arena, .items = &items, .default_of = none};

    (void)state;
    import_cf_read(&arena, &items, "m",
                   base_span_str("a = one\nempty =\ntwice = $a-${a}\nlevel = 3\nloop = $loop\n"
                                 "big = $big2$big2\nbig2 = $big3$big3\nbig3 = $big$big\n"));
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        assert_string_equal(import_expand(&s, rows[i][0]), rows[i][1]);
    assert_true(strlen(import_expand(&s, "$big")) <= 65536); /* and it ends */
    import_arena_free(&arena);
}

static const char *counted(void *user, const char *name)
{
    unsigned *cnt = user;

    ++*cnt;
    return strcmp(name, "leaf") == 0 ? "x" : NULL;
}

/* Comparisons of comparisons: what they have in them counts together. */
static void test_expansion_ends(void **state)
{
    char text[2048] = "";
    struct import_arena arena = {0};
    struct import_items items = {0};
    unsigned cnt = 0;
    struct import_scope s = {.arena = &arena, .items = &items, .default_of = counted, .user = &cnt};

    (void)state;
    for (unsigned i = 0; i < 14; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "a%u = ${{$%s%u} == {$%s%u} ? {x}}\n", i, i < 13 ? "a" : "leaf", i + 1,
                 i < 13 ? "a" : "leaf", i + 1);
    import_cf_read(&arena, &items, "m", base_span_str(text));
    import_expand(&s, "$a11");
    assert_true(cnt >= 8);
    cnt = 0;
    import_expand(&s, "$a0");
    assert_true(cnt <= 4096);
    import_arena_free(&arena);
}

/* ---- master.cf ---- */

static void test_services(void **state)
{
    static const char text[] = "smtp inet n - y - 1 postscreen\n"
                               "submission inet n - y - - smtpd -v\n"
                               "  -o a=b -o { c = d e } -of=g\n"
                               "# -o commented=out\n"
                               "  -o h\n"
                               "drop unix - n n - - pipe flags=D user=x argv=/bin/x -o y=z\n"
                               "too few fields\n";
    struct import_arena arena = {0};
    struct import_services s = {0};

    (void)state;
    import_master_read(&arena, &s, "m", base_span_str(text));
    const struct import_service *v = import_services_find(&s, "submission", "inet");
    assert_non_null(v);
    assert_string_equal(v->command, "smtpd");
    assert_string_equal(import_items_find(&v->options, "a")->value, "b");
    assert_string_equal(import_items_find(&v->options, "c")->value, "d e");
    assert_string_equal(import_items_find(&v->options, "f")->value, "g");
    assert_string_equal(v->options.first->where, "m:2: submission: -o");
    assert_string_equal(v->options.last->name, "h");
    assert_null(v->options.last->value);
    assert_null(import_services_find(&s, "drop", "unix")->options.first);
    assert_string_equal(s.last->name, "too few fields");
    assert_string_equal(s.last->type, "");
    import_arena_free(&arena);
}

/* ---- maps ---- */

static void test_lists(void **state)
{
    static const char text[] = " a, b\tc,,{d, e} inline:{ {f = g}, h=i },{ open";
    static const char *const wanted[] = {"a", "b",   "c", "{d, e}", "inline:{ {f = g}, h=i }",
                                         "{", "open"};
    struct import_arena arena = {0};
    const char *list = text, *item;
    size_t n = 0;

    (void)state;
    while ((item = import_next(&arena, &list)) != NULL) {
        assert_true(n < BASE_ARRAY_CNT(wanted));
        assert_string_equal(item, wanted[n++]);
    }
    assert_int_equal(n, BASE_ARRAY_CNT(wanted));
    import_arena_free(&arena);
}

static void test_maps(void **state)
{
    static const struct {
        const char *name;
        enum import_map_kind kind;
        const char *path;
    } rows[] = {
        {"hash:/x", IMPORT_MAP_ENTRIES, "/x"},
        {"proxy:texthash:/x", IMPORT_MAP_ENTRIES, "/x"},
        {"pcre:/x", IMPORT_MAP_PATTERNS, "/x"},
        {"regexp:/x", IMPORT_MAP_PATTERNS, "/x"},
        {"cidr:/x", IMPORT_MAP_CIDR, "/x"},
        {"static:all", IMPORT_MAP_STATIC, NULL},
        {"mysql:/x", IMPORT_MAP_OTHER, NULL},
        {"unix:passwd.byname", IMPORT_MAP_OTHER, NULL},
        {"/x", IMPORT_MAP_OTHER, NULL},
        {"other:/x", IMPORT_MAP_OTHER, NULL},
        {"inline:{a=b}", IMPORT_MAP_ENTRIES, NULL},
    };
    struct import_arena arena = {0};
    struct import_map m;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        import_map_parse(&arena, &m, rows[i].name);
        assert_int_equal(m.kind, rows[i].kind);
        assert_true((m.kind == IMPORT_MAP_OTHER) == (m.why != NULL));
        if (rows[i].path != NULL)
            assert_string_equal(m.path, rows[i].path);
    }
    import_map_parse(&arena, &m, "inline:{ a=b, {c d = e, f} }");
    assert_string_equal(import_map_find(&arena, &m, "A"), "b");
    assert_string_equal(import_map_find(&arena, &m, "c d"), "e, f");
    assert_null(import_map_find(&arena, &m, "b"));
    import_map_parse(&arena, &m, "hash:/x");
    m.text = base_span_str("# c\nkey  value of\n  it\n\"quoted key\" x\n");
    assert_string_equal(import_map_find(&arena, &m, "KEY"), "value of  it");
    import_map_parse(&arena, &m, "static:u:p");
    assert_string_equal(import_map_find(&arena, &m, "anything"), "u:p");
    import_arena_free(&arena);
}

/* ---- what becomes of one ---- */

struct disk {
    const char *main, *master;
};

static int read_disk(void *user, const char *path, struct base_span *text)
{
    static const char certificate[] = "-----BEGIN CERTIFICATE-----\n";
    const struct disk *d = user;
    const char *found = strcmp(path, "/p/main.cf") == 0     ? d->main
                        : strcmp(path, "/p/master.cf") == 0 ? d->master
                        : strcmp(path, "/p/list") == 0      ? "example.com x\nexample.net y\n"
                        : strcmp(path, "/c.pem") == 0       ? certificate
                        : strcmp(path, "/etc/shadow") == 0  ? "root:$6$hush.hush:1 _hush,!hush\n"
                                                            : NULL;

    if (found == NULL)
        return -2;
    *text = base_span_str(found);
    return 0;
}

static struct import_result *import(const char *main_cf, const char *master_cf)
{
    struct disk d = {main_cf, master_cf};
    struct import_input in = {
        .read = read_disk, .user = &d, .dir = "/p", .main = "/p/main.cf", .output = "/o/s.conf"};
    struct conf_errors e;
    const char *why;
    struct import_result *r = import_postfix(&in, &why);

    assert_non_null(r);
    struct conf *c = conf_parse("import", base_span_str(r->text), NULL, NULL, &e);
    if (c == NULL)
        fprintf(stderr, "%s", r->text);
    assert_non_null(c);
    conf_free(c);
    conf_errors_free(&e);
    return r;
}

#define HEAD "myhostname = mx.example.org\n"

static void check_becomes(const char *main_cf, const char *has)
{
    struct import_result *r = import(main_cf, "smtp inet n - - - - smtpd\n");

    if (strstr(r->text, has) == NULL)
        fail_msg("%s\ndoes not become\n%s", main_cf, has);
    import_free(r);
}

static void test_becomes(void **state)
{
    static const struct {
        const char *main, *has; /* has: lines of the result */
    } rows[] = {
        {HEAD, "    hostname = mx.example.org;\n"},
        {"myhostname = mx\nmydomain = example.org\n", "    hostname = mx.example.org;\n"},
        {"", "    hostname = mx.example.org;\n"}, /* the placeholder */
        {HEAD "message_size_limit = 0\n", "    message_size = 2G;\n"},
        {HEAD "message_size_limit = 20000\n", "    message_size = 20000;\n"},
        {HEAD "message_size_limit = $x\n", "    not understood; here it is smtp: message_size\n"},
        {HEAD "maximal_queue_lifetime = 2\n", "    lifetime = 2d;\n"},
        {HEAD "maximal_queue_lifetime = 5h\n", "    lifetime = 5h;\n"},
        {HEAD "delay_warning_time = 0\n", "    warn_after = 0;\n"},
        {HEAD "minimal_backoff_time = 2h\n", "    backoff_max = 2h;\n"},
        {HEAD "smtpd_client_recipient_rate_limit = 5\nanvil_rate_time_unit = 10m\n",
         "    recipient_rate = 1;\n"},
        {HEAD "mynetworks = 127.0.0.0/8, [2001:db8::]/32 10.0.0.0/8\n",
         "    networks = { 2001:db8::/32, 10.0.0.0/8 };\n"},
        {HEAD "mynetworks = 10.0.0.1/8\n", "10.0.0.1/8 is no network"},
        {HEAD "relay_domains = hash:/etc/postfix/list\n",
         "    domains = { mx.example.org, example.com, .example.com, example.net, .example.net "
         "};\n"},
        {HEAD "relay_domains = a.example\nparent_domain_matches_subdomains =\nmydestination =\n",
         "    domains = { a.example };\n"},
        {HEAD "relayhost = [a.example]:submission\n", "    host = { [a.example]:587 };\n"},
        {HEAD "relayhost = a.example, [2001:db8::1]:26\n",
         "    host = { a.example, [2001:db8::1]:26 };\n"},
        {HEAD "relayhost = [a.example]\nsmtp_tls_wrappermode = yes\n", "    tls = implicit;\n"},
        {HEAD "smtp_tls_security_level = verify\n", "    tls = verify;\n"},
        {HEAD "smtp_tls_security_level = may\n", "    tls = may;\n"},
        {HEAD, "    tls = dane;\n"},
        {HEAD "virtual_mailbox_domains = b.example\nvirtual_transport = lmtp:unix:private/d\n",
         "    host = unix:/var/spool/postfix/private/d;\n"},
        {HEAD "recipient_delimiter = -+\n", "    extension = -;\n"},
        {HEAD "smtpd_tls_cert_file = /c.pem\nsmtpd_tls_security_level = encrypt\n",
         "    tls = encrypt;\n"},
        {HEAD "smtpd_recipient_restrictions = reject_rbl_client b.example=127.0.0.2\n",
         "    answers = 127.0.0.2;\n"},
        {HEAD "smtp_bind_address = 198.51.100.3\n", "    address = { 198.51.100.3/24 };\n"},
        {HEAD "smtpd_sasl_auth_enable = yes\n", "AUTH is never offered to other servers"},
        {HEAD "frobnicate = yes\n", "Postfix has no such parameter"},
        {HEAD "mine = x\nmydestination = $mine.example\n", "put in where it is used"},
        {HEAD "biff = no\nbiff = yes\n", "set again further down"},
        {HEAD "smtp_sasl_password_maps = static:u:secret\n", "smtp_sasl_password_maps = (hidden)"},
        {HEAD, "    # TO"
               "DO: as long as this is a comment the gateway stays root"},
        {HEAD "syslog_facility = nowhere\n", "left out, as it is refused here"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        check_becomes(rows[i].main, rows[i].has);
}

/* What fails closed, and what finds no room. */
static void test_closed(void **state)
{
    static const struct {
        const char *main, *has;
    } rows[] = {
        {HEAD "relayhost = a.example\ntransport_maps = inline:{ *=smtp:b.example }\n",
         "relayhost = a.example\n#     transport_maps has a way for all mail"},
        {HEAD "relayhost = a.example\ndefault_transport = no:where\n", "relayhost = a.example\n"},
        {HEAD "smtp_tls_security_level = fingerprint\n", "    tls = secure;\n"},
        {HEAD "smtp_tls_security_level = fingerprint\n", "DO: fingerprint is not for all"},
        {HEAD "relayhost = [a.example]\nsmtp_tls_policy_maps = inline:{ {[a.example] = fingerprint "
              "match=00} }\n",
         "    verify = yes;\n"},
        {HEAD "smtpd_tls_chain_files = /1/c,/2/c,/3/c,/4/c,/5/c,/6/c,/7/c,/8/c,/9/c,/10/c\n",
         "DO: smtpd_tls_chain_files: no room for the certificate of /9/c and 1 more"},
        {HEAD
         "tls_server_sni_maps = inline:{ 1=/c, 2=/c, 3=/c, 4=/c, 5=/c, 6=/c, 7=/c, 8=/c, 9=/c, "
         "10=/c, 11=/c }\n",
         "DO: tls_server_sni_maps: no room for the certificate of inline and 2 more"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        check_becomes(rows[i].main, rows[i].has);
}

#define NETS     HEAD "mynetworks = 10.0.0.0/8\n"
#define IN       "    networks = { 10.0.0.0/8 };\n"
#define MX       "smtp inet n - - - - smtpd\n"
#define LEFT_OUT "networks: left out"
#define NO_LOGIN "may send here without a login"

/* Of networks: what main.cf and master.cf say, and what the result has and has not. */
static void test_networks(void **state)
{
    static const struct {
        const char *main, *master, *has, *has_not;
    } rows[] = {
        {NETS, MX, IN, LEFT_OUT},
        {NETS "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n",
         MX, LEFT_OUT, IN},
        {NETS "smtpd_relay_restrictions = reject_unauth_destination, permit_mynetworks\n", MX,
         LEFT_OUT, IN},
        {NETS "smtpd_relay_restrictions =\n"
              "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n",
         MX, IN, LEFT_OUT},
        {NETS "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = "
              "reject_unauth_destination\n",
         MX, LEFT_OUT, IN},
        {NETS "smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n", MX, LEFT_OUT,
         IN},
        {NETS "smtpd_recipient_restrictions = reject_rbl_client reject, permit_mynetworks\n", MX,
         IN, LEFT_OUT},
        {NETS "smtpd_recipient_restrictions = warn_if_reject reject, ours\n"
              "smtpd_restriction_classes = ours\nours = permit_mynetworks, reject\n",
         MX, IN, LEFT_OUT},
        {NETS "smtpd_recipient_restrictions = ours\nours = ours ours reject\n", MX, LEFT_OUT, IN},
        {NETS "smtpd_relay_restrictions = permit_sasl_authenticated, reject\n", MX,
         "permit_sasl_authenticated: who", IN},
        /* without them: what names them says so */
        {NETS "smtpd_client_restrictions = permit_sasl_authenticated, reject\n"
              "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
         MX, "permit_mynetworks: relay: networks, of which there are none", IN},
        /* services that differ */
        {NETS, MX "587 inet n - - - - smtpd -o smtpd_client_restrictions=reject\n", NO_LOGIN,
         LEFT_OUT},
        {NETS, MX "587 inet n - - - - smtpd -o smtpd_client_restrictions=reject\n",
         "    reject: not for clients of relay: networks, see listener submission", "reject: what"},
        {NETS, MX "587 inet n - - - - smtpd\n", IN, NO_LOGIN},
        {HEAD, MX "587 inet n - - - - smtpd -o smtpd_client_restrictions=reject\n",
         "    reject: what", NO_LOGIN},
        {NETS,
         "smtp inet n - - - - smtpd -o smtpd_client_restrictions=reject\n587 inet n - - - - "
         "smtpd\n",
         "TO"
         "DO: networks: left out, as master.cf:1",
         IN},
        {NETS, "587 inet n - - - - smtpd\n", IN, LEFT_OUT},
        {NETS, MX "2525 inet n - - - - smtpd -o mynetworks=10.1.0.0/16\n",
         "-o mynetworks = 10.1.0.0/16: a listener has no networks of its own", LEFT_OUT},
        {NETS, MX "2525 inet n - - - - smtpd -o mynetworks=10.0.0.0/8\n", IN, "of its own"},
        /* what is taken out */
        {HEAD "mynetworks = !10.1.2.3, 10.0.0.0/8, 192.0.2.0/24\n", MX,
         "    networks = { 192.0.2.0/24 };\n", "{ 10."},
        {HEAD "mynetworks = !10.1.2.3, 10.0.0.0/8, 192.0.2.0/24\n", MX,
         "networks: 10.0.0.0/8 is left out (and 0 more), as there !10.1.2.3/32", IN},
        {HEAD "mynetworks = !10.1.2.3, 10.0.0.0/8, 192.0.2.0/24\n", MX,
         "    exempt_networks = { 192.0.2.0/24 };\n", IN},
        {HEAD "mynetworks = 10.1.0.0/17 !10.1.128.0/17 !10.2.0.0/15\n", MX,
         "    networks = { 10.1.0.0/17 };\n", "is left out (and"},
        {HEAD "mynetworks = [2001:db8:1::]/48 ![2001:db8::]/32\n", MX, "!2001:db8::/32",
         " networks = {"},
        {HEAD "mynetworks = !/etc/others 10.0.0.0/8\n", MX, "as there !/etc/others", IN},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct import_result *r = import(rows[i].main, rows[i].master);
        if (strstr(r->text, rows[i].has) == NULL || strstr(r->text, rows[i].has_not) != NULL)
            fail_msg("row %zu: %s%s\ndoes not become\n%s, or has\n%s\n%s", i, rows[i].main,
                     rows[i].master, rows[i].has, rows[i].has_not, r->text);
        import_free(r);
    }
}

/* A list of recipients of any length is copied whole; what is left out of it is counted. */
static void test_recipients(void **state)
{
    char *main_cf = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&main_cf, &len);

    (void)state;
    assert_non_null(out);
    fputs(HEAD "relay_domains = b.example\nrelay_recipient_maps = inline:{ ", out);
    for (unsigned i = 0; i < 3000; i++)
        fprintf(out, "u%u@b.example=x, ", i);
    fputs("{a b@b.example = x}, {@@ = x} }\n", out);
    fclose(out);
    struct import_result *r = import(main_cf, "smtp inet n - - - - smtpd\n");
    assert_true(r->file_cnt > 0);
    assert_non_null(strstr(r->file[0].text, "u0@b.example OK\n"));
    assert_non_null(strstr(r->file[0].text, "\nu2999@b.example OK\n"));
    assert_null(strstr(r->file[0].text, "@@"));
    assert_non_null(strstr(r->text, "TO"
                                    "DO: relay_recipient_maps: 2 keys of it are no addresses "
                                    "that can be written here, and left out: inline: a b@b.example "
                                    "x, inline: @@ x\n"));
    import_free(r);
    free(main_cf);
}

#define HUSHED_LOGIN                                                                               \
    "relayhost = a.example\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = inline:{ "      \
    "{a.example = hush} }"

/* Neither passwords nor what stands in files is shown: each of these has a hush in it. */
static void test_hidden(void **state)
{
    static const char *const rows[] = {
        "smtp_sasl_password_maps = inline:{ {a.example = u:hush} }",
        HUSHED_LOGIN,
        "smtp_sasl_password_maps = inline:{ {a.example = u:$mine} }\nmine = hush",
        "smtp_sasl_password_maps = $one\none = static:u:${two}$(three)\ntwo = hush\nthree = hush",
        "smtp_sasl_password_maps = static:u:${x?{$mine}}\nmine = not\nmine = hush",
        "my_secret = hush",
        "MY_PW = hush",
        "api_Token = hush",
        "lmtp_sasl_PASSword_maps = texthash:/hush",
        "the hush is no parameter",
        "relay_domains = texthash:/etc/shadow",
        "relay_domains = /etc/shadow",
        "mydestination = /etc/shadow",
        "mynetworks = /etc/shadow",
        "mynetworks = texthash:/etc/shadow",
        "mynetworks = cidr:/etc/shadow",
        "transport_maps = texthash:/etc/shadow",
        "virtual_alias_maps = texthash:/etc/shadow",
        "virtual_alias_maps = pcre:/etc/shadow",
        "alias_maps = texthash:/etc/shadow",
        "relay_domains = b.example\nrelay_recipient_maps = texthash:/etc/shadow",
        "smtpd_sender_login_maps = texthash:/etc/shadow",
        "smtp_tls_policy_maps = texthash:/etc/shadow",
        "tls_server_sni_maps = texthash:/etc/shadow",
        "myorigin = /etc/shadow",
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char main_cf[512];
        snprintf(main_cf, sizeof(main_cf), HEAD "%s\n", rows[i]);
        struct import_result *r =
            import(main_cf, "smtp inet n - - - - smtpd -o mine=hush\nhush hush\n");
        const char *first = strstr(r->text, "hush");
        /* an option of nobody's password is shown */
        bool own = first != NULL && strstr(rows[i], "mine") == NULL &&
                   strncmp(first - 7, "mine = hush", 11) == 0 && strstr(first + 1, "hush") == NULL;
        if (first != NULL && !own)
            fail_msg("%s is shown: %s", rows[i], first - 60);
        import_free(r);
    }
}

static unsigned times(const char *text, const char *what)
{
    unsigned cnt = 0;

    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        cnt++;
    return cnt;
}

/* Levels of a next hop reach all domains that go there; for how many there is no room is told. */
static void test_levels(void **state)
{
    char *main_cf = NULL;
    size_t len = 0;

    (void)state;
    for (unsigned by_domain = 0; by_domain < 2; by_domain++) {
        unsigned cnt = by_domain ? 1030 : 100;
        FILE *out = open_memstream(&main_cf, &len);
        assert_non_null(out);
        fprintf(out, HEAD "%s = inline:{ ", by_domain ? "smtp_tls_policy_maps" : "transport_maps");
        for (unsigned i = 0; i < cnt; i++)
            fprintf(out, "d%u.example=%s, ", i, by_domain ? "secure" : "smtp:[h.example]");
        fputs("}\n", out);
        if (!by_domain)
            fputs("smtp_tls_policy_maps = inline:{ [h.example]=secure }\n", out);
        fclose(out);
        struct import_result *r = import(main_cf, "smtp inet n - - - - smtpd\n");
        assert_int_equal(times(r->text, "\ndestination d"), by_domain ? 1023 : cnt);
        assert_int_equal(times(r->text, "no room for the levels of d1023.example and 6 more"),
                         by_domain);
        import_free(r);
        free(main_cf);
    }
}

/* Services, by their name, their options and what main.cf says beside. */
static void test_listens(void **state)
{
    static const struct {
        const char *service, *options, *main;
        const char *kind, *port, *tls; /* NULL: no listener of its own */
    } rows[] = {
        {"smtp", "", "", "mx", "25", "none"},
        {"25", "-o smtpd_tls_security_level=may", "", "mx", "25", "may"},
        {"smtp", "-o smtpd_sasl_auth_enable=yes", "", "mx", "25", "none"},
        {"submission", "-o smtpd_tls_security_level=encrypt", "", "submission", "587", "encrypt"},
        {"587", "-o smtpd_tls_security_level=may", "", "submission", "587", "may"},
        {"587", "", "smtpd_enforce_tls = yes\n", "submission", "587", "encrypt"},
        {"smtps", "-o smtpd_tls_wrappermode=yes", "", "submissions", "465", "implicit"},
        {"submissions", "-o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=may", "",
         "submissions", "465", "implicit"},
        {"465", "", "smtpd_tls_wrappermode = yes\n", "submissions", "465", "implicit"},
        {"465", "-o smtpd_tls_security_level=may", "", "submission", "465", "may"},
        {"2525", "", "", "mx", "2525", "none"},
        {"2525", "-o smtpd_sasl_auth_enable=yes", "", "submission", "2525", "none"},
        {"192.0.2.9:smtp", "-o smtpd_tls_security_level=secure", "", "mx", "25", "encrypt"},
        {"[2001:db8::9]:25", "", "", "mx", "25", "none"},
    };
    char main_cf[512], master_cf[512], wanted[512];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        snprintf(main_cf, sizeof(main_cf), HEAD "smtpd_tls_cert_file = /c.pem\n%s", rows[i].main);
        snprintf(master_cf, sizeof(master_cf), "%s inet n - - - - smtpd %s\n", rows[i].service,
                 rows[i].options);
        struct import_result *r = import(main_cf, master_cf);
        snprintf(wanted, sizeof(wanted), "\nlistener %s {\n", rows[i].kind);
        const char *at = strstr(r->text, wanted), *end = at != NULL ? strstr(at, "\n}") : NULL;
        assert_non_null(end);
        char *block = strndup(at, (size_t)(end + 1 - at));
        snprintf(wanted, sizeof(wanted), "    tcp_port = %s;\n", rows[i].port);
        const char *port = strstr(block, wanted);
        snprintf(wanted, sizeof(wanted), "    tls = %s;\n", rows[i].tls);
        if (port == NULL || strstr(block, wanted) == NULL)
            fail_msg("%s %s becomes %s", rows[i].service, rows[i].options, block);
        free(block);
        import_free(r);
    }
    /* None of these is a listener here; each is told. */
    static const char *const others[] = {"127.0.0.1:10025 inet n - - - - smtpd",
                                         "[::1]:2525 inet n - - - - smtpd",
                                         "628 inet n - - - - qmqpd", "x inet n - - - - smtpd"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(others); i++) {
        struct import_result *r = import(HEAD, others[i]);
        assert_non_null(strstr(r->text, "# master.cf:1: service "));
        assert_non_null(strstr(r->text, "a gateway has at least one"));
        import_free(r);
    }
}

static void test_refused(void **state)
{
    struct disk d = {NULL, NULL};
    struct import_input in = {
        .read = read_disk, .user = &d, .dir = "/p", .main = "/p/main.cf", .output = "/o/s.conf"};
    const char *why = NULL;

    (void)state;
    assert_null(import_postfix(&in, &why));
    assert_non_null(why);
    assert_null(import_dms(&in, &why));
    import_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),     cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_services),       cmocka_unit_test(test_lists),
        cmocka_unit_test(test_maps),           cmocka_unit_test(test_becomes),
        cmocka_unit_test(test_listens),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_networks),       cmocka_unit_test(test_levels),
        cmocka_unit_test(test_hidden),         cmocka_unit_test(test_closed),
        cmocka_unit_test(test_expansion_ends), cmocka_unit_test(test_recipients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
