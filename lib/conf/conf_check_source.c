/* What the settings of sources, and of the routes that name them, say about each other. */
#include "conf_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((format(printf, 4, 5))) static void wrong(struct conf_parser *p,
                                                        const struct conf_source *s,
                                                        const char *key, const char *format, ...)
{
    char full[CONF_KEY_CAP];
    va_list args;

    snprintf(full, sizeof(full), "source %.40s%s%s", s->name, key[0] != 0 ? ": " : "", key);
    va_start(args, format);
    conf_error_addv(p->errors, s->file, s->line, full, format, args);
    va_end(args);
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool conf_day_parse(uint32_t *day, const char *text)
{
    static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    unsigned v[3] = {0}, at = 0, digits = 0;

    for (const char *c = text; *c != 0; c++) {
        if (isdigit((uint8_t)*c)) {
            v[at] = v[at] * 10 + (unsigned)(*c - '0');
            digits++;
        } else if (*c != '-' || at == 2 || digits != (at == 0 ? 4 : 2)) {
            return false;
        } else {
            at++;
            digits = 0;
        }
        if (digits > (at == 0 ? 4 : 2))
            return false;
    }
    if (at != 2 || digits != 2 || v[0] < 1970 || v[1] < 1 || v[1] > 12 || v[2] < 1)
        return false;
    unsigned in_month = before[v[1]] - before[v[1] - 1] + (v[1] == 2 && is_leap(v[0]));
    if (v[2] > in_month)
        return false;
    uint32_t days = v[2] - 1 + before[v[1] - 1] + (v[1] > 2 && is_leap(v[0]));
    for (unsigned y = 1970; y < v[0]; y++)
        days += is_leap(y) ? 366 : 365;
    *day = days;
    return true;
}

bool conf_count_parse(uint32_t *out, const char *text)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 9 || text[len] != 0)
        return false;
    *out = (uint32_t)strtoul(text, NULL, 10);
    return true;
}

/* On a port, and of its family. */
static void check_address(struct conf_parser *p, const struct conf_source *s, const char *key,
                          const char *address, unsigned bits)
{
    struct conf_prefix own, wanted;

    if (address == NULL || !conf_prefix_parse(&wanted, address))
        return;
    if (wanted.max != bits) {
        wrong(p, s, key, "%s is of the other family: IPv4 has address, IPv6 has address6", address);
        return;
    }
    for (uint32_t i = 0; i < p->conf->port_cnt; i++)
        for (uint32_t k = 0; k < p->conf->port[i].address.cnt; k++)
            if (conf_prefix_parse(&own, p->conf->port[i].address.item[k]) &&
                own.max == wanted.max && memcmp(own.b, wanted.b, sizeof(own.b)) == 0)
                return;
    wrong(p, s, key, "%s is on no port", address);
}

static void check_counts(struct conf_parser *p, const struct conf_source *s, const char *key,
                         const struct conf_list *counts)
{
    uint32_t n;

    if (counts->cnt > CONF_WARM_UP_MAX)
        wrong(p, s, key, "must be at most %d days, not %u", CONF_WARM_UP_MAX, counts->cnt);
    if (counts->cnt > 0 && s->warm_up_start == NULL)
        wrong(p, s, key, "needs warm_up_start");
    for (uint32_t i = 0; i < counts->cnt; i++)
        if (!conf_count_parse(&n, counts->item[i])) {
            wrong(p, s, key, "must be numbers of recipients, not %.64s", counts->item[i]);
            break;
        }
}

static void check_source(struct conf_parser *p, const struct conf_source *s)
{
    uint32_t day;

    if (s->address == NULL && s->address6 == NULL)
        wrong(p, s, "address", "or address6 is required");
    check_address(p, s, "address", s->address, 32);
    check_address(p, s, "address6", s->address6, 128);
    if (strcmp(s->name, CONF_SOURCE_NONE) == 0)
        wrong(p, s, "", "%s means that there is none", CONF_SOURCE_NONE);
    if (s->warm_up_start != NULL && !conf_day_parse(&day, s->warm_up_start))
        wrong(p, s, "warm_up_start", "must be a day as 2026-01-31, not %.64s", s->warm_up_start);
    check_counts(p, s, "warm_up", &s->warm_up);
    check_counts(p, s, "warm_up_destination", &s->warm_up_destination);
    if (s->warm_up_start != NULL && s->warm_up.cnt == 0 && s->warm_up_destination.cnt == 0)
        wrong(p, s, "warm_up_start", "has no effect without warm_up or warm_up_destination");
}

/* Its place, or -1. */
static int find(const struct conf *c, const char *name, struct conf_near *near)
{
    for (uint32_t i = 0; i < c->source_cnt; i++) {
        conf_near_try(near, c->source[i].name);
        if (strcmp(c->source[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static void check_route(struct conf_parser *p, const struct conf_route *r)
{
    char key[CONF_KEY_CAP], text[CONF_WHY_CAP];

    snprintf(key, sizeof(key), "route %.250s: sources", r->name);
    for (uint32_t i = 0; i < r->sources.cnt; i++) {
        const char *name = r->sources.item[i];
        struct conf_near near = {.text = name};
        bool none = strcmp(name, CONF_SOURCE_NONE) == 0;
        if (none && r->sources.cnt > 1)
            conf_error_add(p->errors, r->file, r->line, key, "%s stands alone", name);
        else if (!none && find(p->conf, name, &near) < 0)
            conf_error_add(p->errors, r->file, r->line, key, "there is no source %.64s%s", name,
                           conf_near_text(&near, text));
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(name, r->sources.item[k]) == 0)
                conf_error_add(p->errors, r->file, r->line, key, "%.64s stands twice", name);
    }
}

void conf_check_sources(struct conf_parser *p)
{
    const struct conf *c = p->conf;

    if (c->source_cnt > CONF_SOURCE_MAX)
        wrong(p, &c->source[CONF_SOURCE_MAX], "", "more than %d sources", CONF_SOURCE_MAX);
    for (uint32_t i = 0; i < c->source_cnt; i++)
        check_source(p, &c->source[i]);
    for (uint32_t i = 0; i < c->route_cnt; i++)
        check_route(p, &c->route[i]);
    const struct conf_seen *max =
        &p->seen[conf_setting_find("delivery", "set_aside_max") - conf_settings];
    const struct conf_seen *min =
        &p->seen[conf_setting_find("delivery", "set_aside_min") - conf_settings];
    const struct conf_seen *at = max->file != NULL ? max : min;
    if (c->delivery.set_aside_max_ns < c->delivery.set_aside_min_ns && !max->bad && !min->bad)
        conf_error_add(p->errors, at->file, at->line, "delivery: set_aside_max",
                       "must not be under set_aside_min");
}
