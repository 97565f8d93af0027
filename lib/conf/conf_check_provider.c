/* Provider blocks: their rules, and whether they can mean anything. */
#include "conf_internal.h"
#include "shape.h"

static void wrong(struct conf_parser *p, const struct conf_provider *o, const char *key,
                  const char *why)
{
    char full[CONF_KEY_CAP];

    snprintf(full, sizeof(full), "provider %.64s: %s", o->name, key);
    conf_error_add(p->errors, o->file, o->line, full, "%s", why);
}

static void check(struct conf_parser *p, const struct conf_provider *o)
{
    char why[SHAPE_WHY_CAP], text[CONF_WHY_CAP];
    struct shape_rule rule;

    if (o->mx.cnt == 0 && o->domains.cnt == 0)
        wrong(p, o, "mx", "is required, or domains");
    if (o->on_reply.cnt > CONF_RULE_MAX)
        wrong(p, o, "on_reply", "must be at most 32");
    for (uint32_t i = 0; i < o->on_reply.cnt; i++) {
        if (shape_rule_parse(&rule, o->on_reply.item[i], why) == 0) {
            shape_rule_fini(&rule);
            continue;
        }
        snprintf(text, sizeof(text), "\"%.64s\": %.160s", o->on_reply.item[i], why);
        wrong(p, o, "on_reply", text);
    }
}

void conf_check_provider(struct conf_parser *p)
{
    if (p->conf->provider_cnt > CONF_PROVIDER_MAX)
        wrong(p, &p->conf->provider[CONF_PROVIDER_MAX], "mx", "more than 128 providers");
    for (uint32_t i = 0; i < p->conf->provider_cnt; i++)
        check(p, &p->conf->provider[i]);
}
