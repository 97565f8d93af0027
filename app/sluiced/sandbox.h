/*
 * What a process of the gateway may do, by its role: system calls by an allow-list (seccomp),
 * paths, TCP and signals by Landlock as far as the kernel has it, and no right of root.
 *
 * What is on no list fails with EPERM, as does memory that is to be executed. What only an intruder
 * would try (SANDBOX_DEADLY in sandbox_calls.c: ptrace, mount, bpf, io_uring_setup, execve where
 * the role starts nothing, ...) ends the process.
 *
 * Threads: before other threads exist (Landlock, capabilities cover only the calling thread and
 * those that it makes); sandbox_allow reaches all threads.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "base_assert.h"

#include <stdbool.h>
#include <stdint.h>

#define SANDBOX_ERROR_CAP 160

/* ---- system calls (sandbox_calls.c) ---- */

enum sandbox_role {
    SANDBOX_MAIN,     /* lanes, spoolers, courier, control: after the start */
    SANDBOX_OPENER,   /* and what the roles need that it starts, for they inherit it */
    SANDBOX_RESOLVER, /* running: with its settings and its first file descriptor */
    SANDBOX_HTTPS,
    SANDBOX_AUTH,
    SANDBOX_ROLE_CNT
};

/* From now on all threads of this process, and what it starts, are held to the role's list, for
 * good. Returns 0, or a negative error with the reason in why (the kernel lacks it: the caller
 * warns and goes on). */
int sandbox_allow(enum sandbox_role role, char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* ---- Landlock ---- */

struct sandbox_paths {
    const char *const
        *read; /* and below; ended by NULL, as is the next; missing ones are skipped */
    const char *const *write; /* read, write, make, remove */
    bool write_only;          /* reading is not restricted: read is not looked at */
    bool no_tcp_listen;       /* over the kernel's TCP */
    bool no_tcp_connect;
    bool no_signals; /* to processes outside of it */
    bool no_abstract_sockets;
};

/* From now on this thread and those that it makes may do no more than that. Returns 0, or a
 * negative error with why: then nothing is restricted. With 0 and a text in why the kernel's
 * Landlock lacks a part of it. */
int sandbox_confine(const struct sandbox_paths *paths,
                    char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* Nothing at all: no path, no signal, no abstract socket. For roles that have all they need. */
int sandbox_confine_all(char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* ---- rights ---- */

/* No program that this thread, or one that it makes, ever starts gets a capability. What it has now
 * stays until it becomes another user. */
void sandbox_close_rights(void);

/* Keeps of root's capabilities those of the mask alone, here and for what is started. */
int sandbox_keep_rights(uint64_t capabilities) BASE_WARN_UNUSED;

/* No other process of the same user looks into this one, no core is written, no page becomes both
 * written and executed, where the kernel has that. */
void sandbox_close_memory(void);

/* Gives up root for nobody (65534), who owns nothing; without root it changes nothing. Returns 0,
 * or a negative error with why. */
int sandbox_drop_to_nobody(char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

/* Gives up root for the named user, in all threads. Returns 0 or a negative error with why. */
int sandbox_drop_user(const char *user, char why[SANDBOX_ERROR_CAP]) BASE_WARN_UNUSED;

#endif
