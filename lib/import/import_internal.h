/* One import under way: what was read, what is being written, and who does which part. */
#ifndef IMPORT_INTERNAL_H
#define IMPORT_INTERNAL_H

#include "conf.h"
#include "import.h"
#include "import_cf.h"

#include <stdio.h>

/* ---- the document: blocks with settings and comments ---- */

struct import_setting {
    const char *key; /* NULL: a comment alone */
    const char **item;
    uint32_t cnt, cap;
    bool list;
    const char *above;   /* lines of comment in front of it; "" */
    const char *refused; /* why it is left out */
    uint32_t round;      /* in which conf_parse said so */
    uint32_t line;       /* in the text written last */
    struct import_setting *next;
};

struct import_block {
    const char *kind, *name; /* name: "" where it has none */
    const char *refused;     /* why it is left out */
    uint32_t line;
    struct import_setting *first, *last;
    struct import_block *next;
};

/* A part of the comments at the end. */
enum import_part { IMPORT_RULES, IMPORT_SAME, IMPORT_NONE, IMPORT_OWN, IMPORT_PART_CNT };

/* Lines, each with its end; p is NULL where there are none. */
struct import_text {
    char *p;
    size_t len, cap;
};

struct import_doc {
    struct import_arena *arena;
    struct import_block *block;
    struct import_text part[IMPORT_PART_CNT];
    struct import_text todo; /* those of no block */
    const char *head;        /* what was read */
    uint32_t todo_cnt, round;
};

/* Found or made; name may be "". NULL: there are as many of the kind as there may be. */
struct import_block *import_block(struct import_doc *d, const char *kind, const char *name);
struct import_block *import_block_find(struct import_doc *d, const char *kind, const char *name);
/* The setting gets the value, in place of what it had; or one item more. */
struct import_setting *import_set(struct import_doc *d, struct import_block *b, const char *key,
                                  const char *value);
struct import_setting *import_add(struct import_doc *d, struct import_block *b, const char *key,
                                  const char *item);
struct import_setting *import_setting_find(struct import_block *b, const char *key);
/* Comments in front of a setting; of NULL: behind what the block has so far. Each may have several
 * lines. A todo is one that begins with the word. */
__attribute__((format(printf, 4, 5))) void import_note(struct import_doc *d, struct import_block *b,
                                                       struct import_setting *s, const char *format,
                                                       ...);
__attribute__((format(printf, 4, 5))) void import_todo(struct import_doc *d, struct import_block *b,
                                                       struct import_setting *s, const char *format,
                                                       ...);
__attribute__((format(printf, 3, 4))) void import_part(struct import_doc *d, enum import_part part,
                                                       const char *format, ...);
/* The text, after what conf_parse refuses was taken out. */
const char *import_doc_text(struct import_doc *d);

/* ---- the import ---- */

enum import_class { IMPORT_LOCAL, IMPORT_ALIAS, IMPORT_MAILBOX, IMPORT_RELAY, IMPORT_CLASS_CNT };

struct import_domain {
    const char *name;
    enum import_class class;
    bool routed;
    struct import_domain *next;
};

struct import {
    struct import_arena arena;
    const struct import_input *in;
    struct import_items items; /* main.cf */
    struct import_services services;
    struct import_doc doc;
    struct import_domain *domain;
    uint32_t domain_cnt, password_cnt, list_cnt;
    const char *lost_domain, *lost_route, *lost_policy; /* the first without room */
    uint32_t lost_domain_cnt, lost_route_cnt, lost_policy_cnt;
    const char *hostname; /* myhostname, or a placeholder */
    const char *address;  /* placeholder of the port, or the first address that is known */
    bool dms;             /* docker-mailserver: its defaults, its accounts */
    bool proxied;         /* a listener has proxy = required */
    struct import_file *file;
    uint32_t file_cnt, file_cap;
};

struct import_result *import_finish(struct import *im);

/* The value that counts, expanded; options may be NULL. "" where there is none. */
const char *import_value(struct import *im, const struct import_items *options, const char *name);
/* The item where somebody set it, also as an option; NULL. */
struct import_item *import_given(struct import *im, const struct import_items *options,
                                 const char *name);
