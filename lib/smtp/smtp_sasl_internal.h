/* What the files of SASL share. Private to lib/smtp. */
#ifndef SMTP_SASL_INTERNAL_H
#define SMTP_SASL_INTERNAL_H

#include "smtp_sasl.h"

/* Takes the login. False: it is empty, too long, or no text. */
bool smtp_sasl_set_login(struct smtp_sasl *s, struct base_span login);

/* Whether the name is that login's, however it is typed. */
bool smtp_sasl_is_login(const struct smtp_sasl *s, struct base_span name);

enum smtp_sasl_step smtp_sasl_scram(struct smtp_sasl *s, struct base_span response,
                                    struct base_buf *out);

#endif
