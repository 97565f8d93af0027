/* The client's side of each mechanism: vectors of RFCs, our own server at the other end, and
 * servers that lie. */
#include "unit.h"

#include "smtp_base64.h"
#include "smtp_sasl_client.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/sha.h>

static const uint8_t random_bytes[SMTP_SASL_NONCE_BYTES] = "abcdefghijklmnopq";
#define NONCE "YWJjZGVmZ2hpamtsbW5vcHEA"

static struct smtp_credentials known(const char *user, const char *password)
{
    return (struct smtp_credentials){
        .user = base_span_str(user), .password = base_span_str(password), .mechanisms = 15};
}

static void names(void **state)
{
    (void)state;
    for (unsigned m = 0; m < SMTP_SASL_CLIENT_MECHANISM_CNT; m++) {
        const char *name = smtp_sasl_client_name((enum smtp_sasl_client_mechanism)m);
        assert_int_equal(smtp_sasl_client_find(base_span_str(name)), m);
    }
    assert_int_equal(smtp_sasl_client_find(base_span_str("cram-md5")), SMTP_SASL_CLIENT_CRAM_MD5);
    static const char *const unknown[] = {"", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "PLAINX",
                                          "PLAI"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(unknown); i++)
        assert_int_equal(smtp_sasl_client_find(base_span_str(unknown[i])),
                         SMTP_SASL_CLIENT_MECHANISM_CNT);
}

/* ---- messages ---- */

struct exchange {
    enum smtp_sasl_client_mechanism mechanism;
    const char *user, *password;
    const char *challenge[2];
    size_t challenge_len[2];
    const char *says[2];
    size_t says_len[2];
};

#define SAY(s) s, sizeof(s) - 1
static const struct exchange exchanges[] = {
    /* RFC 2195 section 2 */
    {SMTP_SASL_CLIENT_CRAM_MD5,
     "tim",
     "tanstaaftanstaaf",
     {"<1896.697170952@postoffice.reston.mci.net>"},
     {42},
     {"tim b913a602c7eda7a495b4e6e7334d3890"},
     {36}},
    /* RFC 4616 section 4 */
    {SMTP_SASL_CLIENT_PLAIN,
     "tim",
     "tanstaaftanstaaf",
     {""},
     {0},
     {"\0tim\0tanstaaftanstaaf"},
     {21}},
    {SMTP_SASL_CLIENT_LOGIN,
     "tim",
     "secret",
     {"Username:", "Password:"},
     {9, 9},
     {"tim", "secret"},
     {3, 6}},
    {SMTP_SASL_CLIENT_LOGIN,
     "tim",
     "secret",
     {"", "what?\r\n\0"},
     {0, 8},
     {"tim", "secret"},
     {3, 6}},
    {SMTP_SASL_CLIENT_SCRAM_SHA_256, "user", "pencil", {""}, {0}, {"n,,n=user,r=" NONCE}, {36}},
    {SMTP_SASL_CLIENT_SCRAM_SHA_256,
     "a,b=c",
     "pencil",
     {""},
     {0},
     {"n,,n=a=2Cb=3Dc,r=" NONCE},
     {41}},
};

static void what_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(exchanges); i++) {
        const struct exchange *e = &exchanges[i];
        struct smtp_credentials c = known(e->user, e->password);
        struct smtp_sasl_client s;
        uint8_t room[SMTP_SASL_RESPONSE_MAX];
        smtp_sasl_client_init(&s, e->mechanism, random_bytes);
        for (size_t k = 0; k < 2 && e->says[k] != NULL; k++) {
            struct base_buf out = {room, 0, sizeof(room)};
            assert_int_equal(
                smtp_sasl_client_push(&s, &c, NULL,
                                      base_span_of(e->challenge[k], e->challenge_len[k]), &out),
                SMTP_SASL_CLIENT_SEND);
            assert_int_equal(out.len, e->says_len[k]);
            assert_memory_equal(out.p, e->says[k], out.len);
        }
        assert_int_equal(smtp_sasl_client_proven(&s),
                         e->mechanism != SMTP_SASL_CLIENT_SCRAM_SHA_256);
    }
}

