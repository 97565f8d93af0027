#include "conf_manual.h"
#include "base_mdoc.h"
#include "conf_internal.h"

static const char head[] =
    ".Dd November 1, 2026\n"
    ".Dt SLUICE.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm sluice.conf\n"
    ".Nd configuration of the SMTP gateway Sluice\n"
    ".Sh DESCRIPTION\n"
    "The file that\n"
    ".Xr sluiced 8\n"
    "is started with.\n"
    "It consists of blocks of settings:\n"
    ".Bd -literal -offset indent\n"
    "# a comment\n"
    "gateway {\n"
    "    hostname = mx.example.org;\n"
    "}\n"
    "listener mx {\n"
    "    port = net0;\n"
    "    tcp_port = 25;\n"
    "}\n"
    "include \"more.conf\";\n"
    ".Ed\n"
    ".Pp\n"
    "A value stands in quotes where it has spaces or other characters than letters, digits and\n"
    ".Li . - _ : / @ \\&+ * .\n"
    "A list stands in braces, its items between commas.\n"
    "Sizes have units (K, M, G, T: powers of 1024), durations too (ms, s, m, h, d).\n"
    ".Pp\n"
    ".Ic sluiced Fl -check Ar FILE\n"
    "tells every mistake in a file at once, and\n"
    ".Ic sluiced Fl -default\n"
    "prints a file with all settings and their defaults.\n"
    ".Ic sluicectl reload\n"
    "has a running gateway read its file again.\n"
    ".Sh SETTINGS\n";

static const char foot[] = ".Sh SEE ALSO\n"
                           ".Xr sluicectl 1 ,\n"
                           ".Xr sluiced 8\n";

static void write_words(FILE *out, const char *words)
{
    fputs("One of:\n.Li ", out);
    base_mdoc_word(out, words);
    fputs(" .\n", out);
}

static void write_setting(FILE *out, const struct conf_setting *s)
{
    char min[32], max[32];

    fputs(".It Va ", out);
    base_mdoc_word(out, s->key);
    fprintf(out, " Pq %s\n", conf_type_name(s->type));
    base_mdoc_text(out, s->help, true);
    if (s->words != NULL)
        write_words(out, s->words);
    if (s->type == CONF_TYPE_NUMBER || s->type == CONF_TYPE_SIZE || s->type == CONF_TYPE_DURATION) {
        conf_value_format(min, s->type, s->min);
        conf_value_format(max, s->type, s->max);
        fprintf(out, "From %s to %s.\n", min, max);
    }
    if (s->default_text == NULL) {
        fputs("It has to be given.\n", out);
    } else if (s->default_text[0] != 0) {
        fputs("Default:\n.Li ", out);
        base_mdoc_word(out, s->default_text);
        fputs(" .\n", out);
    }
    if (!s->reloadable)
        fputs("A change needs a restart.\n", out);
}

void conf_manual_write(FILE *out)
{
    fputs(head, out);
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        fprintf(out, ".Ss %s%s\n", b->name, b->example != NULL ? " NAME" : "");
        base_mdoc_text(out, b->help, true);
        fputs(".Bl -tag -width indent\n", out);
        for (const struct conf_setting *s = conf_settings; s->block != NULL; s++)
            if (conf_setting_in(s, b))
                write_setting(out, s);
        fputs(".El\n", out);
    }
    fputs(foot, out);
}
