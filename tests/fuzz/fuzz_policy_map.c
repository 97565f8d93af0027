/*
 * Map files of every form and role, and lookups in them: any bytes are a map or an error with a
 * line of the file; what is found lies in the map; keys are the same however they are written
 * again; following aliases ends within its bounds, and finds each target once. The first byte
 * chooses form and role, what stands behind the last NUL is looked up.
 */
#include "fuzz_token.h"
#include "policy_tables.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("alice@example.org"),
    FUZZ_TOKEN("bob@example.org"),
    FUZZ_TOKEN("@example.org"),
    FUZZ_TOKEN("\n"),
    FUZZ_TOKEN("\n  "),
    FUZZ_TOKEN(" "),
    FUZZ_TOKEN(", "),
    FUZZ_TOKEN("# "),
    FUZZ_TOKEN("/^(.*)@/ "),
    FUZZ_TOKEN("/@example\\.org$/i "),
    FUZZ_TOKEN("if /a/\n"),
    FUZZ_TOKEN("endif\n"),
    FUZZ_TOKEN("!/b/ "),
    FUZZ_TOKEN("$1"),
    FUZZ_TOKEN("${1}@example.org"),
    FUZZ_TOKEN("\"a b\"@example.org"),
    FUZZ_TOKEN("\xc3\xbc"),
    FUZZ_TOKEN("+x"),
    FUZZ_TOKEN(":"),
    FUZZ_TOKEN("|"),
    FUZZ_TOKEN("\0"),
    FUZZ_TOKEN("(a+)+"),
};

static bool is_local(const void *arg, struct base_span domain)
{
    (void)arg;
    return base_span_eq(domain, base_span_str("example.org"));
}

static void check_key(struct base_span text)
{
    struct policy_key key, again;

    if (policy_key_text(&key, text) != 0)
        return;
    base_assert(key.len > 0 && key.at <= key.len && key.len <= POLICY_KEY_CAP);
    if (policy_key_has_domain(&key)) {
        base_assert(key.text[key.at] == '@');
        base_assert(policy_key_domain(&key).len > 0);
        base_assert(memchr(policy_key_domain(&key).p, '@', policy_key_domain(&key).len) == NULL);
    }
    /* A key that is text of its kind is its own key. */
    if (policy_key_text(&again, policy_key_span(&key)) == 0 && again.at == key.at)
        base_assert(policy_key_eq(&key, &again));
}

static void check_lookups(const struct policy_tables *t, struct policy_work *w,
                          struct base_span text)
{
    static struct policy_expansion e;
    struct policy_reading r = {.extension = '+', .is_local = is_local};
    struct policy_key key, login;
    struct policy_why why;

    if (policy_key_text(&key, text) != 0 || key.at == 0 || !policy_key_has_domain(&key))
        return;
    base_assert(policy_login_key(&r, &login, base_span_str("alice@example.org")) == 0);
    enum policy_owner owner = policy_owns(t, &r, w, &login, &key, &why);
    if (policy_key_eq(&login, &key))
        base_assert(owner == POLICY_OWNER_ITSELF);
    if (owner == POLICY_OWNER_ALIAS || owner == POLICY_OWNER_MAP)
        base_assert(why.hit.map != NULL && why.hit.line > 0);
    (void)policy_has_owner(t, &r, w, &key);
    policy_work_reset(w);
    (void)policy_exists(t, &r, w, &key);
    enum policy_expansion_result result = policy_expand(t, &r, w, &key, 50, &e);
    base_assert(e.cnt <= 50);
    if (result != POLICY_EXPANSION_OTHER)
        return;
    base_assert(e.cnt > 0);
    for (uint32_t i = 0; i < e.cnt; i++) {
        struct smtp_address a;
        struct policy_key one, other;
        base_assert(policy_key_text(&one, e.target[i]) == 0 && policy_key_has_domain(&one));
        struct base_span plain = e.target[i]; /* an address; maybe with a dot at its end */
        plain.len -= plain.p[plain.len - 1] == '.';
        base_assert(smtp_mailbox_parse_utf8(&a, plain) == 0);
        for (uint32_t k = 0; k < i; k++)
            base_assert(policy_key_text(&other, e.target[k]) == 0 && !policy_key_eq(&one, &other));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[16] = {1};
    static struct policy_work *work;
    static uint8_t room[65536];
    struct base_buf text = {.p = room, .cap = sizeof(room)};
    struct policy_notes notes;

    if (work == NULL)
        work = policy_work_open();
    if (size == 0 || work == NULL)
        return 0;
    enum policy_form form = (enum policy_form)(data[0] % 3);
    enum policy_role role = form == POLICY_FORM_ACCOUNTS
                                ? POLICY_ROLE_ACCOUNTS
                                : (enum policy_role)(POLICY_ROLE_ALIASES + data[0] / 3 % 3);
    fuzz_expand(&text, base_span_of(data + 1, size - 1), tokens, BASE_ARRAY_CNT(tokens));
    struct base_span file = base_buf_span(&text), asked = {0};
    const uint8_t *nul = file.len > 0 ? memrchr(file.p, 0, file.len) : NULL;
    if (nul != NULL) {
        asked = base_span_of(nul + 1, (size_t)(file.p + file.len - nul - 1));
        file.len = (size_t)(nul - file.p);
    }
    check_key(asked);
    uint8_t *exact = malloc(file.len + 1); /* of the file's size, for the sanitizer */
    memcpy(exact, file.p, file.len);
    uint32_t lines = 1;
    for (size_t i = 0; i < file.len; i++)
        lines += exact[i] == '\n';
    struct policy_map *m = policy_map_read("map", form, role, base_span_of(exact, file.len),
                                           base_span_str("example.org"), seed, &notes);
    free(exact);
    if (m == NULL) {
        base_assert(notes.error_cnt > 0 && notes.error_cnt <= POLICY_NOTE_MAX);
        base_assert(notes.error.text[0] != 0 && notes.error.line <= lines);
        for (uint32_t i = 1; i < notes.error_cnt; i++)
            base_assert(notes.more[i - 1].text[0] != 0 && notes.more[i - 1].line <= lines);
        return 0;
    }
    struct policy_tables *t = policy_tables_make();
    base_assert(t != NULL && policy_tables_add(t, role, m) == 0);
    uint32_t line;
    if (role == POLICY_ROLE_OWNERS && policy_tables_swapped(t, m, &line))
        base_assert(line >= 1 && line <= lines);
    struct base_span key;
    struct policy_hit hit;
    for (size_t at = 0; policy_map_next(m, &at, &key, &hit);)
        base_assert(hit.line >= 1 && hit.line <= lines && key.len > 0);
    check_lookups(t, work, asked);
    check_lookups(t, work, base_span_str("alice@example.org"));
    policy_tables_free(t);
    return 0;
}
