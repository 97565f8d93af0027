/*
 * What travels between a lane and the auth thread: one client's login, a step at a time. The lane
 * pushes it with a question, gets it back with the answer; for as long as the exchange lasts it is
 * the same object, and the thread keeps its place.
 *
 * Memory: the lane's pool. Threads: whoever has it; conn and away are the lane's at all times.
 */
#ifndef AUTH_JOB_H
#define AUTH_JOB_H

#include "auth_driver.h"
#include "base_list.h"
#include "net_addr.h"

struct conn;

enum auth_job_kind { AUTH_JOB_BEGIN, AUTH_JOB_RESPONSE, AUTH_JOB_CANCEL };

struct auth_job {
    /* The lane's. */
    struct conn *conn; /* NULL: gone, nobody waits for the answer */
    bool away;         /* with the thread */
    /* The thread's, kept from step to step. */
    struct base_list place;
    uint64_t id; /* 0: it has none */
    uint64_t due_ns;
    uint64_t client_key;
    bool asked; /* the process has it; place is in the list of those */
    /* The question. */
    uint8_t kind; /* enum auth_job_kind */
    uint8_t mechanism;
    uint8_t flags; /* AUTH_MESSAGE_... */
    uint8_t lane;
    struct net_addr client;
    uint8_t binding[SMTP_SASL_BINDING_BYTES];
    /* The answer. */
    uint8_t result; /* enum auth_result */
    bool closes;    /* too many failures: the connection ends with it */
    /* Both. */
    uint16_t login_len; /* in the question: whom a certificate names */
    char login[SMTP_SASL_LOGIN_MAX + 1];
    uint16_t data_len;
    uint8_t data[SMTP_SASL_RESPONSE_MAX];
};

#endif
