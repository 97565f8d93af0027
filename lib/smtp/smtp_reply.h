/*
 * Replies of the server: RFC 5321 section 4.2 with RFC 2034 enhanced codes. A reply with a reason
 * is also a counter; the texts of the table are those that Postfix's users know. Pure; any thread.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdint.h>

struct smtp_reply {
    uint16_t code;        /* 2xx-5xx */
    const char *enhanced; /* "2.1.0", or NULL: none (greeting, EHLO, HELO, 354) */
    const char *text;     /* printable ASCII, one line; borrowed while the call lasts */
};

/* The whole line with its CRLF fits in this many bytes; longer texts are cut. */
#define SMTP_REPLY_MAX 512

#endif
