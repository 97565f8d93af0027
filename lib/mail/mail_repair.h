/*
 * What a server for users repairs in the header section of a message that they submit (RFC 6409
 * section 8): Bcc and Resent-Bcc are taken out (RFC 5322 section 3.6.3), Date and Message-ID are
 * added where they are missing. Nothing else is changed, not even what is malformed.
 *
 * Left out: From and Sender, and the Resent fields that a resent message should have.
 *
 * The header section goes through mail_repair_push in pieces, cut anywhere, each filtered in place;
 * it only ever shrinks. Then mail_repair_fields writes what is missing, which belongs in front of
 * the section: there it is header for every reader, also where a line further down is no field.
 *
 * Pure; any thread. Memory: the struct, the caller's.
 */
#ifndef MAIL_REPAIR_H
#define MAIL_REPAIR_H

#include "base_assert.h"
#include "base_bytes.h"

#define MAIL_REPAIR_NAME_CAP 12

struct mail_repair {
    uint8_t state; /* of mail_repair_push */
    uint8_t name_len;
    uint8_t name[MAIL_REPAIR_NAME_CAP]; /* of the present field, in lower case */
    bool dropping;                      /* the present field goes */
    bool has_date, has_message_id;
    uint32_t dropped_cnt; /* fields */
    size_t
        before_bytes; /* of the present field, in pieces before this one, while it may still go */
};

void mail_repair_init(struct mail_repair *r);

/*
 * Filters the next piece in place. Returns how many of its bytes stay, at its front. *undo is set
 * to how many of the bytes that stayed of earlier pieces, the last ones, go after all: a field's
 * name was cut between them.
 */
size_t mail_repair_push(struct mail_repair *r, uint8_t *p, size_t len,
                        size_t *undo) BASE_WARN_UNUSED;

#define MAIL_REPAIR_FIELDS_MAX 512

/* Appends what is missing: Date of that time, Message-ID <id@hostname>. Nothing when there is both.
 * id is an atom, hostname a domain of 255 bytes at most. Returns 0, or -ENOSPC (never with
 * MAIL_REPAIR_FIELDS_MAX room and an id of 64 bytes). */
int mail_repair_fields(struct base_buf *out, const struct mail_repair *r, uint64_t wall_ns,
                       struct base_span id, struct base_span hostname) BASE_WARN_UNUSED;

#endif
