/* A whole Postfix: what is read, and in which order its parts are translated. */
#include "import_internal.h"

#define HOSTNAME "mx.example.org" /* placeholders: of RFC 2606 and 5737 */
#define ADDRESS  "192.0.2.1"
#define PORT_CNT 16 /* addresses that a port may have */

/* ---- the port ---- */

struct import_block *import_port_address(struct import *im, const char *address)
{
    struct import_block *b = import_block(&im->doc, "port", "net0");
    struct import_setting *s = import_setting_find(b, "address");
    bool ipv6 = false;

    if (address == NULL || !import_is_address(address, &ipv6) || (s != NULL && s->cnt >= PORT_CNT))
        return b;
    if (!ipv6 && im->address == NULL)
        im->address = address;
    import_add(&im->doc, b, "address",
               import_format(&im->arena, "%s/%s", address, ipv6 ? "64" : "24"));
    return b;
}

bool import_is_loopback(const char *text)
{
    return import_begins(text, "127.") || strcmp(text, "::1") == 0 ||
           strcasecmp(text, "localhost") == 0 || strcmp(text, "[::1]") == 0;
}

static void interfaces(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "inet_interfaces");
    struct import_block *b = import_block(&im->doc, "port", "net0");
    const char *list = import_value(im, NULL, "inet_interfaces"), *item;
    bool ipv6, some = false, all = false;

    import_note(&im->doc, b, NULL, "%s", import_tell(im, i));
    while ((item = import_next(&im->arena, &list)) != NULL) {
        size_t len = strlen(item);
        if (item[0] == '[' && len > 2)
            item = import_copy(&im->arena, item + 1, len - 2);
        all |= strcmp(item, "all") == 0;
        if (import_is_loopback(item) || strcmp(item, "loopback-only") == 0)
            continue;
        some |= strcmp(item, "all") != 0;
        if (import_is_address(item, &ipv6))
            import_port_address(im, item);
        else if (strcmp(item, "all") != 0)
            import_todo(&im->doc, b, NULL, "%s: which address is that?", item);
    }
    if (i != NULL && !some && !all)
        import_todo(&im->doc, b, NULL,
                    "that Postfix took mail from its own machine alone. Here mail comes in over "
                    "the network: programs send to this gateway's address, named in relay: "
                    "networks");
}

static void finish_port(struct import *im)
{
    struct import_block *b = import_port_address(im, NULL);
    struct import_setting *s = import_set(&im->doc, b, "device", "net_tap0,iface=sluice0");

    import_todo(&im->doc, b, s,
                "the NIC that mail comes in by: its PCI address (dpdk-devbind.py --status), in "
                "place of this virtual one");
    if (im->address == NULL)
        import_port_address(im, ADDRESS);
    s = import_setting_find(b, "address");
    import_todo(&im->doc, b, s, "its addresses, each with the length of its link's prefix%s",
                strcmp(im->address, ADDRESS) == 0 ? "" : ": known are the addresses alone");
    const char *dot = strrchr(im->address, '.');
    s = import_set(&im->doc, b, "gateway",
                   import_format(&im->arena, "%.*s%s", (int)(dot - im->address), im->address,
                                 strcmp(dot, ".254") == 0 ? ".253" : ".254"));
    import_todo(&im->doc, b, s, "the router of that link");
    s = import_set(&im->doc, b, "host_device", "host0");
    s->refused = "for ssh, DNS and the rest of this machine, when it has no other NIC:";
}

/* ---- who we are ---- */

static void identity(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "myhostname");
    struct import_block *b = import_block(&im->doc, "gateway", "");
    const char *name = import_value(im, NULL, "myhostname");

    if (name[0] != 0 && strchr(name, '.') == NULL) {
        const struct import_item *d = import_given(im, NULL, "mydomain");
        if (d != NULL)
            name = import_format(&im->arena, "%s.%s", name, d->value);
    }
    bool good = name[0] != 0 && name[0] != '.' && import_is_domain(name);
    im->hostname = good ? import_lower(&im->arena, name) : HOSTNAME;
    struct import_setting *s = import_set(&im->doc, b, "hostname", im->hostname);
    import_note(&im->doc, b, s, "%s", import_tell(im, i));
    if (!good)
        import_todo(&im->doc, b, s,
                    "the name of the machine, which its address's PTR record says, too");
    struct import_item *d = import_given(im, NULL, "mydomain");
    if (d != NULL)
        import_note(&im->doc, b, s, "%s\n    where a value says $mydomain; it is no setting here",
                    import_tell(im, d));
    s = import_set(&im->doc, b, "user", "sluice");
    import_todo(&im->doc, b, s,
                "as long as this is a comment the gateway stays root: make the user (adduser "
                "--system --group sluice), then take the # away");
    s->refused = "";
}

