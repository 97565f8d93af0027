/* Records by libipsec-mb beside OpenSSL's, byte for byte; and what an idle connection holds. */
#include "tls_rig.h"

#include "tls_internal.h"
#include "tls_memory.h"

#include <malloc.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define TEXT_MAX 16385
#define TAG      16

static struct kit_certificate ec;
static struct rig rig;
static const struct tls_policy_spec mx = {.label = "mx", .version_min = TLS_VERSION_12};

static struct tls_domain *open_rig(uint32_t connection_max)
{
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_certificate_spec c = kit_spec(&ec, "file");

    s.connection_max = connection_max;
    rig_open_with(&rig, RIG_INLINE, s);
    return rig_domain(&rig, &c, 1, &mx, 1);
}

static void close_rig(struct tls_domain *d)
{
    rig_domain_drop(d);
    rig_close(&rig);
}

static const struct {
    const char *name;
    int key_bytes;
} kinds[] = {{"AES-128-GCM", 16}, {"AES-256-GCM", 32}};
static uint8_t key[32], iv[12], text[TEXT_MAX + 64];

/* Ours and OpenSSL's of one kind. Returns false where the processor has not what ours needs. */
static bool fetch(struct tls_domain *d, size_t kind, EVP_CIPHER *both[2])
{
    if (rig.lane->mb == NULL) {
        printf("skip records: the processor has no VAES with AVX-512\n");
        return false;
    }
    both[0] = EVP_CIPHER_fetch(d->libctx, kinds[kind].name, "provider=sluice");
    both[1] = EVP_CIPHER_fetch(NULL, kinds[kind].name, NULL);
    assert_non_null(both[0]);
    assert_non_null(both[1]);
    return true;
}

/* The way of TLS 1.3. Returns what final says. */
static int seal_or_open(EVP_CIPHER_CTX *c, bool sealing, const uint8_t *in, size_t len,
                        uint8_t *out, uint8_t *tag)
{
    uint8_t header[5] = {23, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};
    int n, ok;

    assert_int_equal(EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, sealing), 1);
    if (!sealing)
        assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag), 1);
    assert_int_equal(EVP_CipherUpdate(c, NULL, &n, header, sizeof(header)), 1);
    assert_int_equal(EVP_CipherUpdate(c, out, &n, in, (int)len), 1);
    assert_int_equal(n, len);
    ok = EVP_CipherFinal_ex(c, out + len, &n);
    if (sealing)
        assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, tag), 1);
    return ok;
}

static EVP_CIPHER_CTX *keyed(EVP_CIPHER *cipher, bool sealing)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    assert_int_equal(EVP_CipherInit_ex(c, cipher, NULL, NULL, NULL, sealing), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL), 1);
    assert_int_equal(EVP_CipherInit_ex(c, NULL, NULL, key, NULL, -1), 1);
    return c;
}

static void tls13(void **state)
{
    struct tls_domain *d = open_rig(4);
    static uint8_t sealed[2][TEXT_MAX + TAG], opened[TEXT_MAX + TAG];
    uint8_t tag[2][TAG];
    EVP_CIPHER *both[2];

    (void)state;
    for (size_t kind = 0; kind < BASE_ARRAY_CNT(kinds) && fetch(d, kind, both); kind++) {
        EVP_CIPHER_CTX *ours = keyed(both[0], true), *far = keyed(both[1], true);
        EVP_CIPHER_CTX *opener = keyed(both[0], false);
        assert_int_equal(EVP_CIPHER_get_nid(both[0]), EVP_CIPHER_get_nid(both[1]));
        assert_int_equal(EVP_CIPHER_get_flags(both[0]) & EVP_CIPH_FLAG_AEAD_CIPHER,
                         EVP_CIPH_FLAG_AEAD_CIPHER);
        assert_int_equal(EVP_CIPHER_get_mode(both[0]), EVP_CIPH_GCM_MODE);
        for (size_t len = 1; len <= TEXT_MAX; len += len < 1100 ? 1 : 1091) {
            iv[len % 12]++;
            seal_or_open(ours, true, text, len, sealed[0], tag[0]);
            seal_or_open(far, true, text, len, sealed[1], tag[1]);
            assert_memory_equal(sealed[0], sealed[1], len);
            assert_memory_equal(tag[0], tag[1], TAG);
            assert_int_equal(seal_or_open(opener, false, sealed[0], len, opened, tag[0]), 1);
            assert_memory_equal(opened, text, len);
            sealed[0][len / 2] ^= 1;
            assert_int_equal(seal_or_open(opener, false, sealed[0], len, opened, tag[0]), 0);
            sealed[0][len / 2] ^= 1;
            tag[0][len % TAG] ^= 0x80;
            assert_int_equal(seal_or_open(opener, false, sealed[0], len, opened, tag[0]), 0);
        }
        EVP_CIPHER_CTX_free(ours);
        EVP_CIPHER_CTX_free(far);
        EVP_CIPHER_CTX_free(opener);
        EVP_CIPHER_free(both[0]);
        EVP_CIPHER_free(both[1]);
    }
    close_rig(d);
}

