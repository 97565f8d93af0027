/*
 * SYN cookies (RFC 4987 section 3.6). While the cache of half-open connections has no room, a
 * SYN-ACK carries all that must be known later and nothing is kept; the ACK that comes back tells.
 *
 * Our initial sequence number, from the top:
 *
 *     10 bits  the time, in slots of 16.8 s: RFC 6528's clock, coarse
 *     18 bits  a keyed hash of the 4-tuple, the peer's initial sequence number and the other bits
 *      4 bits  the code: which MSS, and whether timestamps were agreed
 *
 * to which RFC 6528's function of the 4-tuple is added. So it is RFC 6528's number less what came
 * in this slot: it grows from one life of a 4-tuple to the next (RFC 9293 section 3.4.1), whether
 * the lives have cookies or not. The slot in the hash makes the secret of each slot another one.
 * A cookie is good for 33 to 50 s, in the slot of its birth and the two after it; a guess is right
 * once in 90 million tries.
 *
 * With timestamps the low bits of ours in the SYN-ACK hold the window scale, SACK and ECN. A peer
 * that lies in what it echoes harms its own connection only. Without timestamps there is the MSS
 * and nothing else.
 *
 * What is lost: nobody sends the SYN-ACK again. A peer whose handshake ACK is lost and who waits
 * for us to speak, as SMTP's clients do, waits in vain until it gives up or sends something; one
 * that speaks first (PROXY) sends its data again, and that carries the cookie. Hence the cache
 * comes first, and entries are never pushed out of it.
 */
#include "tcp_cookie.h"
#include "tcp_internal.h"

#include "base_siphash.h"

#define SLOT_SHIFT   22 /* in ticks of RFC 6528's clock, 4 us: 16.8 s */
#define LOW_MASK     ((UINT32_C(1) << SLOT_SHIFT) - 1)
#define CODE_MASK    15U
#define SLOT_TOP     ((UINT32_C(1) << (32 - SLOT_SHIFT)) - 1)
#define SLOT_AGE_MAX 2
#define PURPOSE      0x434f4f40U /* other hashes of the same secret are of other lengths, too */

enum code { CODE_MSS = 7, CODE_TIMESTAMPS = 8 };

/* In the low bits of the timestamp. A scale of 15 is none. */
enum stamp { STAMP_WSCALE = 15, STAMP_SACK = 16, STAMP_ECN = 32, STAMP_MASK = 63 };

/* The peer's MSS is rounded down: what IPv6 and IPv4 peers offer over Ethernet, through tunnels and
 * PPPoE, the defaults of RFC 9293 section 3.7.1, and the least that we send. */
static const uint16_t mss_table[CODE_MSS + 1] = {216, 536, 1220, 1340, 1380, 1420, 1440, 1460};

static uint8_t mss_code(const struct tcp_options *options)
{
    uint16_t mss = options->has_mss ? options->mss : TCP_MSS_DEFAULT;
    uint8_t code = 0;

    while (code < CODE_MSS && mss_table[code + 1] <= mss)
        code++;
    return code;
}

static uint64_t ticks(const struct tcp_stack *s)
{
    return s->now_ns / 4000;
}

/* RFC 6528's function of the 4-tuple: the number less the clock. */
static uint32_t base(const struct tcp_stack *s, const struct tcp_key *key)
{
    return tcp_isn(s, key) - (uint32_t)ticks(s);
}

/* The low 22 bits. */
static uint32_t low_bits(const struct tcp_stack *s, const struct tcp_key *key, uint32_t irs,
                         uint32_t slot, uint32_t code)
{
    struct {
        struct tcp_key key;
        uint32_t irs;
        uint32_t slot;
        uint32_t purpose;
    } in = {.key = *key, .irs = irs, .slot = slot, .purpose = PURPOSE + code};

    base_static_assert(sizeof(in) == 48, "hashed as bytes");
    uint32_t hash = (uint32_t)base_siphash(s->config.secret, &in, sizeof(in));
    return (hash & LOW_MASK & ~CODE_MASK) | code;
}

void tcp_cookie_make(const struct tcp_stack *s, struct tcp_syn *y,
                     const struct tcp_options *options)
{
    uint32_t slot = (uint32_t)(ticks(s) >> SLOT_SHIFT);
    uint32_t code = mss_code(options) | (y->has_timestamp ? CODE_TIMESTAMPS : 0);

    if (!y->has_timestamp)
        y->has_wscale = y->has_sack = y->has_ecn = false;
    y->is_cookie = true;
    y->iss = base(s, &y->key) + (slot << SLOT_SHIFT) + low_bits(s, &y->key, y->irs, slot, code);
}

