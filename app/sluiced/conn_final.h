/*
 * Final delivery by LMTP (RFC 5321 section 4.4): what stands before a message that goes into a mail
 * box, what of its own is left out, and who has had it before.
 *
 * Threads: the lane's. Memory: conn.out.final, conn.out.looped.
 */
#ifndef CONN_FINAL_H
#define CONN_FINAL_H

#include "conn.h"

/* Most bytes that are put before a message. */
#define CONN_FINAL_MAX 800

/* For the SMTP client's CHECK: begins; a piece of the message, in order; its end, as far as it was
 * needed. Sets conn.out.looped. */
void conn_final_look_start(struct conn *c);
void conn_final_look(struct conn *c, struct base_span in);
void conn_final_look_end(struct conn *c);
/* Enough has been looked at. */
bool conn_final_seen(const struct conn *c);

/* The message begins to be sent: sets conn.out.preface_due. */
void conn_final_send_start(struct conn *c);
/* Puts the fields before it into out, which has SMTP_OUT_MIN room. */
void conn_final_preface(struct conn *c, struct base_buf *out);

#endif
