/* Any record in each form and frame: one line, which neither breaks nor ends early; JSON that a
 * strict reader takes; no control character and nothing that is not UTF-8 anywhere. */
#include "log_check.h"
#include "log_format.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void id_format(char out[LOG_ID_CAP], const uint8_t id[16])
{
    snprintf(out, LOG_ID_CAP, "ID%02X%02X", id[0], id[15]);
}

/* Fields of fixed size first, then the parts: where each begins is a byte's choice. */
static bool make_record(struct stats_log_record *r, const uint8_t *data, size_t size)
{
    if (size < 64)
        return false;
    memset(r, 0, sizeof(*r));
    memcpy(&r->wall_ns, data, 8);
    memcpy(&r->n, data + 8, 8);
    memcpy(&r->m, data + 16, 4);
    memcpy(r->id, data + 24, 16);
    memcpy(r->address, data + 32, 16);
    memcpy(&r->conn, data + 48, 4);
    memcpy(&r->port, data + 52, 2);
    r->event = data[54] % STATS_LOG_EVENT_CNT;
    struct base_span rest = base_span_of(data + 64, size - 64);
    for (uint32_t part = 0; part < STATS_LOG_PART_CNT; part++) {
        size_t len = data[55 + part] * 2u < rest.len ? data[55 + part] * 2u : rest.len;
        struct base_span text = base_span_of(rest.p, len);
        if (part == 0)
            stats_log_text(r, text);
        else if (data[55 + part] != 0)
            stats_log_part(r, part, text, STATS_LOG_TEXT_CAP);
        rest = base_span_of(rest.p + len, rest.len - len);
    }
    return true;
}

static void check(const struct log_style *style, const char *line, size_t len)
{
    bool ascii = style->form == LOG_FORM_TEXT;
    const char *body = line, *end = line + len;

    base_assert(len > 0 && len <= LOG_LINE_CAP);
    if (style->frame == LOG_FRAME_JOURNAL) {
        const char *next;
        for (const char *p = line; p < end; p = next + 1) {
            next = memchr(p, '\n', (size_t)(end - p));
            base_assert(next != NULL && memchr(p, '=', (size_t)(next - p)) != NULL);
            base_assert(log_text_valid(p, (size_t)(next - p), ascii));
        }
        body += strlen("MESSAGE=");
        end = memchr(line, '\n', len);
    } else {
        if (style->frame == LOG_FRAME_LINE)
            base_assert(*--end == '\n');
        base_assert(log_text_valid(line, (size_t)(end - line), ascii));
        if (style->frame == LOG_FRAME_SYSLOG)
            body = strstr(line, "]: ") + 3;
    }
    if (style->form == LOG_FORM_JSON)
        base_assert(log_json_valid(body, (size_t)(end - body)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[LOG_LINE_CAP + 1];
    struct stats_log_record r;

    if (!make_record(&r, data, size))
        return 0;
    for (int form = LOG_FORM_TEXT; form <= LOG_FORM_POSTFIX; form++)
        for (int frame = LOG_FRAME_LINE; frame <= LOG_FRAME_JOURNAL; frame++) {
            struct log_style style = {.form = (enum log_form)form,
                                      .frame = (enum log_frame)frame,
                                      .ident = "sluice",
                                      .hostname = "mx.example.org",
                                      .id_format = id_format,
                                      .pid = 7,
                                      .facility = 2};
            uint32_t cnt = log_format_cnt(&style, &r);
            base_assert(cnt <= LOG_LINES_MAX && (cnt > 0 || r.event == STATS_LOG_ACCEPTED));
            for (uint32_t i = 0; i < cnt; i++) {
                size_t len = log_format(line, &style, &r, i);
                line[len] = 0;
                check(&style, line, len);
            }
        }
    return 0;
}