uint32_t tcp_cookie_timestamp(const struct tcp_syn *y, uint32_t now)
{
    uint32_t low = y->has_wscale ? y->peer_wscale : STAMP_WSCALE;

    if (y->has_sack)
        low |= STAMP_SACK;
    if (y->has_ecn)
        low |= STAMP_ECN;
    uint32_t stamp = (now & ~(uint32_t)STAMP_MASK) | low;
    return tcp_seq_gt(stamp, now) ? stamp - (STAMP_MASK + 1) : stamp; /* later ones are not less */
}

/* The options that y had, from what the peer echoes; false when it is no timestamp of ours. */
static bool take_stamp(struct tcp_stack *s, const struct tcp_segment *seg, struct tcp_syn *y)
{
    uint32_t stamp = seg->options.timestamp_echo;
    uint32_t age_ms = s->now_ms + tcp_timestamp_offset(s, &seg->key) - stamp;

    if (!seg->options.has_timestamp || age_ms > TCP_COOKIE_LIFE_MS)
        return false;
    y->has_timestamp = true;
    y->ts_recent = seg->options.timestamp;
    y->has_wscale = (stamp & STAMP_WSCALE) != STAMP_WSCALE;
    y->peer_wscale = y->has_wscale ? (uint8_t)(stamp & STAMP_WSCALE) : 0;
    y->has_sack = (stamp & STAMP_SACK) != 0 && !s->config.sack_off;
    y->has_ecn = (stamp & STAMP_ECN) != 0 && y->has_sack && s->config.ecn != TCP_ECN_OFF;
    return true;
}

enum tcp_cookie tcp_cookie_check(struct tcp_stack *s, const struct tcp_segment *seg,
                                 struct tcp_syn *y)
{
    if (s->cookie_ms == 0 ||
        (seg->flags & (TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_ACK)) != TCP_FLAG_ACK)
        return TCP_COOKIE_NONE;
    if ((int32_t)(s->cookie_ms - s->now_ms) <= 0) {
        s->cookie_ms = 0;
        return TCP_COOKIE_NONE;
    }
    *y = (struct tcp_syn){
        .key = seg->key, .irs = seg->seq - 1, .iss = seg->ack - 1, .is_cookie = true};
    uint32_t number = y->iss - base(s, &seg->key);
    uint32_t slot = (uint32_t)(ticks(s) >> SLOT_SHIFT);
    uint32_t age = (slot - (number >> SLOT_SHIFT)) & SLOT_TOP;
    uint32_t code = number & CODE_MASK;
    if (low_bits(s, &seg->key, y->irs, slot - age, code) != (number & LOW_MASK))
        return TCP_COOKIE_BAD;
    if (age > SLOT_AGE_MAX)
        return TCP_COOKIE_EXPIRED;
    /* There are peers that leave timestamps away later on. Without them what was agreed is not
     * known, and a wrong window scale is worse than none. */
    if (code & CODE_TIMESTAMPS && (s->config.timestamps_off || !take_stamp(s, seg, y)))
        return TCP_COOKIE_BAD;
    struct tcp_options options = {
        .has_mss = true, .mss = mss_table[code & CODE_MSS], .has_timestamp = y->has_timestamp};
    y->mss = tcp_mss_effective(s, &seg->key, &options);
    return TCP_COOKIE_GOOD;
}

bool tcp_cookie_input(struct tcp_stack *s, struct tcp_segment *seg, uint16_t listener)
{
    struct tcp_syn y;

    switch (tcp_cookie_check(s, seg, &y)) {
    case TCP_COOKIE_NONE:
        return false;
    case TCP_COOKIE_GOOD:
        if (s->conn_pool.free_cnt > 0) {
            y.listener = listener;
            tcp_count(s, STATS_TCP_COOKIES_ACCEPTED);
            tcp_syn_complete(s, &y, seg);
            return true;
        }
        tcp_count(s, STATS_TCP_COOKIES_FULL);
        break;
    case TCP_COOKIE_BAD:
        if (tcp_segment_stray(s, seg, true))
            return true;
        tcp_count(s, STATS_TCP_COOKIES_BAD);
        break;
    case TCP_COOKIE_EXPIRED:
        tcp_count(s, STATS_TCP_COOKIES_EXPIRED);
        break;
    }
    tcp_segment_refuse(s, seg);
    return true;
}
