/*
 * Whether a message has arrived as it was sent: looks for the generator's field in its header
 * section, and compares its body with what that says (ledger.h). Pure; any thread.
 */
#ifndef CHECK_H
#define CHECK_H

#include "ledger.h"

struct check {
    struct ledger_id id;
    uint64_t body_bytes;
    uint32_t body_crc32c;
    bool named;       /* the field is there: id is set */
    bool in_body;     /* behind the first empty line */
    uint8_t line_len; /* of a header line, up to the size of line: longer ones are not looked at */
    uint8_t line[LEDGER_FIELD_BYTES];
};

void check_begin(struct check *c);

/* More of the message, without stuffed dots, cut anywhere. */
void check_feed(struct check *c, const uint8_t *p, size_t len);

/* At its end: the body is whole. False also for a message without the field. */
bool check_is_whole(const struct check *c);

#endif
