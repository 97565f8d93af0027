/* sluicectl's table of commands: its rows, what is typed against them, and that the gateway knows
 * all that are sent to it. */
#include "unit.h"

#include "base_bytes.h"
#include "command.h"
#include "control_line.h"

#include <ctype.h>
#include <stdlib.h>

/* A row has all that help, checks, man page and completions need. */
static void test_rows(void **state)
{
    (void)state;
    const char *section = "";

    for (const struct command *c = command_table; c->name != NULL; c++) {
        const struct command_option *o;
        unsigned spaces = 0;
        for (const char *p = c->name; *p != 0; p++) {
            assert_true(islower(*p) || *p == '-' || *p == ' ');
            spaces += *p == ' ';
        }
        assert_true(spaces <= 1);
        base_assert(c->run != NULL && c->section != NULL && c->arguments != NULL);
        base_assert(c->help != NULL && c->help[0] != 0);
        if (c->help[strlen(c->help) - 1] == '.' || strlen(c->help) > 80)
            fail_msg("%s: the help is one line without a full stop", c->name);
        assert_true(c->min <= c->max && c->max < COMMAND_ARGUMENT_MAX);
        assert_true((c->max == 0) == (c->arguments[0] == 0));
        assert_true(c->min > 0 || c->max == 0 || c->arguments[0] == '[');
        assert_true((c->kind == COMMAND_WORD) == (c->words != NULL));
        if (strcmp(section, c->section) != 0)
            for (const struct command *before = command_table; before < c; before++)
                assert_string_not_equal(before->section, c->section);
        section = c->section;
        for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++) {
            assert_true(strncmp(o->name, "--", 2) == 0 && o->help[0] != 0);
            assert_true((o->kind == COMMAND_WORD) == (o->words != NULL));
            assert_true(o->kind == COMMAND_TEXT || o->value != NULL);
        }
        bool raw = strcmp(c->name, "queue cat") == 0 || strcmp(c->name, "capture") == 0;
        if (!c->changes && !c->json && !raw) /* bytes of mail, of packets */
            fail_msg("%s reads and has no --json", c->name);
        for (const struct command *other = command_table; other < c; other++)
            assert_string_not_equal(other->name, c->name);
    }
}

/* What is sent is what the gateway has, with the same rights. */
static void test_gateway_knows(void **state)
{
    (void)state;
    for (int v = 0; v < CONTROL_VERB_CNT; v++) {
        char text[64], *words[2] = {text, NULL};
        int used, cnt = 1;
        snprintf(text, sizeof(text), "%s", control_rows[v].text);
        words[1] = strchr(text, ' ');
        if (words[1] != NULL) {
            *words[1]++ = 0;
            cnt = 2;
        }
        const struct command *c = command_find(cnt, words, &used);
        if (c == NULL || used != cnt)
            fail_msg("sluicectl has no row for %s", control_rows[v].text);
        else if ((c->right == COMMAND_GROUP) != (control_rows[v].right == CONTROL_LOOK))
            fail_msg("%s: who may is told wrongly", c->name);
    }
    for (const struct command *c = command_table; c->name != NULL; c++) {
        bool known = c->run != command_send;
        for (int v = 0; v < CONTROL_VERB_CNT && !known; v++)
            known = strcmp(control_rows[v].text, c->name) == 0;
        if (!known)
            fail_msg("the gateway does not know %s", c->name);
    }
}

struct typed {
    const char *line; /* words between spaces */
    int status;
    const char *says; /* part of what is said on standard error; "": nothing */
};

static int type(const char *line, struct command_call *call, char **says)
{
    static char copy[256];
    char *words[COMMAND_ARGUMENT_MAX + 4];
    size_t len;
    int cnt = 0, used, status = COMMAND_WRONG_USE;
    FILE *err = open_memstream(says, &len);

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(cnt < (int)BASE_ARRAY_CNT(words));
        words[cnt++] = word;
    }
    *call = (struct command_call){.command = command_find(cnt, words, &used)};
    if (call->command == NULL)
        command_unknown(cnt, words, err);
    else
        status = command_parse(call, cnt - used, words + used, err);
    fclose(err);
    return status;
}

static void test_typed(void **state)
{
    (void)state;
    static const struct typed rows[] = {
        {"reload", 0, ""},
        {"queue list", 0, ""},
        {"queue list --json", 0, ""},
        {"queue list --sender <>", 0, ""},
        {"queue list --sender=<> --older=3", 0, ""},
        {"queue list --reason --all", 0, ""}, /* a value, whatever it begins with */
        {"queue list 19d0 --state held", 0, ""},
        {"queue list --state help", 2, "is one of 'deferred failed held'"},
        {"queue list --state hel", 2, "not 'hel'"},
        {"queue list --staet held", 2, "Did you mean --state?"},
        {"queue list --jsno", 2, "Did you mean --json?"},
        {"queue list --frobnicate", 2, "has no option --frobnicate"},
        {"queue list a b", 2, "nothing more: 'b'"},
        {"queue show", 2, "needs ID"},
        {"queue show -- -a", 0, ""},
        {"queue hold", 2, "which ones?"},
        {"queue hold --all", 0, ""},
        {"queue hold 19d0", 0, ""},
        {"queue hold --all=yes", 2, "takes no value"},
        {"queue", 2, "not a whole command"},
        {"queue frobnicate", 2, "no command 'queue frobnicate'"},
        {"queue lsit", 2, "'sluicectl queue list'"},
        {"qeue list", 2, "'sluicectl queue list'"},
        {"list", 2, "'sluicectl queue list'"},
        {"statsu", 2, "'sluicectl status'"},
        {"relod", 2, "'sluicectl reload'"},
        {"frobnicate", 2, "lists all commands"},
        {"suspend a --for", 2, "--for needs a value: --for TIME"},
        {"suspend a --for 5m --reason x", 0, ""},
        {"suspend", 2, "needs NAME"},
        {"log level", 0, ""},
        {"log level debug", 0, ""},
        {"log level loud", 2, "is one of 'error warn info debug', not 'loud'"},
        {"sources", 0, ""},
        {"sources release all", 0, ""},
        {"sources relaese all", 2, "takes no argument: 'relaese'"},
        {"drain --no-wait", 0, ""},
        {"spool export a", 2, "needs DIR OUT"},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct command_call call;
        char *says;
        int status = type(rows[i].line, &call, &says);
        if (status != rows[i].status ||
            (rows[i].says[0] == 0 ? says[0] != 0 : strstr(says, rows[i].says) == NULL))
            fail_msg("%s: %d, %s", rows[i].line, status, says);
        free(says);
    }
}

static void test_call(void **state)
{
    (void)state;
    struct command_call call;
    char *says;

    assert_int_equal(type("queue list 19d0 --older 3 --json --older=4", &call, &says), 0);
    free(says);
    assert_string_equal(call.command->name, "queue list");
    assert_int_equal(call.argument_cnt, 1);
    assert_string_equal(call.argument[0], "19d0");
    assert_true(call.json);
    assert_string_equal(command_option_value(&call, "--older"), "4");
    assert_string_equal(command_option_value(&call, "--json"), "");
    assert_null(command_option_value(&call, "--sender"));
    assert_int_equal(
        type("queue list a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a", &call,
             &says),
        COMMAND_WRONG_USE);
    free(says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_gateway_knows),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
