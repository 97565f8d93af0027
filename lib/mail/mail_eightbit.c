/*
 * Both passes read the message alike, a piece of a line at a time (a line is more than one when it
 * is longer than MAIL_EIGHTBIT_PIECE_MAX; boundaries and field names are in the first):
 *
 *   HEADER   fields up to an empty line. Then by its Content-Type the entity is a leaf (BODY), a
 *            message (HEADER again), or a multipart (OUTSIDE until its first boundary)
 *   BODY     of a leaf, until a boundary of any multipart that it is in, or the end
 *   OUTSIDE  before the first and after the last part of a multipart
 *
 * Entities are numbered in the order of their header sections. The first pass leaves for each what
 * is to become of its body; the second finds it by the number when its header section begins, in
 * time for the fields.
 */
#include "mail_eightbit_internal.h"

enum state { STATE_HEADER, STATE_BODY, STATE_OUTSIDE };
enum field { FIELD_OTHER, FIELD_TYPE, FIELD_ENCODING };
enum plan { PLAN_KEEP, PLAN_QUOTED, PLAN_BASE64 };

static void put(struct base_buf *out, struct base_span text)
{
    int failed = out != NULL ? base_buf_put_span(out, text) : 0;
    base_assert(failed == 0);
}

static void put_text(struct base_buf *out, const char *text)
{
    put(out, base_span_str(text));
}

static enum plan plan_of(const struct mail_eightbit *m)
{
    if (!m->converting || m->entity >= MAIL_EIGHTBIT_ENTITY_MAX)
        return PLAN_KEEP;
    return (enum plan)(m->plan[m->entity / 4] >> m->entity % 4 * 2 & 3);
}

static void set_plan(struct mail_eightbit *m, enum plan plan)
{
    if (m->entity >= MAIL_EIGHTBIT_ENTITY_MAX)
        m->why_not = "Message is 8-bit and has too many parts to be converted";
    else
        m->plan[m->entity / 4] |= (uint8_t)(plan << m->entity % 4 * 2);
}

static void begin_header(struct mail_eightbit *m)
{
    m->state = STATE_HEADER;
    m->field = FIELD_OTHER;
    m->dropping = false;
    m->has_version = false;
    m->has_type = false;
    m->has_encoding = false;
    m->type = m->digest ? MAIL_EIGHTBIT_TYPE_MESSAGE : MAIL_EIGHTBIT_TYPE_TEXT;
    m->encoding = MAIL_EIGHTBIT_ENCODING_NONE;
    m->field_len = 0;
    m->byte_cnt = 0;
    m->high_cnt = 0;
    m->encoder = (struct mail_eightbit_encoder){0};
}

static void restart(struct mail_eightbit *m)
{
    m->depth = 0;
    m->entity = 0;
    m->line_started = false;
    m->line_len = 0;
    m->fixed = false;
    m->digest = false;
    begin_header(m);
}

void mail_eightbit_init(struct mail_eightbit *m)
{
    m->converting = false;
    m->header = false;
    m->body = false;
    m->global = false;
    m->why_not = NULL;
    memset(m->plan, 0, sizeof(m->plan));
    restart(m);
}

void mail_eightbit_begin(struct mail_eightbit *m)
{
    m->converting = true;
    restart(m);
}

/* ---- header sections ---- */

static void open_multipart(struct mail_eightbit *m, const struct mail_eightbit_content *c)
{
    if (m->depth == MAIL_EIGHTBIT_DEPTH_MAX) {
        m->type = MAIL_EIGHTBIT_TYPE_CLOSED;
        return;
    }
    struct mail_eightbit_multipart *p = &m->multipart[m->depth];
    p->len = c->boundary_len;
    memcpy(p->boundary, c->boundary, c->boundary_len);
    p->digest = c->type == MAIL_EIGHTBIT_TYPE_DIGEST;
    p->fixed = m->fixed || c->type == MAIL_EIGHTBIT_TYPE_SIGNED;
}

/* A field of interest is whole. The first of its name counts. */
static void end_field(struct mail_eightbit *m)
{
    struct base_span value = base_span_of(m->field_text, m->field_len);
    struct mail_eightbit_content c;

    if (m->field == FIELD_ENCODING && !m->has_encoding) {
        m->has_encoding = true;
        m->encoding = (uint8_t)mail_eightbit_read_encoding(value);
    } else if (m->field == FIELD_TYPE && !m->has_type) {
        m->has_type = true;
        mail_eightbit_read_type(value, &c);
        m->type =
            (uint8_t)(m->field_len == sizeof(m->field_text) ? MAIL_EIGHTBIT_TYPE_CLOSED : c.type);
        if (m->type == MAIL_EIGHTBIT_TYPE_MULTIPART || m->type == MAIL_EIGHTBIT_TYPE_SIGNED ||
            m->type == MAIL_EIGHTBIT_TYPE_DIGEST)
            open_multipart(m, &c);
    }
    m->field = FIELD_OTHER;
    m->field_len = 0;
}

