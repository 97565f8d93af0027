/*
 * Where accounts are: the ops table of drivers/auth. A driver carries exchanges of SASL (RFC 4422)
 * through: it is given what the client says, and answers each message once, then or later, by done.
 *
 * Which login may send as whom, how many failures are too many and how long a refusal is held back
 * are decided elsewhere. A driver takes care that an unknown login and a wrong password cost the
 * same.
 *
 * Threads: all calls, and done, are those of the thread that has opened the driver; work of its own
 * threads it takes up in run. Memory: exchanges are the caller's; what a driver keeps for one hangs
 * from x->own, and is gone when the exchange is over: by an answer other than CHALLENGE, or by
 * cancel. Passwords are cleansed with it.
 */
#ifndef AUTH_DRIVER_H
#define AUTH_DRIVER_H

#include "smtp_sasl.h"

enum auth_result {
    AUTH_CHALLENGE,   /* the client is to answer it */
    AUTH_ACCEPTED,    /* login says who it is, as the account is spelled */
    AUTH_REFUSED,     /* login says who it claimed to be; may be empty */
    AUTH_MALFORMED,   /* no message of the mechanism */
    AUTH_BUSY,        /* too many at a time */
    AUTH_UNAVAILABLE, /* the accounts cannot be asked now */
    AUTH_LIMITED,     /* too many failures: nobody was asked */
    AUTH_RESULT_CNT
};

struct auth_answer {
    enum auth_result result;
    struct base_span challenge; /* borrowed for done */
    struct base_span login;
};

struct auth_exchange {
    void *own; /* the driver's; NULL: it has no such exchange */
    uint8_t mechanism;
    bool secure;       /* the client's way to us is encrypted */
    bool plus_offered; /* by our EHLO */
    bool bound;        /* binding holds (tls-exporter) */
    uint8_t binding[SMTP_SASL_BINDING_BYTES];
    uint8_t client[16];        /* IPv6 or v4-mapped */
    struct base_span identity; /* of the client's certificate; borrowed for begin */
};

struct auth_driver_ops {
    const char *name;
    /* The first message, p NULL: there was none; then the others. x->own is NULL before begin. */
    void (*begin)(void *state, struct auth_exchange *x, struct base_span response);
    void (*resume)(void *state, struct auth_exchange *x, struct base_span response);
    /* No answer will be taken any more. */
    void (*cancel)(void *state, struct auth_exchange *x);
    /* To wait for, for reading; -1: nothing now. */
    int (*wait_fd)(void *state);
    /* When wait_fd is readable, and now and then: answers what can be. */
    void (*run)(void *state, uint64_t now_ns);
};

struct auth_driver {
    const struct auth_driver_ops *ops;
    void *state;
};

/* What a driver is opened with, to answer. x->own is NULL with any answer but CHALLENGE. */
struct auth_done {
    void (*done)(void *user, struct auth_exchange *x, const struct auth_answer *a);
    void *user;
};

#endif
