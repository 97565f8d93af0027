/* docker-mailserver's directory under way: its environment and its files. */
#ifndef IMPORT_DMS_H
#define IMPORT_DMS_H

#include "import_internal.h"

struct dms {
    struct import *im;
    struct import_items env;
    const char *dir; /* of the configuration */
};

/* A variable that is set to something; NULL. */
struct import_item *dms_env(struct dms *d, const char *name);
bool dms_env_is(struct dms *d, const char *name, const char *value);
/* Of the directory; whether it is there, and its bytes (none of a directory). */
const char *dms_file_of(struct dms *d, const char *name);
bool dms_there(struct dms *d, const char *name, struct base_span *text);
/* The first directory below the one that was given in which one of the names is; NULL. */
const char *dms_found(struct import *im, const char *const *below, const char *const *names);
/* Reads mailserver.env and compose.yaml. False: there is none of them. */
bool dms_environment(struct dms *d);
/* What is left: files that became nothing, variables that nobody has told. */
void dms_other_files(struct dms *d);
void dms_env_rest(struct dms *d);

#endif
