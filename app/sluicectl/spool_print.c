#include "base_json.h"
#include "base_utf8.h"
#include "spool_command.h"
#include "spool_status.h"

#include <time.h>

static void print_text(FILE *out, struct base_span s)
{
    char escape[BASE_UTF8_ESCAPE_CAP];

    while (s.len > 0) {
        struct base_span piece = base_utf8_take(&s, escape);
        fwrite(piece.p, 1, piece.len, out);
    }
}

static void print_time(FILE *out, uint64_t wall_ns)
{
    char text[32] = "-";
    time_t t = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    if (wall_ns != 0 && gmtime_r(&t, &tm) != NULL)
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    fputs(text, out);
}

void spool_print_finding(FILE *out, const struct spool_finding *f, bool json)
{
    char id[SPOOL_ID_TEXT_LEN + 1];
    spool_id_format(id, &f->id);
    if (json) {
        fprintf(out, "{\"finding\":\"%s\"", f->damage ? "damage" : "normal");
        if (f->segment != 0)
            fprintf(out, ",\"segment\":%u,\"offset\":%llu", f->segment,
                    (unsigned long long)f->offset);
        if (f->of_message)
            fprintf(out, ",\"message\":\"%s\"", id);
        fputs(",\"text\":", out);
        base_json_print(out, base_span_str(f->text));
        fputs("}\n", out);
        return;
    }
    fputs(f->damage ? "damaged: " : "normal: ", out);
    if (f->of_message)
        fprintf(out, "message %s: ", id);
    if (f->segment != 0)
        fprintf(out, "segment %u, offset %llu: ", f->segment, (unsigned long long)f->offset);
    fprintf(out, "%s\n", f->text);
}

void spool_print_totals(FILE *out, const struct spool_inspect_totals *t, bool json)
{
    fprintf(out,
            json ? "{\"segments\":%u,\"segments_in_use\":%u,\"summaries\":%u,\"batches\":%llu,"
                   "\"records\":%llu,\"queued\":%llu,\"damaged\":%llu,\"unfinished\":%llu,"
                   "\"bytes\":%llu,\"damages\":%u}\n"
                 : "%u segments, %u in use, %u with a summary; %llu batches, %llu records; "
                   "%llu messages queued, %llu damaged, %llu unfinished, %llu bytes; "
                   "%u damages found\n",
            t->segment_cnt, t->log_cnt, t->summary_cnt, (unsigned long long)t->batch_cnt,
            (unsigned long long)t->record_cnt, (unsigned long long)t->queued_cnt,
            (unsigned long long)t->damaged_cnt, (unsigned long long)t->unfinished_cnt,
            (unsigned long long)t->content_bytes, t->damage_cnt);
}

/* ---- a message ---- */

static const char *const state_names[] = {
    [SPOOL_INSPECT_QUEUED] = "queued",
    [SPOOL_INSPECT_DAMAGED] = "damaged",
    [SPOOL_INSPECT_UNFINISHED] = "unfinished",
};

static const char *outcome_name(uint8_t state)
{
    static const char *const names[] = {
        [SPOOL_OUTCOME_QUEUED] = "queued",
        [SPOOL_OUTCOME_DEFERRED] = "deferred",
        [SPOOL_OUTCOME_DELIVERED] = "delivered",
        [SPOOL_OUTCOME_FAILED] = "failed",
    };
    return state < BASE_ARRAY_CNT(names) ? names[state] : "unknown";
}

static struct spool_outcome outcome_of(const struct spool_inspect_message *m, uint32_t recipient)
{
    return recipient < m->outcome_cnt ? m->outcomes[recipient]
                                      : (struct spool_outcome){.recipient = recipient};
}

static struct base_span field_find(struct base_span envelope, uint8_t type)
{
    struct spool_envelope_field f;
    while (spool_envelope_next(&envelope, &f) == 1)
        if (f.type == type)
            return f.value;
    return base_span_of(NULL, 0);
}