static void collect(struct mail_eightbit *m, struct base_span text)
{
    size_t room = sizeof(m->field_text) - m->field_len;
    size_t n = text.len < room ? text.len : room;

    if (m->field == FIELD_OTHER)
        return;
    if (n > 0)
        memcpy(m->field_text + m->field_len, text.p, n);
    m->field_len = (uint16_t)(m->field_len + n);
}

/* "Name: value" with the name in any case, and blanks before the colon. */
static bool is_field(struct base_span line, const char *name, struct base_span *value)
{
    size_t len = strlen(name), i = len;

    if (line.len <= len || !base_span_caseeq(base_span_of(line.p, len), base_span_str(name)))
        return false;
    while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    if (i == line.len || line.p[i] != ':')
        return false;
    *value = base_span_of(line.p + i + 1, line.len - i - 1);
    return true;
}

static void begin_field(struct mail_eightbit *m, struct base_span line)
{
    struct base_span value = {0};

    end_field(m);
    m->dropping = false;
    if (is_field(line, "Content-Type", &value)) {
        m->field = FIELD_TYPE;
    } else if (is_field(line, "Content-Transfer-Encoding", &value)) {
        m->field = FIELD_ENCODING;
        /* What had none is 7-bit afterwards, or has the one that is written at the end. */
        m->dropping = m->converting && !m->fixed &&
                      mail_eightbit_read_encoding(value) == MAIL_EIGHTBIT_ENCODING_NONE;
    } else if (is_field(line, "MIME-Version", &value)) {
        m->has_version = true;
    }
    collect(m, value);
}

/* What the entity lacks, at the end of its fields. */
static void add_fields(struct mail_eightbit *m, struct base_buf *out)
{
    enum plan plan = plan_of(m);

    if (plan == PLAN_KEEP)
        return;
    if (m->entity == 0 && !m->has_version)
        put_text(out, "MIME-Version: 1.0\r\n");
    if (!m->has_type)
        put_text(out, "Content-Type: text/plain; charset=unknown-8bit\r\n");
    put_text(out, plan == PLAN_QUOTED ? "Content-Transfer-Encoding: quoted-printable\r\n"
                                      : "Content-Transfer-Encoding: base64\r\n");
}

/* The header section is over: what follows it? */
static void end_header(struct mail_eightbit *m)
{
    bool plain = m->encoding == MAIL_EIGHTBIT_ENCODING_NONE;

    switch ((enum mail_eightbit_type)m->type) {
    case MAIL_EIGHTBIT_TYPE_MULTIPART:
    case MAIL_EIGHTBIT_TYPE_SIGNED:
    case MAIL_EIGHTBIT_TYPE_DIGEST:
        /* One with an encoding is a leaf: its boundaries could be encoded, too. */
        m->state = plain ? STATE_OUTSIDE : STATE_BODY;
        m->depth += plain;
        break;
    case MAIL_EIGHTBIT_TYPE_MESSAGE:
        m->state = STATE_BODY;
        if (plain) {
            m->digest = false;
            m->entity++;
            begin_header(m);
        }
        break;
    default:
        m->state = STATE_BODY;
    }
}

static void header_piece(struct mail_eightbit *m, struct base_span piece, struct base_buf *out)
{
    bool start = !m->line_started;

    for (size_t i = 0; i < piece.len; i++)
        m->header |= piece.p[i] >= 0x80;
    if (start && piece.p[0] == '\r') {
        end_field(m);
        add_fields(m, out);
        put(out, piece);
        return end_header(m);
    }
    if (start && piece.p[0] != ' ' && piece.p[0] != '\t')
        begin_field(m, piece);
    else
        collect(m, piece);
    if (!m->dropping)
        put(out, piece);
}

/* ---- bodies ---- */

static bool is_text(const struct mail_eightbit *m)
{
    return m->type == MAIL_EIGHTBIT_TYPE_TEXT || m->type == MAIL_EIGHTBIT_TYPE_GLOBAL;
}

/* A leaf, or what is outside of parts, is over. */
static void end_body(struct mail_eightbit *m, bool boundary, struct base_buf *out)
{
    enum plan plan = m->state == STATE_BODY ? plan_of(m) : PLAN_KEEP;

    if (m->converting) {
        if (plan == PLAN_QUOTED)
            mail_eightbit_end_quoted(&m->encoder, out);
        else if (plan == PLAN_BASE64)
            mail_eightbit_end_base64(&m->encoder, boundary, out);
        return;
    }
    if (m->high_cnt == 0)
        return;
    m->body = true;
    m->global |= m->state == STATE_BODY && m->type == MAIL_EIGHTBIT_TYPE_GLOBAL;
    if (m->fixed)
        m->why_not = "Message is 8-bit and signed, so that it cannot be converted";
    else if (m->state == STATE_OUTSIDE)
        m->why_not = "Message has 8-bit text outside of its parts, which cannot be converted";
    else if (m->encoding != MAIL_EIGHTBIT_ENCODING_NONE)
        m->why_not = "Message has an encoded part that is 8-bit all the same";
    else if (m->type == MAIL_EIGHTBIT_TYPE_CLOSED)
        m->why_not = "Message has an 8-bit part of a type that cannot be converted";
    else /* three bytes for each that is escaped, against four for three of all */
        set_plan(m, is_text(m) && m->high_cnt * 6 <= m->byte_cnt ? PLAN_QUOTED : PLAN_BASE64);
}

