/*
 * A message on its way in: the buffers that hold it until it is the spooler's, and the entries that
 * hand it over. Between conn_in.c (the session) and the ring; state in struct conn_transaction.
 *
 * A message holds one buffer for its envelope and header section (more when they are long: they
 * stay here until the end, so that they can still change), and one for the body, the first of which
 * is the same. Full body buffers go to the spooler as they fill; the rest and COMMIT go at the end
 * of data.
 *
 * Threads: the lane's. Callers see to room in the ring first, by conn_message_room.
 */
#ifndef CONN_MESSAGE_H
#define CONN_MESSAGE_H

#include "conn.h"
#include "policy_from.h"

/* Most buffers that one message may hold until COMMIT: 24 MiB of envelope and header section, whose
 * entries the ring takes at once. More is refused as for want of buffers. */
#define CONN_MESSAGE_HELD_MAX 1536

/* Whether the ring has room for all that the next step may push: every held buffer twice (its
 * envelope bytes, its header bytes), the body, COMMIT. */
bool conn_message_room(const struct conn *c);

/* How many messages may be under way in a lane, so that each finds a buffer. */
uint32_t conn_message_max(const struct lane *l);

/* Starts a message in that spool for the sender that the SMTP server asks about: id, envelope.
 * Returns false when there are too many under way for the buffers. */
bool conn_message_begin(struct conn *c, uint32_t spool);

/* Adds the recipient that the SMTP server asks about, under the given name, with its parameters:
 * all of it or nothing. Returns false when no buffer can be had for it. */
bool conn_message_recipient(struct conn *c, struct base_span mailbox);

/* The sender of the message that is open; empty: null. Until COMMIT. */
struct base_span conn_message_sender(const struct conn *c);

/*
 * The same for an alias: adds its targets, without those that the message has already, all of them
 * or none. Each keeps what RCPT said, and the alias's own address as its ORCPT where RCPT gave none
 * (RFC 3461 section 5.2.1). Sets double_cnt.
 *
 * With several targets success is told of the alias itself, which is "expanded" (section 5.2.7.3):
 * it becomes a recipient that is not delivered to, and its targets lose NOTIFY=SUCCESS.
 */
struct conn_message_alias {
    struct base_span address;
    const struct base_span *targets;
    uint32_t target_cnt;
    /* The sender for targets that forwarded says yes to; empty: as the message has it. */
    struct base_span forward_from;
    bool (*forwarded)(void *user, struct base_span target);
    void *user;
    uint32_t double_cnt;
};
#define CONN_MESSAGE_EXPANDED_MAX 4096 /* recipients of a message, when an alias is among them */
enum conn_message_expanded {
    CONN_MESSAGE_EXPANDED,
    CONN_MESSAGE_NO_BUFFER,
    CONN_MESSAGE_TOO_MANY /* recipients */
};
enum conn_message_expanded conn_message_expansion(struct conn *c, struct conn_message_alias *a);

/* Gives all bytes of the header section so far, ours first, to the reader of its From field. */
void conn_message_header(const struct conn *c, struct policy_from *f);

/* One more buffer to hold envelope or header bytes, behind that one (NULL: the first). NULL when
 * there is none to spare. */
struct spool_buf *conn_message_hold(struct conn *c, struct spool_buf *after);

/* Repairs the header section, which has just become whole: before conn_message_headers_end. Returns
 * false without a buffer for what it lacks: the message is to be refused. */
bool conn_message_repair(struct conn *c) BASE_WARN_UNUSED;

/* Notes in the envelope that the header section, which has just become whole, has "TLS-Required:
 * no", where that counts: after conn_message_repair. Returns false without a buffer for it. */
bool conn_message_note_tls(struct conn *c) BASE_WARN_UNUSED;

/* Writes our Received field as the first bytes of the header section. Returns false without a
 * buffer. */
bool conn_message_received(struct conn *c);

/* Where the next header or body bytes go: a buffer with room, or NULL when one must be waited for.
 * *full is set when the header section finds no further buffer: the message is to be refused. */
struct spool_buf *conn_message_target(struct conn *c, bool *full);

/* The header section ends with what is in the target: the body goes on behind it. */
void conn_message_headers_end(struct conn *c);

/* The message is whole: hands over all that is left, then COMMIT, whose completion is awaited. */
void conn_message_commit(struct conn *c);

/* Ends the message, whatever its state; nothing of it can be queued after. Harmless without one. */
void conn_message_drop(struct conn *c);

#endif
