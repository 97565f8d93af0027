/* Base64, and the server's side of each mechanism: tables, and RFC 7677's vector. */
#include "unit.h"

#include "smtp_base64.h"
#include "smtp_sasl.h"
#include "smtp_saslprep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

/* ---- base64 ---- */

static void base64_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *bytes; /* NULL: it is none */
        size_t len;
    } rows[] = {
        {"", "", 0},
        {"Zg==", "f", 1},
        {"Zm8=", "fo", 2},
        {"Zm9v", "foo", 3},
        {"Zm9vYg==", "foob", 4},
        {"AAAA", "\0\0\0", 3},
        {"+/+/", "\xfb\xff\xbf", 3},
        {"Z", NULL, 0},
        {"Zg", NULL, 0},
        {"Zg=", NULL, 0},
        {"Zg==Zg==", NULL, 0},
        {"====", NULL, 0},
        {"Z===", NULL, 0},
        {"Zh==", NULL, 0}, /* a bit that stands for nothing */
        {"Zm9=", NULL, 0},
        {"Zg=A", NULL, 0},
        {"Z=g=", NULL, 0},
        {"Zm 9", NULL, 0},
        {"Zm\n9", NULL, 0},
        {"Zm-9", NULL, 0},
        {"Zm_9", NULL, 0},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint8_t room[16], back[16];
        struct base_buf out = {room, 0, sizeof(room)}, text = {back, 0, sizeof(back)};
        int error = smtp_base64_decode(&out, base_span_str(rows[i].text));
        assert_int_equal(error, rows[i].bytes != NULL ? 0 : -EINVAL);
        assert_int_equal(smtp_base64_valid(base_span_str(rows[i].text)), error == 0);
        if (error != 0) {
            assert_int_equal(out.len, 0);
            continue;
        }
        assert_int_equal(out.len, rows[i].len);
        assert_memory_equal(room, rows[i].bytes, rows[i].len);
        assert_int_equal(smtp_base64_encode(&text, base_buf_span(&out)), 0);
        assert_true(base_span_eq(base_buf_span(&text), base_span_str(rows[i].text)));
    }
    uint8_t small[2];
    struct base_buf out = {small, 0, sizeof(small)};
    assert_int_equal(smtp_base64_decode(&out, base_span_str("Zm9v")), -ENOSPC);
    assert_int_equal(smtp_base64_encode(&out, base_span_str("f")), -ENOSPC);
    assert_int_equal(out.len, 0);
}

/* ---- mechanisms without secrets of their own ---- */

#define NONE (const char *)NULL
#define SAYS(s)                                                                                    \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

struct message {
    const char *p;
    size_t len;
};

struct exchange {
    enum smtp_sasl_mechanism mechanism;
    struct message says[3];
    uint32_t cnt;
    enum smtp_sasl_step ends;
    const char *login, *password;
    const char *challenge; /* the last one */
};

