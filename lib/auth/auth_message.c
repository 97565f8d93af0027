#include "auth_message.h"
#include "smtp_params.h"

#include <errno.h>

#define FIXED_BYTES __builtin_offsetof(struct auth_message, login)

base_static_assert(FIXED_BYTES + SMTP_SASL_LOGIN_MAX + AUTH_MESSAGE_DATA_MAX <= AUTH_MESSAGE_MAX,
                   "a datagram has room for all");

size_t auth_message_write(uint8_t out[AUTH_MESSAGE_MAX], const struct auth_message *m)
{
    struct base_buf b = {out, 0, AUTH_MESSAGE_MAX};
    int failed = base_buf_put(&b, m, FIXED_BYTES);

    failed |= base_buf_put(&b, m->login, m->login_len);
    failed |= base_buf_put(&b, m->data, m->data_len);
    base_assert(failed == 0);
    return b.len;
}

int auth_message_read(struct auth_message *m, struct base_span datagram)
{
    if (datagram.len < FIXED_BYTES)
        return -EINVAL;
    memcpy(m, datagram.p, FIXED_BYTES);
    if (m->kind >= AUTH_MESSAGE_KIND_CNT || m->mechanism >= SMTP_SASL_MECHANISM_CNT ||
        m->result >= AUTH_RESULT_CNT || m->login_len > SMTP_SASL_LOGIN_MAX ||
        m->data_len > AUTH_MESSAGE_DATA_MAX ||
        datagram.len != FIXED_BYTES + m->login_len + (size_t)m->data_len)
        return -EINVAL;
    if (m->kind == AUTH_MESSAGE_RESULT && m->result == AUTH_CHALLENGE &&
        m->data_len > SMTP_SASL_CHALLENGE_MAX)
        return -EINVAL;
    if (m->kind == AUTH_MESSAGE_RESULT && m->result == AUTH_ACCEPTED && m->login_len == 0)
        return -EINVAL;
    memcpy(m->login, datagram.p + FIXED_BYTES, m->login_len);
    m->login[m->login_len] = 0;
    memcpy(m->data, datagram.p + FIXED_BYTES + m->login_len, m->data_len);
    return smtp_utf8_valid(base_span_of(m->login, m->login_len)) ? 0 : -EINVAL;
}
