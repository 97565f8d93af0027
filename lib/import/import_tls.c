/* Certificates, users' logins, and what next hops must prove. */
#include "import_internal.h"

#include <ctype.h>

#define DEFAULT_CA      "/etc/ssl/certs/ca-certificates.crt"
#define CERTIFICATE_MAX 8 /* of each kind */

/* ---- certificates ---- */

static void certificate(struct import *im, const char *name, const char *chain, const char *key,
                        const char *comment)
{
    struct base_span text;
    bool good;

    if (chain[0] != '/' || key[0] != '/' || strlen(chain) + strlen(key) > 2000) {
        import_todo(&im->doc, NULL, NULL, "%s\n    a certificate needs absolute paths: chain, key",
                    comment);
        return;
    }
    struct import_block *b = import_block(&im->doc, "certificate", name);
    struct import_setting *s = import_set(&im->doc, b, "chain", chain);
    import_note(&im->doc, b, s, "%s", comment);
    good = import_file_read(im, &chain, &text) && import_file_read(im, &key, &text);
    import_set(&im->doc, b, "chain", chain);
    import_set(&im->doc, b, "key", key);
    if (!good)
        import_todo(&im->doc, b, s,
                    "chain or key cannot be read here: copy both, the key with mode 640 or less");
}

/* cnt: how many there are. */
static void no_room(struct import *im, const char *name, const char *lost, unsigned cnt)
{
    if (lost != NULL)
        import_todo(&im->doc, NULL, NULL,
                    "%s: no room for the certificate of %s and %u more: the import takes %d; add "
                    "certificate blocks for the others",
                    name, lost, cnt - CERTIFICATE_MAX - 1, CERTIFICATE_MAX);
}

/* smtpd_tls_chain_files: keys and chains in files, one behind the other. */
static void chain_files(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "smtpd_tls_chain_files");
    const char *list = import_value(im, NULL, "smtpd_tls_chain_files"), *file, *key = NULL;
    const char *lost = NULL;
    unsigned cnt = 0;

    while ((file = import_next(&im->arena, &list)) != NULL) {
        struct base_span text = {0};
        const char *path = file;
        bool read = import_file_read(im, &path, &text);
        bool has_key = text.len > 0 && memmem(text.p, text.len, "PRIVATE KEY-----", 16) != NULL;
        bool has_chain = text.len > 0 && memmem(text.p, text.len, "BEGIN CERTIFICATE", 17) != NULL;
        if (!read)
            has_key = key == NULL && strstr(file, "key") != NULL;
        if (has_key)
            key = file;
        if (has_key && !has_chain)
            continue;
        if (++cnt > CERTIFICATE_MAX) {
            lost = lost != NULL ? lost : file;
            continue;
        }
        certificate(im,
                    import_format(&im->arena, "mail%s",
                                  cnt > 1 ? import_format(&im->arena, "%u", cnt) : ""),
                    file, key != NULL ? key : file, cnt == 1 ? import_tell(im, i) : "");
        key = NULL;
    }
    no_room(im, "smtpd_tls_chain_files", lost, cnt);
}

static void sni(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "tls_server_sni_maps");
    const char *list = import_value(im, NULL, "tls_server_sni_maps"), *item, *lost = NULL;
    unsigned cnt = 0;

    while ((item = import_next(&im->arena, &list)) != NULL) {
        struct import_map m;
        struct import_map_at at = {0};
        struct import_entry e;
        if (!import_map_open(im, &m, item))
            continue;
        while (import_map_next(&im->arena, &m, &at, &e)) {
            const char *files = e.value, *key = import_next(&im->arena, &files);
            const char *chain = import_next(&im->arena, &files);
            if (key == NULL)
                continue;
            if (++cnt > CERTIFICATE_MAX) {
                lost = lost != NULL ? lost : import_where(im, &m, e.line);
                continue;
            }
            certificate(im, import_format(&im->arena, "sni%u", cnt), chain != NULL ? chain : key,
                        key, cnt == 1 ? import_tell(im, i) : "");
        }
    }
    no_room(im, "tls_server_sni_maps", lost, cnt);
}

