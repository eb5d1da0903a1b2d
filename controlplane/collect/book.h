/*
 * book.h - who may use how much of which quota: shares of balances, granted to workers, kept durably.
 *
 * For every hard quota and period there is one line: what was granted (the limit and what people added or took), what
 * the ledger says was used, and the share of each process of a worker: a ceiling on what that process may use, counted
 * from the first time that it was granted something.  The sum of all ceilings and of what is past never exceeds what was granted, so no balance is used
 * twice whatever the network does:
 *
 *   - a ceiling is raised only after the raise is committed;
 *   - it is lowered only to what the worker has confirmed;
 *   - the share of a process that is gone stays reserved until its last rows have come (it says what it still has), or
 *     for CP_BOOK_HOLD_MS when it never comes back.
 *
 * With one worker it holds everything; with several, who needs more gets what others do not use.  All of it runs on the
 * collector's thread, in step with the ledger's rows.
 */
#ifndef CP_COLLECT_BOOK_H
#define CP_COLLECT_BOOK_H

#include "quota/set.h"
#include "store/store.h"

#define CP_BOOK_HOLD_MS (15 * 60 * 1000)

struct cp_book;

struct cp_book_options {
	struct cp_store *store;                                                  /* borrowed */
	void (*send)(void *arg, uint64_t connection, json_t *items);             /* items of a `quotas` message; consumed */
	void *arg;
};
struct cp_book *cp_book_open(const struct cp_book_options *o);                   /* owned */
void cp_book_close(struct cp_book **b);

/* The quotas of this revision, borrowed until the next call; NULL: they could not be read yet. */
struct cp_quota_set *cp_book_quotas(struct cp_book *b);

/* A process of a worker is there, or gone (connection 0). */
void cp_book_worker(struct cp_book *b, uint64_t connection, struct gw_str node, struct gw_str boot_id);
void cp_book_gone(struct cp_book *b, uint64_t connection);
/* What it says about its shares; `boots`: the processes of this node whose rows have not all come (NULL: not said). */
void cp_book_told(struct cp_book *b, uint64_t connection, const json_t *items, const json_t *boots);
/* Rows were committed. */
void cp_book_used(struct cp_book *b, struct gw_str boot_id, const struct cp_charge *c);
/* Somebody changed balances by hand. */
void cp_book_adjusted(struct cp_book *b);

/* Grant, persist, send, report thresholds.  Returns when it wants to be called again, in milliseconds. */
int64_t cp_book_turn(struct cp_book *b, int64_t now_ms);

#endif
