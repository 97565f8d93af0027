/* What all parts use: values, files, maps, the result. */
#include "import_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define QUEUE_DIR "/var/spool/postfix"
#define SHOWN_MAX 600

/* What Postfix has where main.cf says nothing, as far as something is made of it. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"mydestination", "$myhostname, localhost.$mydomain, localhost"},
    {"myorigin", "$myhostname"},
    {"mynetworks_style", "host"},
    {"inet_interfaces", "all"},
    {"relay_domains", ""},
    {"virtual_alias_domains", "$virtual_alias_maps"},
    {"virtual_mailbox_domains", "$virtual_mailbox_maps"},
    {"virtual_alias_maps", "$virtual_maps"},
    {"propagate_unmatched_extensions", "canonical, virtual"},
    {"parent_domain_matches_subdomains", "relay_domains"},
    {"queue_directory", QUEUE_DIR},
    {"data_directory", "/var/lib/postfix"},
    {"mail_name", "Postfix"},
    {"smtpd_tls_key_file", "$smtpd_tls_cert_file"},
    {"smtpd_tls_eckey_file", "$smtpd_tls_eccert_file"},
    {"smtpd_tls_dkey_file", "$smtpd_tls_dcert_file"},
    {"smtp_helo_name", "$myhostname"},
    {"local_transport", "local:$myhostname"},
    {"virtual_transport", "virtual"},
    {"relay_transport", "relay"},
    {"smtpd_relay_restrictions",
     "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"},
    {"default_transport", "smtp"},
    {"smtpd_sasl_type", "cyrus"},
    {"smtpd_sasl_path", "smtpd"},
    {"smtp_sasl_security_options", "noplaintext, noanonymous"},
    {"smtpd_client_event_limit_exceptions", "$mynetworks"},
    {"default_database_type", "hash"},
    {"config_directory", "/etc/postfix"},
    {"anvil_rate_time_unit", "60s"},
};

static const char *default_of(void *user, const char *name)
{
    struct import *im = user;

    if (strcmp(name, "myhostname") == 0)
        return im->hostname;
    if (strcmp(name, "mydomain") == 0 && im->hostname != NULL) {
        const char *dot = strchr(im->hostname, '.');
        return dot != NULL && strchr(dot + 1, '.') != NULL ? dot + 1 : im->hostname;
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(defaults); i++)
        if (strcmp(defaults[i].name, name) == 0)
            return defaults[i].value;
    return NULL;
}

struct import_item *import_given(struct import *im, const struct import_items *options,
                                 const char *name)
{
    struct import_item *i = options != NULL ? import_items_find(options, name) : NULL;

    return i != NULL ? i : import_items_find(&im->items, name);
}

const char *import_value(struct import *im, const struct import_items *options, const char *name)
{
    struct import_scope scope = {.arena = &im->arena,
                                 .options = options,
                                 .items = &im->items,
                                 .default_of = default_of,
                                 .user = im};

    return import_expand(&scope, import_format(&im->arena, "${%s}", name));
}

bool import_yes(const char *value)
{
    return strcasecmp(value, "yes") == 0;
}

/* Blanks in a row are one: values go over several lines. */
static const char *squeezed(struct import_arena *a, const char *text)
{
    char *copy = import_take(a, strlen(text) + 1), *to = copy;

    for (const char *p = text; *p != 0; p++)
        if (!isspace((uint8_t)*p))
            *to++ = *p;
        else if (to > copy && to[-1] != ' ')
            *to++ = ' ';
    return copy;
}

const char *import_tell(struct import *im, struct import_item *i)
{
    if (i == NULL)
        return "";
    i->told = true;
    if (i->value == NULL) /* a line that could be anything */
        return i->where;
    const char *value =
        i->hidden || import_is_secret(i->name) ? "(hidden)" : squeezed(&im->arena, i->value);
    size_t len = strlen(value);
    return import_format(
        &im->arena, "%s%s %s = %.*s%s", i->where, strchr(i->where, ' ') != NULL ? "" : ":", i->name,
        (int)(len > SHOWN_MAX ? SHOWN_MAX : len), value, len > SHOWN_MAX ? " ..." : "");
}

const char *import_line_shown(struct import *im, const char *path, uint32_t line)
{
    size_t len = strlen(im->in->dir);
    bool below = import_begins(path, im->in->dir) && path[len] == '/';

    return import_format(&im->arena, "%s:%u", below ? path + len + 1 : path, line);
}

const char *import_where(struct import *im, const struct import_map *m, uint32_t line)
{
    return m->path == NULL ? "inline" : import_line_shown(im, m->path, line);
}

const char *import_entry_shown(struct import *im, const struct import_map *m,
                               const struct import_entry *e)
{
    const char *where = import_where(im, m, e->line);

    return m->path != NULL ? where
                           : import_format(&im->arena, "%s: %s %s", where, e->key, e->value);
}

