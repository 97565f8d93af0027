#include "web_queue.h"
#include "base_json.h"
#include "gateway_ask.h"

#include "http_server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHANGE_MS 60000 /* then no other message is begun; the page waits for 120 s */

const char *const web_field_names[WEB_FIELD_CNT] = {
    [WEB_ID] = "id",         [WEB_SENDER] = "sender", [WEB_RECIPIENT] = "recipient",
    [WEB_DOMAIN] = "domain", [WEB_OLDER] = "older",   [WEB_MAIL_STATE] = "state",
    [WEB_CODE] = "code",     [WEB_REASON] = "reason", [WEB_AFTER] = "after",
    [WEB_VERB] = "verb",     [WEB_WHICH] = "which",   [WEB_SHOWN] = "shown",
};
/* Of the gateway's commands (queue_filter.h); "": the value stands alone. */
static const char *const options[WEB_CONDITION_CNT] = {
    [WEB_ID] = "",
    [WEB_SENDER] = "--sender",
    [WEB_RECIPIENT] = "--recipient",
    [WEB_DOMAIN] = "--domain",
    [WEB_OLDER] = "--older",
    [WEB_MAIL_STATE] = "--state",
    [WEB_CODE] = "--code",
    [WEB_REASON] = "--reason",
};
static const struct {
    const char *name, *command;
} verbs[] = {
    {"hold", "queue hold"},
    {"release", "queue release"},
    {"delete", "queue delete"},
    {"flush", "queue flush"},
};

static const char *command_of(const char *verb)
{
    for (size_t i = 0; verb != NULL && i < BASE_ARRAY_CNT(verbs); i++)
        if (strcmp(verb, verbs[i].name) == 0)
            return verbs[i].command;
    return NULL;
}

static void begin(struct gateway_line *line, const char *command)
{
    line->len = (size_t)snprintf(line->text, sizeof(line->text), "%s", command);
}

static bool given(const char *value)
{
    return value != NULL && value[0] != 0;
}

/* The conditions of a request. Returns what is wrong, or NULL. */
static const char *add_conditions(struct gateway_line *line, const struct web_request *r)
{
    const char *wrong = NULL;

    for (int f = 0; f < WEB_CONDITION_CNT && wrong == NULL; f++) {
        if (!given(r->field[f]))
            continue;
        if (options[f][0] != 0)
            wrong = gateway_line_word(line, options[f], false);
        if (wrong == NULL)
            wrong = gateway_line_word(line, r->field[f], true);
    }
    return wrong;
}

static bool has_condition(const struct web_request *r)
{
    for (int f = 0; f < WEB_CONDITION_CNT; f++)
        if (given(r->field[f]))
            return true;
    return false;
}

/* ---- lists ---- */

/* Lines of JSON as elements of an array, cnt at most. Returns whether there were more. */
static bool write_lines(FILE *out, const char *text, uint32_t cnt)
{
    uint32_t n = 0;

    fputc('[', out);
    for (const char *p = text; p != NULL && *p != 0;) {
        size_t len = strcspn(p, "\n");
        if (n == cnt) {
            fputc(']', out);
            return true;
        }
        fputs(n++ > 0 ? "," : "", out);
        fwrite(p, 1, len, out);
        p += len;
        p += *p == '\n';
    }
    fputc(']', out);
    return false;
}

static void write_error(FILE *out, const char *error)
{
    fputs("\"error\":", out);
    base_json_print(out, base_span_str(error));
}

static void refuse(FILE *out, const char *error)
{
    fputc('{', out);
    write_error(out, error);
    fputc('}', out);
}

void web_queue_page(FILE *out, const char *socket_path, const struct web_request *r)
{
    char error[GATEWAY_WHY_CAP], limit[16], *text = NULL;
    struct gateway_line line;

    begin(&line, "queue stat --json");
    const char *wrong = add_conditions(&line, r);
    if (wrong != NULL)
        return refuse(out, wrong);
    if (gateway_ask(socket_path, line.text, GATEWAY_LOOK_S, &text, error) != GATEWAY_WHOLE) {
        free(text);
        return refuse(out, error);
    }
    fprintf(out, "{\"stat\":%.*s,", (int)strcspn(text, "\n"), text);
    free(text);
    begin(&line, "queue list --json --limit");
    snprintf(limit, sizeof(limit), "%u", WEB_PAGE_MAX + 1);
    wrong = gateway_line_word(&line, limit, true);
    if (wrong == NULL && given(r->field[WEB_AFTER]))
        wrong = gateway_line_word(&line, "--after", false);
    if (wrong == NULL && given(r->field[WEB_AFTER]))
        wrong = gateway_line_word(&line, r->field[WEB_AFTER], true);
    if (wrong == NULL)
        wrong = add_conditions(&line, r);
    text = NULL;
    if (wrong != NULL ||
        gateway_ask(socket_path, line.text, GATEWAY_LOOK_S, &text, error) != GATEWAY_WHOLE) {
        write_error(out, wrong != NULL ? wrong : error);
    } else {
        fputs("\"messages\":", out);
        bool more = write_lines(out, text, WEB_PAGE_MAX);
        fprintf(out, ",\"more\":%s", more ? "true" : "false");
    }
    fputc('}', out);
    free(text);
}

void web_queue_message(FILE *out, const char *socket_path, const struct web_request *r)
{
    char error[GATEWAY_WHY_CAP], *text = NULL;
    struct gateway_line line;

    begin(&line, "queue show --json");
    const char *wrong =
        given(r->field[WEB_ID]) ? gateway_line_word(&line, r->field[WEB_ID], true) : "which one?";
    if (wrong != NULL)
        return refuse(out, wrong);
    if (gateway_ask(socket_path, line.text, GATEWAY_LOOK_S, &text, error) != GATEWAY_WHOLE)
        refuse(out, error);
    else
        fprintf(out, "{\"message\":%.*s}", (int)strcspn(text, "\n"), text);
    free(text);
}

