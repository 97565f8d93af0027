/*
 * Accounts out of a file, in either of two forms, line by line:
 *
 *   login:{SCHEME}hash[:...]     Dovecot's passwd-file; of its further fields only the extra ones
 *                                are looked at: nologin holds, allow_nets and such are refused
 *   login|{SCHEME}hash[|...]     docker-mailserver's postfix-accounts.cf
 *
 * Empty lines and such that begin with "#" are passed over. Schemes: what crypt(3) knows ({CRYPT},
 * {SHA512-CRYPT}, {SHA256-CRYPT}, {BLF-CRYPT}, {MD5-CRYPT}, {DES-CRYPT}, or none), and
 * {SCRAM-SHA-256} with Dovecot's "iterations,salt,stored key,server key" or RFC 5803's text. A
 * password in clear is refused. Logins are told apart without regard to case.
 *
 * The file is taken whole or not at all. Pure: bytes in, a table out. Threads: a table is
 * immutable.
 */
#ifndef AUTH_PASSWD_FILE_H
#define AUTH_PASSWD_FILE_H

#include "smtp_sasl.h"

#define AUTH_PASSWD_HASH_MAX  384 /* as crypt(3) has it, with its NUL */
#define AUTH_PASSWD_BYTES_MAX (256u << 20)
#define AUTH_PASSWD_WHY_CAP   256

struct auth_passwd_account {
    const char *login; /* as it is spelled in the file */
    const char *hash;  /* for crypt(3); NULL: there is the verifier */
    const struct smtp_sasl_verifier *verifier;
    bool nologin;
};

struct auth_passwd_table;

/* Returns the table; or NULL with "name:line: why" in why, also without memory. warning tells what
 * is odd, or is empty. name is a file's. */
struct auth_passwd_table *auth_passwd_parse(const char *name, struct base_span text,
                                            char why[AUTH_PASSWD_WHY_CAP],
                                            char warning[AUTH_PASSWD_WHY_CAP]) BASE_WARN_UNUSED;
void auth_passwd_free(struct auth_passwd_table *t);

uint32_t auth_passwd_cnt(const struct auth_passwd_table *t);

/* NULL: there is none. */
const struct auth_passwd_account *auth_passwd_find(const struct auth_passwd_table *t,
                                                   struct base_span login);

/* One whose cost a login without an account is to have, always the same for it; NULL: there is no
 * account at all. scram: one with a verifier, NULL when there is none. */
const struct auth_passwd_account *auth_passwd_decoy(const struct auth_passwd_table *t,
                                                    uint64_t random, bool scram);

#endif
