/* What sluicectl tlsrpt tells. */
#include "base_time.h"
#include "control.h"
#include "policy_key.h"

#include <inttypes.h>

#define LINE_MAX_BYTES 1600 /* of an answer */

static bool has_room(const struct control_client *client)
{
    return client->body_len + LINE_MAX_BYTES < CONTROL_BODY_CAP;
}

static bool is_on(const struct control *c, struct control_client *client)
{
    if (!c->tlsrpt.on)
        control_refuse(
            client, "no reports of TLS are made: tlsrpt: enable = no; set it to yes, and reload\n");
    return c->tlsrpt.on;
}

/* The text of an RFC 3339 time without fractions. */
static void time_text(char out[BASE_TIME_RFC3339_CAP], uint64_t s)
{
    base_time_rfc3339(out, s * BASE_NS_S);
    out[19] = 'Z';
    out[20] = 0;
}

/* Texts of others in a JSON string. */
static void print_string(struct control_client *client, const char *key, const char *s)
{
    struct tlsrpt_text t = {0};

    tlsrpt_put_json(&t, base_span_str(s));
    control_print(client, ",\"%s\":%.*s", key, (int)t.len, (const char *)t.p);
    tlsrpt_text_free(&t);
}

/* ---- tlsrpt ---- */

static void print_domain(const struct control *c, struct control_client *client,
                         const struct tlsrpt_domain *d)
{
    const struct tlsrpt_sender *s = &c->tlsrpt.sender;
    uint64_t good = tlsrpt_domain_success(d), bad = tlsrpt_domain_failure(d);
    char date[TLSRPT_DATE_CAP], due[BASE_TIME_RFC3339_CAP];

    tlsrpt_date(date, d->day);
    time_text(due, tlsrpt_sender_due(s, d));
    if (!client->command.filter.json) {
        control_print(client,
                      "%s %s sessions=%" PRIu64 " failed=%" PRIu64 " policies=%u due=%s%s\n", date,
                      (const char *)d->name, good + bad, bad, d->policy_cnt, due,
                      d->day <= s->closed ? " closed" : "");
        return;
    }
    control_print(client, "{\"day\":\"%s\"", date);
    print_string(client, "domain", (const char *)d->name);
    control_print(client,
                  ",\"successful\":%" PRIu64 ",\"failed\":%" PRIu64
                  ",\"policies\":%u,\"due\":\"%s\",\"closed\":%s}\n",
                  good, bad, d->policy_cnt, due, d->day <= s->closed ? "true" : "false");
}

void control_tlsrpt_list(struct control *c, struct control_client *client)
{
    uint64_t at = 0, from = client->more ? client->request.offset : 0;

    client->more = false;
    if (!is_on(c, client))
        return;
    base_list_each (n, &c->tlsrpt.sender.counts.domains) {
        if (at++ < from)
            continue;
        if (!has_room(client)) {
            client->request.offset = at - 1;
            client->more = true;
            return;
        }
        print_domain(c, client, base_container_of(n, struct tlsrpt_domain, node));
    }
}

/* ---- tlsrpt show DOMAIN ---- */

void control_tlsrpt_show(struct control *c, struct control_client *client)
{
    const struct tlsrpt_sender *s = &c->tlsrpt.sender;
    const struct tlsrpt_about about = {.organization = s->config.organization,
                                       .contact = s->config.contact,
                                       .hostname = s->config.hostname};
    struct tlsrpt_text t = {0};
    size_t at = client->more ? client->request.offset : 0;
    struct policy_key key;
    char id[TLSRPT_ID_CAP];

    client->more = false;
    if (!is_on(c, client))
        return;
    if (policy_key_of_domain(&key, client->command.word[0]) != 0)
        return control_refuse(client, "that is no domain: give it as example.org\n");
    struct base_span domain = policy_key_domain(&key);
    base_list_each (n, &s->counts.domains) {
        const struct tlsrpt_domain *d = base_container_of(n, struct tlsrpt_domain, node);
        if (!base_span_eq(tlsrpt_domain_name(d), domain))
            continue;
        tlsrpt_report_id(id, d->day, domain, s->config.hostname);
        tlsrpt_report_json(&t, d, &about, id);
        tlsrpt_puts(&t, "\n");
    }
    if (t.len == 0 && at == 0)
        control_refuse(
            client,
            "no sessions of that domain are counted: sluicectl tlsrpt tells of which some are\n");
    size_t room = CONTROL_BODY_CAP - 1;
    size_t left = t.len > at ? t.len - at : 0, len = left < room ? left : room;
    if (len > 0)
        control_print(client, "%.*s", (int)len, (const char *)t.p + at);
    client->request.offset = at + len;
    client->more = left > len;
    tlsrpt_text_free(&t);
}

/* ---- tlsrpt sent ---- */

static void print_entry(struct control_client *client, const struct tlsrpt_entry *e)
{
    char date[TLSRPT_DATE_CAP], last[BASE_TIME_RFC3339_CAP] = "-";
    const char *state = tlsrpt_state_name((enum tlsrpt_state)e->state);

    tlsrpt_date(date, e->day);
    if (e->last_s > 0)
        time_text(last, e->last_s);
    if (!client->command.filter.json) {
        control_print(client, "%s %s %s at=%s attempts=%u%s%s%s%s\n", date, (const char *)e->name,
                      state, last, e->attempt_cnt, e->uri[0] != 0 ? " to=" : "", e->uri,
                      e->why[0] != 0 ? " why=" : "", e->why);
        return;
    }
    control_print(client, "{\"day\":\"%s\"", date);
    print_string(client, "domain", (const char *)e->name);
    control_print(client, ",\"state\":\"%s\",\"at\":\"%s\",\"attempts\":%u", state, last,
                  e->attempt_cnt);
    print_string(client, "report-id", e->id);
    print_string(client, "uri", e->uri);
    print_string(client, "why", e->why);
    control_print(client, "}\n");
}

void control_tlsrpt_sent(struct control *c, struct control_client *client)
{
    uint64_t at = 0, from = client->more ? client->request.offset : 0;

    client->more = false;
    if (!is_on(c, client))
        return;
    base_list_each (n, &c->tlsrpt.sender.journal.entries) {
        if (at++ < from)
            continue;
        if (!has_room(client)) {
            client->request.offset = at - 1;
            client->more = true;
            return;
        }
        print_entry(client, base_container_of(n, struct tlsrpt_entry, node));
    }
}
