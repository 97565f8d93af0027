/*
 * The header section on final delivery (RFC 5321 section 4.4): Return-Path fields that a message
 * brings are left out, as there is to be one alone, which the caller puts in front; and
 * Delivered-To fields are told of, by which mail that goes round in a circle is known.
 *
 * Left out: what else final delivery may add; Received.
 *
 * Input: lines end in CRLF. Threads: one. Memory: the struct. Time: linear; at most
 * MAIL_FINAL_FIELD_MAX Delivered-To fields are told of, further ones are counted.
 */
#ifndef MAIL_FINAL_H
#define MAIL_FINAL_H

#include "base_assert.h"
#include "base_bytes.h"

#define MAIL_FINAL_FIELD_MAX 64
#define MAIL_FINAL_NAME_MAX  14 /* bytes of a field's name that are held back */

struct mail_final {
    uint64_t hash; /* of the address of a Delivered-To field so far */
    uint8_t held[MAIL_FINAL_NAME_MAX];
    uint8_t held_len;
    uint8_t state; /* private */
    uint8_t field; /* likewise: of the field that a further line may belong to */
    uint8_t delivered_cnt;
    bool hash_due; /* a field is whole but for further lines */
};

void mail_final_init(struct mail_final *m);

/* The next piece of the message, of any size. Copies it to out without Return-Path fields; sets
 * *consumed, less than all when out has less than MAIL_FINAL_NAME_MAX + 1 bytes left. */
void mail_final_strip(struct mail_final *m, struct base_span in, size_t *consumed,
                      struct base_buf *out);

/* The same for whoever looks alone: found is called for each Delivered-To field with the hash of
 * its address, until the header section is over. */
void mail_final_look(struct mail_final *m, struct base_span in,
                     void (*found)(void *user, uint64_t hash), void *user);

/* The message has ended, perhaps in its header section: what is still held back goes to out, which
 * has MAIL_FINAL_NAME_MAX bytes of room; or what is still to be told is told. */
void mail_final_strip_end(struct mail_final *m, struct base_buf *out);
void mail_final_look_end(struct mail_final *m, void (*found)(void *user, uint64_t hash),
                         void *user);

/* The header section is over: what follows is not looked at. */
bool mail_final_over(const struct mail_final *m);

/* What Delivered-To with this address has: without case, blanks and angle brackets. No secret is in
 * it: who makes two addresses with the same hash has his own message refused. */
uint64_t mail_final_hash(struct base_span address);

#endif
