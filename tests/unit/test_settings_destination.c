/* The table of what next hops must prove: which block is a domain's. */
#include "unit.h"

#include "settings.h"

#include <stdlib.h>

static const char text[] =
    "gateway { hostname = gw.example; run_dir = /run/x; }\n"
    "port p { device = \"net_x\"; address = { 10.0.0.1/24 }; }\n"
    "listener mx { port = p; tcp_port = 25; }\n"
    "spool { path = /spool; size = 256M; segment_size = 1M; }\n"
    "route default { host = 10.0.0.2:25; }\n"
    "delivery { tls = encrypt; defer_on_tls_error = no; }\n"
    "destination example.org { tls = secure; names = { a.example, b.example }; }\n"
    "destination .example.org { tls = may; }\n"
    "destination .sub.example.org { tls = none; defer_on_tls_error = no; }\n"
    "destination xn--mller-kva.example { tls = dane-only; }\n"
    "destination f.example { tls = fingerprint; fingerprints = { "
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff, "
    "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff }; }\n";

static void each_domain(void **state)
{
    static const struct {
        const char *domain;
        enum dane_level level;
        bool lenient;
    } rows[] = {
        {"example.org", DANE_LEVEL_SECURE, false},
        {"EXAMPLE.Org", DANE_LEVEL_SECURE, false},
        {"a.example.org", DANE_LEVEL_MAY, false},
        {"a.b.example.org", DANE_LEVEL_MAY, false},
        {"sub.example.org", DANE_LEVEL_MAY, false},
        {"a.sub.example.org", DANE_LEVEL_NONE, true},
        {"xsub.example.org", DANE_LEVEL_MAY, false},
        {"notexample.org", DANE_LEVEL_ENCRYPT, true},
        {"org", DANE_LEVEL_ENCRYPT, true},
        {"m\xc3\xbcller.example", DANE_LEVEL_DANE_ONLY, false},
        {"[192.0.2.1]", DANE_LEVEL_ENCRYPT, true},
        {"", DANE_LEVEL_ENCRYPT, true},
        {"f.example", DANE_LEVEL_FINGERPRINT, false},
    };
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    struct conf *conf = conf_parse("t", base_span_str(text), NULL, NULL, errors);

    (void)state;
    if (conf == NULL)
        fail_msg("%s %s", errors->error[0].key, errors->error[0].why);
    conf_errors_free(errors);
    free(errors);
    struct settings *s = settings_make(conf);
    assert_non_null(s);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        const struct settings_destination *d =
            settings_destination_find(s, base_span_str(rows[i].domain));
        if (d->level != rows[i].level || d->lenient != rows[i].lenient)
            fail_msg("%s: level %d", rows[i].domain, d->level);
    }
    const struct settings_destination *d =
        settings_destination_find(s, base_span_str("example.org"));
    assert_int_equal(d->name_cnt, 2);
    assert_string_equal(d->names[1], "b.example");
    d = settings_destination_find(s, base_span_str("f.example"));
    assert_int_equal(d->fingerprint_cnt, 2);
    assert_int_equal(d->fingerprints[1].len, 32);
    assert_int_equal(d->fingerprints[0].p[1], 0x11);
    assert_int_equal(d->fingerprints[1].p[0], 0xff);
    settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_domain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
