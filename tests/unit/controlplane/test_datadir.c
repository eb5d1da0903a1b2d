/* The data directory: its modes and its lock. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datadir.h"
#include "unit.h"

static char dir[128], file[256];

static void fresh(void)
{
	static unsigned n;
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%.60s/datadir-test-%d-%u", tmp ? tmp : "/tmp", (int)getpid(), n++);
	snprintf(file, sizeof file, "%s/x", dir);
}

static unsigned mode(void)
{
	struct stat st;
	ck_assert_int_eq(stat(dir, &st), 0);
	return st.st_mode & 07777;
}

START_TEST(is_made_closed)
{
	fresh();
	ck_assert_int_eq(cp_datadir_prepare(dir, NULL), GW_OK);
	ck_assert_uint_eq(mode(), 0700);
	rmdir(dir);
}
END_TEST

START_TEST(an_open_one_is_closed_while_it_is_empty)
{
	struct gw_error err = { 0 };
	fresh();
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(cp_datadir_prepare(dir, NULL), GW_OK);
	ck_assert_uint_eq(mode(), 0700);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(chmod(dir, 0750), 0);
	ck_assert_int_eq(cp_datadir_prepare(dir, &err), GW_IO);
	ck_assert_ptr_nonnull(strstr(err.text, "chmod 700"));
	unlink(file);
	rmdir(dir);
}
END_TEST

START_TEST(a_file_is_no_directory)
{
	struct gw_error err = { 0 };
	fresh();
	close(open(dir, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(cp_datadir_prepare(dir, &err), GW_IO);
	ck_assert_ptr_nonnull(strstr(err.text, "not a directory"));
	unlink(dir);
}
END_TEST

START_TEST(the_lock_names_its_holder)
{
	struct gw_error err = { 0 };
	int fd, second;
	char pid[32];
	fresh();
	ck_assert_int_eq(cp_datadir_prepare(dir, NULL), GW_OK);
	ck_assert_int_eq(cp_datadir_lock(&fd, dir, NULL), GW_OK);
	ck_assert_int_eq(cp_datadir_lock(&second, dir, &err), GW_BUSY);
	snprintf(pid, sizeof pid, "pid %d", (int)getpid());
	ck_assert_ptr_nonnull(strstr(err.text, pid));
	close(fd);
	ck_assert_int_eq(cp_datadir_lock(&second, dir, NULL), GW_OK);
	close(second);
	snprintf(file, sizeof file, "%s/lock", dir);
	unlink(file);
	rmdir(dir);
}
END_TEST

UNIT_MAIN("datadir", is_made_closed, an_open_one_is_closed_while_it_is_empty, a_file_is_no_directory,
	  the_lock_names_its_holder)
