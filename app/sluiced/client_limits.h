/*
 * Limits by client on a lane: connections, messages, recipients, unknown recipients, the pace of a
 * message, and short time-outs while connections are nearly all taken. What is counted over all
 * lanes stands in policy_limit.h; this is the lane's side, with settings, counters and words.
 *
 * A client is known by its true address, behind a proxy by the header's; a header that names nobody
 * is counted for nobody. Exempt networks hold for addresses that may be believed.
 *
 * Threads: the lane's only. Memory: none of its own.
 */
#ifndef CLIENT_LIMITS_H
#define CLIENT_LIMITS_H

#include "base_assert.h"
#include "policy.h"

struct conn;
struct lane;

/* A session begins: counts it. Returns NULL, or the reason for 421, with its text; then nothing is
 * counted. */
const char *client_limits_open(struct conn *c, char text[POLICY_TEXT_CAP]) BASE_WARN_UNUSED;
void client_limits_close(struct conn *c);

/* MAIL and RCPT: whether there may be one more. Returns NULL, or why not for the log, with the
 * reply. */
const char *client_limits_mail(struct conn *c, struct smtp_reply *reply,
                               char text[POLICY_TEXT_CAP]) BASE_WARN_UNUSED;
const char *client_limits_rcpt(struct conn *c, struct smtp_reply *reply,
                               char text[POLICY_TEXT_CAP]) BASE_WARN_UNUSED;
/* The recipient was one that nobody has. */
void client_limits_unknown(struct conn *c);

/* How long a client may take for a command now. */
uint64_t client_limits_command_ns(const struct lane *l);

/* A message, or a chunk of it, is expected from now on; or we have kept the client waiting. */
void client_limits_body_begin(struct conn *c);
/* So many bytes of it came: a client that has brought enough gets more time. */
void client_limits_body_bytes(struct conn *c, uint64_t bytes);
/* Its time is up: counts, and returns the reason. */
const char *client_limits_timeout(struct conn *c);

/* Each pass: stress begins or ends; while it is new, time-outs that run are shortened, some in each
 * pass. */
void client_limits_stress(struct lane *l);

#endif
