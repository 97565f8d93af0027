#include "sim_world_internal.h"
#include "base_time.h"

#include <rte_mbuf.h>

#define SINK_PORT 2525

/* ---- the next hop ---- */

static bool dice(struct world *w)
{
    return base_rand_below(&w->rand, 100) < w->config.sink_defer_percent;
}

static void sink_over(struct world *w, struct sink *s, bool abort)
{
    if (abort)
        tcp_abort(w->tcp, s->tcp);
    else
        tcp_close(w->tcp, s->tcp);
    free(s->body);
    *s = (struct sink){0};
    w->sink_cnt--;
}

/* What the ledger of a message's reports is checked against. */
static struct bounce_message bounce_message(const struct world *w, unsigned i)
{
    const struct world_message *m = &w->message[i];
    char envid[16];
    struct smtp_mail_params p = world_mail_params(i, envid);

    return (struct bounce_message){
        .bytes = m->bytes,
        .len = m->len,
        .number = i,
        .rcpt_cnt = m->rcpt_cnt,
        .delivered = m->delivered,
        .notify = world_rcpt_notify,
        .ret = p.ret,
        .smtputf8 = p.smtputf8,
        .dsn = !w->config.no_dsn,
    };
}

static void check_report(struct world *w, struct sink *s)
{
    struct bounce_message m = bounce_message(w, s->number);
    const char *why = bounce_take(&w->message[s->number].bounce, &m, (const char *)s->body, s->len,
                                  &s->smtp.mail, world_rcpt_name);

    if (!w->config.bounce && w->message[s->number].bounce.failed[0] > 0)
        why = "a failure where nothing fails";
    if (why != NULL)
        SAY(why, s->number);
}

/* A message is here: whole, unchanged behind our own Received field, for recipients it was for. */
static void check_message(struct world *w, struct sink *s)
{
    unsigned i = UINT32_MAX;
    s->body[s->len] = 0;
    const char *mark = strstr((char *)s->body, "X-Message: ");

    if (s->report)
        return check_report(w, s);
    if (mark == NULL || sscanf(mark, "X-Message: %u", &i) != 1 || i >= w->config.message_cnt)
        SAY("a message that nobody sent arrived", s->len);
    struct world_message *m = &w->message[i];
    if (s->len <= m->len || memcmp(s->body + (s->len - m->len), m->bytes, m->len) != 0)
        SAY("a message arrived changed", i);
    if (i != s->number)
        SAY("a message arrived with the sender of another", i);
    if (strncmp((char *)s->body, "Received: from client.example", 29) != 0 ||
        memcmp(s->body + (s->len - m->len) - 2, "\r\n", 2) != 0)
        SAY("Received field missing or wrong", i);
    for (uint32_t k = 0; k < s->rcpt_cnt; k++) {
        bool known = false;
        for (uint32_t r = 0; r < m->rcpt_cnt; r++)
            if (base_span_eq(world_rcpt_text(NULL, r), base_span_str(s->rcpt[k]))) {
                m->delivered[r]++;
                known = true;
            }
        if (!known)
            SAY("a message arrived for a recipient of another", i);
    }
}

void world_take_lmtp(void *user, struct base_span sender, struct base_span recipient,
                     struct base_span content)
{
    struct world *w = user;
    unsigned i;

    if (!world_sender_number(sender, &i) || i >= w->config.message_cnt)
        SAY("a sender that is nobody, in a mail box", sender.len);
    struct world_message *m = &w->message[i];
    if (content.len < m->len || memcmp(content.p + (content.len - m->len), m->bytes, m->len) != 0)
        SAY("a message arrived changed in a mail box", i);
    for (uint32_t r = 0; r < m->rcpt_cnt; r++)
        m->delivered[r] += base_span_eq(world_rcpt_text(NULL, r), recipient);
}

/* MAIL has come through the gateway: sender and parameters are those of one message; or it is of a
 * report. */
