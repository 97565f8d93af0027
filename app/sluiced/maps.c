#include "maps.h"
#include "small_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

struct list {
    const struct conf_list *items;
    enum conf_map_form usual;
    enum policy_role role;
    const char *block, *key; /* of its setting */
};

#define LIST_CNT 4

/* Accounts first: what else is read may be looked at by them. */
static void lists_of(const struct conf *conf, struct list out[LIST_CNT])
{
    out[0] = (struct list){&conf->recipient.accounts, CONF_MAP_ACCOUNTS, POLICY_ROLE_ACCOUNTS,
                           "recipient", "accounts"};
    out[1] = (struct list){&conf->recipient.aliases, CONF_MAP_TEXTHASH, POLICY_ROLE_ALIASES,
                           "recipient", "aliases"};
    out[2] =
        (struct list){&conf->sender.maps, CONF_MAP_TEXTHASH, POLICY_ROLE_OWNERS, "sender", "maps"};
    out[3] = (struct list){&conf->recipient.maps, CONF_MAP_TEXTHASH, POLICY_ROLE_RECIPIENTS,
                           "recipient", "maps"};
}

int maps_each(const struct conf *conf, int (*each)(void *arg, const char *path), void *arg)
{
    struct list lists[LIST_CNT];
    enum conf_map_form form;
    int error = 0;

    lists_of(conf, lists);
    for (int i = 0; i < LIST_CNT; i++)
        for (uint32_t k = 0; k < lists[i].items->cnt && error == 0; k++)
            error = each(arg, conf_map(lists[i].items->item[k], lists[i].usual, &form));
    for (uint32_t i = 0; i < conf->srs.secrets.cnt && error == 0; i++)
        error = each(arg, conf->srs.secrets.item[i]);
    return error;
}

static int is_there(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return 1;
}

bool maps_wanted(const struct conf *conf)
{
    return maps_each(conf, is_there, NULL) != 0;
}

/* ---- files ---- */

struct reading {
    const struct conf *conf;
    maps_open open_file;
    void *user;
    struct maps_notes *notes;
    struct policy_tables *tables;
    uint8_t seed[16];
};

static void warn(struct maps_notes *notes, const char *path, uint32_t line, const char *text)
{
    uint32_t i = notes->warning_cnt;

    if (i == MAPS_WARNING_MAX) {
        snprintf(notes->warning[i - 1], MAPS_TEXT_CAP, "map files: there are more warnings");
        return;
    }
    snprintf(notes->warning[i], MAPS_TEXT_CAP, "%.250s:%u: warning: %.200s", path, line, text);
    notes->warning_cnt++;
}

static void tell_warnings(struct maps_notes *notes, const char *path, const struct policy_notes *of)
{
    char more[64];

    for (uint32_t i = 0; i < of->warning_cnt && i < POLICY_NOTE_MAX; i++)
        warn(notes, path, of->warning[i].line, of->warning[i].text);
    if (of->warning_cnt <= POLICY_NOTE_MAX)
        return;
    snprintf(more, sizeof(more), "and %u more of such lines", of->warning_cnt - POLICY_NOTE_MAX);
    warn(notes, path, of->warning[POLICY_NOTE_MAX - 1].line, more);
}

/* Room for one more error, or for the last one again when there are too many. */
static char *next_error(struct maps_notes *notes)
{
    if (notes->error_cnt < MAPS_ERROR_MAX)
        return notes->error[notes->error_cnt++];
    return notes->error[MAPS_ERROR_MAX - 1];
}

/* Of a whole file: at the setting that names it. */
static void wrong(struct reading *r, const char *block, const char *key, const char *path,
                  const char *why)
{
    struct conf_place place = conf_place_of(r->conf, block, key);

    snprintf(next_error(r->notes), MAPS_TEXT_CAP, "%.200s:%u: %s: %s: %.250s: %.100s",
             place.file != NULL ? place.file : "", place.line, block, key, path, why);
}

static void tell_errors(struct reading *r, const char *path, const struct policy_notes *of)
{
    for (uint32_t i = 0; i < of->error_cnt; i++) {
        const struct policy_note *note = i == 0 ? &of->error : &of->more[i - 1];
        snprintf(next_error(r->notes), MAPS_TEXT_CAP, "%.250s:%u: %s", path, note->line,
                 note->text);
    }
}

static const char *why_unread(int error)
{
    return error == -EACCES ? "no permission, or a file that needs a restart"
                            : small_file_why(error);
}

static bool read_map(struct reading *r, const struct list *list, const char *item)
{
    static const enum policy_form of_conf[] = {[CONF_MAP_TEXTHASH] = POLICY_FORM_TEXT,
                                               [CONF_MAP_PCRE] = POLICY_FORM_PATTERNS,
                                               [CONF_MAP_ACCOUNTS] = POLICY_FORM_ACCOUNTS};
    const char *domain = r->conf->sender.login_domain;
    struct base_span name_domain = domain != NULL ? base_span_str(domain) : base_span_of(NULL, 0);
    enum conf_map_form form;
    const char *path = conf_map(item, list->usual, &form);
    struct policy_notes notes;
    uint8_t *bytes = NULL;
    size_t len = 0;
    int fd = r->open_file(r->user, path);
    int error = fd < 0 ? fd : small_file_read(fd, POLICY_MAP_BYTES_MAX, false, &bytes, &len);

    if (fd >= 0)
        close(fd);
    if (error != 0) {
        char why[128];
        snprintf(why, sizeof(why), "cannot be read (%s)", why_unread(error));
        wrong(r, list->block, list->key, path, why);
        free(bytes);
        return false;
    }
    struct policy_map *m = policy_map_read(path, of_conf[form], list->role,
                                           base_span_of(bytes, len), name_domain, r->seed, &notes);
    free(bytes);
    if (m == NULL) {
        tell_errors(r, path, &notes);
        return false;
    }
    tell_warnings(r->notes, path, &notes);
    if (notes.unended > 0) {
        static const char why[] = "nothing ends the last line: if the file is whole, end it";
        warn(r->notes, path, notes.unended, why);
        snprintf(r->notes->unended, MAPS_TEXT_CAP, "%.250s:%u: %s", path, notes.unended, why);
    }
    if (policy_tables_add(r->tables, list->role, m) == 0)
        return true;
    policy_map_free(m);
    wrong(r, list->block, list->key, path, "there are too many map files");
    return false;
}

