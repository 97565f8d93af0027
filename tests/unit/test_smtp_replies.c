/* Every refusal of the session's own, as it is told: a code, an enhanced code of its class (RFC
 * 2034, 3463; none for HELO and EHLO), and one text, which says no code again. */
#include "unit.h"

#include "smtp_internal.h"

#include <ctype.h>

static const struct {
    const char *name;
    struct smtp_reply reply;
} replies[] = {
#define ROW(id, code, enhanced, text, counter) {#id, {code, enhanced, text}},
    SMTP_REASONS(ROW)
#undef ROW
};

static void well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(replies); i++) {
        const struct smtp_reply *r = &replies[i].reply;
        bool hello = strstr(replies[i].name, "HELO_SYNTAX") != NULL ||
                     strstr(replies[i].name, "EHLO_SYNTAX") != NULL;
        if (r->code < 400 || r->code > 599 || (r->enhanced == NULL) != hello ||
            (r->enhanced != NULL && (r->enhanced[0] != '0' + r->code / 100 ||
                                     r->enhanced[1] != '.' || strlen(r->enhanced) < 5)))
            fail_msg("%s: %d %s", replies[i].name, r->code,
                     r->enhanced != NULL ? r->enhanced : "-");
        assert_false(isdigit((unsigned char)r->text[0]));
        for (const char *c = r->text; *c != 0; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed),
    };
    return cmocka_run_group_tests_name("smtp_replies", tests, NULL, NULL);
}
