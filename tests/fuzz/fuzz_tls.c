/*
 * What a peer may send to a TLS connection: the first byte chooses a server or a client, and
 * whether its input is raw or comes behind a handshake with a real peer, the second how it is cut.
 * Nothing but what the peer encrypted becomes plaintext, and the engine takes all it is given once
 * it is over.
 */
#include "tls.h"

#include "base_assert.h"
#include "keyop_inline.h"
#include "tls_kit.h"

#include <stdio.h>
#include <stdlib.h>

#define PIPE 32768

static struct {
    struct stats_block stats;
    struct tls_lane *lane;
    struct tls_domain *domain;
    SSL_CTX *client, *server;
} rig;

static void set_up(void)
{
    static const char *const names[] = {"mx.example.org"};
    static struct kit_certificate ec, rsa;
    static const struct tls_ticket_key key = {.name = "fuzz"};
    static const struct tls_policy_spec policies[] = {
        {.label = "in", .version_min = TLS_VERSION_12, .tickets = 1, .ask_certificate = true},
        {.label = "out", .version_min = TLS_VERSION_12, .client = true},
    };
    struct tls_lane_settings s = {.connection_max = 4,
                                  .handshake_max = 4,
                                  .step_max = 1000,
                                  .stats = &rig.stats,
                                  .keyop = {&keyop_inline_ops, keyop_inline_open(false, 1)}};
    char why[200];

    kit_certificate_make(&ec, "EC", names, 1, -1, 90);
    kit_certificate_make(&rsa, "RSA", names, 1, -1, 90);
    struct tls_certificate_spec c[] = {kit_spec(&ec, "ec"), kit_spec(&rsa, "rsa")};
    struct tls_domain_spec spec = {
        .certificates = c, .certificate_cnt = 2, .policies = policies, .policy_cnt = 2};
    rig.lane = tls_lane_init(&s);
    base_assert(rig.lane != NULL);
    tls_lane_set_tickets(rig.lane, &key, NULL);
    rig.domain = tls_domain_build(rig.lane, &spec, why, sizeof(why));
    base_assert(rig.domain != NULL);
    rig.client = kit_client_context(0);
    rig.server = kit_server_context(0, &ec);
}

static size_t decode(struct tls_conn *c, const uint8_t *p, size_t len, uint8_t *text,
                     struct base_buf *out)
{
    struct base_buf plain = {text, 0, PIPE};
    struct tls_conn *ready;
    size_t consumed, total = 0;

    tls_lane_run(rig.lane, NULL, 0);
    enum tls_state state = tls_conn_decode(c, base_span_of(p, len), &consumed, &plain, out);
    if (tls_lane_run(rig.lane, &ready, 1) == 1) /* a ClientHello waits for others */
        state = tls_conn_decode(c, base_span_of(p, len), &consumed, &plain, out);
    base_assert(consumed <= len);
    total += plain.len;
    if (state == TLS_FAILED || state == TLS_CLOSED)
        base_assert(consumed == len);
    return total;
}

/* A handshake with a plain peer. */
static void agree(struct tls_conn *c, bool server)
{
    static uint8_t text[PIPE], to_peer[PIPE], to_conn[PIPE];
    struct kit_peer peer;
    size_t len;

    kit_peer_open(&peer, server ? rig.client : rig.server, server, NULL);
    for (int i = 0; i < 8 && (tls_conn_state(c) == TLS_HANDSHAKE || i < 4); i++) {
        struct base_buf out = {to_peer, 0, PIPE};
        (void)kit_peer_step(&peer);
        len = kit_peer_take(&peer, to_conn, PIPE);
        decode(c, to_conn, len, text, &out);
        kit_peer_give(&peer, to_peer, out.len);
    }
    base_assert(tls_conn_state(c) == TLS_OPEN);
    kit_peer_close(&peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t text[PIPE], sent[PIPE];
    struct tls_conn *c;
    bool server, agreed;
    size_t cut, plain = 0;

    if (rig.lane == NULL)
        set_up();
    if (size < 2)
        return 0;
    server = (data[0] & 1) == 0;
    agreed = (data[0] & 2) != 0;
    cut = data[1] == 0 ? size : data[1];
    c = server ? tls_conn_accept(rig.lane, rig.domain, 0, NULL)
               : tls_conn_connect(rig.lane, rig.domain, 1, "mx.example.org", NULL);
    base_assert(c != NULL);
    if (agreed)
        agree(c, server);
    for (size_t at = 2; at < size; at += cut) {
        struct base_buf out = {sent, 0, PIPE};
        plain += decode(c, data + at, size - at < cut ? size - at : cut, text, &out);
    }
    base_assert(plain == 0); /* nobody but the peer can make any */
    tls_conn_ended(c);
    tls_conn_close(c);
    return 0;
}
