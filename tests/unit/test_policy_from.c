/* From fields: what each reader of mail takes for the same, and what is refused because they do
 * not. Header sections go in whole and cut at every byte, with the same outcome. */
#include "unit.h"

#include "policy.h"

#include <errno.h>
#include <stdio.h>

struct row {
    const char *header;
    const char *addresses; /* with blanks between; or "none", "many", "invalid" */
};

#define B "\r\n"

static const struct row rows[] = {
    {"From: a@b.example" B B, "a@b.example"},
    {"Subject: x" B "From: a@b.example" B B, "a@b.example"},
    {"FROM:a@b.example" B B, "a@b.example"},
    {"From : a@b.example" B B, "a@b.example"},
    {"From\t:a@b.example" B B, "a@b.example"},
    {"From: <a@b.example>" B B, "a@b.example"},
    {"From: A B <a@b.example>" B B, "a@b.example"},
    {"From: \"A, B\" <a@b.example>" B B, "a@b.example"},
    {"From: \"x@y\" <a@b.example>" B B, "a@b.example"},
    {"From: \"a \\\" b\" <a@b.example>" B B, "a@b.example"},
    {"From: John Q. Public <a@b.example>" B B, "a@b.example"},
    {"From: =?utf-8?q?=C3=BC_boss=40corp?= <a@b.example>" B B, "a@b.example"},
    {"From: \xc3\xbc <\xc3\xbc@b.example>" B B, "\xc3\xbc@b.example"},
    {"From: A" B " <a@b.example>" B B, "a@b.example"},
    {"From:" B " a@b.example" B B, "a@b.example"},
    {"From: a@b.example (comment (in it) \\) )" B B, "a@b.example"},
    {"From: (x) a (y) @ (z) b.example" B B, "a|b.example"},
    {"From: < a@b.example >" B B, "a@b.example"},
    {"From: a@b.example, c@d.example" B B, "a@b.example c@d.example"},
    {"From: A <a@b.example>," B "\tC <c@d.example>" B B, "a@b.example c@d.example"},
    {"From: a@b.example,, c@d.example," B B, "a@b.example c@d.example"},
    {"From: \"a b\"@c.example" B B, "\"a b\"@c.example"},
    {"From: a@[192.0.2.1]" B B, "a@[192.0.2.1]"},
    {"From: a@[IPv6:2001:db8::1]" B B, "a@[IPv6:2001:db8::1]"},
    {"From: G: a@b.example, C <c@d.example>;" B B, "a@b.example c@d.example"},
    {"From: G: a@b.example;, e@f.example" B B, "a@b.example e@f.example"},
    {"From: a@b.example" B, "a@b.example"},
    {"From: a@b.example" B B "From: x@y" B, "a@b.example"}, /* in the body */
    {"Resent-From: x@y" B "From: a@b.example" B "X-From: x@y" B "Fro: x@y" B "Froma: x@y" B B,
     "a@b.example"},
    /* none */
    {"Subject: x" B B, "none"},
    {B, "none"},
    {"From:" B B, "none"},
    {"From: " B B, "none"},
    {"From: (only a comment)" B B, "none"},
    {"From: undisclosed:;" B B, "none"},
    {"From: ," B B, "none"},
    /* many */
    {"From: a@b.example" B "From: a@b.example" B B, "many"},
    {"From: a@b.example" B "from : c@d.example" B B, "many"},
    {"From:" B "Subject: x" B "FROM: c@d.example" B B, "many"},
    /* invalid */
    {"From: x@y.example <a@b.example>" B B, "invalid"},
    {"From: <x@y.example> <a@b.example>" B B, "invalid"},
    {"From: a@b.example c@d.example" B B, "invalid"},
    {"From: A <a@b.example> B" B B, "invalid"},
    {"From: <@r.example:a@b.example>" B B, "invalid"},
    {"From: A <a@b.example" B B, "invalid"},
    {"From: A a@b.example>" B B, "invalid"},
    {"From: A" B B, "invalid"},
    {"From: \"A <a@b.example>" B B, "invalid"},
    {"From: (A <a@b.example>" B B, "invalid"},
    {"From: a@b@c.example" B B, "invalid"},
    {"From: a@b.example." B B, "invalid"},
    {"From: a@[192.0.2.1@c.example]" B B, "invalid"},
    {"From: a@[192.0.2.1 ]" B B, "invalid"},
    {"From: a@[]" B B, "invalid"},
    {"From: a..b@c.example" B B, "invalid"},
    {"From: .a@c.example" B B, "invalid"},
    {"From: <>" B B, "invalid"},
    {"From: G: a@b.example" B B, "invalid"},
    {"From: G: H: a@b.example;;" B B, "invalid"},
    {"From: : a@b.example;" B B, "invalid"},
    {"From: a@b.example;" B B, "invalid"},
    {"From: a@b.example; c@d.example" B B, "invalid"},
    {"From: G: a@b.example; c@d.example" B B, "invalid"},
    {"From: a@" B B, "invalid"},
    {"From: @b.example" B B, "invalid"},
    {"From: ((((((((((((((((((x)))))))))))))))))) a@b.example" B B, "invalid"},
    {"no field" B "From: a@b.example" B B, "invalid"},
    {"From a@b.example Mon Jan 1 00:00:00 2024" B "From: a@b.example" B B, "invalid"},
    {" begins as if it went on" B "From: a@b.example" B B, "invalid"},
    {": x" B "From: a@b.example" B B, "invalid"},
    {"F\x01rom: x@y" B "From: a@b.example" B B, "invalid"},
    {"From: a@b.example" B "no field at the end", "invalid"},
};

