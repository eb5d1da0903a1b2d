/*
 * write.c - the writer connection: one transaction at a time, checkpoints when nobody reads, and a full disk.
 *
 * On a full disk SQLite cannot even delete.  The ballast file is given up then, which leaves room for the WAL to be
 * folded back; writes are refused until a new ballast fits, while reading goes on.  After an I/O error the page cache
 * may lie, so nothing is written any more until the process is restarted.
 */
#include "store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

#define CHECKPOINT_PAGES 4000 /* 16 MiB: the last pages of an index are written once and not with every transaction */

bool cp_ballast_make(struct cp_store *s)
{
	if (s->ballast == NULL)
		return true;
	int fd = open(s->ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	bool ok = posix_fallocate(fd, 0, (off_t)s->ballast_bytes) == 0;
	close(fd);
	if (!ok)
		unlink(s->ballast);
	return ok;
}

enum gw_rc cp_write_failed(struct cp_store *s, enum gw_rc rc)
{
	if (rc == GW_TOOBIG && !atomic_exchange(&s->full, true)) {
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "disk full, changes are refused until there is space", NULL);
		if (s->ballast != NULL)
			unlink(s->ballast);
	}
	if (rc == GW_IO && !atomic_exchange(&s->broken, true))
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "database broken, nothing is written until a restart",
		       "%s", sqlite3_errmsg(s->writer));
	return rc;
}

enum gw_rc cp_write_begin(struct cp_store *s, struct gw_error *err)
{
	if (atomic_load(&s->broken))
		return gw_fail(err, GW_IO, NULL, "the database failed before; the control plane must be restarted");
	pthread_mutex_lock(&s->write_lock);
	if (atomic_load(&s->full)) {
		if (!cp_ballast_make(s)) {
			pthread_mutex_unlock(&s->write_lock);
			return gw_fail(err, GW_TOOBIG, NULL, "the disk is full: free some space, then try again");
		}
		atomic_store(&s->full, false);
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "disk has space again, changes are accepted", NULL);
	}
	enum gw_rc rc = cp_sql_run(s->writer, "BEGIN IMMEDIATE", err);
	if (rc != GW_OK) {
		cp_write_failed(s, rc);
		pthread_mutex_unlock(&s->write_lock);
	}
	return rc;
}

static void checkpoint(struct cp_store *s)
{
	int wal = 0, moved = 0;
	if (pthread_rwlock_trywrlock(&s->gate) != 0)
		return; /* somebody reads: the next commit tries again */
	sqlite3_wal_checkpoint_v2(s->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, &wal, &moved);
	s->wal_pages = 0;
	pthread_rwlock_unlock(&s->gate);
}

enum gw_rc cp_write_commit(struct cp_store *s, struct gw_error *err)
{
	enum gw_rc rc = cp_sql_run(s->writer, "COMMIT", err);
	if (rc != GW_OK) {
		cp_write_failed(s, rc);
		cp_write_abort(s);
		return rc;
	}
	if (s->wal_pages >= CHECKPOINT_PAGES)
		checkpoint(s);
	pthread_mutex_unlock(&s->write_lock);
	return GW_OK;
}

void cp_write_abort(struct cp_store *s)
{
	if (!sqlite3_get_autocommit(s->writer)) {
		enum gw_rc rc = cp_sql_run(s->writer, "ROLLBACK", NULL);
		cp_write_failed(s, rc);
	}
	if (atomic_load(&s->full))
		checkpoint(s);
	pthread_mutex_unlock(&s->write_lock);
}

enum gw_rc cp_write_end(struct cp_store *s, enum gw_rc rc, struct gw_error *err)
{
	if (rc == GW_OK)
		return cp_write_commit(s, err);
	cp_write_failed(s, rc);
	cp_write_abort(s);
	return rc;
}
