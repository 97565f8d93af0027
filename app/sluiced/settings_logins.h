/*
 * The passwords of the logins at next hops: one file each, which the opener gives. Its first line
 * is the password; nothing but line ends may stand behind it. A file that others than its owner and
 * group may read, or that its group may change, is refused: more than 0640 is a mistake. Passwords
 * live in the settings alone, and are wiped with them; no message of ours has one.
 *
 * Threads: control's, and main's before it; blocks for the disk.
 */
#ifndef SETTINGS_LOGINS_H
#define SETTINGS_LOGINS_H

#include "settings.h"

#define SETTINGS_LOGINS_WHY_CAP 512

/* Fills in the logins of a snapshot that is not published yet. open_file gives descriptors or
 * negative errors. Returns 0, or a negative error with the reason in why. */
int settings_logins_read(struct settings *s, int (*open_file)(void *user, const char *path),
                         void *user, char why[SETTINGS_LOGINS_WHY_CAP]) BASE_WARN_UNUSED;

/* Reads the password of one route and forgets it. Returns likewise; the reason is without the
 * route's name. */
int settings_logins_check(const struct conf_route *r,
                          int (*open_file)(void *user, const char *path), void *user,
                          char why[SETTINGS_LOGINS_WHY_CAP]) BASE_WARN_UNUSED;

/* By id, which is not 0; NULL: the settings have changed. */
const struct settings_login *settings_login_find(const struct settings *s, uint64_t id);

#endif
