/*
 * What the DNS says of the gateway's own names, as others see them, and whether mail gets out. By
 * libunbound in this process, over the machine's own network, as the gateway's resolver asks.
 */
#include "dane.h"
#include "dns_anchor.h"
#include "dns_rdata.h"
#include "doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unbound.h>
#include <unistd.h>

#define NAME_CAP    256
#define RECORDS_MAX 32
#define CHAIN_CAP   (1u << 20)

enum { TYPE_A = 1, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_AAAA = 28, TYPE_TLSA = 52 };

struct names {
    struct doctor *d;
    struct ub_ctx *ub;
    time_t end;
    char signed_zone[DNS_NAME_CAP]; /* whose key is trusted: "." or that of dns: trust_anchor */
};

static time_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void take(void *user, int error, struct ub_result *result)
{
    struct ub_result **out = user;

    if (error == 0)
        *out = result;
    else
        ub_resolve_free(result);
}

/* Owned by the caller: ub_resolve_free. NULL: no answer in time, or an error. */
static struct ub_result *ask(struct names *n, const char *name, int type)
{
    struct ub_result *result = NULL;
    int id;

    if (ub_resolve_async(n->ub, name, type, 1, &result, take, &id) != 0)
        return NULL;
    while (result == NULL && now_s() < n->end) {
        struct pollfd p = {.fd = ub_fd(n->ub), .events = POLLIN};
        if (poll(&p, 1, 200) > 0)
            (void)ub_process(n->ub);
    }
    if (result == NULL)
        (void)ub_cancel(n->ub, id);
    return result;
}

static bool is_answer(const struct ub_result *r)
{
    return r != NULL && !r->bogus && (r->rcode == 0 || r->rcode == 3);
}

static const char *why_none(const struct ub_result *r)
{
    return r == NULL       ? "no answer in time"
           : r->bogus      ? r->why_bogus != NULL ? r->why_bogus : "bogus"
           : r->rcode == 2 ? "SERVFAIL"
           : r->rcode != 0 ? "an error"
                           : "no such record";
}

/* ---- the resolver ---- */

static int own_anchor(struct names *n, const char *path)
{
    char text[DNS_ANCHOR_FILE_MAX];
    FILE *f = fopen(path, "re");
    size_t len = f != NULL ? fread(text, 1, sizeof(text), f) : 0;
    struct base_span left = base_span_of((const uint8_t *)text, len), record;
    const char *why;
    uint32_t line = 0;

    if (f != NULL)
        fclose(f);
    if (dns_anchor_next(&left, &line, &record, &why) != 1)
        return -ENOENT;
    dns_anchor_owner(n->signed_zone, record);
    if (n->signed_zone[0] == 0)
        snprintf(n->signed_zone, sizeof(n->signed_zone), ".");
    return ub_ctx_add_ta_file(n->ub, path) == 0 ? 0 : -ENOENT;
}

static int set_up(struct names *n)
{
    const struct conf_dns *dns = &n->d->conf->dns;
    char zone[NAME_CAP + 64], at[128];

    n->ub = ub_ctx_create();
    if (n->ub == NULL)
        return -ENOMEM;
    (void)ub_ctx_debugout(n->ub, NULL); /* what it has to say is in the answers */
    (void)ub_ctx_async(n->ub, 1);       /* a thread, not a process */
    for (uint32_t i = 0; i < dns->servers.cnt; i++) {
        const char *s = dns->servers.item[i], *colon = strrchr(s, ':');
        bool port = colon != NULL && strchr(s, ':') == colon; /* one colon: not IPv6 */
        snprintf(at, sizeof(at), "%.*s%s%s", port ? (int)(colon - s) : (int)strlen(s), s,
                 port ? "@" : "", port ? colon + 1 : "");
        (void)ub_ctx_set_fwd(n->ub, at);
    }
    for (uint32_t i = 0; i < dns->stubs.cnt; i++) {
        const char *s = dns->stubs.item[i], *equals = strchr(s, '=');
        if (equals == NULL)
            continue;
        snprintf(zone, sizeof(zone), "%.*s", (int)(equals - s), s);
        const char *colon = strrchr(equals, ':');
        bool port = colon != NULL && strchr(equals, ':') == colon;
        snprintf(at, sizeof(at), "%.*s%s%s",
                 port ? (int)(colon - equals - 1) : (int)strlen(equals + 1), equals + 1,
                 port ? "@" : "", port ? colon + 1 : "");
        (void)ub_ctx_set_stub(n->ub, zone, at, 0);
    }
    (void)ub_ctx_set_option(n->ub, "do-not-query-localhost:", "no");
    snprintf(n->signed_zone, sizeof(n->signed_zone), ".");
    if (dns->trust_anchor != NULL && dns->trust_anchor[0] != 0)
        return own_anchor(n, dns->trust_anchor);
    for (uint32_t i = 0; dns_anchor_root[i] != NULL; i++) {
        snprintf(zone, sizeof(zone), "%s", dns_anchor_root[i]);
        (void)ub_ctx_add_ta(n->ub, zone);
    }
    return 0;
}

