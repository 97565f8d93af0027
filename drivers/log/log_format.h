/*
 * A record to its line: the text form, JSON, or Postfix's; as a line of a file, a datagram of
 * syslog or one of journald.
 *
 *     2026-01-02T03:04:05.123456Z info accepted id=... client=192.0.2.1:4711 bytes=812 ...
 *     {"time":"2026-01-02T03:04:05.123456Z","level":"info","event":"accepted","id":"...",...}
 *     2026-01-02T03:04:05.123456Z mx.example.org postfix/smtpd[17]: ...: client=unknown[192.0.2.1]
 *
 * What comes from outside can neither forge a line nor change a terminal: in the text form bytes
 * other than printable ASCII, backslash and both quotes are \xNN; JSON is ASCII, strings are
 * escaped (RFC 8259), what is not UTF-8 is U+FFFD; Postfix's form has "?" for control characters
 * and for what is not UTF-8, as Postfix has, and also for "<" and ">" where they could end or begin
 * an address that others read.
 *
 * Threads: pure functions, any. Memory: the caller's. Times are UTC, but for syslog's header.
 */
#ifndef LOG_FORMAT_H
#define LOG_FORMAT_H

#include "stats_log.h"

#define LOG_LINE_CAP                                                                               \
    5120 /* the longest: text of which each byte is escaped, twice, and the rest                   \
          */
#define LOG_IDENT_MAX 32
#define LOG_ID_CAP    27
#define LOG_LINES_MAX 2 /* lines of one record */

enum log_form { LOG_FORM_TEXT, LOG_FORM_JSON, LOG_FORM_POSTFIX };
enum log_frame { LOG_FRAME_LINE, LOG_FRAME_SYSLOG, LOG_FRAME_JOURNAL };

/* Writes an id's text and a NUL. */
typedef void (*log_id_format)(char out[LOG_ID_CAP], const uint8_t id[16]);

/* All borrowed. */
struct log_style {
    enum log_form form;
    enum log_frame frame;
    const char *ident;    /* at most LOG_IDENT_MAX bytes; of POSTFIX the part before the slash */
    const char *hostname; /* of POSTFIX in a LINE */
    log_id_format id_format;
    uint32_t pid;
    uint8_t facility; /* of SYSLOG and JOURNAL: RFC 5424's number */
};

/* How many lines the record is in this form: 0 to LOG_LINES_MAX. */
uint32_t log_format_cnt(const struct log_style *style, const struct stats_log_record *record);

/* One of them, without a NUL; a LINE ends by a line feed and has no other, as has a JOURNAL's each
 * field. Returns its length. */
size_t log_format(char out[LOG_LINE_CAP], const struct log_style *style,
                  const struct stats_log_record *record, uint32_t line);

#endif