static uint64_t arrival_of(const struct spool_inspect_message *m)
{
    struct base_span v = field_find(m->envelope, SPOOL_ENVELOPE_ARRIVAL);
    return v.len == 8 ? base_le64(v.p) : 0;
}

static void recipients_json(FILE *out, const struct spool_inspect_message *m)
{
    struct base_span rest = m->envelope;
    struct spool_envelope_field f;
    uint32_t n = 0;

    fputs(",\"recipients\":[", out);
    while (spool_envelope_next(&rest, &f) == 1) {
        if (f.type != SPOOL_ENVELOPE_RECIPIENT)
            continue;
        struct spool_outcome o = outcome_of(m, n);
        fputs(n++ > 0 ? ",{\"address\":" : "{\"address\":", out);
        base_json_print(out, f.value);
        char status[SPOOL_STATUS_TEXT_CAP];
        spool_status_format(status, o.enhanced);
        fprintf(out, ",\"state\":\"%s\",\"code\":%u,\"enhanced\":\"%s\",\"attempts\":%u",
                outcome_name(o.state), o.code, status, o.attempt_cnt);
        if (o.next_wall_ns != 0) {
            fputs(",\"next\":\"", out);
            print_time(out, o.next_wall_ns);
            fputc('"', out);
        }
        fputc('}', out);
    }
    fputc(']', out);
}

/* All other fields as they are, in their order, so that nothing of an envelope is left behind. */
static void others_json(FILE *out, const struct spool_inspect_message *m)
{
    struct base_span rest = m->envelope;
    struct spool_envelope_field f;
    uint32_t recipient_cnt = 0;
    const char *comma = "";

    fputs(",\"other_fields\":[", out);
    while (spool_envelope_next(&rest, &f) == 1) {
        recipient_cnt += f.type == SPOOL_ENVELOPE_RECIPIENT;
        if (f.type <= SPOOL_ENVELOPE_ARRIVAL || f.type == SPOOL_ENVELOPE_HELO ||
            f.type == SPOOL_ENVELOPE_BODY_8BIT || f.type == SPOOL_ENVELOPE_REQUIRETLS ||
            f.type == SPOOL_ENVELOPE_TLS_OPTIONAL)
            continue;
        fprintf(out, "%s{\"type\":%u,\"recipients_before\":%u,\"hex\":\"", comma, f.type,
                recipient_cnt);
        for (size_t i = 0; i < f.value.len; i++)
            fprintf(out, "%02x", f.value.p[i]);
        fputs("\"}", out);
        comma = ",";
    }
    fputc(']', out);
}

static void pieces_json(FILE *out, const struct spool_inspect *in, uint64_t index, uint32_t cnt)
{
    static const char *const parts[] = {"none", "envelope", "header", "body"};
    const char *comma = "";
    fputs(",\"pieces\":[", out);
    for (uint32_t n = 0; n < cnt; n++) {
        struct spool_inspect_piece p;
        spool_inspect_piece(in, index, n, &p);
        fprintf(out, "%s{\"part\":\"%s\",\"segment\":%u,\"offset\":%llu,\"bytes\":%u%s}", comma,
                parts[p.part], p.segment, (unsigned long long)p.offset, p.len,
                p.segment == 0 ? ",\"missing\":true"
                : p.damaged    ? ",\"damaged\":true"
                               : "");
        comma = ",";
    }
    fputc(']', out);
}