/* ---- changes ---- */

static bool is_count(const char *text)
{
    return given(text) && strlen(text) <= 18 && strspn(text, "0123456789") == strlen(text);
}

const char *web_queue_wrong(const struct web_request *r)
{
    const char *which = r->field[WEB_WHICH];

    if (r->unclear) /* it may have been a condition: without it there are more messages */
        return "a field that this server does not know, or one that is there twice";
    if (command_of(r->field[WEB_VERB]) == NULL)
        return "verb is one of hold, release, delete and flush";
    if (which == NULL)
        return "which is one of ids, matching and all";
    if (strcmp(which, "ids") == 0)
        return r->id_cnt > 0 ? NULL : "no id was given";
    bool matching = strcmp(which, "matching") == 0;
    if (!matching && strcmp(which, "all") != 0)
        return "which is one of ids, matching and all";
    if (r->id_cnt > 0)
        return "ids go with which=ids alone";
    if (matching != has_condition(r))
        return matching ? "no condition was given" : "all has no conditions";
    return is_count(r->field[WEB_SHOWN]) ? NULL : "shown is how many messages that is";
}

struct change {
    const char *socket_path;
    uint64_t done, busy, missing;
    char error[GATEWAY_WHY_CAP]; /* empty: none */
};

/* One command. Returns whether the next may follow. */
static bool change_by(struct change *c, const struct gateway_line *line, bool one)
{
    static const char busy_words[] = "at this moment: ";
    char *text = NULL;
    uint64_t done = 0, busy = 0;
    enum gateway_answer answer =
        gateway_ask(c->socket_path, line->text, GATEWAY_CHANGE_S, &text, c->error);

    if (text != NULL) {
        const char *at = strstr(text, busy_words);
        (void)sscanf(text, "%*s %" SCNu64, &done);
        busy = at != NULL ? strtoull(at + sizeof(busy_words) - 1, NULL, 10) : 0;
    }
    free(text);
    c->done += done;
    c->busy += busy;
    if (answer != GATEWAY_WHOLE)
        return false;
    c->error[0] = 0;
    c->missing += one && done == 0 && busy == 0;
    return true;
}

/* How many match now. Returns false with c->error. */
static bool count_matching(struct change *c, const struct web_request *r, uint64_t *cnt)
{
    static const char key[] = "\"matched\":";
    char *text = NULL;
    struct gateway_line line;

    begin(&line, "queue stat --json");
    const char *wrong = add_conditions(&line, r);
    if (wrong != NULL)
        snprintf(c->error, sizeof(c->error), "%s", wrong);
    bool done = wrong == NULL && gateway_ask(c->socket_path, line.text, GATEWAY_LOOK_S, &text,
                                             c->error) == GATEWAY_WHOLE;
    const char *at = done ? strstr(text, key) : NULL;
    *cnt = at != NULL ? strtoull(at + sizeof(key) - 1, NULL, 10) : UINT64_MAX;
    free(text);
    return done;
}

/* Those that match, or all, where they are what was shown: fewer by what left the queue, more by a
 * tenth, as mail comes while somebody reads. Returns false, with the sentence, where they are not.
 */
static bool change_matching(struct change *c, FILE *out, const struct web_request *r)
{
    uint64_t shown = strtoull(r->field[WEB_SHOWN], NULL, 10), cnt;
    struct gateway_line line;

    if (!count_matching(c, r, &cnt))
        return true;
    if (cnt > shown + shown / 10) {
        fprintf(out, "%" PRIu64 " were shown, and %" PRIu64 " match by now: look at them again\n",
                shown, cnt);
        return false;
    }
    begin(&line, command_of(r->field[WEB_VERB]));
    const char *wrong =
        has_condition(r) ? add_conditions(&line, r) : gateway_line_word(&line, "--all", false);
    if (wrong != NULL)
        snprintf(c->error, sizeof(c->error), "%s", wrong);
    else
        (void)change_by(c, &line, false);
    return true;
}

bool web_queue_change(FILE *out, const char *socket_path, const struct web_request *r,
                      bool (*stopped)(void *user), void *user)
{
    struct change c = {.socket_path = socket_path};
    uint64_t until_ms = http_now_ms() + CHANGE_MS;
    const char *wrong = web_queue_wrong(r);
    struct gateway_line line;

    if (wrong != NULL) {
        refuse(out, wrong);
        return true;
    }
    bool ids = strcmp(r->field[WEB_WHICH], "ids") == 0;
    if (!ids && !change_matching(&c, out, r))
        return false;
    for (uint32_t i = 0; ids && wrong == NULL && i < r->id_cnt; i++) {
        begin(&line, command_of(r->field[WEB_VERB]));
        wrong = gateway_line_word(&line, r->id[i], true);
        if (wrong == NULL && stopped(user))
            wrong = "sluicectl web was stopped: not all were looked at";
        if (wrong == NULL && http_now_ms() > until_ms)
            wrong = "the gateway is slow: not all were looked at, do the rest again";
        if (wrong == NULL && !change_by(&c, &line, true))
            break;
    }
    fprintf(out, "{\"done\":%" PRIu64 ",\"busy\":%" PRIu64 ",\"missing\":%" PRIu64, c.done, c.busy,
            c.missing);
    if (wrong != NULL || c.error[0] != 0) {
        fputc(',', out);
        write_error(out, wrong != NULL ? wrong : c.error);
    }
    fputc('}', out);
    return true;
}
