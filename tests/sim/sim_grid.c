/*
 * The grid: what one connection makes of links of all kinds - loss x round trip x buffers x the
 * way in which frames are lost or late - in virtual time, so the figures are facts. They stand in
 * goodput.txt, one row a cell, beside what a model says; a cell that falls below is a failure.
 * Then fairness: many flows over one bottleneck.
 *
 *     sim_grid --table FILE           the quick cells
 *     sim_grid --table FILE --all     all of them
 *     sim_grid --table FILE --write   all of them, into the table
 *     sim_grid --cell NAME [--trace]  one cell, e.g. "random 1.0 50 256"; with its segments
 */
#include "sim_bulk.h"
#include "sim_pair.h"

#include "base_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_BYTES_PER_S 12500000U /* 100 Mbit/s */
#define MSS              1448.0
#define FRAME_BYTES      1514.0
#define SEED_CNT         8U
#define BYTES_MIN        100000.0
#define BYTES_MAX        4000000.0
#define BURST_LEN        5U
#define REORDER_PPM      20000U
#define LOWER            0.9  /* of the table's figure: below it the cell fails */
#define UPPER            1.15 /* above it, the table wants an update */
#define CELL_MAX         512
#define NAME_MAX_BYTES   48

enum pattern { RANDOM, BURST, REORDER, PATTERN_CNT };
static const char *const pattern_name[PATTERN_CNT] = {"random", "burst", "reorder"};
static const double losses_percent[] = {0, 0.1, 1, 3, 10, 20, 30};
static const uint32_t rtts_ms[] = {0, 10, 50, 100, 300};
static const uint32_t buffers_kib[] = {16, 64, 256, 1024};

struct cell {
    enum pattern pattern;
    double loss; /* 0..1 */
    uint32_t rtt_ms;
    uint32_t buffer_kib;
    char name[NAME_MAX_BYTES];
    bool quick;
    double table; /* goodput, bytes a second; 0: not in the table */
    double goodput, model;
    double again; /* segments sent again for each frame lost */
    double timeouts;
};

static struct cell cells[CELL_MAX];
static uint32_t cell_cnt;

/*
 * The model: what the link, the buffer and the losses let through, whichever is least. Losses: a
 * window of sqrt(3 / 2p) segments (Mathis et al. 1997), in which CUBIC is to equal Reno (RFC 9438
 * section 4.3), or CUBIC's own curve where that gives more (section 5.1). From 5 % on, where
 * windows are too small to find each loss by, with the timeouts of PFTK (Padhye et al. 1998). A
 * burst counts as one loss.
 */
static double model(const struct cell *c)
{
    double rtt = c->rtt_ms / 1e3 + FRAME_BYTES / LINK_BYTES_PER_S;
    double best = LINK_BYTES_PER_S * MSS / FRAME_BYTES;
    double p = c->pattern == BURST ? c->loss / BURST_LEN : c->loss;
    double window = c->buffer_kib * 1024.0 / rtt;

    if (window < best)
        best = window;
    if (p == 0)
        return best;
    double rto = fmax(0.2, 1.5 * rtt);
    double timeouts = p < 0.05 ? 0 : rto * fmin(1, 3 * sqrt(3 * p / 8)) * p * (1 + 32 * p * p);
    double reno = MSS / (rtt * sqrt(2 * p / 3) + timeouts);
    double cubic = MSS * 1.054 * pow(rtt, 0.75) / pow(p, 0.75) / rtt;
    return fmin(best * (1 - c->loss), fmax(reno, cubic));
}

/* Where the model is good: enough losses for windows to settle, but not for timeouts, and enough
 * buffer. */
static bool is_moderate(const struct cell *c)
{
    return c->pattern == RANDOM && c->loss >= 0.01 && c->loss <= 0.03 && c->rtt_ms >= 10 &&
           c->buffer_kib >= 256;
}

static void make_cells(void)
{
    for (int k = 0; k < PATTERN_CNT; k++) {
        for (size_t l = 0; l < BASE_ARRAY_CNT(losses_percent); l++) {
            for (size_t r = 0; r < BASE_ARRAY_CNT(rtts_ms); r++) {
                for (size_t b = 0; b < BASE_ARRAY_CNT(buffers_kib); b++) {
                    if (k == BURST && l == 0) /* no burst: it is the random one */
                        continue;
                    struct cell *c = &cells[cell_cnt++];
                    *c = (struct cell){.pattern = (enum pattern)k,
                                       .loss = losses_percent[l] / 100,
                                       .rtt_ms = rtts_ms[r],
                                       .buffer_kib = buffers_kib[b]};
                    snprintf(c->name, sizeof(c->name), "%s %.1f %u %u", pattern_name[k],
                             losses_percent[l], c->rtt_ms, c->buffer_kib);
                    c->model = model(c);
                    c->quick = (c->rtt_ms == 50 && c->buffer_kib == 256 && c->loss <= 0.1) ||
                               (k == RANDOM && c->rtt_ms == 0 && c->buffer_kib == 64 && l < 3) ||
                               (k == RANDOM && l == 2 && c->rtt_ms > 0 && c->buffer_kib == 256);
                }
            }
        }
    }
}

