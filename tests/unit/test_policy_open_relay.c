/*
 * Open relay forms: those of nmap's smtp-open-relay (16, each a sender and a recipient) and more,
 * as a client sees the server: none of them is accepted from a stranger, with maps and without, and
 * none from who only says that a proxy has seen another address.
 */
#include "unit.h"

#include "policy.h"

#include <stdio.h>
#include <stdlib.h>

#define IP     "[192.0.2.1]" /* the gateway's */
#define SERVER "example.com" /* a relay domain, and the name of the gateway */
#define OUT    "foreign.test"

struct form {
    const char *from, *to;
};

static const struct form forms[] = {
    /* nmap */
    {"<>", "<u@" OUT ">"},
    {"<a@" OUT ">", "<u@" OUT ">"},
    {"<a@" SERVER ">", "<u@" OUT ">"},
    {"<a@" IP ">", "<u@" OUT ">"},
    {"<a@" IP ">", "<u%" OUT "@" IP ">"},
    {"<a@" IP ">", "<u%" OUT "@" SERVER ">"},
    {"<a@" IP ">", "<\"u@" OUT "\">"},
    {"<a@" IP ">", "<\"u%" OUT "\">"},
    {"<a@" IP ">", "<u@" OUT "@" IP ">"},
    {"<a@" IP ">", "<\"u@" OUT "\"@" IP ">"},
    {"<a@" IP ">", "<u@" OUT "@" SERVER ">"},
    {"<a@" IP ">", "<@" IP ":u@" OUT ">"},
    {"<a@" IP ">", "<@" SERVER ":u@" OUT ">"},
    {"<a@" IP ">", "<" OUT "!u>"},
    {"<a@" IP ">", "<" OUT "!u@" IP ">"},
    {"<a@" IP ">", "<" OUT "!u@" SERVER ">"},
    /* and others */
    {"<a@" SERVER ">", "<u@FOREIGN.TEST>"},
    {"<a@" SERVER ">", "<u@" OUT ".>"},
    {"<a@" SERVER ">", "<u@" SERVER ".>"},
    {"<a@" SERVER ">", "<u@localhost>"},
    {"<a@localhost>", "<u%" OUT "@localhost>"},
    {"<a@" SERVER ">", "<u@[IPv6:2001:db8::1]>"},
    {"<a@" SERVER ">", "<u@[IPv6:::ffff:192.0.2.1]>"},
    {"<a@" SERVER ">", "<u@[127.0.0.1]>"},
    {"<a@" SERVER ">", "<u@sub." SERVER ">"},
    {"<a@" SERVER ">", "<u@x" SERVER ">"},
    {"<a@" SERVER ">", "<u@" SERVER "." OUT ">"},
    {"<a@" SERVER ">", "<u@>"},
    {"<a@" SERVER ">", "<u>"},
    {"<a@" SERVER ">", "<" OUT ":u@" SERVER ">"},
    {"<a@" SERVER ">", "<\"" OUT "!u\"@" SERVER ">"},
    {"<a@" SERVER ">", "<\"u\\@" OUT "\"@" SERVER ">"},
    {"<a@" SERVER ">", "<u%" OUT "%x@" SERVER ">"},
    {"<a@" SERVER ">", "<@" SERVER ",@" IP ":u@" OUT ">"},
};

static struct base_span domains[] = {{(const uint8_t *)SERVER, sizeof(SERVER) - 1}};
static struct net_prefix network;
static struct policy_settings settings;
static struct stats_block stats;

/* Whether the recipient got through; a form that is no address does not. */
static bool accepted(const struct policy_view *view, const struct policy_client *client,
                     const struct form *form, uint16_t *code)
{
    struct smtp_address address;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];
    size_t used;

    *code = 501;
    if (smtp_path_parse(&address, &used, base_span_str(form->from), SMTP_PATH_REVERSE) != 0 ||
        used != strlen(form->from))
        return false;
    if (!policy_verdict_accepts(policy_mail(view, client, &address, &reply, text)))
        return false;
    if (smtp_path_parse(&address, &used, base_span_str(form->to), SMTP_PATH_FORWARD) != 0 ||
        used != strlen(form->to))
        return false;
    bool ok = policy_verdict_accepts(policy_rcpt(view, client, &address, &reply, text));
    *code = reply.code;
    if (!ok && strcmp(reply.enhanced, "5.7.1") != 0)
        fail_msg("%s: %s", form->to, reply.enhanced);
    return ok;
}

static void all_forms(const struct policy_view *view, const struct policy_client *client)
{
    for (size_t i = 0; i < BASE_ARRAY_CNT(forms); i++) {
        uint16_t code;
        if (accepted(view, client, &forms[i], &code))
            fail_msg("relayed: %s %s", forms[i].from, forms[i].to);
        assert_true(code == 501 || code == 554);
    }
    uint16_t code; /* the control: what is ours is taken */
    assert_true(accepted(view, client, &(struct form){"<>", "<u@" SERVER ">"}, &code));
}

static int setup(void **state)
{
    (void)state;
    if (net_prefix_parse(&network, base_span_str("10.0.0.0/8")) != 0)
        return -1;
    settings = (struct policy_settings){.relay_networks = &network,
                                        .relay_network_cnt = 1,
                                        .relay_domains = domains,
                                        .relay_domain_cnt = 1,
                                        .extension = '+'};
    return 0;
}

static void strangers(void **state)
{
    (void)state;
    struct net_addr stranger;
    const struct policy_view view = {.settings = &settings, .stats = &stats};

    assert_int_equal(net_addr_parse(&stranger, base_span_str("198.51.100.7")), 0);
    all_forms(&view, &(struct policy_client){.network = &stranger});
    all_forms(&view, &(struct policy_client){
                         .network = &stranger, .submission = true, .spoof = POLICY_SPOOF_LOGIN});
    /* Behind a PROXY header that gives no rights: no network at all. */
    all_forms(&view, &(struct policy_client){.network = NULL});
    /* A login on a listener for servers, which can not be, would open nothing. */
    all_forms(&view, &(struct policy_client){.network = &stranger, .login = base_span_str("u")});
}

/* Catch-alls and patterns say where mail goes, not who may relay. */
static void with_maps(void **state)
{
    (void)state;
    static const char aliases[] = "u@example.com v@example.com\n";
    static const char patterns[] = "/^(.*)@foreign\\.test$/ $1@example.com\n";
    struct policy_tables *t = policy_tables_make();
    struct policy_notes notes;
    struct base_span none = {0};
    struct net_addr stranger;

    struct policy_map *m =
        policy_map_read("a", POLICY_FORM_TEXT, POLICY_ROLE_ALIASES, base_span_str(aliases), none,
                        (const uint8_t[16]){1}, &notes);
    assert_non_null(m);
    assert_int_equal(policy_tables_add(t, POLICY_ROLE_ALIASES, m), 0);
    m = policy_map_read("p", POLICY_FORM_PATTERNS, POLICY_ROLE_ALIASES, base_span_str(patterns),
                        none, (const uint8_t[16]){1}, &notes);
    assert_non_null(m);
    assert_int_equal(policy_tables_add(t, POLICY_ROLE_ALIASES, m), 0);
    const struct policy_view view = {
        .settings = &settings, .stats = &stats, .tables = t, .work = policy_work_open()};
    assert_int_equal(net_addr_parse(&stranger, base_span_str("198.51.100.7")), 0);
    all_forms(&view, &(struct policy_client){.network = &stranger});
    policy_work_close(view.work);
    policy_tables_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strangers), cmocka_unit_test(with_maps)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
