/*
 * One command line, taken apart: verb, argument, and the ESMTP parameters of MAIL and RCPT
 * (RFC 5321 section 4.1). Pure; any thread. Private to lib/smtp.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base_bytes.h"
#include "stats.h"

enum smtp_verb {
    SMTP_VERB_HELO,
    SMTP_VERB_EHLO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_BDAT,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_QUIT,
    SMTP_VERB_VRFY,
    SMTP_VERB_AUTH,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_XCLIENT,
    SMTP_VERB_OTHER, /* SMTP's, and not offered */
    SMTP_VERB_HTTP,
    SMTP_VERB_PROXY, /* a PROXY header where none belongs */
    SMTP_VERB_UNKNOWN,
};

struct smtp_command {
    enum smtp_verb verb;
    struct base_span argument; /* behind the space; blanks at the end are cut off */
};

/* Parses a line without its CRLF. Verbs match in any case. */
struct smtp_command smtp_command_parse(struct base_span line);

/* The counter of a verb's commands. */
enum stats_id smtp_command_stat(enum smtp_verb verb);

struct smtp_param {
    struct base_span keyword;
    struct base_span value; /* p is NULL without "=" */
};

enum smtp_param_state { SMTP_PARAM_ONE, SMTP_PARAM_END, SMTP_PARAM_BAD };

/* Takes the next parameter off the front of rest, which starts with the space before it. */
enum smtp_param_state smtp_param_next(struct base_span *rest, struct smtp_param *param);

#endif
