/* A record to its line or datagram. */
#include "base_time.h"
#include "log_line.h"

#include <time.h>

static const char *const levels[] = {"error", "warn", "info", "debug"};
/* RFC 5424 section 6.2.1 */
static const uint8_t severities[] = {3, 4, 6, 7};

static enum stats_log_level level_of(const struct log_line *l)
{
    return stats_log_rows[l->record->event].level;
}

static void put_time(struct log_line *l)
{
    char time[BASE_TIME_RFC3339_CAP];

    log_line_put(l, time, base_time_rfc3339(time, l->record->wall_ns));
}

static void put_json(struct log_line *l)
{
    log_line_text(l, "{\"time\":\"");
    put_time(l);
    log_line_text(l, "\",\"level\":\"");
    log_line_text(l, levels[level_of(l)]);
    log_line_text(l, "\",\"event\":\"");
    log_line_text(l, stats_log_rows[l->record->event].name);
    log_line_text(l, "\"");
    log_line_fields(l, true);
    log_line_text(l, "}");
}

static void put_body(struct log_line *l, uint32_t line)
{
    switch (l->style->form) {
    case LOG_FORM_JSON:
        return put_json(l);
    case LOG_FORM_POSTFIX:
        return log_line_postfix(l, line);
    case LOG_FORM_TEXT:
        log_line_text(l, stats_log_rows[l->record->event].name);
        log_line_text(l, " ");
        log_line_fields(l, false);
    }
}

/* Who says it: "postfix/smtpd", "sluiced". */
static void put_ident(struct log_line *l, uint32_t line)
{
    log_line_text(l, l->style->ident);
    if (l->style->form != LOG_FORM_POSTFIX)
        return;
    log_line_text(l, "/");
    log_line_text(l, log_line_postfix_program(l->record, line));
}

/* Postfix has a process for each connection, and readers pair lines by its number: the
 * connection's here. */
static uint64_t pid_of(const struct log_line *l)
{
    bool one = l->style->form == LOG_FORM_POSTFIX && l->record->conn != 0;

    return one ? l->record->conn : l->style->pid;
}

static void put_tag(struct log_line *l, uint32_t line)
{
    put_ident(l, line);
    log_line_text(l, "[");
    log_line_number(l, pid_of(l));
    log_line_text(l, "]: ");
}

static void put_line(struct log_line *l, uint32_t line)
{
    if (l->style->form == LOG_FORM_TEXT) {
        put_time(l);
        log_line_text(l, " ");
        log_line_text(l, levels[level_of(l)]);
        log_line_text(l, " ");
    } else if (l->style->form == LOG_FORM_POSTFIX) {
        put_time(l);
        log_line_text(l, " ");
        log_line_text(l, l->style->hostname);
        log_line_text(l, " ");
        put_tag(l, line);
    }
    put_body(l, line);
    log_line_text(l, "\n");
}

/* RFC 3164 as syslog(3) has it: local time, no host. */
static void put_syslog(struct log_line *l, uint32_t line)
{
    time_t seconds = (time_t)(l->record->wall_ns / BASE_NS_S);
    char time[32];
    struct tm tm;

    log_line_text(l, "<");
    log_line_number(l, 8u * l->style->facility + severities[level_of(l)]);
    log_line_text(l, ">");
    if (localtime_r(&seconds, &tm) != NULL)
        log_line_put(l, time, strftime(time, sizeof(time), "%b %e %H:%M:%S ", &tm));
    put_tag(l, line);
    put_body(l, line);
}

static void put_field(struct log_line *l, const char *name, const char *value)
{
    log_line_text(l, name);
    log_line_text(l, "=");
    log_line_text(l, value);
    log_line_text(l, "\n");
}

static void put_number_field(struct log_line *l, const char *name, uint64_t value)
{
    log_line_text(l, name);
    log_line_text(l, "=");
    log_line_number(l, value);
    log_line_text(l, "\n");
}

/* journald's own protocol: no value has a line feed, so each field is a line. */
static void put_journal(struct log_line *l, uint32_t line)
{
    log_line_text(l, "MESSAGE=");
    put_body(l, line);
    log_line_text(l, "\nSYSLOG_IDENTIFIER=");
    put_ident(l, line);
    log_line_text(l, "\n");
    put_number_field(l, "PRIORITY", severities[level_of(l)]);
    put_number_field(l, "SYSLOG_FACILITY", l->style->facility);
    put_number_field(l, "SYSLOG_PID", pid_of(l));
    put_number_field(l, "SYSLOG_TIMESTAMP_US", l->record->wall_ns / BASE_NS_US);
    put_field(l, "SLUICE_EVENT", stats_log_rows[l->record->event].name);
    if (log_line_has_id(l)) {
        log_line_text(l, "SLUICE_ID=");
        log_line_id(l);
        log_line_text(l, "\n");
    }
    if (log_line_has_address(l)) {
        log_line_text(l, "SLUICE_ADDRESS=");
        log_line_address(l, false);
        log_line_text(l, "\n");
    }
}

uint32_t log_format_cnt(const struct log_style *style, const struct stats_log_record *record)
{
    return style->form == LOG_FORM_POSTFIX ? log_line_postfix_cnt(record) : 1;
}

size_t log_format(char out[LOG_LINE_CAP], const struct log_style *style,
                  const struct stats_log_record *record, uint32_t line)
{
    struct log_line l = {.p = out, .style = style, .record = record};

    base_assert(record->event < STATS_LOG_EVENT_CNT && record->text_len <= STATS_LOG_TEXT_CAP);
    base_assert(line < log_format_cnt(style, record));
    switch (style->frame) {
    case LOG_FRAME_LINE:
        put_line(&l, line);
        break;
    case LOG_FRAME_SYSLOG:
        put_syslog(&l, line);
        break;
    case LOG_FRAME_JOURNAL:
        put_journal(&l, line);
    }
    return l.len;
}
