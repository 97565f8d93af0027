/* Lines of the control socket, and how sluicectl prints what is answered to them. */
#include "unit.h"

#include "answer.h"
#include "base_bytes.h"
#include "control_line.h"

#include <errno.h>
#include <stdlib.h>

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int rc;
        enum control_verb verb;
    } rows[] = {
        {"status", 0, CONTROL_STATUS},
        {"status x", -EDOM, CONTROL_STATUS},
        {"status --json", 0, CONTROL_STATUS},
        {"statusx", -ENOENT, CONTROL_VERB_CNT},
        {"", -ENOENT, CONTROL_VERB_CNT},
        {"queue", -ENOENT, CONTROL_VERB_CNT},
        {"queue list", 0, CONTROL_QUEUE_LIST},
        {"queue list ", 0, CONTROL_QUEUE_LIST},
        {"queue lists", -ENOENT, CONTROL_VERB_CNT},
        {"queue list --json --code 4xx", 0, CONTROL_QUEUE_LIST},
        {"queue list --code", -EINVAL, CONTROL_QUEUE_LIST},
        {"queue list --limit 50 --after 01234567890123456789012345", 0, CONTROL_QUEUE_LIST},
        {"queue stat --limit 50", -EINVAL, CONTROL_QUEUE_STAT},
        {"queue delete --all --after 01234567890123456789012345", -EINVAL, CONTROL_QUEUE_DELETE},
        {"queue delete --limit 50", -EINVAL, CONTROL_QUEUE_DELETE},
        {"refusals", 0, CONTROL_REFUSALS},
        {"refusals --json", 0, CONTROL_REFUSALS},
        {"refusals x", -EDOM, CONTROL_REFUSALS},
        {"queue stat --json", 0, CONTROL_QUEUE_STAT},
        {"queue show", -EDOM, CONTROL_QUEUE_SHOW},
        {"queue cat --all", -EDOM, CONTROL_QUEUE_CAT},
        {"queue cat 01234567890123456789012345", 0, CONTROL_QUEUE_CAT},
        {"queue flush", 0, CONTROL_QUEUE_FLUSH},
        {"queue hold", -EDOM, CONTROL_QUEUE_HOLD},
        {"queue hold --json", -EDOM, CONTROL_QUEUE_HOLD},
        {"queue release --all", 0, CONTROL_QUEUE_RELEASE},
        {"queue requeue --reason 'a b'", 0, CONTROL_QUEUE_REQUEUE},
        {"queue requeue", -EDOM, CONTROL_QUEUE_REQUEUE},
        {"queue delete --state held", 0, CONTROL_QUEUE_DELETE},
        {"queue delete --state", -EINVAL, CONTROL_QUEUE_DELETE},
        {"queue delete --all\r", -EILSEQ, CONTROL_VERB_CNT},
        {"queue\tlist", -EILSEQ, CONTROL_VERB_CNT},
        {"sender check alice a@b", 0, CONTROL_SENDER_CHECK},
        {"sender check 'alice' \"'a b'@b\"", 0, CONTROL_SENDER_CHECK},
        {"sender check alice", -EDOM, CONTROL_SENDER_CHECK},
        {"sender check a b c", -EDOM, CONTROL_SENDER_CHECK},
        {"sender check 'a b", -EINVAL, CONTROL_SENDER_CHECK},
        {"recipient check a@b", 0, CONTROL_RECIPIENT_CHECK},
        {"explain a@b", 0, CONTROL_EXPLAIN},
        {"explain a@b --json", 0, CONTROL_EXPLAIN},
        {"probe b --json", 0, CONTROL_PROBE},
        {"providers", 0, CONTROL_PROVIDERS},
        {"providers --json", 0, CONTROL_PROVIDERS},
        {"providers x", -EDOM, CONTROL_PROVIDERS},
        {"queue destinations --json", 0, CONTROL_QUEUE_DESTINATIONS},
        {"queue destinations --state held", -EDOM, CONTROL_QUEUE_DESTINATIONS},
        {"suspend example.org", 0, CONTROL_SUSPEND},
        {"suspend example.org --for 2h --reason 'they move'", 0, CONTROL_SUSPEND},
        {"suspend --reason \"\" --for 30s \"mx to partner\"", 0, CONTROL_SUSPEND},
        {"suspend", -EDOM, CONTROL_SUSPEND},
        {"suspend --for 2h", -EDOM, CONTROL_SUSPEND},
        {"suspend a b", -EINVAL, CONTROL_SUSPEND},
        {"suspend \"\"", -EINVAL, CONTROL_SUSPEND},
        {"suspend --all", -EINVAL, CONTROL_SUSPEND},
        {"suspend a --for", -EINVAL, CONTROL_SUSPEND},
        {"suspend a --for 2", -EINVAL, CONTROL_SUSPEND},
        {"suspend a --for 0s", -EINVAL, CONTROL_SUSPEND},
        {"suspend a --reason", -EINVAL, CONTROL_SUSPEND},
        {"suspend a --reason 'x", -EINVAL, CONTROL_SUSPEND},
        {"resume example.org", 0, CONTROL_RESUME},
        {"resume", -EDOM, CONTROL_RESUME},
        {"explain --json", -EDOM, CONTROL_EXPLAIN},
        {"explain a@b c@d", -EDOM, CONTROL_EXPLAIN},
        {"explain", -EDOM, CONTROL_EXPLAIN},
        {"sources", 0, CONTROL_SOURCES},
        {"sources --json", 0, CONTROL_SOURCES},
        {"sources a", -EDOM, CONTROL_SOURCES},
        {"sources release a", 0, CONTROL_SOURCES_RELEASE},
        {"sources release a@b.example", 0, CONTROL_SOURCES_RELEASE},
        {"sources release", -EDOM, CONTROL_SOURCES_RELEASE},
        {"sources release a b", -EDOM, CONTROL_SOURCES_RELEASE},
        {"sts show", 0, CONTROL_STS_SHOW},
        {"sts show a.example --json", 0, CONTROL_STS_SHOW},
        {"sts show --json", 0, CONTROL_STS_SHOW},
        {"sts show a b", -EDOM, CONTROL_STS_SHOW},
        {"sts refresh a.example", 0, CONTROL_STS_REFRESH},
        {"sts refresh", 0, CONTROL_STS_REFRESH},
        {"sts", -ENOENT, CONTROL_VERB_CNT},
        {"recipient check a@b --json", 0, CONTROL_RECIPIENT_CHECK},
        {"recipient check", -EDOM, CONTROL_RECIPIENT_CHECK},
        {"config show", 0, CONTROL_CONFIG_SHOW},
        {"config show --json --changed", 0, CONTROL_CONFIG_SHOW},
        {"config show '--json'", -EDOM, CONTROL_CONFIG_SHOW},
        {"config show all", -EDOM, CONTROL_CONFIG_SHOW},
        {"connections", 0, CONTROL_CONNECTIONS},
        {"connections --json --state rcpt", 0, CONTROL_CONNECTIONS},
        {"connections 17", -EINVAL, CONTROL_CONNECTIONS},
        {"connections kick", -EDOM, CONTROL_CONNECTIONS_KICK},
        {"connections kick --json", -EDOM, CONTROL_CONNECTIONS_KICK},
        {"connections kick --all", 0, CONTROL_CONNECTIONS_KICK},
        {"connections kick 17.4", 0, CONTROL_CONNECTIONS_KICK},
        {"connections kick --in", 0, CONTROL_CONNECTIONS_KICK},
        {"connections kicks", -EINVAL, CONTROL_CONNECTIONS},
        {"log level", 0, CONTROL_LOG_LEVEL},
        {"log level debug", 0, CONTROL_LOG_LEVEL},
        {"log level --json", 0, CONTROL_LOG_LEVEL},
        {"log level debug info", -EDOM, CONTROL_LOG_LEVEL},
        {"log reopen", 0, CONTROL_LOG_REOPEN},
        {"log tail", 0, CONTROL_LOG_TAIL},
        {"reload", 0, CONTROL_RELOAD},
        {"drain", 0, CONTROL_DRAIN},
        {"drain now", -ENOENT, CONTROL_VERB_CNT},
        {"undrain", 0, CONTROL_UNDRAIN},
        {"stop", 0, CONTROL_STOP},
    };
    struct control_line l;
    struct base_span bad;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        int rc = control_line_parse(&l, base_span_str(rows[i].line), &bad);
        if (rc != rows[i].rc || l.verb != rows[i].verb)
            fail_msg("%s: %d", rows[i].line, rc);
    }
    assert_int_equal(control_line_parse(&l, base_span_of("stop\0", 5), &bad), -EILSEQ);
}

