/* Statements that ask: the state, counters, what is in use, events, what calls answer. */
#include "script.h"

#include <string.h>

static const char *state_name(const struct script *s)
{
    struct tcp_stack *t = s->lab.s;
    struct tcp_key key = script_key(s);
    tcp_ref ref = tcp_table_find(t, &key, tcp_hash(t, &key));
    const struct tcp_conn *c = NULL;

    switch (tcp_ref_kind(ref)) {
    case TCP_KIND_CONN:
        c = base_pool_at(&t->conn_pool, tcp_ref_index(ref));
        return tcp_state_name((enum tcp_state)c->state);
    case TCP_KIND_SYN:
        return "SYN-RECEIVED";
    case TCP_KIND_TIME_WAIT:
        return "TIME-WAIT";
    case TCP_KIND_NONE:
        break;
    }
    if (s->at->conn == NULL && tcp_listen_find(t, &key) != NULL)
        return "LISTEN";
    return "CLOSED";
}

bool script_state(struct script *s, char **word, uint32_t cnt)
{
    const char *is = state_name(s);

    if (cnt == 2 && strcmp(word[1], is) == 0)
        return true;
    return script_fail(s, "expected: state %s; it is: %s", cnt > 1 ? word[1] : "", is);
}

/* count NAME N, NAME >=N, NAME <=N */
bool script_count(struct script *s, char **word, uint32_t cnt)
{
    const char *text = cnt > 2 ? word[2] : NULL;
    char compare = '=';
    int64_t want;

    if (text != NULL && (text[0] == '>' || text[0] == '<') && text[1] == '=') {
        compare = text[0];
        text += 2;
    }
    if (!script_want_number(s, text, &want))
        return false;
    for (uint32_t i = 0; i < STATS_CNT; i++) {
        if (strcmp(stats_rows[i].group, "tcp") != 0 || strcmp(stats_rows[i].name, word[1]) != 0)
            continue;
        int64_t is = (int64_t)stats_get(&s->lab.stats, (enum stats_id)i);
        if (compare == '>' ? is >= want : compare == '<' ? is <= want : is == want)
            return true;
        return script_fail(s, "expected: count %s %s; it is: %lld", word[1], word[2],
                           (long long)is);
    }
    return script_fail(s, "there is no counter %s", word[1]);
}

/* usage conn=N syn=N time_wait=N mbufs=N; those that are named */
bool script_usage(struct script *s, char **word, uint32_t cnt)
{
    struct tcp_usage u;

    tcp_usage(s->lab.s, &u);
    const struct {
        const char *key;
        uint32_t is;
    } table[] = {{"conn", u.conn_cnt},
                 {"syn", u.syn_cnt},
                 {"time_wait", u.time_wait_cnt},
                 {"mbufs", u.mbuf_cnt}};
    for (uint32_t i = 1; i < cnt; i++) {
        const char *value = NULL;
        size_t k = 0;
        int64_t want;
        while (k < BASE_ARRAY_CNT(table) && (value = script_value(word[i], table[k].key)) == NULL)
            k++;
        if (!script_want_number(s, value, &want))
            return false;
        if (table[k].is != want)
            return script_fail(s, "expected: usage %s; it is: %u", word[i], table[k].is);
    }
    return true;
}

static const char *const event_names[] = {"accepted", "connected",   "readable",
                                          "writable", "peer_closed", "failed"};

static void event_text(uint32_t events, char *out, size_t cap)
{
    size_t n = 0;

    snprintf(out, cap, " none");
    for (size_t i = 0; i < BASE_ARRAY_CNT(event_names) && n < cap; i++)
        if (events >> i & 1)
            n += (size_t)snprintf(out + n, cap - n, " %s", event_names[i]);
}

/* event NAME...|none: all that came since the last such statement */
bool script_event(struct script *s, char **word, uint32_t cnt)
{
    char is[128];
    uint32_t want = 0, came = s->at->events;

    for (uint32_t i = 1; i < cnt; i++) {
        size_t k = 0;
        while (k < BASE_ARRAY_CNT(event_names) && strcmp(event_names[k], word[i]) != 0)
            k++;
        if (k < BASE_ARRAY_CNT(event_names))
            want |= 1U << k;
        else if (strcmp(word[i], "none") != 0)
            return script_fail(s, "there is no event %s", word[i]);
    }
    s->at->events = 0;
    if (came == want)
        return true;
    event_text(came, is, sizeof(is));
    char wanted[128];
    event_text(want, wanted, sizeof(wanted));
    return script_fail(s, "expected: event%s; came:%s", wanted, is);
}

/* error NAME: why the connection failed */
bool script_error(struct script *s, char **word, uint32_t cnt)
{
    if (!script_has_conn(s))
        return false;
    const char *is = tcp_error_name(tcp_error(s->at->conn));
    if (cnt == 2 && strcmp(word[1], is) == 0)
        return true;
    return script_fail(s, "expected: error %s; it is: %s", cnt > 1 ? word[1] : "", is);
}

/* readable N, pending N, space N, ended yes|no: what the calls of these names answer */
bool script_ask(struct script *s, char **word, uint32_t cnt)
{
    int64_t want, is;

    if (!script_has_conn(s))
        return false;
    if (strcmp(word[0], "ended") == 0) {
        want = cnt < 2 || strcmp(word[1], "no") != 0;
        is = tcp_recv_ended(s->at->conn);
    } else if (!script_want_number(s, cnt > 1 ? word[1] : NULL, &want)) {
        return false;
    } else if (word[0][0] == 'r') {
        is = tcp_recv_len(s->at->conn);
    } else {
        is = word[0][0] == 'p' ? tcp_send_pending(s->at->conn) : tcp_send_space(s->at->conn);
    }
    return is == want || script_fail(s, "expected: %s %lld; it is: %lld", word[0], (long long)want,
                                     (long long)is);
}