/* "--" boundary, "--" at the end of the multipart, blanks. */
static bool is_boundary(const struct mail_eightbit_multipart *p, struct base_span line, bool *last)
{
    size_t i = 2 + (size_t)p->len;

    if (line.len < i || memcmp(line.p, "--", 2) != 0 ||
        memcmp(line.p + 2, p->boundary, p->len) != 0)
        return false;
    *last = line.len >= i + 2 && memcmp(line.p + i, "--", 2) == 0;
    i += *last ? 2 : 0;
    while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    return i == line.len || line.p[i] == '\r';
}

/* A boundary of a multipart that this is in ends it, and all between. */
static bool take_boundary(struct mail_eightbit *m, struct base_span line, struct base_buf *out)
{
    uint32_t level = m->depth;
    bool last = false;

    if (line.len < 3 || memcmp(line.p, "--", 2) != 0)
        return false;
    while (level > 0 && !is_boundary(&m->multipart[level - 1], line, &last))
        level--;
    if (level == 0)
        return false;
    end_body(m, true, out);
    const struct mail_eightbit_multipart *p = &m->multipart[level - 1];
    m->depth = last ? level - 1 : level;
    m->fixed = p->fixed;
    m->digest = p->digest;
    if (last) {
        m->fixed = m->depth > 0 && m->multipart[m->depth - 1].fixed;
        m->state = STATE_OUTSIDE;
        m->high_cnt = 0;
    } else {
        m->entity++;
        begin_header(m);
    }
    put(out, line);
    return true;
}

static void body_piece(struct mail_eightbit *m, struct base_span piece, struct base_buf *out)
{
    enum plan plan = m->state == STATE_BODY ? plan_of(m) : PLAN_KEEP;

    if (!m->converting) {
        m->byte_cnt += piece.len;
        for (size_t i = 0; i < piece.len; i++)
            m->high_cnt += piece.p[i] >= 0x80;
    } else if (plan == PLAN_QUOTED) {
        mail_eightbit_put_quoted(&m->encoder, piece, out);
    } else if (plan == PLAN_BASE64) {
        mail_eightbit_put_base64(&m->encoder, piece, out);
    } else {
        put(out, piece);
    }
}

/* ---- lines ---- */

static void take_piece(struct mail_eightbit *m, struct base_buf *out)
{
    struct base_span piece = base_span_of(m->line, m->line_len);
    bool ends = piece.p[piece.len - 1] == '\n';

    m->line_len = 0;
    /* A boundary ends a header section, too: one without an empty line behind it. */
    if ((!m->line_started && take_boundary(m, piece, out)) == false) {
        if (m->state == STATE_HEADER)
            header_piece(m, piece, out);
        else
            body_piece(m, piece, out);
    }
    m->line_started = !ends;
}

/* Adds to the line; true when a piece is whole. A CR is not parted from its LF. */
static bool add(struct mail_eightbit *m, struct base_span in, size_t *used)
{
    size_t room = sizeof(m->line) - m->line_len;
    size_t n = in.len < room ? in.len : room;
    const uint8_t *lf = memchr(in.p, '\n', n);

    if (lf != NULL)
        n = (size_t)(lf - in.p) + 1;
    else if (n == room && n > 1 && in.p[n - 1] == '\r')
        n--;
    memcpy(m->line + m->line_len, in.p, n);
    m->line_len = (uint16_t)(m->line_len + n);
    *used = n;
    return lf != NULL || m->line_len >= sizeof(m->line) - 1;
}

void mail_eightbit_convert(struct mail_eightbit *m, struct base_span in, size_t *consumed,
                           struct base_buf *out)
{
    *consumed = 0;
    if (in.len > 0 && add(m, in, consumed))
        take_piece(m, out);
}

static void finish(struct mail_eightbit *m, struct base_buf *out)
{
    if (m->line_len > 0)
        take_piece(m, out);
    if (m->state != STATE_HEADER)
        end_body(m, false, out);
    else if (m->field != FIELD_OTHER)
        end_field(m);
}

void mail_eightbit_look(struct mail_eightbit *m, struct base_span in)
{
    for (size_t at = 0, used; at < in.len; at += used)
        mail_eightbit_convert(m, base_span_of(in.p + at, in.len - at), &used, NULL);
}

void mail_eightbit_looked(struct mail_eightbit *m)
{
    finish(m, NULL);
}

void mail_eightbit_end(struct mail_eightbit *m, struct base_buf *out)
{
    finish(m, out);
}