/* Returns false where there is no use in further questions. */
static bool validates(struct names *n)
{
    struct ub_result *r = ask(n, n->signed_zone, TYPE_SOA);
    bool answer = is_answer(r) && r->havedata;

    if (!answer)
        doctor_sayf(n->d, DOCTOR_FAIL, "DNS",
                    "dns: servers reach the outside? With DPDK on the only NIC the machine needs "
                    "port: host_device",
                    "the SOA record of %s can not be had: %s", n->signed_zone, why_none(r));
    else if (!r->secure)
        doctor_say(n->d, DOCTOR_FAIL, "DNSSEC", "answers can not be validated: no DANE",
                   "dns: servers have to pass DNSSEC records on; without the setting the gateway "
                   "asks each zone's own");
    else
        doctor_sayf(n->d, DOCTOR_OK, "DNSSEC", "", "the SOA record of %s is validated",
                    n->signed_zone);
    if (r != NULL)
        ub_resolve_free(r);
    return answer;
}

/* ---- names and addresses ---- */

static bool has_address(const struct ub_result *r, const void *address, int len)
{
    for (int i = 0; r != NULL && r->data != NULL && r->data[i] != NULL; i++)
        if (r->len[i] == len && memcmp(r->data[i], address, (size_t)len) == 0)
            return true;
    return false;
}

/* A name of labels in front of their lengths, as text without the last dot. */
static void name_text(const char *wire, int len, char out[NAME_CAP])
{
    size_t n = 0;

    for (int at = 0;
         at < len && wire[at] != 0 && n + (size_t)(unsigned char)wire[at] + 2 < NAME_CAP;) {
        int label = (unsigned char)wire[at];
        if (at + label >= len)
            break;
        if (n > 0)
            out[n++] = '.';
        for (int i = 1; i <= label; i++)
            out[n++] = wire[at + i] > 0x20 && wire[at + i] < 0x7f ? wire[at + i] : '?';
        at += label + 1;
    }
    out[n] = 0;
}

static void reverse_name(int family, const uint8_t *a, char out[NAME_CAP])
{
    if (family == AF_INET) {
        snprintf(out, NAME_CAP, "%u.%u.%u.%u.in-addr.arpa", a[3], a[2], a[1], a[0]);
        return;
    }
    for (int i = 15; i >= 0; i--)
        snprintf(out + (size_t)(15 - i) * 4, 5, "%x.%x.", a[i] & 15u, a[i] >> 4);
    snprintf(out + 64, NAME_CAP - 64, "ip6.arpa");
}

