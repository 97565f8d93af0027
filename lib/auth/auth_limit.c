#include "auth_limit.h"

#include <errno.h>
#include <stdlib.h>

#define WAYS 4

struct auth_limit_place {
    uint64_t key; /* 0 with due_ns 0: empty */
    uint64_t due_ns;
};

int auth_limit_init(struct auth_limit *l, uint32_t place_cnt, uint64_t burst, uint64_t period_ns)
{
    base_assert(place_cnt >= WAYS && (place_cnt & (place_cnt - 1)) == 0);
    *l = (struct auth_limit){.place_cnt = place_cnt, .burst = burst};
    if (burst == 0)
        return 0;
    l->interval_ns = period_ns / burst > 0 ? period_ns / burst : 1;
    l->places = calloc(place_cnt, sizeof(l->places[0]));
    return l->places != NULL ? 0 : -ENOMEM;
}

void auth_limit_fini(struct auth_limit *l)
{
    free(l->places);
    *l = (struct auth_limit){0};
}

static struct auth_limit_place *first_of(const struct auth_limit *l, uint64_t key)
{
    return &l->places[(key & (l->place_cnt - 1)) & ~(uint64_t)(WAYS - 1)];
}

static struct auth_limit_place *find(const struct auth_limit *l, uint64_t key)
{
    struct auth_limit_place *p = first_of(l, key);

    for (int i = 0; i < WAYS; i++)
        if (p[i].key == key && p[i].due_ns != 0)
            return &p[i];
    return NULL;
}

bool auth_limit_count(struct auth_limit *l, uint64_t key, uint64_t now_ns)
{
    if (l->burst == 0)
        return false;
    struct auth_limit_place *set = first_of(l, key), *place = find(l, key);
    if (place == NULL) {
        place = set;
        for (int i = 1; i < WAYS; i++)
            if (set[i].due_ns < place->due_ns)
                place = &set[i];
        *place = (struct auth_limit_place){.key = key};
    }
    struct base_limit limit = {l->interval_ns, l->burst, place->due_ns};
    bool fits = base_limit_pass(&limit, now_ns);
    place->due_ns = limit.due_ns;
    return !fits;
}

bool auth_limit_reached(const struct auth_limit *l, uint64_t key, uint64_t now_ns)
{
    const struct auth_limit_place *p = l->burst != 0 ? find(l, key) : NULL;
    struct base_limit limit = {l->interval_ns, l->burst, p != NULL ? p->due_ns : 0};

    return p != NULL && base_limit_room(&limit, now_ns) == 0;
}

bool auth_limit_seen(const struct auth_limit *l, uint64_t key, uint64_t now_ns)
{
    const struct auth_limit_place *p = l->burst != 0 ? find(l, key) : NULL;

    return p != NULL && p->due_ns > now_ns;
}
