/* What the files of the conversion share. Private to lib/mail. */
#ifndef MAIL_EIGHTBIT_INTERNAL_H
#define MAIL_EIGHTBIT_INTERNAL_H

#include "mail_eightbit.h"

enum mail_eightbit_type {
    MAIL_EIGHTBIT_TYPE_TEXT,      /* also: none is given */
    MAIL_EIGHTBIT_TYPE_OTHER,     /* a leaf */
    MAIL_EIGHTBIT_TYPE_MULTIPART, /* boundary is set */
    MAIL_EIGHTBIT_TYPE_SIGNED,    /* likewise */
    MAIL_EIGHTBIT_TYPE_DIGEST,    /* likewise */
    MAIL_EIGHTBIT_TYPE_MESSAGE,   /* message/rfc822 */
    MAIL_EIGHTBIT_TYPE_GLOBAL,    /* a leaf: message/global and its kin, RFC 6532 section 3.7 */
    MAIL_EIGHTBIT_TYPE_CLOSED,    /* 7-bit by its definition, or nobody can tell what it is */
};

enum mail_eightbit_encoding {
    MAIL_EIGHTBIT_ENCODING_NONE,  /* 7bit, 8bit, binary, or not given */
    MAIL_EIGHTBIT_ENCODING_OTHER, /* base64, quoted-printable, unknown ones */
};

struct mail_eightbit_content {
    enum mail_eightbit_type type;
    uint8_t boundary_len;
    uint8_t boundary[MAIL_EIGHTBIT_BOUNDARY_MAX];
};

/* A Content-Type (RFC 2045 section 5.1), unfolded or not, without its name. */
void mail_eightbit_read_type(struct base_span value, struct mail_eightbit_content *c);
/* A Content-Transfer-Encoding (section 6.1). */
enum mail_eightbit_encoding mail_eightbit_read_encoding(struct base_span value);

/* Bytes of a body; those of a line end are CR LF. */
void mail_eightbit_put_base64(struct mail_eightbit_encoder *e, struct base_span in,
                              struct base_buf *out);
void mail_eightbit_put_quoted(struct mail_eightbit_encoder *e, struct base_span in,
                              struct base_buf *out);
/* The part is over. boundary: the line end before belongs to the boundary that comes. */
void mail_eightbit_end_base64(struct mail_eightbit_encoder *e, bool boundary, struct base_buf *out);
void mail_eightbit_end_quoted(struct mail_eightbit_encoder *e, struct base_buf *out);

#endif