static const struct exchange exchanges[] = {
    {SMTP_SASL_PLAIN, {SAYS("\0bob\0secret")}, 1, SMTP_SASL_PASSWORD, "bob", "secret", NONE},
    {SMTP_SASL_PLAIN, {{0}, SAYS("\0bob\0s")}, 2, SMTP_SASL_PASSWORD, "bob", "s", ""},
    {SMTP_SASL_PLAIN, {SAYS("bob\0bob\0s")}, 1, SMTP_SASL_PASSWORD, "bob", "s", NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0b\xc3\xb6\0s")}, 1, SMTP_SASL_PASSWORD, "b\xc3\xb6", "s", NONE},
    {SMTP_SASL_PLAIN,
     {SAYS("bo\xcc\x88\0b\xc3\xb6\0\xe2\x85\xa8")},
     1,
     SMTP_SASL_PASSWORD,
     "b\xc3\xb6",
     "IX",
     NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0bob\0a\tb")}, 1, SMTP_SASL_REFUSED, "bob", NONE, NONE},
    {SMTP_SASL_LOGIN,
     {SAYS("bo\xcc\x88"), SAYS("a\xcc\x88")},
     2,
     SMTP_SASL_PASSWORD,
     "b\xc3\xb6",
     "\xc3\xa4",
     "Password:"},
    {SMTP_SASL_PLAIN, {SAYS("amy\0bob\0s")}, 1, SMTP_SASL_REFUSED, "bob", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("Bob\0bob\0s")}, 1, SMTP_SASL_REFUSED, "bob", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0bob\0")}, 1, SMTP_SASL_REFUSED, "bob", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0\0secret")}, 1, SMTP_SASL_REFUSED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0b\nb\0s")}, 1, SMTP_SASL_REFUSED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0\xff\0s")}, 1, SMTP_SASL_REFUSED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("")}, 1, SMTP_SASL_MALFORMED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("bob")}, 1, SMTP_SASL_MALFORMED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("bob\0secret")}, 1, SMTP_SASL_MALFORMED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0bob\0sec\0ret")}, 1, SMTP_SASL_MALFORMED, "", NONE, NONE},
    {SMTP_SASL_PLAIN, {SAYS("\0bob\0secret\0")}, 1, SMTP_SASL_MALFORMED, "", NONE, NONE},
    {SMTP_SASL_LOGIN,
     {{0}, SAYS("bob"), SAYS("s")},
     3,
     SMTP_SASL_PASSWORD,
     "bob",
     "s",
     "Password:"},
    {SMTP_SASL_LOGIN, {SAYS("bob"), SAYS("s")}, 2, SMTP_SASL_PASSWORD, "bob", "s", "Password:"},
    {SMTP_SASL_LOGIN, {{0}}, 1, SMTP_SASL_CHALLENGE, "", NONE, "Username:"},
    {SMTP_SASL_LOGIN, {SAYS("")}, 1, SMTP_SASL_CHALLENGE, "", NONE, "Password:"},
    {SMTP_SASL_LOGIN, {SAYS(""), SAYS("s")}, 2, SMTP_SASL_REFUSED, "", NONE, "Password:"},
    {SMTP_SASL_LOGIN, {SAYS("b\0b"), SAYS("s")}, 2, SMTP_SASL_REFUSED, "", NONE, "Password:"},
    {SMTP_SASL_LOGIN, {SAYS("bob"), SAYS("")}, 2, SMTP_SASL_REFUSED, "bob", NONE, "Password:"},
    {SMTP_SASL_LOGIN, {SAYS("bob"), SAYS("s\0")}, 2, SMTP_SASL_REFUSED, "bob", NONE, "Password:"},
    {SMTP_SASL_EXTERNAL, {{0}, SAYS("")}, 2, SMTP_SASL_ACCOUNT, "carol", NONE, ""},
    {SMTP_SASL_EXTERNAL, {SAYS("carol")}, 1, SMTP_SASL_ACCOUNT, "carol", NONE, NONE},
    {SMTP_SASL_EXTERNAL, {SAYS("bob")}, 1, SMTP_SASL_REFUSED, "carol", NONE, NONE},
    {SMTP_SASL_EXTERNAL, {SAYS("carol\0")}, 1, SMTP_SASL_MALFORMED, "carol", NONE, NONE},
};

/* ---- SASLprep ---- */

static void saslprep_rows(void **state)
{
    (void)state;
    static const struct {
        struct message in;
        const char *out; /* NULL: refused */
    } rows[] = {
        /* RFC 4013 section 3. */
        {SAYS("I\xc2\xadX"), "IX"},
        {SAYS("user"), "user"},
        {SAYS("USER"), "USER"},
        {SAYS("\xc2\xaa"), "a"},
        {SAYS("\xe2\x85\xa8"), "IX"},
        {SAYS("\x07"), NULL},
        {SAYS("\xd8\xa7\x31"), NULL}, /* begins from the right, and does not end so */
        /* One word on two keyboards. */
        {SAYS("b\xc3\xa4r"), "b\xc3\xa4r"},
        {SAYS("ba\xcc\x88r"), "b\xc3\xa4r"},
        {SAYS("\xef\xbc\xa1"), "A"},     /* full width */
        {SAYS("a\xc2\xa0z"), "a z"},     /* a space that does not break */
        {SAYS("a\xe3\x80\x80z"), "a z"}, /* an ideographic one */
        {SAYS("a\xe2\x81\xa0z"), "az"},  /* a word joiner: mapped to nothing */
        {SAYS("\xef\xb7\xba"), "\xd8\xb5\xd9\x84\xd9\x89 \xd8\xa7\xd9\x84\xd9\x84\xd9\x87 "
                               "\xd8\xb9\xd9\x84\xd9\x8a\xd9\x87 "
                               "\xd9\x88\xd8\xb3\xd9\x84\xd9\x85"},
        {SAYS("\xf0\x9f\x94\x91"), "\xf0\x9f\x94\x91"}, /* younger than Unicode 3.2 */
        {SAYS(" a~"), " a~"},
        {SAYS(""), NULL},
        {SAYS("\xc2\xad"), NULL}, /* nothing is left */
        {SAYS("a\0b"), NULL},
        {SAYS("a\tb"), NULL},
        {SAYS("a\x7f"), NULL},
        {SAYS("\xc3"), NULL},
        {SAYS("\xed\xa0\x80"), NULL},     /* half of a surrogate pair */
        {SAYS("\xee\x80\x80"), NULL},     /* private use */
        {SAYS("\xe2\x80\xae"), NULL},     /* turns the direction */
        {SAYS("\xef\xbf\xbd"), NULL},     /* the replacement character */
        {SAYS("\xf3\xa0\x80\xa0"), NULL}, /* a tag */
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char out[256], again[256];
        size_t len, len_again;
        bool good =
            smtp_saslprep(base_span_of(rows[i].in.p, rows[i].in.len), out, sizeof(out), &len);
        if (good != (rows[i].out != NULL))
            fail_msg("row %zu: %d", i, good);
        if (!good)
            continue;
        assert_string_equal(out, rows[i].out);
        assert_true(smtp_saslprep(base_span_of(out, len), again, sizeof(again), &len_again));
        assert_string_equal(again, out);
    }
}

