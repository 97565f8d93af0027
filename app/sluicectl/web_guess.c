#include "web_guess.h"

#include <netinet/in.h>
#include <string.h>

#define FULL_MS     (WEB_GUESS_BURST * WEB_GUESS_EVERY_S * 1000U)
#define ALL_FULL_MS 60000U
#define ALL_COST_MS 1000U
#define COST_MS     (WEB_GUESS_EVERY_S * 1000U)

void web_guess_init(struct web_guess *g, uint64_t now_ms)
{
    memset(g, 0, sizeof(*g));
    g->all_ms = now_ms;
    g->all_left_ms = ALL_FULL_MS;
}

static uint32_t grown(uint32_t left_ms, uint64_t since_ms, uint32_t full_ms)
{
    return since_ms >= full_ms - left_ms ? full_ms : left_ms + (uint32_t)since_ms;
}

static void make_key(uint8_t key[16], const struct sockaddr_storage *from, const uint32_t *uid)
{
    memset(key, 0, 16);
    if (uid != NULL) {
        key[8] = 1; /* no address has */
        memcpy(key + 12, uid, sizeof(*uid));
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
        memcpy(key, &v6->sin6_addr, 8);
        key[15] = 6; /* no row is all zero */
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &v4->sin_addr, 4);
    }
}

struct web_guess_client *web_guess_client(struct web_guess *g, const struct sockaddr_storage *from,
                                          const uint32_t *uid, uint64_t now_ms)
{
    struct web_guess_client *oldest = &g->client[0];
    uint8_t key[16];

    make_key(key, from, uid);
    for (size_t i = 0; i < WEB_GUESS_CLIENTS; i++) {
        struct web_guess_client *c = &g->client[i];
        if (memcmp(c->key, key, sizeof(key)) == 0) {
            c->left_ms = grown(c->left_ms, now_ms - c->seen_ms, FULL_MS);
            c->seen_ms = now_ms;
            return c;
        }
        if (c->good < oldest->good || (c->good == oldest->good && c->seen_ms < oldest->seen_ms))
            oldest = c;
    }
    *oldest = (struct web_guess_client){.seen_ms = now_ms, .left_ms = FULL_MS};
    memcpy(oldest->key, key, sizeof(key));
    return oldest;
}

bool web_guess_may(struct web_guess *g, const struct web_guess_client *c, uint64_t now_ms)
{
    g->all_left_ms = grown(g->all_left_ms, now_ms - g->all_ms, ALL_FULL_MS);
    g->all_ms = now_ms;
    return c->left_ms >= COST_MS && (c->good || g->all_left_ms >= ALL_COST_MS);
}

void web_guess_told(struct web_guess *g, struct web_guess_client *c, bool right)
{
    if (right) {
        c->good = true;
        return;
    }
    c->left_ms -= c->left_ms < COST_MS ? c->left_ms : COST_MS;
    if (!c->good)
        g->all_left_ms -= g->all_left_ms < ALL_COST_MS ? g->all_left_ms : ALL_COST_MS;
}

bool web_password_eq(const char *want, const char *got)
{
    uint8_t a[WEB_PASSWORD_MAX + 1] = {0}, b[WEB_PASSWORD_MAX + 1] = {0};
    size_t want_len = strlen(want), got_len = strlen(got);
    volatile uint32_t other = (uint32_t)(want_len ^ got_len) | (got_len > WEB_PASSWORD_MAX);

    base_assert(want_len <= WEB_PASSWORD_MAX);
    memcpy(a, want, want_len);
    memcpy(b, got, got_len <= WEB_PASSWORD_MAX ? got_len : WEB_PASSWORD_MAX);
    for (size_t i = 0; i < sizeof(a); i++)
        other |= a[i] ^ b[i];
    return other == 0;
}