static void check_mail(struct world *w, struct sink *s)
{
    const struct smtp_mail_params *got = &s->smtp.mail;
    char envid[16];

    s->number = UINT32_MAX;
    s->report = s->smtp.address.mailbox.len == 0;
    if (s->report)
        return;
    if (!world_sender_number(s->smtp.address.mailbox, &s->number) ||
        s->number >= w->config.message_cnt)
        SAY("a sender that is nobody", s->smtp.address.mailbox.len);
    struct smtp_mail_params want = world_mail_params(s->number, envid);
    if (w->config.no_dsn) {
        want.envid.len = 0;
        want.ret = SMTP_RET_NONE;
    }
    if (!base_span_eq(got->envid, want.envid) || got->ret != want.ret ||
        got->smtputf8 != want.smtputf8 || got->body_8bit != want.body_8bit)
        SAY("parameters of MAIL changed", s->number);
}

/* The reply to RCPT, by what is in store for the recipient; 250 for what may be taken. */
static unsigned check_rcpt(struct world *w, struct sink *s)
{
    const struct smtp_rcpt_params *got = &s->smtp.rcpt;
    struct base_span to = s->smtp.address.mailbox;

    if (s->report) {
        if (!world_sender_number(to, &s->number) || s->number >= w->config.message_cnt ||
            got->notify != 0)
            SAY("a report to nobody", to.len);
        return w->config.bounce && w->message[s->number].bounce.sender_gone ? 550 : 250;
    }
    for (uint32_t r = 0; r < WORLD_RCPT_MAX; r++) {
        struct smtp_rcpt_params want = world_rcpt_params(NULL, r);
        if (!base_span_eq(to, world_rcpt_text(NULL, r)))
            continue;
        if (w->config.no_dsn)
            want = (struct smtp_rcpt_params){0};
        if (got->notify != want.notify || !base_span_eq(got->orcpt, want.orcpt))
            SAY("parameters of RCPT changed", r);
        if (w->config.bounce)
            return bounce_answer(&w->message[s->number].bounce, r, w->now_ns);
    }
    return 250;
}

static const struct smtp_reply *answer_rcpt(struct world *w, struct sink *s,
                                            const struct smtp_reply *reply)
{
    static const struct smtp_reply later = {451, "4.2.1", "Mailbox asleep"};
    static const struct smtp_reply never = {550, "5.1.1", "No such user"};
    struct base_span to = s->smtp.address.mailbox;
    unsigned code = check_rcpt(w, s);

    if (reply->code != 250)
        return reply;
    if (code == 550 && s->report)
        w->message[s->number].bounce.refused_cnt++;
    if (code != 250)
        return code == 550 ? &never : &later;
    if (s->rcpt_cnt == WORLD_RCPT_MAX || to.len >= sizeof(s->rcpt[0]))
        return &later;
    memcpy(s->rcpt[s->rcpt_cnt], to.p, to.len);
    s->rcpt[s->rcpt_cnt++][to.len] = 0;
    return reply;
}

/* The message is accepted: chooses how the session goes on. */
static void sink_taken(struct world *w, struct sink *s)
{
    check_message(w, s);
    if (base_rand_below(&w->rand, 100) >= w->config.sink_leave_percent)
        return;
    s->leave = (enum leave)(1 + base_rand_below(&w->rand, LEAVE_CNT - 1));
    s->leave_ns = w->now_ns + base_rand_below(&w->rand, 300 * BASE_NS_MS);
}

static const struct smtp_reply *refuse_source(struct world *w, const struct sink *s)
{
    static const struct smtp_reply no[] = {{550, "5.7.1", "blocked using a list"},
                                           {451, "4.7.1", "blocked using a list"}};
    struct net_endpoint remote;

    tcp_remote(s->tcp, &remote);
    if (w->config.source_refuse_percent == 0 ||
        !net_addr_eq(&remote.addr, &w->config.source_refused) ||
        base_rand_below(&w->rand, 100) >= w->config.source_refuse_percent)
        return NULL;
    return &no[(*w->config.source_refused_cnt)++ % 2];
}

static void sink_answer(struct world *w, struct sink *s, enum smtp_server_event e,
                        struct base_buf *out)
{
    static const struct smtp_reply ok = {250, "2.0.0", "Ok"};
    static const struct smtp_reply later = {451, "4.3.0", "Try again later"};
    struct smtp_reply const *reply = dice(w) ? &later : &ok;
    const struct smtp_reply *unwanted = refuse_source(w, s);

