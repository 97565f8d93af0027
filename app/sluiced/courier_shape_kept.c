/* What has become of limits, over a restart: as text to control, and from it. */
#include "base_time.h"
#include "courier.h"
#include "shape_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TELL_NS (5 * BASE_NS_S) /* a crash forgets so much */

base_static_assert(SHAPE_STORE_NAME_CAP == QUEUE_DESTINATION_MAX + 1, "names of destinations");
base_static_assert(SHAPE_STORE_CAUSE_CAP >= COURIER_CAUSE_MAX, "causes");

/* ---- to control ---- */

static struct shape_stored stored_of(const struct courier_provider *p)
{
    struct shape_stored s = {
        .configured = p->conf != NULL, .state = p->state, .cause_wall_ns = p->wall_ns};

    memcpy(s.name, p->name, sizeof(s.name));
    memcpy(s.rule, p->rule, sizeof(s.rule));
    memcpy(s.cause, p->cause, sizeof(p->cause));
    return s;
}

/* NULL without memory: the next one has it. */
static struct kept_text *make_text(struct courier *c, uint64_t now_ns, uint64_t wall_ns)
{
    size_t cap = (size_t)(c->shape.cnt + 1) * SHAPE_STORE_LINE_MAX;
    struct base_buf out = {.p = malloc(cap), .cap = cap};
    bool fits;

    if (out.p == NULL)
        return NULL;
    fits = shape_store_begin(&out);
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++) {
        const struct courier_provider *p = c->shape.provider[i];
        if (p == NULL || !shape_store_wanted(&p->state, now_ns))
            continue;
        struct shape_stored s = stored_of(p);
        fits &= shape_store_put(&out, &s, now_ns, wall_ns);
    }
    base_assert(fits);
    c->shape.changed = false;
    return kept_text_of((char *)out.p, out.len);
}

void courier_shape_tell(struct courier *c)
{
    struct courier_shape *s = &c->shape;

    if (!s->changed || c->now_ns - s->told_ns < TELL_NS || !kept_free(&s->text))
        return;
    struct kept_text *t = make_text(c, c->now_ns, c->wall_ns);
    s->told_ns = c->now_ns;
    if (t != NULL)
        kept_give(&s->text, t);
}

uint64_t courier_shape_tell_ns(const struct courier *c)
{
    uint64_t t = c->shape.told_ns + TELL_NS;

    if (!c->shape.changed)
        return BASE_NS_NONE;
    return t > c->now_ns ? t : c->now_ns + TELL_NS; /* control has the last one still */
}

struct kept_text *courier_shape_take(struct courier *c)
{
    return kept_take(&c->shape.text);
}

struct kept_text *courier_shape_rest(struct courier *c, uint64_t now_ns, uint64_t wall_ns)
{
    struct kept_text *last = courier_shape_take(c);

    if (!c->shape.changed)
        return last;
    kept_text_free(last);
    return make_text(c, now_ns, wall_ns);
}

/* ---- from it ---- */

uint32_t courier_shape_load(struct courier *c, struct base_span text, uint64_t now_ns,
                            uint64_t wall_ns)
{
    struct shape_stored s;
    uint32_t bad_cnt = 0;
    bool begun = false;
    int got;

    while ((got = shape_store_get(&s, &text, &begun, now_ns, wall_ns)) != 0) {
        bad_cnt += got < 0;
        if (got > 0 && shape_store_wanted(&s.state, now_ns))
            courier_shape_restore(c, &s);
    }
    c->shape.changed = false;
    return bad_cnt;
}