/* A question too many is not answered by a password once more. */
static void questions_too_many(void **state)
{
    (void)state;
    static const uint8_t cnt[SMTP_SASL_CLIENT_MECHANISM_CNT] = {[SMTP_SASL_CLIENT_CRAM_MD5] = 1,
                                                                [SMTP_SASL_CLIENT_PLAIN] = 1,
                                                                [SMTP_SASL_CLIENT_LOGIN] = 2};
    struct smtp_credentials c = known("tim", "secret");

    for (unsigned m = SMTP_SASL_CLIENT_CRAM_MD5; m < SMTP_SASL_CLIENT_MECHANISM_CNT; m++) {
        struct smtp_sasl_client s;
        uint8_t room[SMTP_SASL_RESPONSE_MAX];
        smtp_sasl_client_init(&s, (enum smtp_sasl_client_mechanism)m, random_bytes);
        for (unsigned i = 0; i <= cnt[m]; i++) {
            struct base_buf out = {room, 0, sizeof(room)};
            assert_int_equal(smtp_sasl_client_push(&s, &c, NULL, base_span_str("x"), &out),
                             i < cnt[m] ? SMTP_SASL_CLIENT_SEND : SMTP_SASL_CLIENT_BAD);
            assert_true(i < cnt[m] || out.len == 0);
        }
    }
}

/* ---- keys ---- */

/* By steps of any size, the keys are those that OpenSSL makes at once. */
static void keys_by_steps(void **state)
{
    (void)state;
    static const uint32_t steps[] = {1, 7, 512, 4096, 1000000};
    static const uint32_t iterations[] = {1, 2, 4096, 5000};

    for (size_t k = 0; k < BASE_ARRAY_CNT(iterations); k++) {
        struct smtp_sasl_verifier v = {.iterations = iterations[k], .salt_len = 16, .salt = "salt"};
        assert_int_equal(smtp_sasl_derive(&v, base_span_str("pencil")), 0);
        for (size_t i = 0; i < BASE_ARRAY_CNT(steps); i++) {
            struct smtp_sasl_derivation d = {
                .salt = {.iterations = iterations[k], .len = 16, .bytes = "salt"}};
            struct smtp_sasl_keys keys;
            uint8_t stored[32];
            int done;
            while ((done = smtp_sasl_derivation_run(&d, base_span_str("pencil"), steps[i],
                                                    &keys)) == 0)
                assert_true(d.done < iterations[k]);
            assert_int_equal(done, 1);
            SHA256(keys.client_key, 32, stored);
            assert_memory_equal(stored, v.stored_key, 32);
            assert_memory_equal(keys.server_key, v.server_key, 32);
        }
    }
}

/* ---- SCRAM with our own server, which has RFC 7677's vector in its tests ---- */

struct pair {
    struct smtp_sasl_client client;
    struct smtp_credentials credentials;
    struct smtp_sasl server;
    uint8_t to_server[SMTP_SASL_RESPONSE_MAX], to_client[SMTP_SASL_CHALLENGE_MAX];
    struct base_buf said, asked;
};

static void make_keys(const struct smtp_sasl_client *s, struct base_span password,
                      struct smtp_sasl_keys *keys)
{
    struct smtp_sasl_derivation d = {.salt = s->salt};

    assert_int_equal(smtp_sasl_derivation_run(&d, password, UINT32_MAX, keys), 1);
}

