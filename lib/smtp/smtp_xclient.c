#include "smtp_xclient.h"
#include "smtp_address.h"
#include "smtp_params.h"

#include <arpa/inet.h>
#include <errno.h>

static const char *const names[SMTP_XCLIENT_ATTRIBUTE_CNT] = {
    [SMTP_XCLIENT_NAME] = "NAME",         [SMTP_XCLIENT_ADDR] = "ADDR",
    [SMTP_XCLIENT_PORT] = "PORT",         [SMTP_XCLIENT_PROTO] = "PROTO",
    [SMTP_XCLIENT_HELO] = "HELO",         [SMTP_XCLIENT_LOGIN] = "LOGIN",
    [SMTP_XCLIENT_DESTADDR] = "DESTADDR", [SMTP_XCLIENT_DESTPORT] = "DESTPORT",
};

static int digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10           ? c - '0'
           : (uint8_t)((c | 0x20) - 'a') < 6 ? (c | 0x20) - 'a' + 10
                                             : -1;
}

/* xtext, into text and a NUL. A NUL in it, or more than there is room for, is refused. */
static bool decode(struct base_span value, char *text, size_t cap, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.p[i];
        if (c == '+') {
            int high = i + 2 < value.len ? digit(value.p[i + 1]) : -1;
            int low = i + 2 < value.len ? digit(value.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || *len + 1 >= cap)
            return false;
        text[(*len)++] = (char)c;
    }
    text[*len] = 0;
    return *len > 0;
}

static bool parse_port(const char *text, size_t len, uint16_t *port)
{
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)(text[i] - '0') > 9 || i >= 5)
            return false;
        n = n * 10 + (uint32_t)(text[i] - '0');
    }
    *port = (uint16_t)n;
    return n > 0 && n <= UINT16_MAX;
}

/* "192.0.2.1", "IPV6:2001:db8::1", and as some write it without the prefix. */
static bool parse_address(const char *text, uint8_t out[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool prefixed = base_span_caseeq(base_span_of(text, strnlen(text, 5)), base_span_str("IPV6:"));

    if (!prefixed && inet_pton(AF_INET, text, out + 12) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        return true;
    }
    return inet_pton(AF_INET6, text + (prefixed ? 5 : 0), out) == 1 &&
           memcmp(out, mapped, sizeof(mapped)) != 0;
}

static bool is_printable(const char *text)
{
    for (; *text != 0; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static bool set(struct smtp_xclient *x, enum smtp_xclient_attribute a, const char *text, size_t len)
{
    struct base_span value = base_span_of(text, len);

    switch (a) {
    case SMTP_XCLIENT_NAME:
        memcpy(x->name, text, len + 1);
        return is_printable(text);
    case SMTP_XCLIENT_ADDR:
        return parse_address(text, x->address);
    case SMTP_XCLIENT_DESTADDR:
        return parse_address(text, x->dest_address);
    case SMTP_XCLIENT_PORT:
        return parse_port(text, len, &x->port);
    case SMTP_XCLIENT_DESTPORT:
        return parse_port(text, len, &x->dest_port);
    case SMTP_XCLIENT_PROTO:
        x->extended = base_span_caseeq(value, base_span_str("ESMTP"));
        return x->extended || base_span_caseeq(value, base_span_str("SMTP"));
    case SMTP_XCLIENT_HELO: /* what clients make up is not the proxy's mistake */
        memcpy(x->helo, text, len + 1);
        if (!smtp_domain_valid(value))
            x->known &= (uint16_t) ~(1U << SMTP_XCLIENT_HELO);
        return true;
    case SMTP_XCLIENT_LOGIN:
        memcpy(x->login, text, len + 1);
        return smtp_utf8_valid(value);
    case SMTP_XCLIENT_ATTRIBUTE_CNT:
        break;
    }
    return false;
}

/* One "NAME=value". */
static bool take(struct smtp_xclient *x, struct base_span word)
{
    const uint8_t *equals = memchr(word.p, '=', word.len);
    char text[256];
    size_t len;
    int a = 0;

    if (equals == NULL)
        return false;
    struct base_span name = base_span_of(word.p, (size_t)(equals - word.p));
    while (a < SMTP_XCLIENT_ATTRIBUTE_CNT && !base_span_caseeq(name, base_span_str(names[a])))
        a++;
    if (a == SMTP_XCLIENT_ATTRIBUTE_CNT || (x->given >> a & 1) != 0 ||
        !decode(base_span_of(equals + 1, word.len - name.len - 1), text, sizeof(text), &len))
        return false;
    struct base_span value = base_span_of(text, len);
    x->given |= (uint16_t)(1U << a);
    if (base_span_caseeq(value, base_span_str("[UNAVAILABLE]")) ||
        base_span_caseeq(value, base_span_str("[TEMPUNAVAIL]")))
        return true;
    x->known |= (uint16_t)(1U << a);
    return set(x, (enum smtp_xclient_attribute)a, text, len);
}

int smtp_xclient_parse(struct smtp_xclient *x, struct base_span argument)
{
    *x = (struct smtp_xclient){.extended = true};
    while (argument.len > 0) {
        const uint8_t *space = memchr(argument.p, ' ', argument.len);
        size_t len = space != NULL ? (size_t)(space - argument.p) : argument.len;
        if (len > 0 && !take(x, base_span_of(argument.p, len)))
            return -EINVAL;
        len += space != NULL;
        argument = base_span_of(argument.p + len, argument.len - len);
    }
    return x->given != 0 ? 0 : -EINVAL;
}