/* ---- secrets ---- */

#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 4096

/* Makes a key of the file's bytes, without what ends its last line. Returns NULL, or why not. */
static const char *read_secret(uint8_t key[16], int fd)
{
    uint8_t *bytes, digest[SHA256_DIGEST_LENGTH];
    const char *why = NULL;
    size_t len;

    int error = small_file_read(fd, SECRET_BYTES_MAX, true, &bytes, &len);
    size_t n = len;
    while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r' || bytes[n - 1] == ' '))
        n--;
    if (error != 0)
        why = error == -EFBIG ? "a secret has less than 4096 bytes" : small_file_why(error);
    else if (n < SECRET_BYTES_MIN)
        why = "a secret has 16 bytes or more";
    else
        memcpy(key, SHA256(bytes, n, digest), 16);
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, len);
    free(bytes);
    OPENSSL_cleanse(digest, sizeof(digest));
    return why;
}

static bool read_srs(struct reading *r)
{
    const struct conf_srs *conf = &r->conf->srs;
    const char *why = NULL;

    if (conf->domain == NULL)
        return true;
    struct mail_srs *srs = policy_tables_add_srs(r->tables, conf->domain);
    if (srs == NULL) {
        wrong(r, "srs", "domain", conf->domain, "memory is short");
        return false;
    }
    srs->age_max_days = (uint32_t)(conf->max_age_ns / (86400 * UINT64_C(1000000000)));
    bool fine = true;
    for (uint32_t i = 0; i < conf->secrets.cnt && i < CONF_SECRET_MAX; i++) {
        int fd = r->open_file(r->user, conf->secrets.item[i]);
        why = fd < 0 ? why_unread(fd) : read_secret(srs->key[srs->key_cnt++], fd);
        if (fd >= 0)
            close(fd);
        if (why != NULL)
            wrong(r, "srs", "secrets", conf->secrets.item[i], why);
        fine &= why == NULL;
    }
    return fine;
}

static void warn_swapped(struct reading *r)
{
    const struct policy_tables *t = r->tables;

    for (uint32_t i = 0; i < t->cnt[POLICY_ROLE_OWNERS]; i++) {
        const struct policy_map *m = t->map[POLICY_ROLE_OWNERS][i];
        uint32_t line = 0;
        if (policy_tables_swapped(t, m, &line))
            warn(r->notes, policy_map_name(m), line,
                 "the columns look swapped: the key is the sender's address, the value the logins "
                 "that may use it");
    }
}

struct policy_tables *maps_read(const struct conf *conf, maps_open open_file, void *user,
                                struct maps_notes *notes)
{
    struct reading r = {.conf = conf,
                        .open_file = open_file,
                        .user = user,
                        .notes = notes,
                        .tables = policy_tables_make()};
    struct list lists[LIST_CNT];

    memset(notes, 0, sizeof(*notes));
    if (r.tables == NULL || getrandom(r.seed, sizeof(r.seed), 0) != sizeof(r.seed)) {
        snprintf(next_error(notes), MAPS_TEXT_CAP, "map files: memory is short");
        policy_tables_free(r.tables);
        return NULL;
    }
    bool ok = true;
    lists_of(conf, lists);
    for (int i = 0; i < LIST_CNT; i++)
        for (uint32_t k = 0; k < lists[i].items->cnt; k++)
            ok &= read_map(&r, &lists[i], lists[i].items->item[k]);
    ok &= read_srs(&r);
    if (ok) {
        warn_swapped(&r);
        return r.tables;
    }
    policy_tables_free(r.tables);
    return NULL;
}

/* ---- changes ---- */

struct look {
    maps_open open_file;
    void *user;
    uint64_t h;
};

static int look_at(void *arg, const char *path)
{
    struct look *l = arg;
    struct stat st = {0};
    int fd = l->open_file(l->user, path);

    if (fd >= 0) {
        if (fstat(fd, &st) != 0)
            st = (struct stat){0};
        close(fd);
    }
    /* A file that cannot be opened is one of its own kind. */
    uint64_t words[] = {fd < 0 ? (uint64_t)-fd : 0,
                        st.st_dev,
                        st.st_ino,
                        (uint64_t)st.st_size,
                        (uint64_t)st.st_mtim.tv_sec,
                        (uint64_t)st.st_mtim.tv_nsec,
                        (uint64_t)st.st_ctim.tv_sec,
                        (uint64_t)st.st_ctim.tv_nsec};
    for (size_t i = 0; i < BASE_ARRAY_CNT(words); i++)
        l->h = ((l->h ^ words[i]) * 1099511628211U) ^ l->h >> 29;
    return 0;
}

uint64_t maps_look(const struct conf *conf, maps_open open_file, void *user)
{
    struct look l = {.open_file = open_file, .user = user, .h = 1469598103934665603U};

    (void)maps_each(conf, look_at, &l);
    return l.h;
}