static void proxies(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "proxy_interfaces");
    struct import_block *b = import_block(&im->doc, "gateway", "");

    if (i == NULL)
        return;
    import_networks(im, b, "public_addresses", import_value(im, NULL, "proxy_interfaces"));
    import_note(&im->doc, b, import_setting_find(b, "public_addresses"), "%s", import_tell(im, i));
}

static void spool(struct import *im)
{
    struct import_block *b = import_block(&im->doc, "spool", "");
    struct import_setting *s = import_set(&im->doc, b, "size", "4G");

    import_todo(&im->doc, b, s,
                "disk space for the queue, taken at the first start; mail that waits there stays "
                "there: let Postfix deliver it before it is switched off (postqueue -p)");
}

static void logs(struct import *im)
{
    struct import_block *b = import_block(&im->doc, "log", "");
    struct import_item *file = import_given(im, NULL, "maillog_file");
    struct import_item *name = import_given(im, NULL, "syslog_name");
    struct import_item *facility = import_given(im, NULL, "syslog_facility");
    const char *path = import_value(im, NULL, "maillog_file");
    struct import_setting *s = import_set(&im->doc, b, "format", "postfix");

    import_note(&im->doc, b, s, "pflogsumm, fail2ban and the like go on; text and json tell more");
    s = import_set(&im->doc, b, "target", path[0] == '/' ? "file" : "syslog");
    if (path[0] == '/')
        import_set(&im->doc, b, "file", import_begins(path, "/dev/stdout") ? "stderr" : path);
    import_note(&im->doc, b, s, "%s", import_tell(im, file));
    if (name != NULL && import_value(im, NULL, "syslog_name")[0] != 0) {
        s = import_set(&im->doc, b, "ident", import_value(im, NULL, "syslog_name"));
        import_note(&im->doc, b, s, "%s", import_tell(im, name));
    }
    if (facility != NULL && path[0] != '/') {
        s = import_set(&im->doc, b, "facility", import_value(im, NULL, "syslog_facility"));
        import_note(&im->doc, b, s, "%s", import_tell(im, facility));
    }
}

void import_head(struct import *im, bool master)
{
    im->doc.head = import_format(
        &im->arena,
        "Made by sluicectl import %s from %s%s.\n"
        "Above each setting stands what it was made of. What has no counterpart is at the end,\n"
        "with what to do about it. Try it: sluiced --check FILE",
        im->dms ? "docker-mailserver" : "postfix", im->dms ? im->in->dir : im->in->main,
        im->dms  ? ""
        : master ? " and its master.cf"
                 : " (there is no master.cf beside it)");
}

/* What differs although nobody has set it. */
static void defaults(struct import *im)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"message_size_limit", "message_size_limit: 10240000 there, smtp: message_size is 50M"},
        {"delay_warning_time", "delay_warning_time: none there, queue: warn_after is 4h"},
        {"smtpd_recipient_limit", "smtpd_recipient_limit: 1000 in both"},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows) - 1; i++)
        if (import_given(im, NULL, rows[i].name) == NULL)
            import_part(&im->doc, IMPORT_SAME, "not set, and different by default: %s",
                        rows[i].text);
}

void import_translate(struct import *im)
{
    import_hide(im);
    identity(im);
    proxies(im);
    interfaces(im);
    spool(im);
    import_scalars(im);
    import_certificates(im);
    import_listeners(im);
    import_relay_networks(im);
    import_logins(im);
    import_domains(im);
    import_routes(im);
    import_recipients(im);
    import_delivery_tls(im);
    import_rules(im);
    logs(im);
    finish_port(im);
    defaults(im);
    import_rest(im);
}

struct import_result *import_postfix(const struct import_input *in, const char **why)
{
    struct import im = {.in = in};
    struct base_span text;

    im.doc.arena = &im.arena;
    if (in->read(in->user, in->main, &text) != 0) {
        import_arena_free(&im.arena);
        *why = "there is no main.cf in it that can be read";
        return NULL;
    }
    if (text.len > IMPORT_TEXT_MAX) {
        import_arena_free(&im.arena);
        *why = "its main.cf is larger than 1 MiB";
        return NULL;
    }
    im.doc.arena = &im.arena;
    import_cf_read(&im.arena, &im.items, "main.cf", text);
    const char *path = import_format(&im.arena, "%s/master.cf", in->dir);
    bool master = in->read(in->user, path, &text) == 0 && text.len <= IMPORT_TEXT_MAX;
    if (master)
        import_master_read(&im.arena, &im.services, "master.cf", text);
    else
        import_services_add(&im.arena, &im.services, "smtp", "inet", "smtpd", "");
    import_head(&im, master);
    if (!master)
        import_todo(&im.doc, NULL, NULL,
                    "master.cf was not there: port 25 is taken for granted; give its directory, or "
                    "add listeners for 587 and 465 yourself");
    import_translate(&im);
    return import_finish(&im);
}
