#include "unit.h"

#include "base_assert.h"
#include "mail_tls_required.h"

static const struct {
    const char *in;
    bool no;
} rows[] = {
    {"TLS-Required: No\r\n\r\n", true},
    {"tls-required:no\r\n\r\n", true},
    {"Subject: x\r\nTLS-REQUIRED:   NO  \t\r\nTo: y\r\n\r\n", true},
    {"To: x\r\n y\r\nTLS-Required:\r\n No\r\n\r\n", true},
    {"TLS-Required: no\r\n \r\n\r\n", true},
    {"TLS-Required \t: no\r\n\r\n", true},
    {"TLS-Required: no\r\n", true}, /* no empty line */
    {"TLS-Required: no", true},
    {"tls-required: nO\n\n", true},
    /* Other values, and more than one. */
    {"TLS-Required: yes\r\n\r\n", false},
    {"TLS-Required:\r\n\r\n", false},
    {"TLS-Required: n\r\n\r\n", false},
    {"TLS-Required: n", false},
    {"TLS-Required: noo\r\n\r\n", false},
    {"TLS-Required: n o\r\n\r\n", false},
    {"TLS-Required: n\r\n o\r\n\r\n", false},
    {"TLS-Required: no no\r\n\r\n", false},
    {"TLS-Required: no;x\r\n\r\n", false},
    {"TLS-Required: \"no\"\r\n\r\n", false},
    {"TLS-Required: no\r\nTLS-Required: no\r\n\r\n", false},
    {"TLS-Required: no\r\nx: y\r\nTLS-Required: yes\r\n\r\n", false},
    {"TLS-Required: yes\r\nTLS-Required: no\r\n\r\n", false},
    /* What only looks so. */
    {"", false},
    {"\r\nTLS-Required: no\r\n", false},
    {"X-TLS-Required: no\r\n\r\n", false},
    {"TLS-Require: no\r\n\r\n", false},
    {"TLS-Requiredx: no\r\n\r\n", false},
    {"TLS-Required x: no\r\n\r\n", false},
    {"TLS-Required\r\n: no\r\n\r\n", false},
    {"Subject: x\r\n TLS-Required: no\r\n\r\n", false},
    {" TLS-Required: no\r\n\r\n", false},
    {"tTLS-Required: no\r\n\r\n", false},
    {"TL\r\nTLS-Required: no\r\n\r\n", true},
};

/* Each row, in pieces of every size. */
static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t len = strlen(rows[i].in);
        for (size_t cut = 1; cut <= len + 1; cut++) {
            struct mail_tls_required t;
            mail_tls_required_init(&t);
            for (size_t at = 0; at < len; at += cut)
                mail_tls_required_push(&t, base_span_of((const uint8_t *)rows[i].in + at,
                                                        cut < len - at ? cut : len - at));
            if (mail_tls_required_no(&t) != rows[i].no)
                fail_msg("row %zu in pieces of %zu: %s", i, cut, rows[i].in);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