void import_certificates(struct import *im)
{
    static const char *const kinds[][2] = {{"", "mail"}, {"ec", "ec"}, {"d", "dsa"}};

    if (import_value(im, NULL, "smtpd_tls_chain_files")[0] != 0) {
        chain_files(im);
    } else {
        for (size_t i = 0; i < 2; i++) {
            const char *c = import_format(&im->arena, "smtpd_tls_%scert_file", kinds[i][0]);
            const char *k = import_format(&im->arena, "smtpd_tls_%skey_file", kinds[i][0]);
            struct import_item *key = import_given(im, NULL, k);
            if (import_value(im, NULL, c)[0] == 0 || strcmp(import_value(im, NULL, c), "none") == 0)
                continue;
            const char *comment =
                import_format(&im->arena, "%s\n", import_tell(im, import_given(im, NULL, c)));
            if (key != NULL)
                comment = import_format(&im->arena, "%s%s\n", comment, import_tell(im, key));
            certificate(im, kinds[i][1], import_value(im, NULL, c), import_value(im, NULL, k),
                        comment);
        }
    }
    sni(im);
}

/* ---- users ---- */

void import_logins(struct import *im)
{
    bool users = false, asked = false;
    const struct import_items *options = NULL;

    for (struct import_service *v = im->services.first; v != NULL; v = v->next)
        if (strcmp(v->type, "inet") == 0 && v->told &&
            import_yes(import_value(im, &v->options, "smtpd_sasl_auth_enable"))) {
            asked = true;
            if (options == NULL)
                options = &v->options;
        }
    for (struct import_block *b = im->doc.block; b != NULL; b = b->next)
        users |= strcmp(b->kind, "listener") == 0 && import_setting_find(b, "kind") != NULL &&
                 strcmp(import_setting_find(b, "kind")->item[0], "mx") != 0;
    if (!asked || !users || im->dms)
        return;
    struct import_block *b = import_block(&im->doc, "auth", "");
    const char *type = import_value(im, options, "smtpd_sasl_type");
    const char *path = import_value(im, options, "smtpd_sasl_path");
    struct import_item *header = import_given(im, options, "smtpd_sasl_authenticated_header");
    bool dovecot = strcmp(type, "dovecot") == 0;
    bool socket = dovecot && !import_begins(path, "inet:");
    if (import_begins(path, "unix:"))
        path += 5;
    struct import_setting *s = import_set(&im->doc, b, "backend", socket ? "dovecot" : "none");
    import_note(&im->doc, b, s, "%s",
                import_tell(im, import_given(im, options, "smtpd_sasl_type")));
    import_note(&im->doc, b, s, "%s",
                import_tell(im, import_given(im, options, "smtpd_sasl_path")));
    if (socket) {
        s = import_set(&im->doc, b, "dovecot_socket", import_queue_path(im, path));
        import_note(&im->doc, b, s,
                    "gateway: user must be able to connect to it; or backend = passwd with "
                    "Dovecot's passwd-file");
    } else {
        import_todo(&im->doc, b, s,
                    dovecot ? "Dovecot is asked over a unix socket, not over TCP: backend = "
                              "dovecot; dovecot_socket = /path"
                            : "Cyrus SASL is not asked: write the users into a file, name:{hash}, "
                              "and say backend = passwd; passwd_file = /path");
    }
    if (header != NULL) {
        struct import_block *smtp = import_block(&im->doc, "smtp", "");
        s = import_set(&im->doc, smtp, "received_login",
                       import_yes(import_value(im, options, header->name)) ? "yes" : "no");
        import_note(&im->doc, smtp, s, "%s", import_tell(im, header));
    }
    struct import_item *domain = import_given(im, options, "smtpd_sasl_local_domain");
    const char *name = import_value(im, options, "smtpd_sasl_local_domain");
    if (domain != NULL && import_is_domain(name)) {
        b = import_block(&im->doc, "sender", "");
        s = import_set(&im->doc, b, "login_domain", name);
        import_note(&im->doc, b, s, "%s", import_tell(im, domain));
    }
}

/* ---- next hops ---- */

static const char *client_level(struct import *im)
{
    const char *level = import_value(im, NULL, "smtp_tls_security_level");

    if (level[0] != 0)
        return level;
    if (import_yes(import_value(im, NULL, "smtp_enforce_tls")))
        return "verify";
    return import_yes(import_value(im, NULL, "smtp_use_tls")) ? "may" : "";
}

