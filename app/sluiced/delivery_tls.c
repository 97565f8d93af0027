#include "delivery_tls.h"

const char *delivery_tls_level_name(enum dane_level level)
{
    static const char *const names[DANE_LEVEL_CNT] = {
        [DANE_LEVEL_NONE] = "none",
        [DANE_LEVEL_MAY] = "may",
        [DANE_LEVEL_ENCRYPT] = "encrypt",
        [DANE_LEVEL_DANE] = "dane",
        [DANE_LEVEL_DANE_ONLY] = "dane-only",
        [DANE_LEVEL_FINGERPRINT] = "fingerprint",
        [DANE_LEVEL_VERIFY] = "verify",
        [DANE_LEVEL_SECURE] = "secure",
        [DANE_LEVEL_STS] = "sts",
        [DANE_LEVEL_STS_TESTING] = "sts-testing",
    };

    return level < DANE_LEVEL_CNT ? names[level] : "";
}

const char *delivery_tls_name(enum delivery_tls tls)
{
    static const char *const names[DELIVERY_TLS_CNT] = {
        [DELIVERY_TLS_NOTHING] = "",
        [DELIVERY_TLS_CLEAR] = "clear",
        [DELIVERY_TLS_UNTRUSTED] = "untrusted",
        [DELIVERY_TLS_TRUSTED] = "trusted",
        [DELIVERY_TLS_VERIFIED] = "verified",
        [DELIVERY_TLS_FAILED] = "failed",
    };

    return tls < DELIVERY_TLS_CNT ? names[tls] : "";
}

#define ROW(level, tls, id)                                                                        \
    [(DANE_LEVEL_##level) * DELIVERY_TLS_CNT + (DELIVERY_TLS_##tls)] = (STATS_TLS_OUT_##id) + 1

/* Each by one, so that what does not occur is 0. */
static const uint16_t counters[DANE_LEVEL_CNT * DELIVERY_TLS_CNT] = {
    ROW(NONE, CLEAR, NONE_CLEAR),
    ROW(MAY, CLEAR, MAY_CLEAR),
    ROW(MAY, UNTRUSTED, MAY_UNTRUSTED),
    ROW(MAY, FAILED, MAY_FAILED),
    ROW(ENCRYPT, CLEAR, ENCRYPT_CLEAR),
    ROW(ENCRYPT, UNTRUSTED, ENCRYPT_UNTRUSTED),
    ROW(ENCRYPT, FAILED, ENCRYPT_FAILED),
    ROW(DANE, CLEAR, DANE_CLEAR),
    ROW(DANE, UNTRUSTED, DANE_UNTRUSTED),
    ROW(DANE, TRUSTED, DANE_TRUSTED),
    ROW(DANE, VERIFIED, DANE_VERIFIED),
    ROW(DANE, FAILED, DANE_FAILED),
    ROW(DANE_ONLY, CLEAR, DANE_ONLY_CLEAR),
    ROW(DANE_ONLY, UNTRUSTED, DANE_ONLY_UNTRUSTED),
    ROW(DANE_ONLY, VERIFIED, DANE_ONLY_VERIFIED),
    ROW(DANE_ONLY, FAILED, DANE_ONLY_FAILED),
    ROW(FINGERPRINT, CLEAR, FINGERPRINT_CLEAR),
    ROW(FINGERPRINT, UNTRUSTED, FINGERPRINT_UNTRUSTED),
    ROW(FINGERPRINT, VERIFIED, FINGERPRINT_VERIFIED),
    ROW(FINGERPRINT, FAILED, FINGERPRINT_FAILED),
    ROW(VERIFY, CLEAR, VERIFY_CLEAR),
    ROW(VERIFY, UNTRUSTED, VERIFY_UNTRUSTED),
    ROW(VERIFY, VERIFIED, VERIFY_VERIFIED),
    ROW(VERIFY, FAILED, VERIFY_FAILED),
    ROW(SECURE, CLEAR, SECURE_CLEAR),
    ROW(SECURE, UNTRUSTED, SECURE_UNTRUSTED),
    ROW(SECURE, VERIFIED, SECURE_VERIFIED),
    ROW(SECURE, FAILED, SECURE_FAILED),
    ROW(STS, CLEAR, STS_CLEAR),
    ROW(STS, UNTRUSTED, STS_UNTRUSTED),
    ROW(STS, VERIFIED, STS_VERIFIED),
    ROW(STS, FAILED, STS_FAILED),
    ROW(STS_TESTING, CLEAR, STS_TESTING_CLEAR),
    ROW(STS_TESTING, UNTRUSTED, STS_TESTING_UNTRUSTED),
    ROW(STS_TESTING, VERIFIED, STS_TESTING_VERIFIED),
    ROW(STS_TESTING, FAILED, STS_TESTING_FAILED),
};

enum stats_id delivery_tls_counter(enum dane_level level, enum delivery_tls tls)
{
    uint16_t one = level < DANE_LEVEL_CNT && tls < DELIVERY_TLS_CNT
                       ? counters[level * DELIVERY_TLS_CNT + tls]
                       : 0;

    return one > 0 ? (enum stats_id)(one - 1) : STATS_CNT;
}
