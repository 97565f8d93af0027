/*
 * Map files of addresses (recipient and sender blocks) and the secrets of srs: read whole through
 * the opener, made into one immutable set of tables (lib/policy), or not at all. What is wrong is
 * told as file:line: why; what concerns a whole file, as the setting's file:line: key: why.
 *
 * Threads: control's. Memory: the tables are the caller's.
 */
#ifndef MAPS_H
#define MAPS_H

#include "conf.h"
#include "policy_tables.h"

#define MAPS_TEXT_CAP    640
#define MAPS_WARNING_MAX 16
#define MAPS_ERROR_MAX   32

/* Opens a file for reading: a descriptor, or a negative error. */
typedef int (*maps_open)(void *user, const char *path);

struct maps_notes {
    /* Of a file whose last line nothing ends, as somebody may just be writing it; "": of none. */
    char unended[MAPS_TEXT_CAP];
    uint32_t error_cnt;                        /* kept; 0: there are tables */
    char error[MAPS_ERROR_MAX][MAPS_TEXT_CAP]; /* "file:line: why" */
    uint32_t warning_cnt;                      /* kept; the last one says when there were more */
    char warning[MAPS_WARNING_MAX][MAPS_TEXT_CAP];
};

/* Whether conf names any file. */
bool maps_wanted(const struct conf *conf);

/* Calls each with the path of every map file of conf, until it returns other than 0. */
int maps_each(const struct conf *conf, int (*each)(void *arg, const char *path), void *arg);

/* Reads all files of conf. Returns the tables, or NULL with at least one error: all files are
 * looked at. conf may be one with errors (conf_parse_partly). */
struct policy_tables *maps_read(const struct conf *conf, maps_open open_file, void *user,
                                struct maps_notes *notes) BASE_WARN_UNUSED;

/* What the files look like, as one number: another one when any of them has changed. */
uint64_t maps_look(const struct conf *conf, maps_open open_file, void *user);

#endif