static void level(struct import *im)
{
    static const char *const names[] = {"smtp_tls_security_level", "smtp_use_tls",
                                        "smtp_enforce_tls", "smtp_tls_fingerprint_cert_match"};
    struct import_block *b = import_block(&im->doc, "delivery", "");
    const char *l = client_level(im);
    bool known = import_word_in("none may encrypt dane dane-only verify secure", l);
    struct import_setting *s = import_set(&im->doc, b, "tls",
                                          known       ? l
                                          : l[0] == 0 ? "dane"
                                                      : "secure"); /* rather no mail than open */

    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++)
        import_note(&im->doc, b, s, "%s", import_tell(im, import_given(im, NULL, names[i])));
    if (l[0] == 0)
        import_note(&im->doc, b, s,
                    "smtp_tls_security_level is not set: in clear there. The default here is dane: "
                    "TLSA records where there are some, else TLS where it is offered");
    else if (strcmp(l, "may") == 0)
        import_note(&im->doc, b, s,
                    "dane, the default here, is as may where there are no TLSA records, and holds "
                    "next hops to them where there are");
    else if (!known)
        import_todo(&im->doc, b, s,
                    "%s is not for all destinations here, and secure is in its place: no mail "
                    "leaves to a next hop whose certificate no authority has signed for its name; "
                    "destination blocks, each with its fingerprints",
                    l);
    import_note(&im->doc, b, s, "This is about next hops alone; clients: listener: tls");
}

/* "match=a:b", "match=..." words of a policy. */
static void matches(struct import *im, struct import_block *b, const char *level, const char *list)
{
    bool by_name = import_word_in("verify secure", level);
    bool by_print = strcmp(level, "fingerprint") == 0;

    for (const char *p = list; *p != 0; p += *p != 0) {
        size_t len = by_print ? strcspn(p, "|") : strcspn(p, ":");
        const char *item = import_copy(&im->arena, p, len);
        uint8_t digest[32];
        p += len;
        if (by_print && conf_fingerprint_parse(digest, item))
            import_add(&im->doc, b, "fingerprints", item);
        else if (by_name && import_word_in("nexthop hostname dot-nexthop", item))
            continue; /* what verify and secure mean */
        else if (by_name && import_is_domain(item) && item[0] != '.')
            import_add(&im->doc, b, "names", item);
        else
            import_todo(&im->doc, b, NULL, "a match= of it has no counterpart here");
    }
}

/* What one line of the policies says, into a block. */
static void policy(struct import *im, const char *domain, const struct import_entry *e,
                   const char *where)
{
    const char *list = e->value, *l = import_next(&im->arena, &list), *word;
    struct import_block *b;
    bool others = false;

    if (l == NULL ||
        !import_word_in("none may encrypt dane dane-only fingerprint verify secure", l)) {
        import_todo(&im->doc, NULL, NULL, "%s: no level of TLS", where);
        return;
    }
    if (import_block_find(&im->doc, "destination", domain) != NULL)
        return;
    b = import_block(&im->doc, "destination", domain);
    if (b == NULL) {
        if (im->lost_policy_cnt++ == 0)
            im->lost_policy = domain;
        return;
    }
    struct import_setting *s = import_set(&im->doc, b, "tls", l);
    import_note(&im->doc, b, s, "%s", where);
    while ((word = import_next(&im->arena, &list)) != NULL) {
        if (import_begins(word, "match="))
            matches(im, b, l, word + 6);
        else
            others |= strchr(word, '=') != NULL;
    }
    if (others)
        import_note(&im->doc, b, s,
                    "its ciphers=, protocols= and the like are not for one destination here; TLS "
                    "1.2 at least");
    if (strcmp(l, "fingerprint") == 0 && import_setting_find(b, "fingerprints") == NULL) {
        import_set(&im->doc, b, "tls", "secure");
        import_todo(&im->doc, b, s,
                    "fingerprint: SHA-256 of the certificate or its key, 64 digits: fingerprints");
    }
}

/* A policy of the way of all mail. */
static void policy_of_all(struct import *im, const struct import_entry *e, const char *where)
{
    const char *list = e->value, *l = import_next(&im->arena, &list);
    struct import_block *b = import_block_find(&im->doc, "route", "default");

    if (l != NULL && import_word_in("verify secure", l)) {
        struct import_setting *s = import_set(&im->doc, b, "verify", "yes");
        import_note(&im->doc, b, s, "%s", where);
    } else if (l != NULL && import_word_in("encrypt dane-only", l)) {
        struct import_block *d = import_block(&im->doc, "delivery", "");
        struct import_setting *s = import_set(&im->doc, d, "tls", l);
        import_note(&im->doc, d, s, "%s, where all mail goes that has no other route", where);
    } else if (l != NULL && strcmp(l, "fingerprint") == 0) {
        struct import_setting *s = import_set(&im->doc, b, "verify", "yes");
        import_todo(&im->doc, b, s,
                    "%s: fingerprints are for destination blocks, by domain; until then the "
                    "host has to have a certificate for its name",
                    where);
    } else {
        import_todo(&im->doc, b, NULL, "%s: the level is for all: delivery: tls", where);
    }
}