    if (unwanted != NULL && e != SMTP_SERVER_DATA && e != SMTP_SERVER_MAIL) {
        reply = unwanted;
    } else if (e == SMTP_SERVER_RCPT) {
        reply = answer_rcpt(w, s, reply);
    } else if (e == SMTP_SERVER_MAIL) {
        check_mail(w, s);
        s->rcpt_cnt = 0;
        s->len = 0;
        reply = unwanted != NULL ? unwanted : &ok;
    } else if (e == SMTP_SERVER_DATA) {
        reply = NULL;
    } else if (e == SMTP_SERVER_MESSAGE && reply == &ok) {
        sink_taken(w, s);
    }
    smtp_server_answer(&s->smtp, reply, out);
}

/* Ends the session between two messages: true when it did. mail: the next one begins. */
static bool sink_leave(struct world *w, struct sink *s, bool mail)
{
    static const char words[] = "421 4.3.2 Enough of you\r\n";
    enum leave how = s->leave;

    if (how == LEAVE_NOT || (how == LEAVE_LATER && !mail && w->now_ns < s->leave_ns))
        return false;
    if (how == LEAVE_LATER && mail)
        s->leave = LEAVE_NOT;
    if (how == LEAVE_LATER ? mail : (how >= LEAVE_MAIL_421) != mail)
        return false;
    if (how == LEAVE_421 || how == LEAVE_MAIL_421)
        base_assert(tcp_send(w->tcp, s->tcp, words, sizeof(words) - 1) == sizeof(words) - 1);
    if (how != LEAVE_MAIL_RESET) /* what it says must not be lost by a reset */
        tcp_recv_consume(w->tcp, s->tcp, tcp_recv_len(s->tcp));
    sink_over(w, s, how == LEAVE_MAIL_RESET);
    return true;
}

/* Returns false when nothing more can be done now. */
static bool sink_step(struct world *w, struct sink *s)
{
    struct base_span spans[4];
    uint32_t space = tcp_send_space(s->tcp);
    struct base_buf out = {.p = w->scratch, .cap = space < SCRATCH ? space : SCRATCH};
    enum smtp_server_event e = SMTP_SERVER_MORE;
    size_t used = 0;
    uint32_t n = tcp_recv_view(s->tcp, spans, 4);

    if (n == 0 || out.cap < SMTP_OUT_MIN)
        return false;
    if (s->smtp.state == SMTP_SESSION_BODY) {
        if (s->body == NULL)
            s->body = malloc(w->config.size_max + 16384);
        struct base_buf dst = {.p = s->body, .len = s->len, .cap = w->config.size_max + 16383};
        enum smtp_body_state b = smtp_server_body(&s->smtp, spans[0], &used, &dst, &out, &e);
        s->len = dst.len;
        if (b == SMTP_BODY_END)
            sink_answer(w, s, e, &out);
    } else {
        e = smtp_server_push(&s->smtp, spans[0], &used, &out);
        if (e == SMTP_SERVER_MORE && used == 0 && n > 1) {
            struct base_buf line = {.p = w->line, .cap = sizeof(w->line)};
            for (uint32_t i = 0; i < n; i++)
                if (base_buf_put_span(&line, spans[i]) != 0)
                    break;
            e = smtp_server_push(&s->smtp, base_buf_span(&line), &used, &out);
        }
        if (e == SMTP_SERVER_MAIL && sink_leave(w, s, true))
            return false;
        if (e == SMTP_SERVER_MAIL || e == SMTP_SERVER_RCPT || e == SMTP_SERVER_DATA)
            sink_answer(w, s, e, &out);
    }
    tcp_recv_consume(w->tcp, s->tcp, (uint32_t)used);
    if (tcp_send(w->tcp, s->tcp, out.p, out.len) != (int64_t)out.len ||
        (used > 0 && dice(w) && dice(w))) {
        sink_over(w, s, true);
        return false;
    }
    if (e == SMTP_SERVER_CLOSE) {
        sink_over(w, s, false);
        return false;
    }
    if (sink_leave(w, s, false))
        return false;
    return used > 0;
}

