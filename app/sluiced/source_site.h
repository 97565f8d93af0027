/*
 * Whose a next hop is: the part of its name that is registered, as far as that can be told without
 * a list of suffixes. "aspmx.l.google.com" is google.com's, "mx.shop.co.uk" is shop.co.uk's. A name
 * of two labels is itself, an address likewise.
 *
 * Taken for a suffix of two labels: a second-level label of up to three letters, or one of the
 * usual longer ones, below a country's two letters. Where that is wrong, hosts of two parties are
 * held for one party's, or those of one for several; nothing but the pace of mail depends on it.
 */
#ifndef SOURCE_SITE_H
#define SOURCE_SITE_H

#include "source_ledger.h"

/* host: lower case, without a dot at the end. */
void source_site(char out[SOURCE_SITE_CAP], const char *host);

#endif
