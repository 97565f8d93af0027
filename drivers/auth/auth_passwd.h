/*
 * Accounts out of a file (auth_passwd_file.h), passwords checked by a pool of threads: the driver
 * `passwd` of auth_driver.h. PLAIN, LOGIN, SCRAM-SHA-256 and its -PLUS, EXTERNAL.
 *
 * A login without an account costs what one with an account costs, and always the same one: the
 * hash of some account is made with its password, and its answer thrown away. Likewise SCRAM shows
 * a salt for it that does not change.
 *
 * A new file takes the place of the old one as a whole; exchanges under way end by the file that
 * was asked first.
 */
#ifndef AUTH_PASSWD_H
#define AUTH_PASSWD_H

#include "auth_driver.h"
#include "auth_passwd_file.h"

struct auth_passwd;

struct auth_passwd_settings {
    uint32_t exchange_max;
    uint32_t thread_cnt;
    uint32_t job_max;   /* hashes to be made at a time, those that wait included */
    uint8_t secret[16]; /* random; for decoys */
    void (*random)(void *p, size_t len);
    struct auth_done done;
};

/* Without a file: every answer is UNAVAILABLE. Returns 0 or a negative error. */
int auth_passwd_open(struct auth_passwd **out,
                     const struct auth_passwd_settings *settings) BASE_WARN_UNUSED;
void auth_passwd_close(struct auth_passwd *p);

/* Takes the table, in place of the one before. */
void auth_passwd_use(struct auth_passwd *p, struct auth_passwd_table *table);

struct auth_driver auth_passwd_driver(struct auth_passwd *p);

#endif
