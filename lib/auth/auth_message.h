/*
 * What the gateway and the process of the accounts say to each other: messages of one datagram
 * each, over a socket pair (SOCK_SEQPACKET). Both ends are the same program, of the same build, but
 * neither trusts the other: what comes is checked whole.
 *
 * Pure; any thread. Memory: a message is a struct of its reader's or writer's.
 */
#ifndef AUTH_MESSAGE_H
#define AUTH_MESSAGE_H

#include "auth_driver.h"

enum auth_message_kind {
    /* To the process. */
    AUTH_MESSAGE_CONFIG,   /* data: struct auth_message_config; the first */
    AUTH_MESSAGE_FILE,     /* a descriptor comes with it, of the passwd file */
    AUTH_MESSAGE_BEGIN,    /* id, mechanism, flags, client, binding; data: the response */
    AUTH_MESSAGE_RESPONSE, /* id; data: a further one */
    AUTH_MESSAGE_CANCEL,   /* id */
    /* From it. */
    AUTH_MESSAGE_RESULT, /* id, result, login; data: the challenge */
    AUTH_MESSAGE_LOADED, /* data: text, what a file came to; it is in use */
    AUTH_MESSAGE_FAILED, /* data: text, why it is not; what was before is */
    AUTH_MESSAGE_NOTE,   /* data: text for the log */
    AUTH_MESSAGE_KIND_CNT
};

#define AUTH_MESSAGE_NO_RESPONSE 1 /* BEGIN without an initial response */
#define AUTH_MESSAGE_SECURE      2
#define AUTH_MESSAGE_PLUS        4 /* -PLUS was offered */
#define AUTH_MESSAGE_BOUND       8

#define AUTH_MESSAGE_DATA_MAX SMTP_SASL_RESPONSE_MAX
#define AUTH_MESSAGE_MAX      2048 /* bytes of a datagram */

struct auth_message {
    uint64_t id;
    uint8_t kind;
    uint8_t mechanism;
    uint8_t result;
    uint8_t flags;
    uint8_t client[16];
    uint8_t binding[SMTP_SASL_BINDING_BYTES];
    uint16_t login_len, data_len;
    char login[SMTP_SASL_LOGIN_MAX + 1]; /* also: whom a certificate names */
    uint8_t data[AUTH_MESSAGE_DATA_MAX];
};

enum auth_backend { AUTH_BACKEND_NONE, AUTH_BACKEND_PASSWD, AUTH_BACKEND_DOVECOT };

struct auth_message_config {
    uint32_t backend; /* enum auth_backend */
    uint32_t workers, queue, exchanges;
    uint32_t uid, gid; /* to become; UINT32_MAX: stay */
    uint32_t sandbox;
    char path[512]; /* of the file (for messages), or of Dovecot's socket */
};
base_static_assert(sizeof(struct auth_message_config) <= AUTH_MESSAGE_DATA_MAX, "one message");

/* Writes the datagram; returns its length. */
size_t auth_message_write(uint8_t out[AUTH_MESSAGE_MAX], const struct auth_message *m);

/* Returns 0, or -EINVAL: it is no message. */
int auth_message_read(struct auth_message *m, struct base_span datagram) BASE_WARN_UNUSED;

static inline void auth_message_set_data(struct auth_message *m, struct base_span data)
{
    m->data_len = (uint16_t)(data.len < AUTH_MESSAGE_DATA_MAX ? data.len : AUTH_MESSAGE_DATA_MAX);
    if (m->data_len > 0)
        memcpy(m->data, data.p, m->data_len);
}

static inline void auth_message_set_login(struct auth_message *m, struct base_span login)
{
    m->login_len = (uint16_t)(login.len < SMTP_SASL_LOGIN_MAX ? login.len : SMTP_SASL_LOGIN_MAX);
    if (m->login_len > 0)
        memcpy(m->login, login.p, m->login_len);
    m->login[m->login_len] = 0;
}

#endif
