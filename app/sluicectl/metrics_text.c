#include "metrics_text.h"
#include "base_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- samples ---- */

struct writer {
    FILE *out;
    const struct metrics *m;
    const struct metrics_row *row;
    struct metrics_name name;
    bool openmetrics;
};

/* Numbers that are whole are printed so; the others so that nothing of them is lost. */
static void put_number(FILE *out, double value)
{
    if (value >= 0 && value < 9e15 && value == (double)(uint64_t)value)
        fprintf(out, "%" PRIu64, (uint64_t)value);
    else
        fprintf(out, "%.17g", value);
}

static void put_scaled(FILE *out, uint64_t value, double factor)
{
    if (factor > 0.99 && factor < 1.01)
        fprintf(out, "%" PRIu64, value);
    else
        put_number(out, (double)value * factor);
}

/* A value between quotes. */
static void put_quoted(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('"', out);
}

static void put_label(FILE *out, const char **sep, const char *name, const char *value)
{
    fprintf(out, "%s%s=", *sep, name);
    put_quoted(out, value);
    *sep = ",";
}

/* The name, its suffix and the labels of one sample; who: a label and its value for the thread. */
static void put_sample(const struct writer *w, const char *suffix, const char *who,
                       const char *who_value, const char *le)
{
    const char *sep = "{";

    fprintf(w->out, "sluice_%s%s", w->name.name, suffix);
    if (who != NULL)
        put_label(w->out, &sep, who, who_value);
    for (int i = 0; i < 2; i++)
        if (w->name.label[i] != NULL)
            put_label(w->out, &sep, w->name.label[i], w->name.value[i]);
    if (le != NULL)
        put_label(w->out, &sep, "le", le);
    fputs(sep[0] == '{' ? " " : "} ", w->out);
}

#define ALL UINT32_MAX /* of a row's owners */

/* One histogram, of a thread or of all. */
static void put_histogram(const struct writer *w, uint32_t thread, const char *who,
                          const char *who_value)
{
    const struct metrics *m = w->m;
    const struct metrics_row *row = w->row;
    bool all = thread == ALL;
    uint64_t cnt = 0;
    char le[40];

    for (uint32_t i = 0; i <= row->bound_cnt; i++) {
        double bound = (double)(UINT64_C(1) << (row->shift + i)) * w->name.factor;
        cnt += all ? metrics_total(m, row, i) : metrics_value(m, row, thread, i);
        /* OpenMetrics wants a number that looks like a float. */
        snprintf(le, sizeof(le),
                 w->openmetrics && bound == (double)(uint64_t)bound ? "%.1f" : "%.12g", bound);
        put_sample(w, "_bucket", who, who_value, i == row->bound_cnt ? "+Inf" : le);
        fprintf(w->out, "%" PRIu64 "\n", cnt);
    }
    uint32_t at = row->bound_cnt + 1;
    uint64_t sum = all ? metrics_total(m, row, at) : metrics_value(m, row, thread, at);
    put_sample(w, "_sum", who, who_value, NULL);
    put_scaled(w->out, sum, w->name.factor);
    putc('\n', w->out);
    put_sample(w, "_count", who, who_value, NULL);
    fprintf(w->out, "%" PRIu64 "\n", cnt);
}

static void put_value(const struct writer *w, uint32_t thread, const char *who,
                      const char *who_value)
{
    bool all = thread == ALL;

    if (w->row->kind == METRICS_HISTOGRAM)
        return put_histogram(w, thread, who, who_value);
    put_sample(w, w->row->kind == METRICS_COUNTER ? "_total" : "", who, who_value, NULL);
    put_scaled(w->out,
               all ? metrics_total(w->m, w->row, 0) : metrics_value(w->m, w->row, thread, 0),
               w->name.factor);
    putc('\n', w->out);
}

static bool any_value(const struct writer *w, uint32_t thread)
{
    uint32_t places = w->row->kind == METRICS_HISTOGRAM ? w->row->bound_cnt + 2 : 1;

    for (uint32_t i = 0; i < places; i++)
        if (metrics_value(w->m, w->row, thread, i) != 0)
            return true;
    return false;
}

/* The samples of a row. Each lane, spool and listener has its own, zeros too, so that a rate has
 * something to begin from; what another thread has counted is told with its name. */
