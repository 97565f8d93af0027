/*
 * What a process of the gateway may not do: system calls refused by seccomp, writing outside its
 * own directories refused by Landlock. The lists are wide in this version: they deny what no part
 * of the process ever needs; allow-lists come with the installation issue.
 *
 * Threads: before other threads exist (Landlock covers only the calling thread and its children);
 * sandbox_deny reaches all threads.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "base_assert.h"

#define SANDBOX_ERROR_CAP 160

/* System call numbers, ended by -1. */
extern const int sandbox_deny_main[];
extern const int sandbox_deny_opener[];
/* The resolver's and that of HTTPS from its first instruction, and what it denies itself before the
 * first question: every file and every other process. */
extern const int sandbox_deny_resolver[];
extern const int sandbox_deny_resolver_running[];
extern const int sandbox_deny_auth[];

/* The calls in the list fail with EPERM from now on, in all threads, for good. Returns 0, or a
 * negative error with the reason in why (the kernel lacks it: the caller warns and goes on). */
int sandbox_deny(const int *syscalls, char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* From now on this thread and those it makes may write, make and remove only below the given
 * directories (ended by NULL; missing ones are skipped). Reading is not restricted. */
int sandbox_confine_writes(const char *const *directories,
                           char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* Gives up root for nobody (65534), who owns nothing; without root it changes nothing. Returns 0,
 * or a negative error with why. */
int sandbox_drop_to_nobody(char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* Gives up root for the named user, in all threads. Returns 0 or a negative error with why. */
int sandbox_drop_user(const char *user, char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

#endif
