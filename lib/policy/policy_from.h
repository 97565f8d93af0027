/*
 * The From field of a message: who its reader is told has written it (RFC 5322 sections 3.6.2 and
 * 3.4, RFC 6854 for groups, RFC 6532 for UTF-8).
 *
 * First the header section goes in, cut anywhere; then the addresses of its one From field come
 * out. What readers of mail understand differently is no From field but a refusal: none, several,
 * one that does not follow the grammar (an at sign in a display name without quotes, two addresses
 * for one name, a source route), a header section with a line that is no field. Obsolete forms that
 * mean one thing are let through: blanks before the colon, comments, empty list items. Display
 * names are not judged; encoded words in them are words.
 *
 * Pure; any thread. Memory: the struct, the caller's. Bounds: POLICY_FROM_CAP bytes of the field.
 */
#ifndef POLICY_FROM_H
#define POLICY_FROM_H

#include "smtp_address.h"

#define POLICY_FROM_CAP         8192
#define POLICY_FROM_ADDRESS_MAX 100

enum policy_from_result {
    POLICY_FROM_OK,
    POLICY_FROM_NONE,    /* no From field, or one without any address */
    POLICY_FROM_MANY,    /* more than one From field */
    POLICY_FROM_INVALID, /* the field or the header section does not follow the grammar, or is too
                            long */
};

struct policy_from {
    uint8_t state; /* of policy_from_push */
    uint8_t name_len;
    bool named;   /* the name of this field is "From" so far */
    bool collect; /* this field is the first From */
    bool invalid, ended;
    uint32_t field_cnt;
    uint32_t len;
    uint8_t value[POLICY_FROM_CAP];
};

void policy_from_init(struct policy_from *f);
/* More of the header section, from its first byte; what follows its empty line is not looked at. */
void policy_from_push(struct policy_from *f, struct base_span bytes);
/* What its fields come to; the addresses are not looked at yet: OK, NONE, MANY or INVALID. */
enum policy_from_result policy_from_end(const struct policy_from *f);

/* Goes over the addresses of the field's value. Begin with *list as the value and *in_group false.
 * Returns 1 and the address (views of the value; mailbox is from the local part's first to the
 * domain's last byte, comments between them included); 0 at the end; -EINVAL. */
int policy_from_next(struct base_span *list, bool *in_group,
                     struct smtp_address *out) BASE_WARN_UNUSED;

#endif