static struct wire_faults faults(const struct cell *c)
{
    struct wire_faults f = {.delay_ns = c->rtt_ms * BASE_NS_MS / 2,
                            .bytes_per_s = LINK_BYTES_PER_S};

    if (c->pattern == BURST) {
        f.burst_ppm = (uint32_t)(c->loss * 1e6 / BURST_LEN + 0.5);
        f.burst_len = BURST_LEN;
    } else {
        f.loss_ppm = (uint32_t)(c->loss * 1e6 + 0.5);
    }
    if (c->pattern == REORDER) { /* by an eighth of a round trip, six frames at least */
        f.reorder_ppm = REORDER_PPM;
        f.reorder_ns = (c->rtt_ms > 0 ? c->rtt_ms * 1000ULL / 8 : 700) * BASE_NS_US;
    }
    return f;
}

static bool run_cell(struct cell *c, bool trace)
{
    /* Enough for the windows to settle. */
    double seconds = 2 + 0.4 * c->rtt_ms;
    double bytes = fmin(fmax(c->model * seconds, BYTES_MIN), BYTES_MAX);
    uint64_t ns = 0, lost = 0, again = 0, timeouts = 0;

    for (uint32_t i = 0; i < SEED_CNT; i++) {
        struct sim_bulk_config g = {.seed = 1000 + i,
                                    .data = faults(c),
                                    .acks = faults(c),
                                    .congestion = TCP_CUBIC,
                                    .buffer_bytes = c->buffer_kib * 1024,
                                    .flow_cnt = 1,
                                    .flow_bytes = (uint32_t)bytes,
                                    .bound_ns = 7200 * BASE_NS_S,
                                    .trace = trace};
        struct sim_bulk_result r;
        if (!sim_bulk_run(&g, &r)) {
            fprintf(stderr, "cell %s\n", c->name);
            return false;
        }
        ns += r.ns;
        lost += r.lost_cnt;
        again += r.retransmits;
        timeouts += r.timeouts;
        if (trace)
            break;
    }
    c->goodput = (trace ? 1 : SEED_CNT) * (double)(uint32_t)bytes / ((double)ns / 1e9);
    c->again = lost > 0 ? (double)again / (double)lost : 0;
    c->timeouts = (double)timeouts / SEED_CNT;
    return true;
}

static void print_head(FILE *f)
{
    fprintf(f, "# pattern  loss/%%  rtt/ms  buffer/KiB  goodput/B/s  model/B/s  ratio  "
               "again/lost  timeouts\n");
}

static void print_cell(FILE *f, const struct cell *c)
{
    fprintf(f, "%-9s %7.1f %7u %11u %12.0f %10.0f %6.2f %11.2f %9.1f\n", pattern_name[c->pattern],
            c->loss * 100, c->rtt_ms, c->buffer_kib, c->goodput, c->model, c->goodput / c->model,
            c->again, c->timeouts);
}

static bool read_table(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[256], pattern[16], name[NAME_MAX_BYTES];
    double loss, goodput;
    unsigned rtt_ms, buffer_kib;

    if (f == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] == '#' ||
            sscanf(line, "%15s %lf %u %u %lf", pattern, &loss, &rtt_ms, &buffer_kib, &goodput) != 5)
            continue;
        snprintf(name, sizeof(name), "%s %.1f %u %u", pattern, loss, rtt_ms, buffer_kib);
        for (uint32_t i = 0; i < cell_cnt; i++)
            if (strcmp(cells[i].name, name) == 0)
                cells[i].table = goodput;
    }
    fclose(f);
    return true;
}

static bool write_table(const char *path)
{
    FILE *f = fopen(path, "w");

    if (f == NULL) {
        fprintf(stderr, "%s: cannot be written\n", path);
        return false;
    }
    fprintf(f,
            "# Goodput of one CUBIC connection with SACK over a link of 100 Mbit/s, by sim_grid "
            "--write.\n# Loss is in both directions; burst: runs of %u frames; reorder: 2 %% of "
            "frames come an eighth of a round\n# trip late, besides the loss. The model is told "
            "in sim_grid.c. %u seeds a cell.\n",
            BURST_LEN, SEED_CNT);
    print_head(f);
    for (uint32_t i = 0; i < cell_cnt; i++)
        print_cell(f, &cells[i]);
    return fclose(f) == 0;
}

