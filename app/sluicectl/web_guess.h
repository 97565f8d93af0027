/*
 * The password of the web page, and how often it may be guessed.
 *
 * A client (IPv4 address, IPv6 /64, or a user of this machine) has WEB_GUESS_BURST wrong passwords,
 * and one more each WEB_GUESS_EVERY_S; who has none left is turned away unread. All clients
 * together that never gave the right one have 60, and one more each second: so many addresses guess
 * no faster, and who was let in before is not kept out by them.
 *
 * Threads: one. Memory: the caller's. Pure.
 */
#ifndef WEB_GUESS_H
#define WEB_GUESS_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define WEB_PASSWORD_MIN  8
#define WEB_PASSWORD_MAX  255
#define WEB_GUESS_CLIENTS 256
#define WEB_GUESS_BURST   5
#define WEB_GUESS_EVERY_S 12

struct web_guess_client {
    uint8_t key[16]; /* zero: a free row */
    uint64_t seen_ms;
    uint32_t left_ms; /* of BURST times EVERY_S, as time that is paid with */
    bool good;        /* it has given the right password */
};

struct web_guess {
    struct web_guess_client client[WEB_GUESS_CLIENTS];
    uint64_t all_ms;
    uint32_t all_left_ms; /* of 60 s */
};

void web_guess_init(struct web_guess *g, uint64_t now_ms);

/* The client's row, which another may lose for it: who was never let in, and was seen longest ago.
 * uid: of a user of this machine, all of whose addresses are one; NULL: it is told by its address.
 */
struct web_guess_client *web_guess_client(struct web_guess *g, const struct sockaddr_storage *from,
                                          const uint32_t *uid, uint64_t now_ms);
/* Whether its password may be looked at. */
bool web_guess_may(struct web_guess *g, const struct web_guess_client *c, uint64_t now_ms);
/* It was right, or wrong. */
void web_guess_told(struct web_guess *g, struct web_guess_client *c, bool right);

/* In a time that tells neither where they differ nor how long want is. Both are at most
 * WEB_PASSWORD_MAX bytes; a longer one is wrong. */
bool web_password_eq(const char *want, const char *got) BASE_WARN_UNUSED;

#endif
