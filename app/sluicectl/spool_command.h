/*
 * sluicectl spool check|dump|export: what stands in the spool of a stopped gateway. These commands
 * read the files themselves and never write to them (lib/spool/spool_inspect.h).
 *
 * Exit status: 0 done and nothing is damaged, 1 something is damaged or was not exported, 3 the
 * spool cannot be read.
 */
#ifndef SPOOL_COMMAND_H
#define SPOOL_COMMAND_H

#include "command.h"
#include "spool_inspect.h"

/* Each returns the exit status. */
int spool_command_check(const struct command_call *call);
int spool_command_dump(const struct command_call *call);
int spool_command_export(const struct command_call *call);

/* spool_print.c: remote text is printed so that it is one line and one JSON string. */
void spool_print_finding(FILE *out, const struct spool_finding *f, bool json);
void spool_print_totals(FILE *out, const struct spool_inspect_totals *t, bool json);
/* With its pieces: where they lie. json: one object; else one line. */
void spool_print_message(FILE *out, const struct spool_inspect *in, uint64_t index,
                         const struct spool_inspect_message *m, bool pieces, bool json);

/* spool_export.c */
struct spool_export_totals {
    uint64_t written_cnt;
    uint64_t there_cnt;   /* were there already, and are as they were */
    uint64_t damaged_cnt; /* could not be read whole */
};
/* Writes each message into the folder, which is made when it is not there. Returns 0, or -1 after
 * it printed why it cannot go on. */
int spool_export_run(struct spool_inspect *in, const char *dir, struct spool_export_totals *totals);

#endif
