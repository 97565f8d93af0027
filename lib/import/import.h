/*
 * The configuration of another mail server: its texts in, a configuration of ours out.
 *
 * Postfix: main.cf (or what postconf -n prints), master.cf, and the maps that they name.
 * docker-mailserver: mailserver.env or a compose file's environment, and the files of its
 * configuration directory; Postfix's part of it goes the same way as Postfix.
 *
 * Every parameter that was set stands in the result: beside what it became, or with what to do
 * about it. What only the operator knows has a placeholder and a marked line above it. The
 * result parses: what conf_parse refuses is taken out, with its words, as such a line.
 *
 * What becomes of a parameter is data: import_table.c, import_dms_table.c, import_rule.c.
 *
 * Sans-I/O: files are asked for by callback. Left out: LDAP, SQL and other services as maps, sender
 * dependent routing, access tables, filters; they are told.
 *
 * Threads: pure; any. Memory: the result owns all it has. Bounds: IMPORT_TEXT_MAX bytes of
 * main.cf and the like, 64 KiB of an expanded value, CONF_BLOCK_MAX routes and CONF_LIST_MAX items;
 * what is over them is told.
 */
#ifndef IMPORT_H
#define IMPORT_H

#include "base_assert.h"
#include "base_bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define IMPORT_TEXT_MAX (1u << 20)

struct import_input {
    /* Gives the bytes of a file, alive until the import returns: 0, or a negative error. */
    int (*read)(void *user, const char *path, struct base_span *text);
    void *user;
    const char *dir;  /* absolute: what stands for /etc/postfix, or the container's directory */
    const char *main; /* of Postfix: the file of the parameters, absolute; its name is told */
    /* Absolute path of the configuration that will be written: what cannot be used in place goes
     * into files beside it, named by it. */
    const char *output;
};

/* A file that the configuration names and that is not there yet: a password, a list of addresses.
 */
struct import_file {
    const char *path; /* absolute, beside the output */
    const char *text;
    bool secret; /* mode 600; others 644 */
};

struct import_result {
    const char *text;
    const struct import_file *file;
    uint32_t file_cnt;
    uint32_t todo_cnt; /* marked lines */
    void *memory;
};

/* Borrow in. Return the result, or NULL with *why when the directory is not what it should be:
 * there is no main.cf, or no file of docker-mailserver. */
struct import_result *import_postfix(const struct import_input *in,
                                     const char **why) BASE_WARN_UNUSED;
struct import_result *import_dms(const struct import_input *in, const char **why) BASE_WARN_UNUSED;
void import_free(struct import_result *r); /* NULL is let through */

#endif
