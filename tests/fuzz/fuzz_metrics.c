/* Any bytes as the answer to metrics: read, joined or not, and told in each form. */
#include "base_assert.h"
#include "metrics_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_and_tell(char *text, size_t len)
{
    static FILE *nowhere;
    struct metrics m;

    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    base_assert(nowhere != NULL);
    if (metrics_parse(&m, text, len) != 0)
        return;
    for (int form = METRICS_PROMETHEUS; form <= METRICS_JSON; form++)
        metrics_write(nowhere, &m, (enum metrics_form)form);
    metrics_free(&m);
}

static char *copy_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    base_assert(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = copy_of(data, size);
    ssize_t len = metrics_join(text, size);

    base_assert(len <= (ssize_t)size);
    if (len >= 0)
        read_and_tell(text, (size_t)len);
    else
        free(text);
    read_and_tell(copy_of(data, size), size);
    return 0;
}