/* ---- files ---- */

bool import_file_read(struct import *im, const char **path, struct base_span *text)
{
    static const char *const homes[] = {"/etc/postfix/", "/tmp/docker-mailserver/"};
    const char *p = *path;

    for (size_t i = 0; i < BASE_ARRAY_CNT(homes); i++) {
        if (!import_begins(p, homes[i]))
            continue;
        const char *here = import_format(&im->arena, "%s/%s", im->in->dir, p + strlen(homes[i]));
        if (im->in->read(im->in->user, here, text) == 0) {
            *path = here;
            return true;
        }
    }
    if (p[0] != '/')
        *path = p = import_format(&im->arena, "%s/%s", im->in->dir, p);
    return im->in->read(im->in->user, p, text) == 0;
}

const char *import_file_new(struct import *im, const char *name, const char *text, bool secret)
{
    /* The same secret is one file. */
    for (uint32_t i = 0; i < im->file_cnt && secret; i++)
        if (im->file[i].secret && strcmp(im->file[i].text, text) == 0)
            return im->file[i].path;
    if (im->file_cnt == im->file_cap) {
        uint32_t cap = im->file_cap == 0 ? 16 : 2 * im->file_cap;
        struct import_file *more = import_take(&im->arena, cap * sizeof(*more));
        if (im->file_cnt > 0)
            memcpy(more, im->file, im->file_cnt * sizeof(*more));
        im->file = more;
        im->file_cap = cap;
    }
    const char *path = import_format(&im->arena, "%s.%s", im->in->output, name);
    im->file[im->file_cnt++] = (struct import_file){.path = path, .text = text, .secret = secret};
    return path;
}

const char *import_queue_path(struct import *im, const char *path)
{
    return path[0] == '/' ? path
                          : import_format(&im->arena, "%s/%s",
                                          import_value(im, NULL, "queue_directory"), path);
}

bool import_map_open(struct import *im, struct import_map *m, const char *text)
{
    import_map_parse(&im->arena, m, text);
    if (m->kind == IMPORT_MAP_OTHER)
        return false;
    if (m->path == NULL)
        return true;
    if (import_file_read(im, &m->path, &m->text))
        return true;
    m->why = import_format(&im->arena, "%s cannot be read", m->path);
    return false;
}

/* ---- names and addresses ---- */

bool import_is_domain(const char *text)
{
    size_t len = strlen(text), label = 0;

    for (size_t i = text[0] == '.'; i < len; i++) {
        bool alone = text[i] == '.' || text[i] == '-';
        if (!((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z') &&
            !(text[i] >= '0' && text[i] <= '9') && !alone)
            return false;
        if (text[i] == '.' && (label == 0 || text[i - 1] == '-'))
            return false;
        if (text[i] == '-' && label == 0)
            return false;
        label = text[i] == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return len > 0 && len < 254 && label > 0 && text[len - 1] != '-' && text[len - 1] != '.';
}

bool import_is_address(const char *text, bool *ipv6)
{
    static const uint8_t zero[10];
    uint8_t a[16];

    *ipv6 = strchr(text, ':') != NULL;
    if (inet_pton(*ipv6 ? AF_INET6 : AF_INET, text, a) != 1)
        return false;
    if (*ipv6)
        return a[0] != 0xff && memcmp(a, zero, sizeof(zero)) != 0;
    return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

unsigned import_port_number(const char *text)
{
    static const struct {
        const char *name;
        unsigned port;
    } names[] = {{"smtp", 25},         {"mail", 25}, {"lmtp", 24},   {"smtps", 465},
                 {"submissions", 465}, {"urd", 465}, {"ssmtp", 465}, {"submission", 587}};

    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++)
        if (strcmp(names[i].name, text) == 0)
            return names[i].port;
    size_t len = strspn(text, "0123456789");
    unsigned long n = len > 0 && len <= 5 && text[len] == 0 ? strtoul(text, NULL, 10) : 0;
    return n <= 65535 ? (unsigned)n : 0;
}

/* ---- the result ---- */

struct import_result *import_finish(struct import *im)
{
    struct import_result *r = import_take(&im->arena, sizeof(*r));

    r->text = import_doc_text(&im->doc);
    r->file = im->file;
    r->file_cnt = im->file_cnt;
    r->todo_cnt = im->doc.todo_cnt;
    struct import_arena *memory = malloc(sizeof(*memory));
    base_assert(memory != NULL);
    *memory = im->arena;
    r->memory = memory;
    return r;
}

void import_free(struct import_result *r)
{
    if (r == NULL)
        return;
    struct import_arena *memory = r->memory;
    import_arena_free(memory);
    free(memory);
}
