/*
 * What the files of an outbound session share. Each has a stage of a delivery's way:
 *
 *   conn_out_open.c    over which connection it goes, and how a fresh one begins
 *   conn_tls_out.c     TLS, until the server has proved what is asked for
 *   conn_out.c         the session: events of the SMTP client, and how it ends
 *   conn_eightbit.c    the look at the content, before it is sent
 *   conn_out_body.c    the message's bytes, out of the spool and sent
 *   conn_out_result.c  what each recipient's result is, and the delivery's way back
 *   conn_out_idle.c    whether the connection stays for another delivery, and how long
 *
 * conn.out.delivery is set while the connection carries one. Whatever takes the delivery away from
 * it also gives back its converter.
 *
 * Threads: its lane's only.
 */
#ifndef CONN_OUT_INTERNAL_H
#define CONN_OUT_INTERNAL_H

#include "base_time.h"
#include "lane.h"

/* ---- conn_out_open.c ---- */

/* In EHLO: of the delivery's source, or of this pass's settings. Once the server has answered it
 * nothing is said of it any more; d may be NULL then. */
const char *conn_out_hostname(const struct lane *l, const struct delivery *d);
/* Opens a connection for the delivery, which its group allows. */
void conn_out_start_fresh(struct lane *l, struct delivery *d);
/* The delivery leaves for a fresh connection, as if this one had not been; the caller ends this
 * one. */
void conn_out_start_over(struct conn *c);
/* The server's LIMITS end the session before the delivery is over: the rest goes over another
 * connection, this one says QUIT. */
void conn_out_go_elsewhere(struct conn *c);
/* Start over, as another try at TLS (enum conn_tls_try). */
void conn_out_again(struct conn *c, uint8_t tls_try);

/* ---- conn_out.c ----
 * Each takes the delivery away from the connection, which the caller ends then. */

/* What a next hop has for a message, all told, however often it says something in time: each reply
 * has its own time (RFC 5321 section 4.5.3.2), and a hundred of them may be wanted. A second more
 * for each 500 bytes of it, as often as it may have to be sent: its recipients may be a transaction
 * each. */
#define CONN_OUT_TIME_NS (3600 * BASE_NS_S)
#define CONN_OUT_BYTES_S 500

/* conn_deadline, and no later than the delivery's end; but for the reply to the end of data: to
 * stop waiting for that makes a duplicate. */
void conn_out_deadline(struct conn *c, uint64_t after_ns);
/* As by a connection that broke. */
void conn_out_fail(struct conn *c, const char *why);
/* Its recipients are deferred with this, and the next host has its turn. */
void conn_out_refuse(struct conn *c, const char *enhanced, const char *why);
/* What stood in its way was ours: it is given back as not attempted. */
void conn_out_unattempted(struct conn *c, const char *why);

/* ---- conn_out_body.c ---- */

/* Asks the spooler for the next buffer of the message, once. Returns false when it must wait for
 * room there: the caller stalls. */
bool conn_out_read(struct conn *c);
/* Sends what has been read, as far as TCP takes it, up to the end of the message. Nothing is done
 * where conn.out.sending is not set. */
void conn_out_send(struct conn *c);
/* What was asked for is there; where it could not be read the connection is cut. */
void conn_out_spooled(struct conn *c, const struct spool_done *done);

/* ---- conn_out_result.c ---- */

/* The recipient has no result yet, neither the server's nor one of ours. */
bool conn_out_unanswered(const struct delivery_result *r);
/* A result without a code for all recipients that have none. */
void conn_out_fill_results(struct delivery *d, const char *why);
/* The result that the SMTP client has come to, of one recipient. */
void conn_out_take_result(struct conn *c);
/* The delivery goes back to the courier, why being the result of the recipients that have none.
 * Nothing is done when it is gone. */
void conn_out_give_back(struct conn *c, const char *why);

/* ---- conn_out_idle.c ---- */

/* Whatever comes, the connection takes no further delivery. */
bool conn_out_last(const struct conn *c);
/* A delivery is over: the connection waits for the next one, if it may; else it says QUIT. */
void conn_out_keep(struct conn *c);
/* Says QUIT, idle or not; the answer ends the connection. */
void conn_out_leave(struct conn *c);
/* The next hop ended an idle connection: nothing is lost by it. */
void conn_out_lost_idle(struct conn *c);

#endif