/* Up to the proof: what the client says to server-first. */
static enum smtp_sasl_step prove(struct pair *p, const char *user, const char *password,
                                 const char *true_password)
{
    struct smtp_sasl_verifier v = {.iterations = 4096, .salt_len = 16, .salt = "salty"};
    struct smtp_sasl_keys keys;

    *p = (struct pair){.credentials = known(user, password)};
    p->said = (struct base_buf){p->to_server, 0, sizeof(p->to_server)};
    p->asked = (struct base_buf){p->to_client, 0, sizeof(p->to_client)};
    assert_int_equal(smtp_sasl_derive(&v, base_span_str(true_password)), 0);
    smtp_sasl_client_init(&p->client, SMTP_SASL_CLIENT_SCRAM_SHA_256, random_bytes);
    smtp_sasl_init(&p->server, SMTP_SASL_SCRAM_SHA_256, &(struct smtp_sasl_facts){.random = "x"});
    assert_int_equal(
        smtp_sasl_client_push(&p->client, &p->credentials, NULL, base_span_str(""), &p->said),
        SMTP_SASL_CLIENT_SEND);
    assert_int_equal(smtp_sasl_push(&p->server, base_buf_span(&p->said), &p->asked),
                     SMTP_SASL_VERIFIER);
    assert_string_equal(p->server.login, user);
    assert_int_equal(smtp_sasl_verify(&p->server, &v, true, &p->asked), SMTP_SASL_CHALLENGE);
    p->said.len = 0;
    assert_int_equal(smtp_sasl_client_push(&p->client, &p->credentials, NULL,
                                           base_buf_span(&p->asked), &p->said),
                     SMTP_SASL_CLIENT_KEYS);
    assert_int_equal(p->said.len, 0);
    make_keys(&p->client, p->credentials.password, &keys);
    assert_int_equal(smtp_sasl_client_push(&p->client, &p->credentials, &keys,
                                           base_buf_span(&p->asked), &p->said),
                     SMTP_SASL_CLIENT_SEND);
    p->asked.len = 0;
    return smtp_sasl_push(&p->server, base_buf_span(&p->said), &p->asked);
}

