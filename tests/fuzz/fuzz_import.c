/* Any bytes are Postfix's files or docker-mailserver's: what comes of them is a configuration that
 * is accepted, and names every parameter that was set. Maps come from the same bytes. */
#include "conf.h"
#include "import.h"
#include "import_cf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes in up to four parts, with 0xff between: main, master, a map, an environment. */
struct parts {
    struct base_span part[4];
};

static bool ends_with(const char *path, const char *with)
{
    size_t len = strlen(path), n = strlen(with);

    return len >= n && strcmp(path + len - n, with) == 0;
}

static int read_part(void *user, const char *path, struct base_span *text)
{
    const struct parts *p = user;

    if (ends_with(path, "/master.cf") || ends_with(path, "/postfix-master.cf"))
        *text = p->part[1];
    else if (ends_with(path, "/main.cf") || ends_with(path, "/postfix-main.cf"))
        *text = p->part[0];
    else if (ends_with(path, "/mailserver.env") || ends_with(path, "/compose.yaml"))
        *text = p->part[3];
    else if (path[strlen(path) / 2] % 4 == 0)
        return -2;
    else
        *text = p->part[2];
    return 0;
}

static void check(const struct import_result *r, struct base_span main_cf)
{
    struct conf_errors e;
    struct conf *c = conf_parse("import", base_span_str(r->text), NULL, NULL, &e);
    struct import_arena arena = {0};
    struct import_items items = {0};

    if (c == NULL)
        conf_write_errors(stderr, &e);
    base_assert(c != NULL);
    conf_free(c);
    conf_errors_free(&e);
    import_cf_read(&arena, &items, "main.cf", main_cf);
    for (const struct import_item *i = items.first; i != NULL; i = i->next)
        base_assert(i->value == NULL || strstr(r->text, i->name) != NULL);
    for (uint32_t i = 0; i < r->file_cnt; i++)
        base_assert(r->file[i].path[0] == '/' && r->file[i].text != NULL);
    import_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parts p = {0};
    struct import_input in = {.read = read_part,
                              .user = &p,
                              .dir = "/etc/postfix",
                              .main = "/etc/postfix/main.cf",
                              .output = "/etc/sluice/sluice.conf"};
    const char *why;

    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *end = memchr(data, 0xff, size);
        size_t len = end != NULL ? (size_t)(end - data) : size;
        p.part[i] = base_span_of(data, len);
        data += len + (end != NULL);
        size -= len + (end != NULL);
    }
    struct import_result *r = import_postfix(&in, &why);
    base_assert(r != NULL);
    check(r, p.part[0]);
    import_free(r);
    r = import_dms(&in, &why);
    base_assert(r != NULL);
    check(r, p.part[0]);
    import_free(r);
    return 0;
}