/* A next hop as routes name it: the domains whose route leads there. */
static bool policy_of_hop(struct import *im, const struct import_entry *e, const char *where)
{
    const char *key = import_host(im, e->key);
    size_t len = strlen(key != NULL ? key : "");
    bool found = false;

    for (struct import_block *b = im->doc.block; b != NULL && key != NULL; b = b->next) {
        struct import_setting *s =
            strcmp(b->kind, "route") == 0 ? import_setting_find(b, "host") : NULL;
        if (s == NULL || strncasecmp(s->item[0], key, len) != 0 ||
            (s->item[0][len] != 0 && s->item[0][len] != ':'))
            continue;
        found = true;
        if (strcmp(b->name, "default") == 0)
            policy_of_all(im, e, where);
        else
            policy(im, b->name, e, where);
    }
    return found;
}

/* Whether mail for the domain goes to a host of a route: levels there are by that host. */
static bool to_a_host(struct import *im, const char *domain)
{
    struct import_block *b = import_block_find(&im->doc, "route", domain);

    for (const char *p = domain; b == NULL && (p = strchr(p + 1, '.')) != NULL;)
        b = import_block_find(&im->doc, "route", p);
    if (b == NULL)
        b = import_block_find(&im->doc, "route", "default");
    return b != NULL && import_setting_find(b, "host") != NULL;
}

static void one_policy(struct import *im, const struct import_entry *e, const char *where)
{
    bool domain = import_is_domain(e->key);
    bool found = policy_of_hop(im, e, where);

    if (domain && !to_a_host(im, import_lower(&im->arena, e->key)))
        policy(im, import_lower(&im->arena, e->key), e, where);
    else if (domain && !found)
        import_part(&im->doc, IMPORT_NONE,
                    "%s\n    without effect there: levels are by next hop, and mail for that "
                    "domain goes to a host that a route names",
                    where);
    else if (!found)
        import_todo(&im->doc, NULL, NULL,
                    "%s: no route leads there; levels here are by domain: destination", where);
}

static void policies(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "smtp_tls_policy_maps");
    const char *list = import_value(im, NULL, "smtp_tls_policy_maps"), *item;

    while ((item = import_next(&im->arena, &list)) != NULL) {
        struct import_map m;
        struct import_map_at at = {0};
        struct import_entry e;
        if (!import_map_open(im, &m, item) || m.kind != IMPORT_MAP_ENTRIES) {
            bool sts = strstr(item, "mta-sts") != NULL || strstr(item, "postfix-tlspol") != NULL ||
                       strstr(item, "8461") != NULL;
            if (sts)
                import_part(&im->doc, IMPORT_SAME,
                            "smtp_tls_policy_maps: %s: MTA-STS is built in (delivery: mta_sts)",
                            item);
            else
                import_todo(&im->doc, NULL, NULL, "smtp_tls_policy_maps: %s: %s", item,
                            m.why != NULL ? m.why : "a destination block each is what there is");
            continue;
        }
        while (import_map_next(&im->arena, &m, &at, &e)) {
            const char *where = import_entry_shown(im, &m, &e);
            one_policy(im, &e, where);
        }
    }
    if (im->lost_policy_cnt > 0)
        import_todo(&im->doc, NULL, NULL,
                    "smtp_tls_policy_maps: no room for the levels of %s and %u more, which have "
                    "that of delivery: tls: at most %d destination blocks",
                    im->lost_policy, im->lost_policy_cnt - 1, CONF_BLOCK_MAX - 1);
    if (i != NULL)
        import_part(&im->doc, IMPORT_SAME, "%s\n    became the destination blocks above",
                    import_tell(im, i));
}

void import_delivery_tls(struct import *im)
{
    struct import_item *ca = import_given(im, NULL, "smtp_tls_CAfile");
    struct import_block *b = import_block(&im->doc, "delivery", "");
    const char *path = import_value(im, NULL, "smtp_tls_CAfile");
    struct base_span text;

    level(im);
    if (path[0] == '/' && import_file_read(im, &path, &text)) {
        struct import_setting *s = import_set(&im->doc, b, "ca_file", path);
        import_note(&im->doc, b, s, "%s", import_tell(im, ca));
    } else if (path[0] != 0) {
        import_todo(&im->doc, b, NULL, "%s: it cannot be read here; ca_file is " DEFAULT_CA,
                    import_tell(im, ca));
    }
    policies(im);
}
