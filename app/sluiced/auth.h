/*
 * The auth thread: takes logins from the lanes, asks the process that knows the accounts
 * (auth_role.h), counts failures, holds refusals back for a while, and answers.
 *
 * It alone counts: so the limits are exact over all lanes, and nothing in it is shared. When the
 * process dies, what was asked is answered "temporary", and so is everything until control has
 * started another one.
 *
 * Threads: auth_pass by its own; auth_give_... by control. Memory: jobs are the lanes'; all else is
 * taken at the start.
 */
#ifndef AUTH_H
#define AUTH_H

#include "auth_job.h"
#include "auth_limit.h"
#include "auth_message.h"
#include "conf.h"
#include "topology.h"

#include <stdatomic.h>

struct loop;

struct auth {
    const struct conf_auth *conf; /* of the settings the gateway started with */
    struct topology *topology;
    struct stats_block *stats;
    struct stats_log log;
    struct loop *loop; /* that waits for the socket; NULL: nobody waits (tests) */
    /* Control stores a descriptor (release), the thread exchanges it for -1 (acquire) and owns it
     * from there; control may take one back that was not taken. */
    _Atomic int next_socket, next_file;
    /* The thread stores true when the process has gone (release), control false before it gives
     * another socket. */
    _Atomic bool lost;
    /* The thread's. */
    int socket; /* -1: the process is down */
    struct auth_job **slots;
    uint32_t *free_slots;
    uint32_t slot_cnt, free_cnt;
    uint64_t serial;
    uint64_t lanes_rung;      /* bits */
    struct base_list asked;   /* in the order of due_ns */
    struct base_list delayed; /* likewise */
    struct auth_limit client, login, all, pair;
    uint8_t secret[16]; /* of the limits' keys */
};

/* socket: to a process that is configured; taken. Returns 0 or -ENOMEM. */
int auth_init(struct auth *a, const struct conf_auth *conf, struct topology *t, int socket,
              const uint8_t secret[16]) BASE_WARN_UNUSED;
void auth_fini(struct auth *a);

/* One round. Returns true when it did something. */
bool auth_pass(struct auth *a, uint64_t now_ns, uint64_t wall_ns);

/* When the next login is due; BASE_NS_NONE when none is. */
uint64_t auth_deadline(const struct auth *a);

/* A descriptor for the thread, which closes it: the socket of a new process; a passwd file. One
 * that it had not taken yet is closed. */
void auth_give_socket(struct auth *a, int socket);
void auth_give_file(struct auth *a, int file);

/* Sends a message, with a descriptor or without (-1). Returns 0 or a negative error, -EAGAIN among
 * them. Any thread. */
int auth_send(int socket, const struct auth_message *m, int fd) BASE_WARN_UNUSED;

#endif