static void sink_accept(struct world *w, struct tcp_conn *tcp)
{
    for (uint32_t i = 0; i < WORLD_SINK_MAX; i++) {
        struct sink *s = &w->sink[i];
        if (s->tcp != NULL)
            continue;
        s->tcp = tcp;
        tcp_set_user(tcp, s);
        if (w->config.sink_connection_max > 0 && w->sink_cnt >= w->config.sink_connection_max) {
            static const char no[] = "421 4.7.0 sink.example Error: too many connections\r\n";
            w->sink_cnt++;
            w->sink_refused_cnt++;
            return sink_over(w, s, tcp_send(w->tcp, tcp, no, sizeof(no) - 1) < 0);
        }
        w->sink_cnt++;
        w->sink_most = w->sink_cnt > w->sink_most ? w->sink_cnt : w->sink_most;
        smtp_server_init(&s->smtp, &w->settings, &w->stats);
        struct base_buf out = {.p = w->scratch, .cap = SCRATCH};
        smtp_server_greet(&s->smtp, &out);
        if (tcp_send(w->tcp, tcp, out.p, out.len) != (int64_t)out.len)
            sink_over(w, s, true);
        return;
    }
    tcp_abort(w->tcp, tcp);
}

static void sink_event(struct world *w, struct sink *s, uint32_t flags)
{
    if (s->tcp == NULL)
        return;
    if (flags & TCP_EVENT_FAILED)
        return sink_over(w, s, true);
    while (s->tcp != NULL && sink_step(w, s))
        ;
    if (s->tcp != NULL && tcp_recv_ended(s->tcp))
        sink_over(w, s, false);
}

/* ---- the whole ---- */

struct world *world_open(const struct world_config *config, uint64_t now_ns)
{
    struct world *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);

    memset(w, 0, sizeof(*w));
    w->config = *config;
    w->now_ns = now_ns;
    base_rand_init(&w->rand, config->seed ^ 0x77);
    w->settings = (struct smtp_server_settings){
        .hostname = "sink.example",
        .recipient_max = 100,
        .error_max = 100,
        .junk_max = 1000,
        .header_bytes_max = 100000,
        .hop_max = 100,
        .extensions = SMTP_EXTENSION_SMTPUTF8 | (config->no_dsn ? 0 : SMTP_EXTENSION_DSN)};
    struct net_config n = {.port = config->port,
                           .address_cnt = 1,
                           .ctrl_pool = config->ctrl_pool,
                           .stats = &w->stats,
                           .seed = config->seed};
    n.addresses[0] = (struct net_prefix){net_addr_v4((const uint8_t[]){10, 0, 0, 2}), 120};
    base_assert(net_init(&w->net, &n, now_ns) == 0);
    struct tcp_config t = {.net = w->net,
                           .data_pool = config->data_pool,
                           .ctrl_pool = config->ctrl_pool,
                           .stats = &w->stats,
                           .conn_max = 256,
                           .syn_max = 64,
                           .time_wait_max = 256,
                           .listen_max = 4,
                           .port_min = 20000,
                           .port_max = 30000,
                           .recv_window_bytes = 65536,
                           .send_buffer_bytes = 65536,
                           .msl_ns = 50 * BASE_NS_MS,
                           .user_timeout_ns = 30 * BASE_NS_S,
                           .keepalive_ns = 20 * BASE_NS_S,
                           .keepalive_interval_ns = 2 * BASE_NS_S,
                           .keepalive_cnt = 5};
    memcpy(t.secret, "0123456789abcdef", 16);
    base_put_le64(t.secret, config->seed);
    base_assert(tcp_init(&w->tcp, &t, now_ns) == 0);
    struct net_endpoint by_route = {.port = SINK_PORT}, by_mx = {.port = 25};
    base_assert(tcp_listen(w->tcp, &by_route, NULL) == 0);
    base_assert(tcp_listen(w->tcp, &by_mx, NULL) == 0);
    for (uint32_t i = 0; i < config->message_cnt; i++)
        world_make_message(w, i);
    for (uint32_t i = 0; i < config->client_cnt; i++)
        w->client[i].message = UINT32_MAX;
    return w;
}

void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->config.message_cnt; i++)
        free(w->message[i].bytes);
    for (uint32_t i = 0; i < WORLD_SINK_MAX; i++)
        free(w->sink[i].body);
    tcp_fini(w->tcp);
    net_fini(w->net);
    free(w);
}

static bool is_client(const struct world *w, const void *user)
{
    return (const uint8_t *)user >= (const uint8_t *)w->client &&
           (const uint8_t *)user < (const uint8_t *)(w->client + WORLD_CLIENT_MAX);
}