/* The way of TLS 1.2: a record in place. Returns the length that Update tells, or -1. */
static int record(EVP_CIPHER_CTX *c, uint8_t *bytes, size_t len, uint8_t number)
{
    uint8_t aad[EVP_AEAD_TLS1_AAD_LEN] = {0, 0, 0, 0, 0, 0, 0, number, 23, 3, 3};
    size_t told = EVP_CIPHER_CTX_is_encrypting(c) ? len - TAG : len; /* libssl adds it later */
    int n = 0;

    aad[11] = (uint8_t)(told >> 8);
    aad[12] = (uint8_t)told;
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_TLS1_AAD, sizeof(aad), aad), TAG);
    return EVP_CipherUpdate(c, bytes, &n, bytes, (int)len) == 1 ? n : -1;
}

static EVP_CIPHER_CTX *keyed_12(EVP_CIPHER *cipher, bool sealing)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    assert_int_equal(EVP_CipherInit_ex(c, cipher, NULL, key, NULL, sealing), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_IV_FIXED, 4, iv), 1);
    return c;
}

/* What each seals the other opens; ours says no to each damage. */
static void tls12(void **state)
{
    struct tls_domain *d = open_rig(4);
    static uint8_t bytes[TEXT_MAX + 64], copy[TEXT_MAX + 64];
    EVP_CIPHER *both[2];

    (void)state;
    for (size_t kind = 0; kind < BASE_ARRAY_CNT(kinds) && fetch(d, kind, both); kind++) {
        for (int from = 0; from < 2; from++) {
            EVP_CIPHER_CTX *sealer = keyed_12(both[from], true);
            EVP_CIPHER_CTX *opener = keyed_12(both[1 - from], false);
            EVP_CIPHER_CTX *ours = keyed_12(both[0], false);
            uint8_t number = 0, last[8] = {0xff};
            for (size_t len = 0; len <= TEXT_MAX - 1; len += len < 300 ? 1 : 1087) {
                memcpy(bytes + 8, text, len);
                assert_int_equal(record(sealer, bytes, len + 8 + TAG, number), len + 8 + TAG);
                assert_memory_not_equal(bytes, last, 8); /* never the same nonce */
                memcpy(last, bytes, 8);
                memcpy(copy, bytes, len + 8 + TAG);
                assert_int_equal(record(opener, bytes, len + 8 + TAG, number), len);
                assert_memory_equal(bytes + 8, text, len);
                copy[8 + len / 2] ^= 4;
                assert_int_equal(record(ours, copy, len + 8 + TAG, number++), -1);
            }
            copy[11] = 0; /* as a header: of a record too short for nonce and tag */
            copy[12] = 8 + TAG - 1;
            assert_true(EVP_CIPHER_CTX_ctrl(ours, EVP_CTRL_AEAD_TLS1_AAD, EVP_AEAD_TLS1_AAD_LEN,
                                            copy) <= 0);
            EVP_CIPHER_CTX_free(sealer);
            EVP_CIPHER_CTX_free(opener);
            EVP_CIPHER_CTX_free(ours);
        }
        EVP_CIPHER_free(both[0]);
        EVP_CIPHER_free(both[1]);
    }
    close_rig(d);
}

