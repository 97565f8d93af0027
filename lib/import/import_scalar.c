/* Parameters that are one number, size or time, or one word: rows of the table with a setting. */
#include "import_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define MESSAGE_MAX  (UINT64_C(2) << 30) /* has to fit into the spool of the placeholder */
#define NS_IN_S      UINT64_C(1000000000)
#define HEADER_SIZE  (UINT64_C(128) << 10) /* by default */
#define MESSAGE_SIZE (UINT64_C(50) << 20)

static const struct conf_setting *setting_of(const char *block, const char *key)
{
    const struct conf_setting *s = conf_settings;

    while (strcmp(s->block, block) != 0 || strcmp(s->key, key) != 0)
        s++;
    return s;
}

static bool number(const char *text, uint64_t *out, const char **end)
{
    char *behind;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &behind, 10);
    *end = behind;
    return errno == 0;
}

/* Seconds of "5d", or of digits alone in the usual unit. */
static bool seconds(const char *text, char usual, uint64_t *out)
{
    static const struct {
        char unit;
        uint64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    const char *end;

    if (!number(text, out, &end) || *out > UINT64_C(100000000) ||
        (end[0] != 0 && end[1] != 0 && end[1] != ' '))
        return false;
    char unit = end[0] != 0 ? end[0] : usual;
    for (size_t i = 0; i < BASE_ARRAY_CNT(units); i++)
        if (units[i].unit == unit) {
            *out *= units[i].s;
            return true;
        }
    return false;
}

/* The value within what the setting takes, and what was done about it. */
static uint64_t fitting(struct import *im, const struct conf_setting *s, uint64_t value,
                        const char **note)
{
    uint64_t scale = s->type == CONF_TYPE_DURATION ? NS_IN_S : 1;
    uint64_t min = (s->min + scale - 1) / scale, max = s->max / scale;

    if (strcmp(s->key, "message_size") == 0) {
        max = MESSAGE_MAX;
        if (value == 0) {
            *note = "0 is no limit there; here there is one: as much as the spool takes";
            return max;
        }
    }
    if (value >= min && value <= max)
        return value;
    *note = import_format(&im->arena, "here it is %" PRIu64 " to %" PRIu64, min, max);
    return value < min ? min : max;
}

/* In the largest unit of which it is a whole number. */
static const char *written(struct import *im, enum conf_type type, uint64_t n)
{
    static const struct {
        char unit;
        uint64_t times;
    } of_time[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}},
      of_size[] = {{'G', 1 << 30}, {'M', 1 << 20}, {'k', 1 << 10}};

    for (size_t i = 0; type == CONF_TYPE_DURATION && i < BASE_ARRAY_CNT(of_time); i++)
        if (n > 0 && n % of_time[i].times == 0)
            return import_format(&im->arena, "%" PRIu64 "%c", n / of_time[i].times,
                                 of_time[i].unit);
    for (size_t i = 0; type == CONF_TYPE_SIZE && i < BASE_ARRAY_CNT(of_size); i++)
        if (n > 0 && n % of_size[i].times == 0)
            return import_format(&im->arena, "%" PRIu64 "%c", n / of_size[i].times,
                                 of_size[i].unit);
    return import_format(&im->arena, "%" PRIu64, n);
}

/* Bytes of a size as it is written here. */
static bool bytes(const char *text, uint64_t *out)
{
    const char *end;

    if (!number(text, out, &end))
        return false;
    *out <<= end[0] == 'G' ? 30 : end[0] == 'M' ? 20 : end[0] == 'k' ? 10 : 0;
    return true;
}

static bool is_rate(const char *name)
{
    size_t len = strlen(name);

    return len > 11 && strcmp(name + len - 11, "_rate_limit") == 0;
}

static void take(struct import *im, const struct import_row *r, struct import_item *i)
{
    const char *dot = strchr(r->ours, '.'), *value = import_value(im, NULL, r->name), *end;
    const char *block = import_copy(&im->arena, r->ours, (size_t)(dot - r->ours)), *note = "";
    const struct conf_setting *s = setting_of(block, dot + 1);
    uint64_t n = 0, unit = 60;
    bool good;

    if (r->kind == ROW_TIME)
        good = seconds(value, r->note[0], &n);
    else
        good = number(value, &n, &end) && end[0] == 0;
    if (!good) {
        import_part(&im->doc, IMPORT_NONE, "%s\n    not understood; here it is %s: %s",
                    import_tell(im, i), block, dot + 1);
        return;
    }
    if (is_rate(r->name) && seconds(import_value(im, NULL, "anvil_rate_time_unit"), 's', &unit) &&
        unit != 60 && unit > 0) {
        note = "for a minute, as all rates here";
        n = n * 60 / unit + (n > 0 && n * 60 / unit == 0);
    }
    struct import_block *b = import_block(&im->doc, block, "");
    n = fitting(im, s, n, &note);
    struct import_setting *set = import_set(&im->doc, b, s->key, written(im, s->type, n));
    import_note(&im->doc, b, set, "%s", import_tell(im, i));
    import_note(&im->doc, b, set, "%s", note);
}

/* What is out of order when both are set. */
static void order(struct import *im, const char *block, const char *least, const char *most)
{
    struct import_block *b = import_block_find(&im->doc, block, "");
    struct import_setting *low = b != NULL ? import_setting_find(b, least) : NULL;
    struct import_setting *high = b != NULL ? import_setting_find(b, most) : NULL;
    uint64_t a, c;
    const char *end;

    if (low == NULL && high == NULL)
        return;
    const char *low_text = low != NULL ? low->item[0] : setting_of(block, least)->default_text;
    const char *high_text = high != NULL ? high->item[0] : setting_of(block, most)->default_text;
    if (!seconds(low_text, 's', &a) || !seconds(high_text, 's', &c) || a <= c)
        return;
    end = high != NULL ? least : most;
    struct import_setting *s = import_set(&im->doc, b, end, high != NULL ? high_text : low_text);
    import_note(&im->doc, b, s, "as %s, which it must not be %s", high != NULL ? most : least,
                high != NULL ? "over" : "under");
}

/* A header section is a part of its message. */
static void header_size(struct import *im)
{
    struct import_block *b = import_block_find(&im->doc, "smtp", "");
    struct import_setting *message = b != NULL ? import_setting_find(b, "message_size") : NULL;
    struct import_setting *header = b != NULL ? import_setting_find(b, "header_size") : NULL;
    uint64_t most = HEADER_SIZE, size = MESSAGE_SIZE;

    if (header != NULL && !bytes(header->item[0], &most))
        return;
    if (message != NULL && !bytes(message->item[0], &size))
        return;
    if (most <= size)
        return;
    header = import_set(&im->doc, b, "header_size", written(im, CONF_TYPE_SIZE, size));
    import_note(&im->doc, b, header, "as message_size, which it must not be over");
}

void import_scalars(struct import *im)
{
    for (const struct import_row *r = import_rows; r->name != NULL; r++) {
        struct import_item *i = import_items_find(&im->items, r->name);
        if (i != NULL && i->value[0] != 0 &&
            (r->kind == ROW_NUMBER || r->kind == ROW_SIZE || r->kind == ROW_TIME))
            take(im, r, i);
    }
    header_size(im);
    order(im, "queue", "backoff_min", "backoff_max");
    order(im, "recipient", "verify_positive_refresh", "verify_positive_expire");
    order(im, "recipient", "verify_negative_refresh", "verify_negative_expire");
}