/* Who only looks does not change anything nor read mail. */
static void test_rights(void **state)
{
    (void)state;
    for (int v = 0; v < CONTROL_VERB_CNT; v++) {
        bool looks = v == CONTROL_STATUS || v == CONTROL_METRICS || v == CONTROL_QUEUE_LIST ||
                     v == CONTROL_QUEUE_SHOW || v == CONTROL_QUEUE_STAT ||
                     v == CONTROL_SENDER_CHECK || v == CONTROL_RECIPIENT_CHECK ||
                     v == CONTROL_EXPLAIN || v == CONTROL_CONFIG_SHOW || v == CONTROL_TLSRPT ||
                     v == CONTROL_TLSRPT_SHOW || v == CONTROL_TLSRPT_SENT || v == CONTROL_SOURCES ||
                     v == CONTROL_QUEUE_DESTINATIONS || v == CONTROL_STS_SHOW ||
                     v == CONTROL_CONNECTIONS || v == CONTROL_TOP || v == CONTROL_PROVIDERS ||
                     v == CONTROL_LOG_LEVEL || v == CONTROL_REFUSALS;
        assert_int_equal(control_rows[v].right, looks ? CONTROL_LOOK : CONTROL_CHANGE);
    }
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int status;
        const char *out;
        const char *err; /* a part of it */
    } rows[] = {
        {"ok\nend\n", 0, "", "empty"},
        {"ok\ndata 3\nabcend\n", 0, "abc", ""},
        {"ok\ndata 4\nend\ndata 2\nxyend\n", 0, "end\nxy", ""},
        {"error: no\nmore\n", 1, "", "error: no\nmore\n"},
        {"ok\ndata 2\nxyerror: gone\n", 1, "xy", "error: gone\n"},
        {"ok\ndata 2\nxy", 3, "xy", "broke off"},
        {"ok\ndata 5\nxy", 3, "xy", "broke off"},
        {"ok\ndata 5x\nabcde", 3, "", "broke off"},
        {"ok\ndata \nabcde", 3, "", "broke off"},
        {"ok\n", 3, "", "broke off"},
        {"", 3, "", "gave no answer"},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char *out, *err;
        size_t out_len, err_len;
        char copy[64];
        size_t len = strlen(rows[i].answer);
        memcpy(copy, rows[i].answer, len + 1);
        FILE *in = len > 0 ? fmemopen(copy, len, "r") : fopen("/dev/null", "r");
        FILE *o = open_memstream(&out, &out_len);
        FILE *e = open_memstream(&err, &err_len);
        int status = answer_print(in, o, e, "empty");
        fclose(in);
        fclose(o);
        fclose(e);
        if (status != rows[i].status || strcmp(out, rows[i].out) != 0 ||
            (rows[i].err[0] == 0 ? err_len != 0 : strstr(err, rows[i].err) == NULL))
            fail_msg("%s: %d, %s, %s", rows[i].answer, status, out, err);
        free(out);
        free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