static void parse(const struct row *row, size_t cut, char out[1024])
{
    static struct policy_from f;
    struct smtp_address a;
    bool in_group = false;
    size_t len = strlen(row->header), n = 0;
    int got;

    policy_from_init(&f);
    policy_from_push(&f, base_span_of(row->header, cut));
    policy_from_push(&f, base_span_of(row->header + cut, len - cut));
    switch (policy_from_end(&f)) {
    case POLICY_FROM_NONE:
        strcpy(out, "none");
        return;
    case POLICY_FROM_MANY:
        strcpy(out, "many");
        return;
    case POLICY_FROM_INVALID:
        strcpy(out, "invalid");
        return;
    case POLICY_FROM_OK:
        break;
    }
    struct base_span list = base_span_of(f.value, f.len);
    out[0] = 0;
    while ((got = policy_from_next(&list, &in_group, &a)) == 1) {
        bool joined = a.mailbox.len == a.local.len + 1 + a.domain.len;
        n += (size_t)snprintf(out + n, 1024 - n, "%s%.*s%s%.*s", n > 0 ? " " : "", (int)a.local.len,
                              (const char *)a.local.p, joined ? "@" : "|", (int)a.domain.len,
                              (const char *)a.domain.p);
    }
    if (got < 0)
        strcpy(out, "invalid");
    else if (n == 0)
        strcpy(out, "none");
}

static void fields(void **state)
{
    (void)state;
    char got[1024];

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (size_t cut = 0; cut <= strlen(rows[i].header); cut++) {
            parse(&rows[i], cut, got);
            if (strcmp(got, rows[i].addresses) != 0)
                fail_msg("%s cut at %zu: %s, not %s", rows[i].header, cut, got, rows[i].addresses);
        }
}

static void too_long(void **state)
{
    (void)state;
    static struct policy_from f;
    static char text[POLICY_FROM_CAP + 1];

    memset(text, 'a', sizeof(text));
    policy_from_init(&f);
    policy_from_push(&f, base_span_str("From:"));
    policy_from_push(&f, base_span_of(text, POLICY_FROM_CAP));
    assert_int_equal(policy_from_end(&f), POLICY_FROM_OK);
    policy_from_push(&f, base_span_of(text, 1));
    assert_int_equal(policy_from_end(&f), POLICY_FROM_INVALID);
}

/* What policy makes of it. */
static void verdicts(void **state)
{
    (void)state;
    static struct policy_from f;
    static struct stats_block stats;
    static const struct {
        const char *header;
        enum policy_verdict verdict;
        const char *text;
    } cases[] = {
        {"From: A <alice@example.org>" B B, POLICY_FROM_ACCEPTED, "Ok"},
        {"From: ALICE@Example.ORG" B B, POLICY_FROM_ACCEPTED, "Ok"},
        {"From: alice+x@example.org, \"alice\"@example.org" B B, POLICY_FROM_ACCEPTED, "Ok"},
        {"From: alice@example.org, bob@example.org" B B, POLICY_FROM_NOT_OWNED,
         "<bob@example.org>: From header rejected: not owned by user alice@example.org"},
        {"From: G: bob@example.org;" B B, POLICY_FROM_NOT_OWNED,
         "<bob@example.org>: From header rejected: not owned by user alice@example.org"},
        {"Subject: x" B B, POLICY_FROM_MISSING, "From header rejected: it names no address"},
        {"From: G:;" B B, POLICY_FROM_MISSING, "From header rejected: it names no address"},
        {"From: alice@example.org" B "From: alice@example.org" B B, POLICY_FROM_SEVERAL,
         "From header rejected: there are several"},
        {"From: bob@example.org <alice@example.org>" B B, POLICY_FROM_MALFORMED,
         "From header rejected: its form is ambiguous"},
    };
    struct policy_settings settings = {.extension = '+'};
    struct policy_view view = {.settings = &settings, .stats = &stats, .work = policy_work_open()};
    struct policy_client client = {.login = base_span_str("alice@example.org"),
                                   .submission = true,
                                   .spoof = POLICY_SPOOF_STRICT};
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    assert_true(policy_from_wanted(&view, &client));
    for (size_t i = 0; i < BASE_ARRAY_CNT(cases); i++) {
        policy_from_init(&f);
        policy_from_push(&f, base_span_str(cases[i].header));
        enum policy_verdict v = policy_from_judge(&view, &client, &f, &reply, text);
        assert_int_equal(v, cases[i].verdict);
        assert_string_equal(reply.text, cases[i].text);
        if (v != POLICY_FROM_ACCEPTED)
            assert_int_equal(reply.code, 550);
    }
    client.spoof = POLICY_SPOOF_LOGIN;
    assert_false(policy_from_wanted(&view, &client));
    client.spoof = POLICY_SPOOF_STRICT;
    client.login = base_span_of(NULL, 0);
    assert_false(policy_from_wanted(&view, &client));
    policy_work_close(view.work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields), cmocka_unit_test(too_long),
                                       cmocka_unit_test(verdicts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
