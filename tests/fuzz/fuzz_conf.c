/* Any bytes are a configuration or errors, each with a file and a reason; included files come from
 * the same bytes. A text that is accepted equals itself, and what is shown of it is accepted and
 * the same. */
#include "conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int include(void *user, const char *path, struct base_span *out)
{
    const struct base_span *text = user;
    size_t skip = (uint8_t)path[0] % 8 * (text->len / 8);

    if (path[0] == '!')
        return -2;
    *out = base_span_of(text->p + skip, text->len - skip);
    return 0;
}

static struct base_span show(const struct conf *c, bool changed)
{
    struct conf_show s = {c, NULL, changed};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    base_assert(out != NULL);
    conf_write_show(out, &s);
    base_assert(fclose(out) == 0);
    return base_span_of(text, size);
}

static void check_shown(const struct conf *c, bool changed)
{
    struct conf_errors e;
    struct base_span text = show(c, changed);
    struct conf *again = conf_parse("shown", text, NULL, NULL, &e);

    base_assert(again != NULL);
    struct base_span second = show(again, changed);
    base_assert(base_span_eq(text, second));
    free((void *)(uintptr_t)text.p);
    free((void *)(uintptr_t)second.p);
    conf_errors_free(&e);
    conf_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_span text = base_span_of(data, size);
    const struct conf_setting *changed[4];
    struct conf_errors e;
    struct conf *c = conf_parse_partly("main", text, include, &text, &e);

    base_assert(c != NULL);
    for (uint32_t i = 0; i < c->warnings->cnt; i++)
        base_assert(c->warnings->error[i].why[0] != 0 && c->warnings->error[i].key[0] != 0);
    if (e.cnt > 0) { /* what conf_parse does then */
        conf_free(c);
        c = NULL;
    }
    for (uint32_t i = 0; i < e.cnt; i++)
        base_assert(e.error[i].file[0] != 0 && e.error[i].why[0] != 0 && e.error[i].key != NULL);
    if (c != NULL) {
        base_assert(conf_compare(c, c, changed, 4) == 0);
        check_shown(c, false);
        check_shown(c, true);
    }
    conf_free(c);
    conf_errors_free(&e);
    return 0;
}