static bool is_private(int family, const uint8_t *a)
{
    return family == AF_INET ? a[0] == 10 || a[0] == 127 || (a[0] == 172 && (a[1] & 0xf0) == 16) ||
                                   (a[0] == 192 && a[1] == 168)
                             : (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

/* The address's own name, and whether that leads back. */
static void pointer(struct names *n, const char *text, int family, const uint8_t *address)
{
    char reverse[NAME_CAP], name[NAME_CAP], check[96];
    const char *host = n->d->conf->gateway.hostname;

    snprintf(check, sizeof(check), "PTR of %s", text);
    reverse_name(family, address, reverse);
    struct ub_result *r = ask(n, reverse, TYPE_PTR);
    if (!is_answer(r) || !r->havedata) {
        doctor_sayf(n->d, DOCTOR_WARN, check,
                    "ask who gave you the address for a PTR record to gateway: hostname; many "
                    "receivers refuse mail without one",
                    "there is none (%s)", why_none(r));
    } else {
        name_text(r->data[0], r->len[0], name);
        struct ub_result *back = ask(n, name, family == AF_INET ? TYPE_A : TYPE_AAAA);
        if (!has_address(back, address, family == AF_INET ? 4 : 16))
            doctor_sayf(n->d, DOCTOR_WARN, check,
                        "an A or AAAA record of that name with this address",
                        "%s, which does not lead back", name);
        else if (host != NULL && strcasecmp(name, host) != 0)
            doctor_sayf(n->d, DOCTOR_WARN, check,
                        "a PTR record to gateway: hostname, or that name as hostname",
                        "%s, and the gateway says %s", name, host);
        else
            doctor_sayf(n->d, DOCTOR_OK, check, "", "%s, which leads back", name);
        if (back != NULL)
            ub_resolve_free(back);
    }
    if (r != NULL)
        ub_resolve_free(r);
}

/* Of all ports; returns how many the world may see. */
static unsigned pointers(struct names *n)
{
    unsigned cnt = 0;

    for (uint32_t i = 0; i < n->d->conf->port_cnt; i++)
        for (uint32_t k = 0; k < n->d->conf->port[i].address.cnt; k++) {
            const char *item = n->d->conf->port[i].address.item[k];
            uint8_t address[16];
            char text[64];
            snprintf(text, sizeof(text), "%.*s", (int)strcspn(item, "/"), item);
            int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
            if (inet_pton(family, text, address) != 1 || is_private(family, address))
                continue;
            cnt++;
            pointer(n, text, family, address);
        }
    return cnt;
}

/* Whether our own name leads to one of our addresses. */
static void own_name(struct names *n)
{
    const char *host = n->d->conf->gateway.hostname;
    struct ub_result *r = ask(n, host, TYPE_A), *r6 = ask(n, host, TYPE_AAAA);
    bool any = (r != NULL && r->havedata) || (r6 != NULL && r6->havedata);

    if (!any)
        doctor_sayf(n->d, DOCTOR_FAIL, "hostname",
                    "an A (and AAAA) record for it, with the address under which the world reaches "
                    "the gateway",
                    "%s has no address (%s)", host, why_none(is_answer(r) ? r6 : r));
    else
        doctor_sayf(n->d, DOCTOR_OK, "hostname", "", "%s has an address%s", host,
                    (r != NULL && r->secure) || (r6 != NULL && r6->secure) ? ", signed" : "");
    if (r != NULL)
        ub_resolve_free(r);
    if (r6 != NULL)
        ub_resolve_free(r6);
}

/* ---- TLSA ---- */

/* Whether a record fits the first certificate; -1: its file cannot be read. */
static int fits(const struct doctor *d, const struct ub_result *r, char publish[DANE_PUBLISH_CAP])
{
    struct dane_record records[RECORDS_MAX];
    struct dane_chain chain;
    uint32_t cnt = 0, matched;
    struct dns_tlsa t;
    char *pem = malloc(CHAIN_CAP);
    FILE *f =
        d->conf->certificate[0].chain != NULL ? fopen(d->conf->certificate[0].chain, "re") : NULL;
    size_t len = pem != NULL && f != NULL ? fread(pem, 1, CHAIN_CAP, f) : 0;
    int result = -1;

    if (f != NULL)
        fclose(f);
    for (int i = 0; r->data[i] != NULL && cnt < RECORDS_MAX; i++)
        if (dns_read_tlsa(&t, base_span_of((const uint8_t *)r->data[i], (size_t)r->len[i])) == 0)
            records[cnt++] = (struct dane_record){t.usage, t.selector, t.matching, t.data};
    cnt = dane_select(records, cnt, records);
    if (len > 0 && dane_chain_read(&chain, base_span_of((const uint8_t *)pem, len)) == 0) {
        result = dane_result_ok(dane_match(records, cnt, &chain, &d->conf->gateway.hostname, 1,
                                           (int64_t)time(NULL), &matched));
        if (dane_publish(publish, chain.der[0]) != 0)
            publish[0] = 0;
        dane_chain_free(&chain);
    }
    free(pem);
    return result;
}

static void tlsa(struct names *n)
{
    char name[NAME_CAP + 16], publish[DANE_PUBLISH_CAP] = "", next[192];

    if (n->d->conf->certificate_cnt == 0)
        return;
    snprintf(name, sizeof(name), "_25._tcp.%s", n->d->conf->gateway.hostname);
    struct ub_result *r = ask(n, name, TYPE_TLSA);
    if (!is_answer(r)) {
        doctor_sayf(n->d, DOCTOR_FAIL, "TLSA",
                    "who checks DANE delivers no mail here meanwhile: mend the zone's signatures, "
                    "or its servers",
                    "%s: %s", name, why_none(r));
    } else if (!r->havedata) {
        doctor_sayf(n->d, DOCTOR_OK, "TLSA", "",
                    "%s: none; with one, in a signed zone, others prove that they reach you", name);
    } else if (!r->secure) {
        doctor_sayf(n->d, DOCTOR_WARN, "TLSA",
                    "sign the zone (DNSSEC): nobody heeds a record that is not signed",
                    "%s is not signed", name);
    } else {
        int fit = fits(n->d, r, publish);
        snprintf(next, sizeof(next), "publish it for the certificate that is in use: TLSA %s",
                 publish);
        if (fit < 0)
            doctor_sayf(n->d, DOCTOR_WARN, "TLSA", "run sluicectl doctor as root",
                        "%s is there, the certificate cannot be read", name);
        else if (fit == 0)
            doctor_sayf(
                n->d, DOCTOR_FAIL, "TLSA", next,
                "%s fits no certificate of the first block: who checks DANE delivers no mail here",
                name);
        else
            doctor_sayf(n->d, DOCTOR_OK, "TLSA", "", "%s fits the certificate", name);
    }
    if (r != NULL)
        ub_resolve_free(r);
}

void doctor_names(struct doctor *d)
{
    struct names n = {.d = d, .end = now_s() + DOCTOR_DNS_S};
    int error = set_up(&n);

    if (error != 0)
        doctor_sayf(d, DOCTOR_FAIL, "DNS", "see dns: trust_anchor",
                    "no trust anchor can be read (%s)", strerror(-error));
    else if (validates(&n) && d->conf->gateway.hostname != NULL) {
        own_name(&n);
        if (pointers(&n) == 0)
            doctor_say(d, DOCTOR_OK, "PTR",
                       "all addresses of ports are private ones; the address in front of them "
                       "needs a PTR record",
                       "");
        tlsa(&n);
    }
    if (n.ub != NULL)
        ub_ctx_delete(n.ub);
}

/* ---- port 25 ---- */

static int left_ms(time_t end)
{
    time_t now = now_s();

    return now < end ? (int)(end - now) * 1000 : 0;
}

/* Returns the descriptor, or a negative error. */
static int connect_to(const struct addrinfo *a, time_t end)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t len = sizeof(error);

    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        error = errno;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (error == 0 && poll(&p, 1, left_ms(end)) <= 0)
        error = ETIMEDOUT;
    else if (error == 0)
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

static void greet(struct doctor *d, int fd, const char *target, time_t end)
{
    char line[512];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n = poll(&p, 1, left_ms(end)) > 0 ? recv(fd, line, sizeof(line) - 1, 0) : -1;

    line[n > 0 ? n : 0] = 0;
    line[strcspn(line, "\r\n")] = 0;
    for (char *c = line; *c != 0; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    if (strncmp(line, "220", 3) == 0)
        doctor_sayf(d, DOCTOR_OK, "port 25 outbound", "", "%s says: %.100s", target, line);
    else
        doctor_sayf(d, DOCTOR_WARN, "port 25 outbound",
                    "try another one; a provider's filter may answer in its place",
                    "%s is connected, and says: %.100s", target, line[0] != 0 ? line : "nothing");
    (void)!send(fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
}

void doctor_probe(struct doctor *d, const char *target)
{
    char host[NAME_CAP], port[8] = "25";
    const char *colon = strrchr(target, ':');
    bool bracket = target[0] == '[';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -ENOENT;

    if (bracket)
        snprintf(host, sizeof(host), "%.*s", (int)strcspn(target + 1, "]"), target + 1);
    else if (colon != NULL && strchr(target, ':') == colon)
        snprintf(host, sizeof(host), "%.*s", (int)(colon - target), target);
    else
        snprintf(host, sizeof(host), "%s", target);
    if (colon != NULL && (bracket ? colon[-1] == ']' : strchr(target, ':') == colon))
        snprintf(port, sizeof(port), "%s", colon + 1);
    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0) {
        doctor_sayf(d, DOCTOR_FAIL, "port 25 outbound", "name a mail server, as in an MX record",
                    "%s: %s", target, gai_strerror(error));
        return;
    }
    time_t end = now_s() + DOCTOR_PROBE_S;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_to(a, a->ai_next != NULL ? now_s() + (left_ms(end) / 2000) : end);
    freeaddrinfo(list);
    if (fd >= 0)
        greet(d, fd, target, now_s() + DOCTOR_PROBE_S);
    else
        doctor_sayf(d, DOCTOR_FAIL, "port 25 outbound",
                    "many providers close port 25: ask yours to open it, or send by a smarthost "
                    "(profiles/relay.conf)",
                    "%s cannot be reached (%s), over the machine's own network", target,
                    strerror(-fd));
    if (fd >= 0)
        close(fd);
}
