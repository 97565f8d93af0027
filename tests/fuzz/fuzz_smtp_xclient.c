/* XCLIENT's argument: nothing is read beyond its bytes; what is taken is what it claims to be, and
 * the same in any order of its words. */
#include "smtp_xclient.h"
#include "smtp_address.h"
#include "smtp_params.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct smtp_xclient *x)
{
    base_assert((x->known & ~x->given) == 0);
    base_assert(x->given != 0 && x->given < 1U << SMTP_XCLIENT_ATTRIBUTE_CNT);
    base_assert(strnlen(x->name, sizeof(x->name)) < sizeof(x->name));
    if (smtp_xclient_is_known(x, SMTP_XCLIENT_LOGIN))
        base_assert(x->login[0] != 0 && smtp_utf8_valid(base_span_str(x->login)));
    if (smtp_xclient_is_known(x, SMTP_XCLIENT_HELO))
        base_assert(smtp_domain_valid(base_span_str(x->helo)));
    if (smtp_xclient_is_known(x, SMTP_XCLIENT_PORT))
        base_assert(x->port > 0);
}

/* The words the other way round. */
static void turn(const uint8_t *data, size_t size, uint8_t *out)
{
    size_t end = size, len = 0;

    for (size_t i = size; i-- > 0;) {
        if (data[i] != ' ')
            continue;
        memcpy(out + len, data + i + 1, end - i - 1);
        len += end - i - 1;
        out[len++] = ' ';
        end = i;
    }
    memcpy(out + len, data, end);
    base_assert(len + end == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *own = malloc(size + 1), *turned = malloc(size + 1);
    struct smtp_xclient x = {0}, y = {0};

    base_assert(own != NULL && turned != NULL);
    if (size > 0) {
        memcpy(own, data, size);
        turn(data, size, turned);
    }
    own = realloc(own, size > 0 ? size : 1);
    int a = smtp_xclient_parse(&x, base_span_of(own, size));
    int b = smtp_xclient_parse(&y, base_span_of(turned, size));
    base_assert(a == b);
    if (a == 0) {
        check(&x);
        base_assert(x.given == y.given && x.known == y.known && strcmp(x.login, y.login) == 0);
        base_assert(memcmp(x.address, y.address, sizeof(x.address)) == 0);
    }
    free(own);
    free(turned);
    return 0;
}
