/*
 * Makes a message with 8-bit content 7-bit (RFC 6152 section 3): each part that needs it becomes
 * quoted-printable, or base64 where that is shorter or the part is no text (RFC 2045). Decoded, the
 * parts are what they were, byte for byte; the rest of the message is untouched, but for
 * Content-Transfer-Encoding fields. A message without MIME fields gets them, with the charset
 * "unknown-8bit" (RFC 1428). Multiparts and message/rfc822 are gone into. message/global and its
 * kin (RFC 6532 section 3.7, RFC 6533), which may be encoded, are, as a whole: whoever does not
 * know them keeps them as they are, UTF-8 header fields inside of them among the rest.
 *
 * It takes two passes over the same bytes: the first looks (what is beyond ASCII, and which parts
 * are to become what), the second converts. So nothing has to be known before it was read, and a
 * message that cannot be converted is known before the first byte is sent.
 *
 * Not converted (why_not): 8-bit content below multipart/signed, whose signature would break; that
 * of parts with an encoding already, or with one that we do not know; of message/partial and other
 * subtypes that have to be 7-bit; outside of all parts; what is nested too deeply. Header sections
 * beyond ASCII are told of, not converted. A DKIM signature does not survive a conversion.
 *
 * Input: lines end in CRLF, and no CR or LF stands alone. Threads: one. Memory: the struct. Time:
 * linear; each line that begins with "--" is compared with MAIL_EIGHTBIT_DEPTH_MAX boundaries.
 */
#ifndef MAIL_EIGHTBIT_H
#define MAIL_EIGHTBIT_H

#include "base_assert.h"
#include "base_bytes.h"

#define MAIL_EIGHTBIT_DEPTH_MAX 16 /* multiparts in each other */
#define MAIL_EIGHTBIT_ENTITY_MAX                                                                   \
    1024                              /* header sections: the message's, parts', inner messages'   \
                                       */
#define MAIL_EIGHTBIT_BOUNDARY_MAX 70 /* RFC 2046 section 5.1.1 */
#define MAIL_EIGHTBIT_FIELD_MAX    1000
#define MAIL_EIGHTBIT_PIECE_MAX    256
/* Room that mail_eightbit_convert and mail_eightbit_end want. */
#define MAIL_EIGHTBIT_OUT_MIN 1200

struct mail_eightbit_multipart {
    uint8_t len;
    bool fixed;  /* below multipart/signed */
    bool digest; /* its parts are messages */
    uint8_t boundary[MAIL_EIGHTBIT_BOUNDARY_MAX];
};

/* Base64 or quoted-printable as it is written. */
struct mail_eightbit_encoder {
    uint8_t held[57]; /* base64: of a line */
    uint8_t held_len;
    uint8_t column;    /* quoted-printable */
    uint8_t space;     /* a blank or tab that may end its line; 0: none */
    bool line_pending; /* base64: a CRLF that may belong to the boundary behind it */
};

struct mail_eightbit {
    struct mail_eightbit_multipart multipart[MAIL_EIGHTBIT_DEPTH_MAX];
    uint32_t depth;
    uint32_t entity;                          /* number of the present one */
    uint8_t state;                            /* header, body, or outside of parts */
    uint8_t field;                            /* enum: the field that is being collected */
    bool line_started;                        /* the line has had a piece already */
    bool converting;                          /* the second pass */
    bool fixed;                               /* nothing here may be changed */
    bool digest;                              /* an entity without Content-Type is a message */
    bool dropping;                            /* the field that is being read is left out */
    bool has_version, has_type, has_encoding; /* fields of this header section */
    uint8_t type;                             /* of content, enum */
    uint8_t encoding;                         /* enum */
    uint16_t field_len;
    uint16_t line_len;
    uint64_t byte_cnt, high_cnt; /* of this entity's body */
    /* The verdict of the first pass. */
    bool header, body;
    bool global; /* message/global or its kin is among what is 8-bit */
    const char *why_not;
    struct mail_eightbit_encoder encoder;
    uint8_t plan[MAIL_EIGHTBIT_ENTITY_MAX / 4]; /* two bits each */
    uint8_t line[MAIL_EIGHTBIT_PIECE_MAX];
    uint8_t field_text[MAIL_EIGHTBIT_FIELD_MAX];
};

void mail_eightbit_init(struct mail_eightbit *m);

/* The first pass: the whole message in pieces of any size, then its end. After it m->header,
 * m->body and m->why_not (static text, NULL: it can be converted) say what there is. */
void mail_eightbit_look(struct mail_eightbit *m, struct base_span in);
void mail_eightbit_looked(struct mail_eightbit *m);

/* The second: the same bytes. Each call takes some of in, at least one byte, and appends at most
 * MAIL_EIGHTBIT_OUT_MIN bytes, for which out has room. */
void mail_eightbit_begin(struct mail_eightbit *m);
void mail_eightbit_convert(struct mail_eightbit *m, struct base_span in, size_t *consumed,
                           struct base_buf *out);
void mail_eightbit_end(struct mail_eightbit *m, struct base_buf *out);

#endif
