/* What the files of the client share. Private to lib/smtp. */
#ifndef SMTP_CLIENT_INTERNAL_H
#define SMTP_CLIENT_INTERNAL_H

#include "smtp_client.h"

enum smtp_client_take {
    SMTP_CLIENT_TAKE_MORE,  /* the reply is not whole */
    SMTP_CLIENT_TAKE_WHOLE, /* c->reply is */
    SMTP_CLIENT_TAKE_BAD,   /* malformed or over a limit; c->reply says how, with code 0 */
};

/* Takes lines of a reply (RFC 5321 section 4.2.1) off in; sets *used. In state EHLO it notes the
 * keywords. */
enum smtp_client_take smtp_client_take_reply(struct smtp_client *c, struct base_span in,
                                             size_t *used);

/* Sets c->reply to one of our own. The text is cut as a server's is. */
void smtp_client_set_reply(struct smtp_client *c, uint16_t code, const char *enhanced,
                           const char *text);

#endif
