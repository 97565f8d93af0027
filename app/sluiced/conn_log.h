/*
 * What an inbound connection tells the log: records with its client, its number and, while a
 * message is open, the message's id. Threads: its lane's. Nothing is borrowed after a call.
 */
#ifndef CONN_LOG_H
#define CONN_LOG_H

#include "lane.h"

/* A record of the connection, to be filled in and pushed. */
void conn_log_begin(const struct conn *c, struct stats_log_record *r, enum stats_log_event event);

void conn_log_text(struct conn *c, enum stats_log_event event, uint64_t n, uint32_t m,
                   struct base_span text);
/* One more of the connection's listener. */
void conn_count_listener(struct conn *c, enum stats_listener_id id);
/* The reply is a refusal; why, in place of its words, is for the log alone (NULL: its words).
 * stage: the command that was refused, or another word. */
void conn_log_refused(struct conn *c, const char *stage, const struct smtp_reply *reply,
                      const char *why);
/* The message that is open, and is about to be committed; then that it is durable, or could not be
 * stored. Places are reserved before (stats_log_reserve). */
#define CONN_LOG_PLACES 2
void conn_log_message(struct conn *c);
void conn_log_accepted(struct conn *c);
void conn_log_not_stored(struct conn *c, const char *why);
void conn_log_end(struct conn *c);

#endif
