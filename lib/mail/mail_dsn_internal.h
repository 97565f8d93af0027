/*
 * What the files of mail_dsn share. A report is made in steps; each writes less than a stage-full
 * into dsn->stage, from where mail_dsn_write hands it on. Everything goes through
 * mail_dsn_put_octet, which counts columns, so that no line gets too long whatever is written.
 */
#ifndef MAIL_DSN_INTERNAL_H
#define MAIL_DSN_INTERNAL_H

#include "mail_dsn.h"

#define MAIL_DSN_FOLD_COLUMN 76  /* folded at a blank before it, where there is one */
#define MAIL_DSN_LINE_MAX    998 /* RFC 5322 section 2.1.1, without CRLF */

enum mail_dsn_step {
    MAIL_DSN_STEP_HEADER,
    MAIL_DSN_STEP_TEXT_HEAD,
    MAIL_DSN_STEP_TEXT_KIND,      /* what holds for all recipients of dsn->kind */
    MAIL_DSN_STEP_TEXT_RECIPIENT, /* whom it is about, */
    MAIL_DSN_STEP_TEXT_DETAIL,    /* and what befell it */
    MAIL_DSN_STEP_TEXT_END,
    MAIL_DSN_STEP_STATUS_MESSAGE,
    MAIL_DSN_STEP_STATUS_ORIGINAL, /* a recipient's Original-Recipient, */
    MAIL_DSN_STEP_STATUS_FINAL,    /* Final-Recipient, */
    MAIL_DSN_STEP_STATUS_DETAIL,   /* and the rest */
    MAIL_DSN_STEP_QUOTE_HEAD,
    MAIL_DSN_STEP_QUOTE,
    MAIL_DSN_STEP_END,
    MAIL_DSN_STEP_DONE,
};

/* ---- mail_dsn_put.c: pieces of lines, into the stage ---- */

void mail_dsn_put_octet(struct mail_dsn *dsn, uint8_t c);

/* Text of our own: printable ASCII and CRLF. */
void mail_dsn_puts(struct mail_dsn *dsn, const char *text);
void mail_dsn_put_span(struct mail_dsn *dsn, struct base_span text);

/* Ends the line unless it is at its start. */
void mail_dsn_end_line(struct mail_dsn *dsn);

/* The words of text, each behind a blank or, where the line would pass MAIL_DSN_FOLD_COLUMN, at
 * the start of a new line behind indent; no blank at the start of a line other than indent. What
 * may not be shown becomes "?", as do octets over 127 without utf8; over MAIL_DSN_TEXT_MAX it is
 * cut. */
void mail_dsn_put_words(struct mail_dsn *dsn, struct base_span text, const char *indent, bool utf8);

/* False when put_words would write nothing. */
bool mail_dsn_has_words(struct base_span text);

/* The name of a recipient's server, at most MAIL_DSN_NAME_MAX of it. */
static inline struct base_span mail_dsn_server(const struct mail_dsn_recipient *r)
{
    size_t len = r->remote_mta.len;
    return base_span_of(r->remote_mta.p, len < MAIL_DSN_NAME_MAX ? len : MAIL_DSN_NAME_MAX);
}

/* How an address is written where octets over 127 are not. */
enum mail_dsn_address {
    MAIL_DSN_ADDRESS_PLAIN,   /* printable ASCII as it is, the rest as \x{...} or as UTF-8 */
    MAIL_DSN_ADDRESS_UNITEXT, /* the same, and "+", "=" as \x{...}: RFC 6533 section 3, where
                                 \x{...} may stand already */
    MAIL_DSN_ADDRESS_ENCODED, /* and "\", blanks: of an address that is not in that form yet */
};
void mail_dsn_put_address(struct mail_dsn *dsn, struct base_span address,
                          enum mail_dsn_address form);

/* Decodes xtext (RFC 3461 section 4) to out. Returns false when it is none or too long. */
bool mail_dsn_xtext(struct base_span text, uint8_t out[MAIL_DSN_ADDRESS_MAX], size_t *len);

/* Takes an ORCPT apart: the address type, a view, and the address, decoded. False: it is none. */
bool mail_dsn_orcpt(struct base_span orcpt, struct base_span *type,
                    uint8_t out[MAIL_DSN_ADDRESS_MAX], size_t *len);

/* Puts the characters in the place of each \x{...} (RFC 6533 section 3). */
void mail_dsn_unitext(uint8_t *text, size_t *len);

/* "Name: date" when there is a time. */
void mail_dsn_put_date(struct mail_dsn *dsn, const char *name, uint64_t wall_ns);

/* ---- the parts ---- */

void mail_dsn_text_head(struct mail_dsn *dsn);
void mail_dsn_text_kind(struct mail_dsn *dsn);
void mail_dsn_text_recipient(struct mail_dsn *dsn, const struct mail_dsn_recipient *r);
void mail_dsn_text_detail(struct mail_dsn *dsn, const struct mail_dsn_recipient *r);
void mail_dsn_text_end(struct mail_dsn *dsn);

void mail_dsn_status_message(struct mail_dsn *dsn);
void mail_dsn_status_original(struct mail_dsn *dsn, const struct mail_dsn_recipient *r);
void mail_dsn_status_final(struct mail_dsn *dsn, const struct mail_dsn_recipient *r);
void mail_dsn_status_detail(struct mail_dsn *dsn, const struct mail_dsn_recipient *r);

void mail_dsn_quote_head(struct mail_dsn *dsn);

/* Takes octets off the front of original into the stage. Returns true when the part is complete;
 * false with original empty when more is wanted, else when the stage is full. */
bool mail_dsn_quote(struct mail_dsn *dsn, struct base_span *original, bool original_ends);

#endif
