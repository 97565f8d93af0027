/*
 * The Message-ID of a header section, for logs: what stands in the field, as it stands there.
 *
 * Left out: whether it is well-formed (RFC 5322 section 3.6.4), and a field whose name or value is
 * folded onto another line: its first line counts.
 *
 * Pure; any thread. The result is a view into the bytes.
 */
#ifndef MAIL_MESSAGE_ID_H
#define MAIL_MESSAGE_ID_H

#include "base_bytes.h"

/* Looks through a piece of a header section; at_line: a line begins with it. Returns the value
 * without blanks around it, the first one where there are several; empty: there is none. */
struct base_span mail_message_id_find(struct base_span piece, bool at_line);

#endif