static void saslprep_lengths(void **state)
{
    (void)state;
    char in[1001], out[1024];
    size_t len;

    memset(in, 'a', sizeof(in));
    assert_true(smtp_saslprep(base_span_of(in, 255), out, 256, &len));
    assert_int_equal(len, 255);
    assert_false(smtp_saslprep(base_span_of(in, 256), out, 256, &len));
    assert_false(smtp_saslprep(base_span_of(in, 1001), out, sizeof(out), &len));
    memcpy(in, "\xc3\xa4", 2);
    assert_true(smtp_saslprep(base_span_of(in, 255), out, 256, &len));
    assert_false(smtp_saslprep(base_span_of(in, 256), out, 256, &len));
    for (size_t i = 0; i + 3 <= 999; i += 3)
        memcpy(in + i, "\xef\xb7\xba", 3); /* each becomes 18 */
    assert_false(smtp_saslprep(base_span_of(in, 999), out, sizeof(out), &len));
}

static void exchange_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(exchanges); i++) {
        const struct exchange *e = &exchanges[i];
        struct smtp_sasl_facts facts = {.identity = base_span_str("carol")};
        enum smtp_sasl_step step = SMTP_SASL_CHALLENGE;
        uint8_t room[SMTP_SASL_CHALLENGE_MAX];
        struct base_buf out = {room, 0, sizeof(room)};
        struct smtp_sasl s;
        memset(&s, 0xee, sizeof(s)); /* nothing of an earlier exchange is looked at */
        smtp_sasl_init(&s, e->mechanism, &facts);
        for (uint32_t k = 0; k < e->cnt; k++) {
            assert_int_equal(step, SMTP_SASL_CHALLENGE);
            out.len = step == SMTP_SASL_CHALLENGE && k + 1 < e->cnt ? 0 : out.len;
            struct base_buf here = {room, 0, sizeof(room)};
            step = smtp_sasl_push(&s, base_span_of(e->says[k].p, e->says[k].len), &here);
            if (step == SMTP_SASL_CHALLENGE)
                out = here;
        }
        if (step != e->ends)
            fail_msg("row %zu: step %d", i, step);
        assert_string_equal(s.login, e->login);
        if (e->password != NULL)
            assert_string_equal(s.password, e->password);
        if (e->challenge != NULL)
            assert_true(base_span_eq(base_buf_span(&out), base_span_str(e->challenge)));
        smtp_sasl_clear(&s);
        assert_int_equal(s.password[0], 0);
    }
}

static void long_ones(void **state)
{
    (void)state;
    char text[600];
    uint8_t room[SMTP_SASL_CHALLENGE_MAX];
    struct base_buf out = {room, 0, sizeof(room)};
    static const struct {
        size_t login, password;
        enum smtp_sasl_step ends;
    } rows[] = {
        {255, 255, SMTP_SASL_PASSWORD}, {256, 1, SMTP_SASL_REFUSED}, {1, 256, SMTP_SASL_REFUSED}};
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct smtp_sasl s;
        memset(text, 'x', sizeof(text));
        text[0] = 0;
        text[1 + rows[i].login] = 0;
        smtp_sasl_init(&s, SMTP_SASL_PLAIN, &(struct smtp_sasl_facts){0});
        assert_int_equal(
            smtp_sasl_push(&s, base_span_of(text, 2 + rows[i].login + rows[i].password), &out),
            rows[i].ends);
    }
}