/* How many of the cells that were run fail. */
static unsigned compare(bool all)
{
    unsigned failed_cnt = 0, moderate_cnt = 0, higher_cnt = 0;
    double log_sum = 0;

    for (uint32_t i = 0; i < cell_cnt; i++) {
        const struct cell *c = &cells[i];
        if (!all && !c->quick)
            continue;
        if (c->goodput < LOWER * c->table || c->table == 0) {
            fprintf(stderr, "cell %s: %.0f bytes a second, the table has %.0f\n", c->name,
                    c->goodput, c->table);
            failed_cnt++;
        } else if (c->goodput > UPPER * c->table) {
            printf("cell %s: %.0f bytes a second, the table has %.0f\n", c->name, c->goodput,
                   c->table);
            higher_cnt++;
        }
        if (is_moderate(c)) {
            log_sum += log(c->goodput / c->model);
            moderate_cnt++;
        }
    }
    double mean = exp(log_sum / moderate_cnt);
    printf("%u cells of moderate loss: %.2f of the model\n", moderate_cnt, mean);
    if (mean < 0.8 || mean > 1.3) {
        fprintf(stderr, "the model and the stack do not agree\n");
        failed_cnt++;
    }
    if (higher_cnt > 0)
        printf("%u cells are better than the table: it wants an update (--write)\n", higher_cnt);
    return failed_cnt;
}

static double jain(const uint64_t *x, uint32_t n)
{
    double sum = 0, squares = 0;

    for (uint32_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 0;
}

/* Flows that begin one after the other share a link of 40 Mbit/s with a queue of one round trip. */
/* Flows that start one after the other take a while to share: AIMD halves the difference with each
 * loss that all of them see. */
enum { FAIR_FROM_S = 10, FAIR_UNTIL_S = 50 };

static unsigned fairness(enum tcp_congestion congestion, uint32_t flow_cnt, double least)
{
    struct wire_faults f = {.delay_ns = 20 * BASE_NS_MS,
                            .jitter_ns = 200 * BASE_NS_US,
                            .bytes_per_s = 5000000,
                            .queue_bytes = 200000};
    struct sim_bulk_config g = {.seed = flow_cnt,
                                .data = f,
                                .acks = f,
                                .congestion = congestion,
                                .buffer_bytes = flow_cnt > 8 ? 64 << 10 : 512 << 10,
                                .flow_cnt = flow_cnt,
                                .stagger_ns = 37 * BASE_NS_MS,
                                .from_ns = FAIR_FROM_S * BASE_NS_S,
                                .until_ns = FAIR_UNTIL_S * BASE_NS_S};
    struct sim_bulk_result r;

    if (!sim_bulk_run(&g, &r))
        return 1;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < flow_cnt; i++)
        sum += r.flow_bytes[i];
    double index = jain(r.flow_bytes, flow_cnt);
    double used = (double)sum / (FAIR_UNTIL_S - FAIR_FROM_S) / (5e6 * MSS / FRAME_BYTES);
    printf("%2u flows, %s: Jain's index %.3f, %.2f of the link\n", flow_cnt,
           congestion == TCP_CUBIC ? "CUBIC" : "NewReno", index, used);
    if (index >= least && used >= 0.85)
        return 0;
    fprintf(stderr, "%u flows: index below %.2f, or the link is not used\n", flow_cnt, least);
    return 1;
}

static unsigned run_fairness(bool all)
{
    static const struct {
        uint32_t flow_cnt;
        double least;
        bool quick;
    } row[] = {{2, 0.9, true},   {4, 0.9, false},  {8, 0.9, true},
               {16, 0.9, false}, {32, 0.9, false}, {64, 0.85, true}};
    unsigned failed_cnt = 0;

    for (size_t i = 0; i < BASE_ARRAY_CNT(row); i++)
        for (enum tcp_congestion cc = TCP_CUBIC; cc <= TCP_NEWRENO; cc++)
            if (all || row[i].quick)
                failed_cnt += fairness(cc, row[i].flow_cnt, row[i].least);
    return failed_cnt;
}

static int run_one(const char *name, bool trace)
{
    for (uint32_t i = 0; i < cell_cnt; i++) {
        if (strcmp(cells[i].name, name) != 0)
            continue;
        bool ok = run_cell(&cells[i], trace);
        print_head(stdout);
        print_cell(stdout, &cells[i]);
        return !ok;
    }
    fprintf(stderr, "no such cell\n");
    return 1;
}

int main(int argc, char **argv)
{
    const char *table = NULL, *cell = NULL;
    bool all = false, write = false, trace = false;
    unsigned failed_cnt = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--table") == 0 && i + 1 < argc)
            table = argv[++i];
        else if (strcmp(argv[i], "--cell") == 0 && i + 1 < argc)
            cell = argv[++i];
        else if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--write") == 0)
            all = write = true;
        else if (strcmp(argv[i], "--all") == 0)
            all = true;
    }
    make_cells();
    sim_pair_start();
    if (cell != NULL)
        return run_one(cell, trace);
    if (table == NULL || (!write && !read_table(table)))
        return 2;
    print_head(stdout);
    for (uint32_t i = 0; i < cell_cnt; i++) {
        if (!all && !cells[i].quick)
            continue;
        failed_cnt += !run_cell(&cells[i], false);
        print_cell(stdout, &cells[i]);
    }
    if (write && failed_cnt == 0)
        return !write_table(table);
    failed_cnt += compare(all);
    failed_cnt += run_fairness(all);
    printf("%u failed\n", failed_cnt);
    return failed_cnt > 0;
}
