/*
 * The opener: the process that keeps the privilege. It opens what a fixed list of paths allows and
 * passes the descriptors; it starts other roles. The list is given once and sealed; after that the
 * gateway's main process, which parses outside data, can get nothing else through it.
 *
 * A list entry is a path; one that ends in "/" allows every file below it, without ".." in the
 * name and without a link that leads out; one that ends in "/." allows that directory and nothing
 * below it (the spool's, in which main may write). Files are opened for reading only, but for one:
 * the log's, to which lines are appended, and which is made when it is not there.
 *
 * Two openers run, one in reserve: when one dies the other takes its place and starts a new
 * reserve, to which it hands its own sealed list.
 *
 * Threads: the calls are control's (they block for the answer, 2 s at most).
 */
#ifndef OPENER_H
#define OPENER_H

#include "base_assert.h"
#include "stats_log.h"

#include <stdbool.h>
#include <sys/types.h>

#define OPENER_PATH_MAX 512
#define OPENER_LIST_MAX 128

struct opener {
    int socket[2]; /* [0] answers; [1] the reserve; -1: none */
    pid_t pid[2];
    uint32_t restart_cnt;
};

/* Starts both. Returns 0, or a negative error. */
int opener_start(struct opener *o) BASE_WARN_UNUSED;
void opener_stop(struct opener *o);

/* Adds a path to the list of both, before opener_seal. Returns 0, -ENOSPC, -EINVAL, -ENOTCONN. */
int opener_allow(struct opener *o, const char *path) BASE_WARN_UNUSED;
/* Likewise, the one path that opener_append opens. */
int opener_allow_append(struct opener *o, const char *path) BASE_WARN_UNUSED;
int opener_seal(struct opener *o) BASE_WARN_UNUSED;

/* A descriptor for reading, or a negative error: -EACCES when the path is not on the list, -EXDEV
 * when a link leads out of it, -ENOTCONN when no opener is left. A directory when the path ends in
 * "/" or "/.". */
int opener_open(struct opener *o, const char *path) BASE_WARN_UNUSED;

/* A descriptor for appending, which does not block, or a negative error: -EACCES for another path
 * than that, -ELOOP when it is a symbolic link. */
int opener_append(struct opener *o, const char *path) BASE_WARN_UNUSED;

/* Starts a role (role.h) in a process of its own: *socket is our end, which the caller closes.
 * Returns its pid, or a negative error. */
int opener_spawn(struct opener *o, const char *role, int *socket) BASE_WARN_UNUSED;

/* Replaces one that has died or did not answer; call it now and then. Returns true when it did. */
bool opener_tend(struct opener *o);

/* Both are gone: nobody is left who could start another. */
bool opener_lost(const struct opener *o);

/* The role's own main. */
int opener_main(int socket);

#endif