static void scram_with_our_server(void **state)
{
    (void)state;
    struct pair *p = malloc(sizeof(*p));
    char longest[SMTP_SASL_LOGIN_MAX + 1];

    assert_non_null(p);
    memset(longest, ',', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    const char *const users[] = {"user", "a,b=c", "j\xc3\xb6rg@example.org", longest};
    for (size_t i = 0; i < BASE_ARRAY_CNT(users); i++) {
        assert_int_equal(prove(p, users[i], "pencil", "pencil"), SMTP_SASL_CHALLENGE);
        assert_false(smtp_sasl_client_proven(&p->client));
        p->said.len = 0;
        assert_int_equal(smtp_sasl_client_push(&p->client, &p->credentials, NULL,
                                               base_buf_span(&p->asked), &p->said),
                         SMTP_SASL_CLIENT_SEND);
        assert_int_equal(p->said.len, 0);
        assert_int_equal(smtp_sasl_push(&p->server, base_buf_span(&p->said), &p->asked),
                         SMTP_SASL_ACCEPTED);
        assert_true(smtp_sasl_client_proven(&p->client));
        assert_int_equal(smtp_sasl_client_push(&p->client, &p->credentials, NULL,
                                               base_buf_span(&p->asked), &p->said),
                         SMTP_SASL_CLIENT_BAD);
    }
    assert_int_equal(prove(p, "user", "pencil", "Pencil"), SMTP_SASL_REFUSED);
    free(p);
}

/* A server that does not know the password: each bit of its signature counts. */
static void server_that_cannot_prove(void **state)
{
    (void)state;
    struct pair *p = malloc(sizeof(*p));
    static const char *const wrong[] = {"",
                                        "v=",
                                        "e=other-error",
                                        "v=AAAA",
                                        "x",
                                        "v=6rri!",
                                        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="};

    assert_non_null(p);
    for (size_t i = 0; i < BASE_ARRAY_CNT(wrong) + 8; i++) {
        assert_int_equal(prove(p, "user", "pencil", "pencil"), SMTP_SASL_CHALLENGE);
        if (i >= BASE_ARRAY_CNT(wrong))
            p->asked.p[2 + 5 * (i - BASE_ARRAY_CNT(wrong))] ^= 1;
        struct base_span said =
            i < BASE_ARRAY_CNT(wrong) ? base_span_str(wrong[i]) : base_buf_span(&p->asked);
        assert_int_equal(smtp_sasl_client_push(&p->client, &p->credentials, NULL, said, &p->said),
                         SMTP_SASL_CLIENT_BAD);
        assert_false(smtp_sasl_client_proven(&p->client));
    }
    free(p);
}

#define SALT  ",s=c2FsdA=="
#define FIRST "r=" NONCE "server" SALT
static void server_first(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum smtp_sasl_client_step step;
    } rows[] = {
        {FIRST ",i=4096", SMTP_SASL_CLIENT_KEYS},
        {FIRST ",i=1000000", SMTP_SASL_CLIENT_KEYS},
        {FIRST ",i=4096,x=more,y", SMTP_SASL_CLIENT_KEYS},
        {FIRST ",i=4095", SMTP_SASL_CLIENT_BAD},
        {FIRST ",i=1", SMTP_SASL_CLIENT_BAD},
        {FIRST ",i=1000001", SMTP_SASL_CLIENT_BAD},
        {FIRST ",i=4294971392", SMTP_SASL_CLIENT_BAD},
        {FIRST ",i=", SMTP_SASL_CLIENT_BAD},
        {FIRST ",i=-4096", SMTP_SASL_CLIENT_BAD},
        {FIRST ",i=4096 ", SMTP_SASL_CLIENT_BAD},
        {FIRST, SMTP_SASL_CLIENT_BAD},
        {"r=" NONCE SALT ",i=4096", SMTP_SASL_CLIENT_BAD}, /* nothing of its own */
        {"r=xWJjZGVmZ2hpamtsbW5vcHEAserver" SALT ",i=4096", SMTP_SASL_CLIENT_BAD},
        {"r=YWJj" SALT ",i=4096", SMTP_SASL_CLIENT_BAD},
        {"r=" NONCE "ser ver" SALT ",i=4096", SMTP_SASL_CLIENT_BAD},
        {"m=ext," FIRST ",i=4096", SMTP_SASL_CLIENT_BAD},
        {"r=" NONCE "server,s=,i=4096", SMTP_SASL_CLIENT_BAD},
        {"r=" NONCE "server,s=c2Fsd,i=4096", SMTP_SASL_CLIENT_BAD},
        {"r=" NONCE "server,i=4096" SALT, SMTP_SASL_CLIENT_BAD},
        {"e=invalid-username", SMTP_SASL_CLIENT_BAD},
        {"", SMTP_SASL_CLIENT_BAD},
        {",,,", SMTP_SASL_CLIENT_BAD},
    };
    struct smtp_credentials c = known("user", "pencil");

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct smtp_sasl_client s;
        uint8_t room[SMTP_SASL_RESPONSE_MAX];
        struct base_buf out = {room, 0, sizeof(room)};
        smtp_sasl_client_init(&s, SMTP_SASL_CLIENT_SCRAM_SHA_256, random_bytes);
        assert_int_equal(smtp_sasl_client_push(&s, &c, NULL, base_span_str(""), &out),
                         SMTP_SASL_CLIENT_SEND);
        enum smtp_sasl_client_step step =
            smtp_sasl_client_push(&s, &c, NULL, base_span_str(rows[i].text), &out);
        if (step != rows[i].step)
            print_error("row %zu: %s\n", i, rows[i].text);
        assert_int_equal(step, rows[i].step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(questions_too_many),
        cmocka_unit_test(keys_by_steps),
        cmocka_unit_test(scram_with_our_server),
        cmocka_unit_test(server_that_cannot_prove),
        cmocka_unit_test(server_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