bool world_pass(struct world *w, uint64_t now_ns)
{
    struct rte_mbuf *pkts[32];
    struct net_segment segments[32];
    struct tcp_event ev[32];
    uint32_t work = 0, n;

    w->now_ns = now_ns;
    n = w->config.port->ops->rx_burst(w->config.port->state, 0, pkts, 32);
    work += n;
    n = net_input(w->net, pkts, n, segments, now_ns);
    tcp_push(w->tcp, segments, n, now_ns);
    tcp_run(w->tcp, now_ns);
    net_run(w->net, now_ns);
    n = tcp_poll(w->tcp, ev, 32);
    work += n;
    for (uint32_t i = 0; i < n; i++) {
        if (ev[i].flags & TCP_EVENT_ACCEPTED)
            sink_accept(w, ev[i].conn);
        else if (is_client(w, ev[i].user))
            world_client_event(w, ev[i].user, ev[i].flags);
        else
            sink_event(w, ev[i].user, ev[i].flags);
    }
    for (uint32_t i = 0; i < w->config.client_cnt; i++)
        if (w->client[i].tcp == NULL && now_ns >= w->client[i].not_before_ns)
            world_connect_client(w, &w->client[i]);
    for (uint32_t i = 0; i < WORLD_SINK_MAX; i++)
        if (w->sink[i].tcp != NULL)
            (void)sink_leave(w, &w->sink[i], false);
    tcp_flush(w->tcp, now_ns);
    net_flush(w->net);
    return work > 0;
}

uint64_t world_next(const struct world *w)
{
    uint64_t t = tcp_deadline(w->tcp), n = net_deadline(w->net);

    t = t < n ? t : n;
    for (uint32_t i = 0; i < w->config.client_cnt; i++) {
        const struct client *c = &w->client[i];
        bool wants = c->message != UINT32_MAX || w->next_message < w->config.message_cnt;
        if (c->tcp == NULL && wants && c->not_before_ns < t)
            t = c->not_before_ns;
    }
    for (uint32_t i = 0; i < WORLD_SINK_MAX; i++) {
        const struct sink *s = &w->sink[i];
        if (s->tcp != NULL && s->leave == LEAVE_LATER && s->leave_ns < t)
            t = s->leave_ns;
    }
    return t;
}

bool world_sent(const struct world *w)
{
    return world_acked(w) == w->config.message_cnt;
}

uint32_t world_acked(const struct world *w)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->config.message_cnt; i++)
        n += w->message[i].acked;
    return n;
}

bool world_delivered(const struct world *w)
{
    for (uint32_t i = 0; i < w->config.message_cnt; i++) {
        struct bounce_message m = bounce_message(w, i);
        if (w->message[i].acked && !bounce_settled(&w->message[i].bounce, &m))
            return false;
    }
    return true;
}

const char *world_bounced(const struct world *w, uint32_t extra, bool exact, bool timely)
{
    for (uint32_t i = 0; i < w->config.message_cnt; i++) {
        struct bounce_message m = bounce_message(w, i);
        const char *why = bounce_check(&w->message[i].bounce, &m, extra, exact, timely);
        if (why != NULL)
            return why;
    }
    return NULL;
}

void world_count_bounces(const struct world *w, uint64_t *report_cnt, uint64_t *failed_cnt)
{
    for (uint32_t i = 0; i < w->config.message_cnt; i++) {
        *report_cnt += w->message[i].bounce.id_cnt;
        for (uint32_t r = 0; r < WORLD_RCPT_MAX; r++)
            *failed_cnt += w->message[i].bounce.failed[r];
    }
}

uint32_t world_duplicates(const struct world *w)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->config.message_cnt; i++)
        for (uint32_t r = 0; r < w->message[i].rcpt_cnt; r++)
            n += w->message[i].delivered[r] > 1 ? w->message[i].delivered[r] - 1 : 0;
    return n;
}

void world_sink_seen(const struct world *w, uint32_t *most, uint32_t *refused)
{
    *most = w->sink_most;
    *refused = w->sink_refused_cnt;
}

bool world_idle(const struct world *w)
{
    struct tcp_usage u;

    tcp_usage(w->tcp, &u);
    return u.conn_cnt == 0 && u.syn_cnt == 0 && u.time_wait_cnt == 0 && u.mbuf_cnt == 0;
}

void world_calm(struct world *w)
{
    w->config.sink_defer_percent = 0;
    w->config.sink_connection_max = 0;
}