static void put_row(const struct writer *w)
{
    enum metrics_spread spread = metrics_spread_of(w->row);
    uint32_t spooler = 0;

    if (spread == METRICS_SUM)
        return put_value(w, ALL, NULL, NULL);
    for (uint32_t i = 0; spread == METRICS_BY_LISTENER && i < w->m->listener_cnt; i++)
        put_value(w, i, "listener", w->m->listener[i]);
    if (spread == METRICS_BY_LISTENER)
        return;
    for (uint32_t i = 0; i < w->m->thread_cnt; i++) {
        const char *name = w->m->thread[i];
        bool lane = strncmp(name, "lane", 4) == 0, spools = strncmp(name, "spooler", 7) == 0;
        const char *spool = spools && spooler < w->m->spool_cnt ? w->m->spool[spooler++] : NULL;
        if (spread == METRICS_BY_LANE && lane)
            put_value(w, i, "lane", name + 4);
        else if (spread == METRICS_BY_SPOOL && spool != NULL)
            put_value(w, i, "spool", spool);
        else if (any_value(w, i))
            put_value(w, i, "thread", name);
    }
}

/* ---- metrics ---- */

static void put_help(FILE *out, const char *help, bool quotes)
{
    for (; *help != 0; help++)
        if (*help == '\\' || (quotes && *help == '"'))
            fprintf(out, "\\%c", *help);
        else
            putc(*help, out);
}

static void put_head(const struct writer *w)
{
    static const char *const types[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram"};
    const char *total = !w->openmetrics && w->row->kind == METRICS_COUNTER ? "_total" : "";

    fprintf(w->out, "# HELP sluice_%s%s ", w->name.name, total);
    put_help(w->out, w->name.help, w->openmetrics);
    fprintf(w->out, "\n# TYPE sluice_%s%s %s\n", w->name.name, total, types[w->row->kind]);
    if (w->openmetrics && w->name.unit != NULL)
        fprintf(w->out, "# UNIT sluice_%s %s\n", w->name.name, w->name.unit);
}

/* All samples of one metric stand together, wherever its rows are. */
static void write_prometheus(FILE *out, const struct metrics *m, bool openmetrics)
{
    struct metrics_name *names = calloc(m->row_cnt + 1, sizeof(*names));
    struct writer w = {.out = out, .m = m, .openmetrics = openmetrics};

    base_assert(names != NULL);
    for (uint32_t i = 0; i < m->row_cnt; i++)
        metrics_name_row(&names[i], m, &m->row[i]);
    for (uint32_t i = 0; i < m->row_cnt; i++) {
        if (names[i].name[0] == 0)
            continue; /* it was told with an earlier one */
        w.row = &m->row[i];
        w.name = names[i];
        put_head(&w);
        for (uint32_t k = i; k < m->row_cnt; k++) {
            if (strcmp(names[k].name, w.name.name) != 0 && k != i)
                continue;
            w.row = &m->row[k];
            const struct metrics_name head = w.name;
            w.name = names[k];
            put_row(&w);
            w.name = head;
            names[k].name[0] = 0;
        }
    }
    if (openmetrics)
        fputs("# EOF\n", out);
    free(names);
}

/* ---- JSON ---- */

/* Those that have counted anything. */
static void write_owners(FILE *out, const struct metrics *m, const struct metrics_row *row)
{
    const char *sep = row->by_listener ? ",\"listeners\":{" : ",\"threads\":{";
    uint32_t cnt;
    const char *const *owners = metrics_owners(m, row, &cnt);

    for (uint32_t i = 0; i < cnt; i++) {
        if (metrics_value(m, row, i, 0) == 0)
            continue;
        fprintf(out, "%s\"%s\":%" PRIu64, sep, owners[i], metrics_value(m, row, i, 0));
        sep = ",";
    }
    if (sep[1] == 0)
        putc('}', out);
}

static void write_json(FILE *out, const struct metrics *m)
{
    static const char *const kinds[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram"};

    for (uint32_t i = 0; i < m->row_cnt; i++) {
        const struct metrics_row *row = &m->row[i];
        bool histogram = row->kind == METRICS_HISTOGRAM;
        fprintf(out, "{\"group\":\"%s\",\"name\":\"%s\",\"kind\":\"%s\",\"unit\":\"%s\",\"help\":",
                row->group, row->name, kinds[row->kind], row->unit);
        base_json_print(out, base_span_str(row->help));
        fprintf(out, ",\"%s\":%" PRIu64, histogram ? "sum" : "value",
                metrics_total(m, row, histogram ? row->bound_cnt + 1 : 0));
        for (uint32_t k = 0; histogram && k <= row->bound_cnt; k++) {
            fprintf(out, k == 0 ? ",\"counts\":[[" : ",[");
            if (k < row->bound_cnt)
                fprintf(out, "%" PRIu64, UINT64_C(1) << (row->shift + k));
            else
                fputs("null", out);
            fprintf(out, ",%" PRIu64 "]%s", metrics_total(m, row, k),
                    k == row->bound_cnt ? "]" : "");
        }
        if (!histogram)
            write_owners(out, m, row);
        fputs("}\n", out);
    }
}

void metrics_write(FILE *out, const struct metrics *m, enum metrics_form form)
{
    if (form == METRICS_JSON)
        write_json(out, m);
    else
        write_prometheus(out, m, form == METRICS_OPENMETRICS);
}
