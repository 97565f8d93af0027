/* OpenSSL's errors, as the reasons that are counted. */
#include "tls_internal.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

static const struct {
    int code;
    uint8_t reason;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, TLS_REASON_NOT_TLS},
    {SSL_R_HTTP_REQUEST, TLS_REASON_NOT_TLS},
    {SSL_R_HTTPS_PROXY_REQUEST, TLS_REASON_NOT_TLS},
    {SSL_R_UNSUPPORTED_PROTOCOL, TLS_REASON_VERSION},
    {SSL_R_UNKNOWN_PROTOCOL, TLS_REASON_VERSION},
    {SSL_R_VERSION_TOO_LOW, TLS_REASON_VERSION},
    {SSL_R_VERSION_TOO_HIGH, TLS_REASON_VERSION},
    {SSL_R_WRONG_SSL_VERSION, TLS_REASON_VERSION},
    {SSL_R_NO_PROTOCOLS_AVAILABLE, TLS_REASON_VERSION},
    {SSL_R_INAPPROPRIATE_FALLBACK, TLS_REASON_VERSION},
    {SSL_R_NO_SHARED_CIPHER, TLS_REASON_CIPHER},
    {SSL_R_NO_CIPHERS_AVAILABLE, TLS_REASON_CIPHER},
    {SSL_R_NO_SUITABLE_KEY_SHARE, TLS_REASON_CIPHER},
    {SSL_R_NO_SUITABLE_GROUPS, TLS_REASON_CIPHER},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TLS_REASON_CIPHER},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, TLS_REASON_CIPHER},
    {SSL_R_WRONG_CIPHER_RETURNED, TLS_REASON_CIPHER},
    {SSL_R_WRONG_CURVE, TLS_REASON_CIPHER},
    {SSL_R_NO_APPLICATION_PROTOCOL, TLS_REASON_ALPN},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, TLS_REASON_CERTIFICATE},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, TLS_REASON_PROTOCOL},
    {SSL_R_TOO_MANY_WARN_ALERTS, TLS_REASON_FLOOD},
    {SSL_R_RECORD_TOO_SMALL, TLS_REASON_FLOOD}, /* too many empty records */
    {SSL_R_TOO_MANY_KEY_UPDATES, TLS_REASON_FLOOD},
};

static enum tls_reason reason_of(unsigned long error)
{
    int code = ERR_GET_REASON(error);

    if (code == ERR_R_MALLOC_FAILURE)
        return TLS_REASON_MEMORY;
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return TLS_REASON_NONE;
    if (code >= SSL_AD_REASON_OFFSET && code < SSL_AD_REASON_OFFSET + 256)
        return TLS_REASON_ALERT;
    for (size_t i = 0; i < BASE_ARRAY_CNT(reasons); i++)
        if (reasons[i].code == code)
            return reasons[i].reason;
    return code == ERR_R_INTERNAL_ERROR ? TLS_REASON_INTERNAL : TLS_REASON_PROTOCOL;
}

enum tls_reason tls_reason_take(void)
{
    enum tls_reason reason = TLS_REASON_NONE;
    unsigned long error;

    while ((error = ERR_get_error()) != 0) {
        enum tls_reason next = reason_of(error);
        /* The first error is the cause; one of libcrypto alone says too little. */
        if (reason == TLS_REASON_NONE || next == TLS_REASON_MEMORY)
            reason = next;
    }
    return reason != TLS_REASON_NONE ? reason : TLS_REASON_INTERNAL;
}

const char *tls_reason_name(enum tls_reason reason)
{
    static const char *const names[TLS_REASON_CNT] = {
        [TLS_REASON_NONE] = "none",
        [TLS_REASON_NOT_TLS] = "not_tls",
        [TLS_REASON_PROTOCOL] = "protocol",
        [TLS_REASON_VERSION] = "version",
        [TLS_REASON_CIPHER] = "cipher",
        [TLS_REASON_ALPN] = "alpn",
        [TLS_REASON_CERTIFICATE] = "certificate",
        [TLS_REASON_ALERT] = "alert",
        [TLS_REASON_TRUNCATED] = "truncated",
        [TLS_REASON_FLOOD] = "flood",
        [TLS_REASON_KEYOP] = "keyop",
        [TLS_REASON_MEMORY] = "memory",
        [TLS_REASON_INTERNAL] = "internal",
    };

    return reason < TLS_REASON_CNT ? names[reason] : "unknown";
}
