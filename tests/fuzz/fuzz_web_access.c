/* Any bytes as a Host field, an origin, a table of the kernel, and a word for the gateway: names
 * are small and without port, what is said is read back as it was, and never as an option. */
#include "gateway_ask.h"
#include "queue_filter.h"
#include "web_access.h"

#include <netinet/in.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_host(const char *text)
{
    char name[WEB_HOST_CAP], again[WEB_HOST_CAP];
    bool literal, literal_again;

    if (!web_host_read(name, text, &literal))
        return;
    base_assert(name[0] != 0 && strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ[]") == NULL);
    base_assert(literal || strchr(name, ':') == NULL);
    if (!literal && name[strlen(name) - 1] != '.')
        base_assert(web_host_read(again, name, &literal_again) && strcmp(name, again) == 0);
}

static void look_at_word(const char *text)
{
    struct gateway_line line = {0};
    struct base_span rest, word;
    bool quoted;

    if (gateway_line_word(&line, "queue", false) != NULL ||
        gateway_line_word(&line, text, true) != NULL)
        return;
    base_assert(line.len < sizeof(line.text) && strlen(line.text) == line.len);
    rest = base_span_of(line.text, line.len);
    base_assert(queue_filter_word(&rest, &word, &quoted) == 1);
    base_assert(queue_filter_word(&rest, &word, &quoted) == 1);
    base_assert(base_span_eq(word, base_span_str(text)) && (quoted || text[0] != '-'));
    base_assert(queue_filter_word(&rest, &word, &quoted) == 0);
}

static void look_at_table(const uint8_t *data, size_t size)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f, .sin_port = 1};
    struct sockaddr_storage own = {0};
    uint32_t uid;
    FILE *table = fmemopen((void *)(uintptr_t)data, size, "r");

    base_assert(table != NULL);
    memcpy(&own, &a, sizeof(a));
    (void)!web_peer_find(table, &own, &own, &uid);
    fclose(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (size == 0 || text == NULL) {
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    text[size] = 0;
    look_at_host(text);
    look_at_word(text);
    (void)!web_same_origin(NULL, text, "localhost");
    base_assert(!web_same_origin("cross-site", text, text));
    look_at_table(data, size);
    free(text);
    return 0;
}