/* ---- SCRAM ---- */

static struct smtp_sasl_verifier pencil(void)
{
    struct smtp_sasl_verifier v = {.iterations = 4096};
    struct base_buf salt = {v.salt, 0, sizeof(v.salt)};

    assert_int_equal(smtp_base64_decode(&salt, base_span_str("W22ZaJ0SNY7soEsUEjb6gQ==")), 0);
    v.salt_len = (uint8_t)salt.len;
    assert_int_equal(smtp_sasl_derive(&v, base_span_str("pencil")), 0);
    return v;
}

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define BOTH_NONCES  CLIENT_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static struct base_span last(const struct base_buf *b)
{
    return base_buf_span(b);
}

/* RFC 7677 section 3; its server's nonce is put in the place of ours. */
static void rfc_vector(void **state)
{
    (void)state;
    struct smtp_sasl s;
    uint8_t room[SMTP_SASL_CHALLENGE_MAX];
    struct base_buf out = {room, 0, sizeof(room)};
    struct smtp_sasl_verifier v = pencil();

    smtp_sasl_init(&s, SMTP_SASL_SCRAM_SHA_256, &(struct smtp_sasl_facts){0});
    assert_int_equal(smtp_sasl_push(&s, base_span_str("n,,n=user,r=" CLIENT_NONCE), &out),
                     SMTP_SASL_VERIFIER);
    assert_string_equal(s.login, "user");
    assert_memory_equal(s.nonce, CLIENT_NONCE, strlen(CLIENT_NONCE));
    assert_int_equal(s.nonce_len, strlen(CLIENT_NONCE) + 24);
    memcpy(s.nonce, BOTH_NONCES, strlen(BOTH_NONCES));
    s.nonce_len = (uint16_t)strlen(BOTH_NONCES);
    assert_int_equal(smtp_sasl_verify(&s, &v, true, &out), SMTP_SASL_CHALLENGE);
    assert_true(base_span_eq(last(&out),
                             base_span_str("r=" BOTH_NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
    out.len = 0;
    assert_int_equal(smtp_sasl_push(&s,
                                    base_span_str("c=biws,r=" BOTH_NONCES ",p="
                                                  "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
                                    &out),
                     SMTP_SASL_CHALLENGE);
    assert_true(
        base_span_eq(last(&out), base_span_str("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_int_equal(smtp_sasl_push(&s, base_span_str(""), &out), SMTP_SASL_ACCEPTED);
}

/* A client that knows the password, and may lie about the rest. */
struct client {
    enum smtp_sasl_mechanism mechanism;
    bool plus_offered, bound;
    const char *gs2;         /* of the first message */
    const char *binding_gs2; /* of the last; NULL: the same */
    const char *name;        /* as a saslname */
    bool sends_binding, wrong_binding, wrong_password, unknown, wrong_nonce;
    enum smtp_sasl_step first, ends;
};

static void prove(const struct smtp_sasl_verifier *v, const char *password, struct base_span auth,
                  char out[64])
{
    uint8_t salted[32], key[32], stored[32], signature[32];
    unsigned len;
    struct base_buf text = {(uint8_t *)out, 0, 63};

    PKCS5_PBKDF2_HMAC(password, -1, v->salt, v->salt_len, (int)v->iterations, EVP_sha256(), 32,
                      salted);
    HMAC(EVP_sha256(), salted, 32, (const uint8_t *)"Client Key", 10, key, &len);
    SHA256(key, 32, stored);
    HMAC(EVP_sha256(), stored, 32, auth.p, auth.len, signature, &len);
    for (int i = 0; i < 32; i++)
        key[i] ^= signature[i];
    assert_int_equal(smtp_base64_encode(&text, base_span_of(key, 32)), 0);
    out[text.len] = 0;
}

static enum smtp_sasl_step run_client(const struct client *c, enum smtp_sasl_step *first)
{
    struct smtp_sasl_facts facts = {.plus_offered = c->plus_offered, .bound = c->bound};
    struct smtp_sasl_verifier v = pencil();
    struct smtp_sasl s;
    uint8_t room[SMTP_SASL_CHALLENGE_MAX], cb[400];
    char bare[400], one[512], without[800], auth[2048], proof[64], final[1024], cb64[600];
    struct base_buf out = {room, 0, sizeof(room)}, b = {cb, 0, sizeof(cb)},
                    t = {(uint8_t *)cb64, 0, sizeof(cb64) - 1};

    v.iterations = 50;
    assert_int_equal(smtp_sasl_derive(&v, base_span_str("pencil")), 0);
    memset(facts.binding, 7, sizeof(facts.binding));
    memset(facts.random, 9, sizeof(facts.random));
    smtp_sasl_init(&s, c->mechanism, &facts);
    snprintf(bare, sizeof(bare), "n=%s,r=abc", c->name);
    snprintf(one, sizeof(one), "%s%s", c->gs2, bare);
    assert_int_equal(smtp_sasl_push(&s, base_span_of(NULL, 0), &out), SMTP_SASL_CHALLENGE);
    assert_int_equal(out.len, 0);
    *first = smtp_sasl_push(&s, base_span_str(one), &out);
    if (*first != SMTP_SASL_VERIFIER)
        return *first;
    assert_int_equal(smtp_sasl_verify(&s, &v, !c->unknown, &out), SMTP_SASL_CHALLENGE);
    int nonce_len = (int)(strcspn((char *)room, ",") - 2);
    base_buf_puts(&b, c->binding_gs2 != NULL ? c->binding_gs2 : c->gs2);
    if (c->sends_binding) {
        memset(cb + b.len, c->wrong_binding ? 8 : 7, 32);
        b.len += 32;
    }
    assert_int_equal(smtp_base64_encode(&t, base_buf_span(&b)), 0);
    cb64[t.len] = 0;
    snprintf(without, sizeof(without), "c=%s,r=%.*s%s", cb64, nonce_len, (char *)room + 2,
             c->wrong_nonce ? "x" : "");
    int n = snprintf(auth, sizeof(auth), "%s,%.*s,%s", bare, (int)out.len, (char *)room, without);
    prove(&v, c->wrong_password ? "pen" : "pencil", base_span_of(auth, (size_t)n), proof);
    snprintf(final, sizeof(final), "%s,p=%s", without, proof);
    out.len = 0;
    enum smtp_sasl_step step = smtp_sasl_push(&s, base_span_str(final), &out);
    if (step != SMTP_SASL_CHALLENGE)
        return step;
    return smtp_sasl_push(&s, base_span_str(""), &out);
}

#define SCRAM      .mechanism = SMTP_SASL_SCRAM_SHA_256
#define SCRAM_PLUS .mechanism = SMTP_SASL_SCRAM_SHA_256_PLUS, .plus_offered = true, .bound = true
#define TO_END     .first = SMTP_SASL_VERIFIER

static const struct client clients[] = {
    {SCRAM, .gs2 = "n,,", .name = "user", TO_END, .ends = SMTP_SASL_ACCEPTED},
    {SCRAM, .gs2 = "y,,", .name = "user", TO_END, .ends = SMTP_SASL_ACCEPTED},
    {SCRAM, .gs2 = "n,a=user,", .name = "user", TO_END, .ends = SMTP_SASL_ACCEPTED},
    {SCRAM, .gs2 = "n,a=u=2Cs=3D,", .name = "u=2Cs=3D", TO_END, .ends = SMTP_SASL_ACCEPTED},
    {SCRAM, .gs2 = "n,,", .name = "user", .wrong_password = true, TO_END,
     .ends = SMTP_SASL_REFUSED},
    {SCRAM, .gs2 = "n,,", .name = "user", .unknown = true, TO_END, .ends = SMTP_SASL_REFUSED},
    {SCRAM, .gs2 = "n,,", .name = "user", .wrong_nonce = true, TO_END, .ends = SMTP_SASL_REFUSED},
    {SCRAM, .gs2 = "n,,", .binding_gs2 = "y,,", .name = "user", TO_END, .ends = SMTP_SASL_REFUSED},
    {SCRAM, .gs2 = "n,,", .sends_binding = true, .name = "user", TO_END, .ends = SMTP_SASL_REFUSED},
    /* Somebody took -PLUS out of our offer. */
    {SCRAM, .plus_offered = true, .bound = true, .gs2 = "y,,", .name = "user",
     .first = SMTP_SASL_REFUSED, .ends = SMTP_SASL_REFUSED},
    {SCRAM, .plus_offered = true, .bound = true, .gs2 = "n,,", .name = "user", TO_END,
     .ends = SMTP_SASL_ACCEPTED},
    {SCRAM, .gs2 = "p=tls-exporter,,", .name = "user", .first = SMTP_SASL_REFUSED,
     .ends = SMTP_SASL_REFUSED},
    {SCRAM_PLUS, .gs2 = "p=tls-exporter,,", .sends_binding = true, .name = "user", TO_END,
     .ends = SMTP_SASL_ACCEPTED},
    {SCRAM_PLUS, .gs2 = "p=tls-exporter,,", .sends_binding = true, .wrong_binding = true,
     .name = "user", TO_END, .ends = SMTP_SASL_REFUSED},
    {SCRAM_PLUS, .gs2 = "p=tls-exporter,,", .name = "user", TO_END, .ends = SMTP_SASL_REFUSED},
    {SCRAM_PLUS, .gs2 = "p=tls-unique,,", .name = "user", .first = SMTP_SASL_REFUSED,
     .ends = SMTP_SASL_REFUSED},
    {SCRAM_PLUS, .gs2 = "n,,", .name = "user", .first = SMTP_SASL_REFUSED,
     .ends = SMTP_SASL_REFUSED},
    {SCRAM_PLUS, .gs2 = "y,,", .name = "user", .first = SMTP_SASL_REFUSED,
     .ends = SMTP_SASL_REFUSED},
    {SCRAM, .gs2 = "n,a=other,", .name = "user", .first = SMTP_SASL_REFUSED,
     .ends = SMTP_SASL_REFUSED},
    {SCRAM, .gs2 = "n,a=,", .name = "user", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,b=user,", .name = "user", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "x,,", .name = "user", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,", .name = "user", .first = SMTP_SASL_MALFORMED, .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,,m=1,", .name = "user", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,,", .name = "us=er", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,,", .name = "us=2c", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,,", .name = "us=2", .first = SMTP_SASL_MALFORMED,
     .ends = SMTP_SASL_MALFORMED},
    {SCRAM, .gs2 = "n,,", .name = "", .first = SMTP_SASL_REFUSED, .ends = SMTP_SASL_REFUSED},
};

static void scram_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(clients); i++) {
        enum smtp_sasl_step first, ends = run_client(&clients[i], &first);
        if (first != clients[i].first || ends != clients[i].ends)
            fail_msg("client %zu: first %d, end %d", i, first, ends);
    }
}

/* Last messages that are none, to an exchange that goes well so far. */
static void scram_finals(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "c=biws",
        "c=biws,r=abc",
        "r=abc,c=biws,p=AAAA",
        "c=biws,r=abc,p=",
        "c=biws,r=abc,p=AAAA",
        "c=biws,r=abc,q=AAAA",
        "c=biws,r=abc,p=!",
        ",,,",
        "c=biws,r=abc,",
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x",
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ"};
    struct smtp_sasl_verifier v = pencil();
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct smtp_sasl s;
        uint8_t room[SMTP_SASL_CHALLENGE_MAX];
        struct base_buf out = {room, 0, sizeof(room)};
        smtp_sasl_init(&s, SMTP_SASL_SCRAM_SHA_256, &(struct smtp_sasl_facts){0});
        assert_int_equal(smtp_sasl_push(&s, base_span_str("n,,n=user,r=abc"), &out),
                         SMTP_SASL_VERIFIER);
        assert_int_equal(smtp_sasl_verify(&s, &v, true, &out), SMTP_SASL_CHALLENGE);
        if (smtp_sasl_push(&s, base_span_str(rows[i]), &out) != SMTP_SASL_MALFORMED)
            fail_msg("row %zu", i);
    }
}

static void names(void **state)
{
    (void)state;
    for (int m = 0; m < SMTP_SASL_MECHANISM_CNT; m++)
        assert_int_equal(smtp_sasl_find(base_span_str(smtp_sasl_name((enum smtp_sasl_mechanism)m))),
                         m);
    assert_int_equal(smtp_sasl_find(base_span_str("plain")), SMTP_SASL_PLAIN);
    assert_int_equal(smtp_sasl_find(base_span_str("PLAIN ")), SMTP_SASL_MECHANISM_CNT);
    assert_int_equal(smtp_sasl_find(base_span_str("")), SMTP_SASL_MECHANISM_CNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_rows),
        cmocka_unit_test(saslprep_rows),
        cmocka_unit_test(saslprep_lengths),
        cmocka_unit_test(exchange_rows),
        cmocka_unit_test(long_ones),
        cmocka_unit_test(rfc_vector),
        cmocka_unit_test(scram_clients),
        cmocka_unit_test(scram_finals),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("smtp_sasl", tests, NULL, NULL);
}
