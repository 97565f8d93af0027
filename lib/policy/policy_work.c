/* What one thread's lookups need, taken once. */
#include "policy_map_internal.h"
#include "policy_walk.h"

#include <stdlib.h>

/* Bounds of one match. A pattern that needs more is an evil one for this text. */
#define MATCH_STEPS_MAX 20000
#define MATCH_DEPTH_MAX 2000
#define MATCH_HEAP_KIB  1024
#define GROUP_MAX       32

struct policy_work *policy_work_open(void)
{
    struct policy_work *w = malloc(sizeof(*w));

    if (w == NULL)
        return NULL;
    w->len = 0;
    w->match = pcre2_match_data_create(GROUP_MAX, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->walk = malloc(sizeof(*w->walk));
    if (w->match == NULL || w->context == NULL || w->walk == NULL) {
        policy_work_close(w);
        return NULL;
    }
    pcre2_set_match_limit(w->context, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(w->context, MATCH_DEPTH_MAX);
    pcre2_set_heap_limit(w->context, MATCH_HEAP_KIB);
    return w;
}

void policy_work_close(struct policy_work *w)
{
    if (w == NULL)
        return;
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    free(w->walk);
    free(w);
}

void policy_work_reset(struct policy_work *w)
{
    if (w != NULL)
        w->len = 0;
}

struct policy_walk *policy_work_walk(struct policy_work *w)
{
    return w->walk;
}

const uint8_t *policy_work_keep(struct policy_work *w, struct base_span bytes)
{
    uint8_t *at = w->bytes + w->len;

    if (bytes.len > sizeof(w->bytes) - w->len)
        return NULL;
    memcpy(at, bytes.p, bytes.len);
    w->len += bytes.len;
    return at;
}
