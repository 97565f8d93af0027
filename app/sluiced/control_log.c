/* What an operator does to the log: opens its file anew, changes its level, looks at its last
 * lines.
 */
#include "control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const levels[] = {[STATS_LOG_ERROR] = "error",
                                     [STATS_LOG_WARN] = "warn",
                                     [STATS_LOG_INFO] = "info",
                                     [STATS_LOG_DEBUG] = "debug"};

int control_reopen_log(struct control *c)
{
    const struct conf_log *conf = &c->config.gateway->hub.started->conf->log;
    struct stats_log_record r;
    char text[STATS_LOG_TEXT_CAP];

    if (conf->target != CONF_LOG_FILE || conf->file[0] != '/')
        return 0;
    int fd = opener_append(c->config.opener, conf->file);
    if (fd >= 0) {
        log_writer_set_fd(c->config.log, fd);
        return 0;
    }
    snprintf(text, sizeof(text), "the log file cannot be opened anew (%s); writing to the old one",
             strerror(-fd));
    stats_log_begin(&r, STATS_LOG_WARNING, loop_wall_ns());
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
    return fd;
}

void control_log_reopen(struct control *c, struct control_client *client)
{
    int error = control_reopen_log(c);

    if (error != 0)
        control_refuse(client,
                       "the log file cannot be opened anew (%s); the old one stays: see to its "
                       "directory, then say log reopen again\n",
                       strerror(-error));
}

void control_log_level(struct control *c, struct control_client *client)
{
    struct base_span word = client->command.word[0];

    if (word.len == 0) {
        control_print(client, client->command.filter.json ? "{\"level\":\"%s\"}\n" : "%s\n",
                      levels[log_writer_level(c->config.log)]);
        return;
    }
    if (client->right < CONTROL_CHANGE)
        return control_refuse(client, "not permitted: only root, the gateway's user and control: "
                                      "change_group may change it\n");
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(levels); i++)
        if (base_span_eq(word, base_span_str(levels[i])))
            return log_writer_set_level(c->config.log, (enum stats_log_level)i);
    control_refuse(client, "the level is one of error, warn, info and debug\n");
}

void control_refusals(struct control *c, struct control_client *client)
{
    const struct log_style style = {
        .id_format = log_writer_id_format,
        .ident = "",
        .form = client->command.filter.json ? LOG_FORM_JSON : LOG_FORM_TEXT,
    };
    struct stats_log_record *records;
    char line[LOG_LINE_CAP];

    if (client->text != NULL)
        return control_text_piece(client);
    FILE *out = open_memstream(&client->text, &client->text_len);
    client->text_at = 0;
    records = malloc(LOG_REFUSAL_CNT * sizeof(records[0]));
    uint32_t cnt = records != NULL ? log_writer_refusals(c->config.log, records) : 0;
    for (uint32_t i = 0; out != NULL && i < cnt; i++)
        fwrite(line, 1, log_format(line, &style, &records[i], 0), out);
    if (out != NULL && (fclose(out) != 0 || records == NULL)) {
        free(client->text);
        client->text = NULL;
    }
    free(records);
    control_text_piece(client);
}

#define TAIL_CNT 256

/* As many of the last lines as fit in one answer. */
void control_log_tail(struct control *c, struct control_client *client)
{
    const struct log_style style = {
        .id_format = log_writer_id_format,
        .ident = "",
        .form = client->command.filter.json ? LOG_FORM_JSON : LOG_FORM_TEXT,
    };
    struct stats_log_record *records = malloc(TAIL_CNT * sizeof(records[0]));
    char line[LOG_LINE_CAP];
    size_t room = CONTROL_BODY_CAP - 1;

    if (records == NULL)
        return control_refuse(client, CONTROL_NO_MEMORY);
    uint32_t cnt = log_writer_tail(c->config.log, records, TAIL_CNT), first = cnt;
    for (; first > 0; first--) {
        size_t len = log_format(line, &style, &records[first - 1], 0);
        if (len > room)
            break;
        room -= len;
    }
    for (uint32_t i = first; i < cnt; i++) {
        size_t len = log_format(line, &style, &records[i], 0);
        control_print(client, "%.*s", (int)len, line);
    }
    free(records);
}
