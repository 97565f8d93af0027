/* What all seeds of sim_gateway.c add up to: counted, checked, told. */
#include "sim_gateway.h"

void sim_count_steered(struct sim *s)
{
    for (uint32_t i = 0; i < s->lane_cnt; i++) {
        uint64_t cnt = stats_get(s->lane[i]->stats, STATS_LANE_STEERED);
        if (s->spread == SPREAD_KNOWN && cnt > 0)
            FAIL(s, "lane %u: %lu segments came to the wrong lane", i, (unsigned long)cnt);
        s->steered_cnt[s->spread] += cnt;
        s->reused_cnt += stats_get(s->lane[i]->stats, STATS_CONN_REUSED);
        s->untried_cnt += stats_get(s->lane[i]->stats, STATS_SMTP_CLIENT_UNTRIED);
    }
}

void sim_count_policies(struct sim *s)
{
    const struct stats_block *b = s->courier.stats;

    if (s->sts == NULL)
        return;
    sim_sts_count(s->sts, &s->sts_counts);
    s->sts_tested_cnt += stats_get(b, STATS_TLS_OUT_STS_TESTING_CLEAR);
    s->sts_enforced_cnt += stats_get(b, STATS_TLS_OUT_STS_FAILED);
    /* Nobody there has TLS. */
    if (stats_get(b, STATS_TLS_OUT_STS_CLEAR) + stats_get(b, STATS_TLS_OUT_STS_UNTRUSTED) +
            stats_get(b, STATS_TLS_OUT_STS_VERIFIED) >
        0)
        FAIL(s, "mail was delivered against a policy that is enforced");
}

void sim_count_faults(struct sim *s)
{
    for (uint32_t i = 0; i < s->spool_cnt; i++) {
        const struct stats_block *b = topology_stats(&s->topology, TOPOLOGY_SPOOLER, i);
        s->write_error_cnt += stats_get(b, STATS_SPOOL_WRITE_ERRORS);
        s->read_error_cnt +=
            stats_get(b, STATS_SPOOL_READ_ERRORS) + stats_get(b, STATS_SPOOL_READ_BAD);
    }
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        s->kept_out_cnt += stats_get(s->lane[i]->stats, STATS_CONN_REFUSED_SPOOL);
}

void sim_check_all(struct sim *s)
{
    if (s->steered_cnt[SPREAD_UNKNOWN] == 0 || s->steered_cnt[SPREAD_WRONG] == 0)
        FAIL(s, "no segment ever came to the wrong lane: nothing was tried");
    if (s->shaping_waits == 0 || s->shaping_refused == 0)
        FAIL(s, "nobody waited for a connection, or none was refused: nothing was tried");
    if (s->reused_cnt == 0 || s->untried_cnt == 0)
        FAIL(s, "no connection was reused, or none lost between two messages: nothing was tried");
    for (int kind = TROUBLE_FOR_GOOD; kind < TROUBLE_CNT; kind++)
        if (s->refused_cnt[kind] == 0)
            FAIL(s, "no spool ever refused mail in trouble %d: nothing was tried", kind);
    if (s->report_cnt == 0 || s->told_cnt == 0)
        FAIL(s, "no sender was ever told of a failure: nothing was tried");
    if (s->plan_cnt == 0 || s->plan_deferred_cnt == 0 || s->next_host_cnt == 0)
        FAIL(s, "no mail went by MX, none waited for the DNS, or none went to the next host");
    if (s->boxed_cnt == 0 || s->cut_cnt == 0)
        FAIL(s, "no mail went into a mail box, or no session was cut amid the replies");
    if (s->source_refused_cnt == 0 || s->source_aside_cnt == 0 || s->source_again_cnt == 0)
        FAIL(s, "no source was ever refused, set aside, or another tried in its place");
    const struct sim_sts_counts *p = &s->sts_counts;
    if (p->fetched_cnt == 0 || p->failed_cnt == 0 || p->invalid_cnt == 0 || p->held_cnt == 0 ||
        p->kept_cnt == 0 || p->restored_cnt == 0 || s->sts_tested_cnt == 0 ||
        s->sts_enforced_cnt == 0)
        FAIL(s,
             "policies of MTA-STS: %lu fetched, %lu not, %lu none, %lu hosts left out, %lu kept, "
             "%lu restored, %lu deliveries tested, %lu held back: one of these was never tried",
             (unsigned long)p->fetched_cnt, (unsigned long)p->failed_cnt,
             (unsigned long)p->invalid_cnt, (unsigned long)p->held_cnt, (unsigned long)p->kept_cnt,
             (unsigned long)p->restored_cnt, (unsigned long)s->sts_tested_cnt,
             (unsigned long)s->sts_enforced_cnt);
    if (s->moved_cnt == 0)
        FAIL(s, "no mail was ever taken by a spool beside one that refused");
}

void sim_tell_faults(const struct sim *s, uint64_t cnt)
{
    if (cnt >= 50 && (s->write_error_cnt == 0 || s->read_error_cnt == 0 || s->full_cnt == 0 ||
                      s->broken_cnt == 0 || s->kept_out_cnt == 0))
        FAIL(s,
             "a disk that was never in trouble: %lu write errors, %lu read errors, %lu full, "
             "%lu without writing, %lu refused",
             (unsigned long)s->write_error_cnt, (unsigned long)s->read_error_cnt,
             (unsigned long)s->full_cnt, (unsigned long)s->broken_cnt,
             (unsigned long)s->kept_out_cnt);
    printf(
        "sim_gateway: %lu write errors, %lu read errors, %lu transactions refused for the disk\n",
        (unsigned long)s->write_error_cnt, (unsigned long)s->read_error_cnt,
        (unsigned long)s->kept_out_cnt);
}

void sim_tell_totals(const struct sim *s, uint64_t cnt)
{
    printf("sim_gateway: policies of MTA-STS: %lu fetched, %lu fetches failed, %lu were none, %lu "
           "held over a power failure; %lu deliveries by one that is tested, %lu held back\n",
           (unsigned long)s->sts_counts.fetched_cnt, (unsigned long)s->sts_counts.failed_cnt,
           (unsigned long)s->sts_counts.invalid_cnt, (unsigned long)s->sts_counts.restored_cnt,
           (unsigned long)s->sts_tested_cnt, (unsigned long)s->sts_enforced_cnt);
    printf(
        "sim_gateway: %lu seeds, all mail where it belongs; %lu reports of %lu failures; %lu "
        "segments passed on between lanes by their port, %lu by their hash; %lu connections "
        "reused, %lu lost meanwhile; %lu taken beside a spool that refused; %lu jumps of the "
        "wall clock; %lu plans by MX, %lu attempts deferred by them, %lu next hosts; %lu "
        "recipients "
        "in mail boxes, %lu sessions cut there; %lu refusals of a source, %lu times set aside, %lu "
        "recipients by the next one\n",
        (unsigned long)cnt, (unsigned long)s->report_cnt, (unsigned long)s->told_cnt,
        (unsigned long)s->steered_cnt[SPREAD_UNKNOWN], (unsigned long)s->steered_cnt[SPREAD_WRONG],
        (unsigned long)s->reused_cnt, (unsigned long)s->untried_cnt, (unsigned long)s->moved_cnt,
        (unsigned long)s->jump_cnt, (unsigned long)s->plan_cnt, (unsigned long)s->plan_deferred_cnt,
        (unsigned long)s->next_host_cnt, (unsigned long)s->boxed_cnt, (unsigned long)s->cut_cnt,
        (unsigned long)s->source_refused_cnt, (unsigned long)s->source_aside_cnt,
        (unsigned long)s->source_again_cnt);
}