/* "main.cf:12: name = value", and it is told from now on; "" for NULL. */
const char *import_tell(struct import *im, struct import_item *i);
/* "transport:12": a line of a file, of a map. */
const char *import_line_shown(struct import *im, const char *path, uint32_t line);
const char *import_where(struct import *im, const struct import_map *m, uint32_t line);
/* The same of an entry; what inline has stands in main.cf, and is shown. What files have is not:
 * a name may be any file's. */
const char *import_entry_shown(struct import *im, const struct import_map *m,
                               const struct import_entry *e);
/* Whether parameters of this name have secrets: they are hidden. */
bool import_is_secret(const char *name);
/* Hides what such parameters are made of: parameters of the operator's own. */
void import_hide(struct import *im);
bool import_yes(const char *value);

/* A file of the machine that is imported: below /etc/postfix it is looked for in the directory.
 * Returns false when it cannot be read; *path becomes the one that was. */
bool import_file_read(struct import *im, const char **path, struct base_span *text);
/* A file that has to be written, below a name that is not taken; returns its path. */
const char *import_file_new(struct import *im, const char *name, const char *text, bool secret);
/* Opens by what is written in a value. False: m->why says why not. */
bool import_map_open(struct import *im, struct import_map *m, const char *text);

/* ---- the parts ---- */

/* The first lines of the result. */
void import_head(struct import *im, bool master);
void import_translate(struct import *im); /* import_postfix.c: all of these */
void import_scalars(struct import *im);
void import_listeners(struct import *im);
void import_relay_networks(struct import *im); /* behind the listeners */
void import_domains(struct import *im);
void import_recipients(struct import *im);
void import_routes(struct import *im);
void import_delivery_tls(struct import *im);
void import_certificates(struct import *im);
void import_logins(struct import *im);
void import_rules(struct import *im);
void import_rest(struct import *im); /* what nobody has told yet */

struct import_domain *import_domain_add(struct import *im, const char *name,
                                        enum import_class class);
bool import_is_domain(const char *text);
bool import_is_loopback(const char *text);
/* The networks of a list of Postfix's, into a list of ours; what is none is told, and so is a
 * network of which a part is taken out (!): it is left out. */
void import_networks(struct import *im, struct import_block *b, const char *key, const char *list);
/* Whether the next word belongs to this one of a list of restrictions. */
bool import_rule_has_argument(const char *word);
/* A block for "zone=answers*weight". NULL: it is none, or there are too many. */
struct import_block *import_dns_list(struct import *im, const char *item);
/* A route of mail for the domain, or "default", by a transport as Postfix writes it. False: there
 * is none here. */
bool import_route_to(struct import *im, const char *domain, const char *transport,
                     const char *comment);
/* The port's block, which gets the address if it has not got it. */
struct import_block *import_port_address(struct import *im, const char *address);
/* Of a host: not any, nor loopback, nor multicast. */
bool import_is_address(const char *text, bool *ipv6);
/* "[mail.example.org]:submission" with the port as a number; NULL: it is no host. */
const char *import_host(struct import *im, const char *text);
/* "smtps" or "465"; 0: none. */
unsigned import_port_number(const char *text);
/* A path that Postfix takes from its queue directory. */
const char *import_queue_path(struct import *im, const char *path);

/* ---- tables ---- */

/* What becomes of a parameter. */
enum import_row_kind {
    ROW_CODE, /* import_*.c knows; what it has not told goes to the end with note */
    ROW_NUMBER,
    ROW_SIZE,
    ROW_TIME, /* of the unit that note's first letter is */
    ROW_TEXT,
    ROW_SAME, /* it is so here anyway */
    ROW_NONE, /* it has no counterpart; note: what to do */
    ROW_OWN,  /* of the installation there, nothing is to be done */
};

struct import_row {
    const char *name; /* may end or begin with * */
    enum import_row_kind kind;
    const char *ours; /* "block.key" of numbers, sizes, times and texts */
    const char *note;
};
extern const struct import_row import_rows[];      /* Postfix; ended by a row without a name */
extern const struct import_row import_dms_rows[];  /* the container's environment */
extern const struct import_row import_rule_rows[]; /* words of smtpd_*_restrictions */
const struct import_row *import_row_find(const struct import_row *rows, const char *name);

#endif