/* ---- idle connections ---- */

#define IDLE       32
#define LOWER      2048        /* layers below: app/sluiced/conn.h asserts it */
#define IDLE_BYTES (18 * 1024) /* with all layers */

static struct rig_link links[IDLE + 1];
static bool inside; /* the engine runs: what is taken then is the server's */
static int64_t held;

static int64_t size_of(void *p)
{
    return inside && p != NULL ? (int64_t)malloc_usable_size(p) + 8 : 0;
}

static void *take(size_t bytes, const char *file, int line)
{
    void *p = RIG_SANITIZED ? malloc(bytes) : tls_memory_take(bytes, file, line);

    held += size_of(p);
    return p;
}

static void give(void *p, const char *file, int line)
{
    held -= size_of(p);
    if (RIG_SANITIZED)
        free(p);
    else
        tls_memory_give(p, file, line);
}

static void *resize(void *p, size_t bytes, const char *file, int line)
{
    int64_t before = size_of(p);
    void *q = RIG_SANITIZED ? realloc(p, bytes) : tls_memory_resize(p, bytes, file, line);

    held += size_of(q) - before;
    return q;
}

static void talk(struct rig_link *l)
{
    struct base_buf out = {l->to_peer, 0, RIG_PIPE};
    size_t n, written;

    assert_int_equal(SSL_write_ex(l->peer.ssl, text, 9000, &written), 1);
    rig_peer(l);
    inside = true;
    rig_decode(l);
    assert_int_equal(l->plain_len, 9000);
    tls_conn_encode(l->conn, base_span_of(l->plain, 9000), &n, &out);
    inside = false;
    assert_int_equal(n, 9000);
    l->to_peer_len = out.len;
}

static void shake(struct rig_link *l)
{
    struct tls_conn *ready[4];

    while (l->peer_done == 0 || tls_conn_state(l->conn) == TLS_HANDSHAKE) {
        rig_peer(l);
        assert_true(l->peer_done >= 0);
        inside = true;
        rig_decode(l);
        (void)tls_lane_run(rig.lane, ready, 4);
        inside = false;
    }
    assert_int_equal(tls_conn_state(l->conn), TLS_OPEN);
}

/* Connections that have shaken hands and talked, and now only wait. */
static void idle(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = kit_client_context(version);
        struct tls_domain *d = open_rig(IDLE + 1);
        int64_t first = 0, each;
        for (uint32_t i = 0; i < IDLE + 1; i++) {
            struct rig_link *l = &links[i];
            if (i == 1)
                first = held; /* what is made once came with the one before */
            memset(l, 0, sizeof(*l));
            l->rig = &rig;
            l->chunk = l->out_room = RIG_PIPE;
            inside = true;
            l->conn = tls_conn_accept(rig.lane, d, 0, l);
            inside = false;
            assert_non_null(l->conn);
            kit_peer_open(&l->peer, client, true, "mx.example.org");
            shake(l);
            talk(l);
        }
        each = (held - first) / IDLE + (int64_t)sizeof(struct tls_conn) + LOWER;
        printf("# idle, TLS %s: %lld bytes a connection\n",
               version == TLS1_3_VERSION ? "1.3" : "1.2", (long long)each);
        assert_true(each > 4096); /* something was counted */
        assert_true(each <= IDLE_BYTES);
        for (uint32_t i = 0; i < IDLE + 1; i++) {
            inside = true;
            tls_conn_close(links[i].conn);
            inside = false;
            kit_peer_close(&links[i].peer);
        }
        close_rig(d);
        SSL_CTX_free(client);
    }
}

int main(void)
{
    static const char *const names[] = {"mx.example.org"};
    const struct CMUnitTest tests[] = {cmocka_unit_test(tls13), cmocka_unit_test(tls12),
                                       cmocka_unit_test(idle)};

    if (!CRYPTO_set_mem_functions(take, resize, give))
        return 1;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(i + 1);
    kit_certificate_make(&ec, "EC", names, 1, -1, 90);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_certificate_free(&ec);
    return failed;
}
