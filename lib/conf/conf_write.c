/* The texts made from the table: the default file, --help, and errors. */
#include "conf_internal.h"

static const char *const type_names[] = {
    [CONF_TYPE_STRING] = "string",
    [CONF_TYPE_BOOL] = "yes or no",
    [CONF_TYPE_NUMBER] = "number",
    [CONF_TYPE_WEIGHT] = "weight",
    [CONF_TYPE_SIZE] = "size",
    [CONF_TYPE_DURATION] = "duration",
    [CONF_TYPE_ENUM] = "word",
    [CONF_TYPE_LIST] = "list",
    [CONF_TYPE_ADDRESS] = "address",
    [CONF_TYPE_ADDRESSES] = "addresses",
    [CONF_TYPE_NETWORKS] = "networks",
    [CONF_TYPE_HOSTS] = "hosts",
    [CONF_TYPE_REPLIES] = "replies",
    [CONF_TYPE_DOMAIN] = "domain",
    [CONF_TYPE_DOMAINS] = "domains",
    [CONF_TYPE_PATH] = "path",
    [CONF_TYPE_MAPS] = "maps",
    [CONF_TYPE_SERVERS] = "servers",
    [CONF_TYPE_STUBS] = "zones with servers",
    [CONF_TYPE_ANSWERS] = "patterns",
    [CONF_TYPE_PATHS] = "paths",
    [CONF_TYPE_RATE] = "rate",
    [CONF_TYPE_PATTERNS] = "host patterns",
};

const char *conf_type_name(enum conf_type type)
{
    return type_names[type];
}

static bool is_number(const struct conf_setting *s)
{
    return s->type == CONF_TYPE_NUMBER || s->type == CONF_TYPE_SIZE ||
           s->type == CONF_TYPE_DURATION;
}

/* The default as it is written in a file. */
static const char *default_text(const struct conf_setting *s)
{
    if (s->default_text == NULL || s->default_text[0] != 0)
        return s->default_text;
    return conf_value_is_list(s->type) ? "{ }" : "\"\"";
}

/* dark: as a comment altogether. */
static void write_setting(FILE *out, const struct conf_setting *s, bool dark)
{
    char min[32], max[32];

    fprintf(out, "    # %s: %s", type_names[s->type], s->help);
    if (is_number(s)) {
        conf_value_format(min, s->type, s->min);
        conf_value_format(max, s->type, s->max);
        fprintf(out, " (%s to %s)", min, max);
    }
    if (s->words != NULL)
        fprintf(out, " (%s)", s->words);
    fprintf(out, "%s\n", s->reloadable ? "" : "; needs a restart");
    if (s->example != NULL)
        fprintf(out, "    %s%s = %s;\n", dark ? "#" : "", s->key, s->example);
    else
        fprintf(out, "    #%s = %s;\n", s->key, default_text(s));
}

void conf_write_default(FILE *out)
{
    fputs("# The configuration of Sluice. The language: lib/conf/GRAMMAR.md.\n"
          "#\n"
          "# A line that begins with # and a key shows that setting's default. What stands without "
          "# has no\n"
          "# good default, or is an example: change it. sluiced --check tells every mistake at "
          "once.\n",
          out);
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        const char *dark = b->commented ? "#" : "";
        fprintf(out, "\n# %s\n%s%s%s%s {\n", b->help, dark, b->name, b->example != NULL ? " " : "",
                b->example != NULL ? b->example : "");
        for (const struct conf_setting *s = conf_settings; s->block != NULL; s++)
            if (conf_setting_in(s, b))
                write_setting(out, s, b->commented);
        fprintf(out, "%s}\n", dark);
    }
}

void conf_write_help(FILE *out)
{
    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.%s", s->block, s->key);
        fprintf(out, "%-28s  %-9s  %-24s  %s%s%s%s\n", name, type_names[s->type],
                s->default_text != NULL ? default_text(s) : "(required)", s->help,
                s->words != NULL ? ": " : "", s->words != NULL ? s->words : "",
                s->reloadable ? "" : "; needs a restart");
    }
}

static void write_lines(FILE *out, const struct conf_errors *e, const char *kind)
{
    for (uint32_t i = 0; i < e->cnt; i++) {
        const struct conf_error *x = &e->error[i];
        fprintf(out, "%s:", x->file);
        if (x->line > 0)
            fprintf(out, "%u:", x->line);
        fprintf(out, " %s%s%s%s\n", x->key, x->key[0] != 0 ? ": " : "", kind, x->why);
    }
}

void conf_write_errors(FILE *out, const struct conf_errors *e)
{
    write_lines(out, e, "");
}

void conf_write_warnings(FILE *out, const struct conf *c)
{
    write_lines(out, c->warnings, "warning: ");
}