static void message_json(FILE *out, const struct spool_inspect *in, uint64_t index,
                         const struct spool_inspect_message *m, bool pieces)
{
    char id[SPOOL_ID_TEXT_LEN + 1];
    struct base_span helo = field_find(m->envelope, SPOOL_ENVELOPE_HELO);
    spool_id_format(id, &m->id);
    fprintf(out, "{\"id\":\"%s\",\"state\":\"%s\",\"held\":%s,\"bytes\":%llu", id,
            state_names[m->state], m->held ? "true" : "false",
            (unsigned long long)m->content_bytes);
    if (m->envelope.len > 0) {
        fputs(",\"arrival\":\"", out);
        print_time(out, arrival_of(m));
        fputs("\",\"sender\":", out);
        base_json_print(out, field_find(m->envelope, SPOOL_ENVELOPE_SENDER));
        fputs(",\"helo\":", out);
        base_json_print(out, helo);
        bool body_8bit = field_find(m->envelope, SPOOL_ENVELOPE_BODY_8BIT).p != NULL;
        fprintf(out, ",\"body_8bit\":%s", body_8bit ? "true" : "false");
        if (field_find(m->envelope, SPOOL_ENVELOPE_REQUIRETLS).p != NULL)
            fputs(",\"requiretls\":true", out);
        if (field_find(m->envelope, SPOOL_ENVELOPE_TLS_OPTIONAL).p != NULL)
            fputs(",\"tls_optional\":true", out);
        recipients_json(out, m);
        others_json(out, m);
    }
    if (pieces)
        pieces_json(out, in, index, m->piece_cnt);
    fputs("}\n", out);
}

/* Pieces that follow each other in a segment are told as one stretch. */
static void places_text(FILE *out, const struct spool_inspect *in, uint64_t index, uint32_t cnt)
{
    uint32_t segment = 0;
    const char *comma = " at ";
    for (uint32_t n = 0; n < cnt; n++) {
        struct spool_inspect_piece p;
        spool_inspect_piece(in, index, n, &p);
        if (p.segment == segment && !p.damaged && n > 0 && segment != 0)
            continue;
        segment = p.segment;
        if (segment == 0)
            fprintf(out, "%spiece %u nowhere", comma, n);
        else
            fprintf(out, "%s%u:%llu%s", comma, segment, (unsigned long long)p.offset,
                    p.damaged ? " (damaged)" : "");
        comma = ", ";
    }
}

static void outcome_text(FILE *out, const struct spool_outcome *o)
{
    char status[SPOOL_STATUS_TEXT_CAP];
    spool_status_format(status, o->enhanced);
    fprintf(out, " (code %u%s%s, attempt %u)", o->code, status[0] != '\0' ? " " : "", status,
            o->attempt_cnt);
}

void spool_print_message(FILE *out, const struct spool_inspect *in, uint64_t index,
                         const struct spool_inspect_message *m, bool pieces, bool json)
{
    char id[SPOOL_ID_TEXT_LEN + 1];
    struct base_span rest = m->envelope;
    struct spool_envelope_field f;
    uint32_t n = 0;

    if (json) {
        message_json(out, in, index, m, pieces);
        return;
    }
    spool_id_format(id, &m->id);
    fprintf(out, "%s %s%s ", id, state_names[m->state], m->held ? " held" : "");
    print_time(out, arrival_of(m));
    fprintf(out, " %llu bytes", (unsigned long long)m->content_bytes);
    if (m->envelope.len > 0) {
        fputs(" from <", out);
        print_text(out, field_find(m->envelope, SPOOL_ENVELOPE_SENDER));
        bool requiretls = field_find(m->envelope, SPOOL_ENVELOPE_REQUIRETLS).p != NULL;
        bool optional = field_find(m->envelope, SPOOL_ENVELOPE_TLS_OPTIONAL).p != NULL;
        fputs(requiretls ? "> requiretls to" : optional ? "> tls_optional to" : "> to", out);
    }
    while (spool_envelope_next(&rest, &f) == 1) {
        if (f.type != SPOOL_ENVELOPE_RECIPIENT)
            continue;
        struct spool_outcome o = outcome_of(m, n++);
        fputs(" <", out);
        print_text(out, f.value);
        fprintf(out, "> %s", outcome_name(o.state));
        if (o.code != 0 || o.attempt_cnt != 0)
            outcome_text(out, &o);
    }
    if (pieces)
        places_text(out, in, index, m->piece_cnt);
    fputc('\n', out);
}
