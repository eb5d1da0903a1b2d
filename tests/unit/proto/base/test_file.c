/* test_file.c - reading and replacing whole files. */
#include "unit.h"
#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void make_dir(void)
{
	memcpy(dir, "/tmp/tg-file-XXXXXX", 20);
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

START_TEST(replace_then_read)
{
	make_dir();
	struct gw_error e = { 0 };
	struct gw_buf b;
	struct stat st;
	gw_buf_init(&b, 1000);
	umask(0);
	ck_assert_int_eq(gw_file_replace(in_dir("a"), GW_STR("one"), 0640, &e), GW_OK);
	ck_assert_int_eq(gw_file_replace(in_dir("a"), GW_STR("two\n"), 0600, &e), GW_OK);
	ck_assert_int_eq(gw_file_read(&b, in_dir("a"), &e), GW_OK);
	ck_assert_str_eq(b.p, "two\n");
	ck_assert_int_eq(stat(in_dir("a"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	DIR *d = opendir(dir);
	int entries = 0;
	while (readdir(d))
		entries++;
	closedir(d);
	ck_assert_int_eq(entries, 3); /* . and .. and the file: no leftovers */
	ck_assert_int_eq(gw_file_replace(in_dir("none/a"), GW_STR("x"), 0600, &e), GW_NOTFOUND);
	gw_buf_fini(&b);
}
END_TEST

START_TEST(reading_fails_clearly)
{
	make_dir();
	struct gw_error e = { 0 };
	struct gw_buf b;
	gw_buf_init(&b, 4);
	ck_assert_int_eq(gw_file_read(&b, in_dir("absent"), &e), GW_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "absent"));
	ck_assert_int_eq(gw_file_read(&b, dir, &e), GW_IO);
	ck_assert_int_eq(gw_file_replace(in_dir("big"), GW_STR("12345"), 0600, &e), GW_OK);
	ck_assert_int_eq(gw_file_read(&b, in_dir("big"), &e), GW_TOOBIG);
	ck_assert_uint_eq(b.n, 0);
	ck_assert_int_eq(gw_file_replace(in_dir("fits"), GW_STR("1234"), 0600, &e), GW_OK);
	gw_buf_clear(&b);
	ck_assert_int_eq(gw_file_read(&b, in_dir("fits"), &e), GW_OK);
	ck_assert_str_eq(b.p, "1234");
	gw_buf_fini(&b);
}
END_TEST

START_TEST(secrets_must_be_private)
{
	make_dir();
	struct gw_error e = { 0 };
	struct gw_buf b;
	gw_buf_init(&b, 100);
	ck_assert_int_eq(gw_file_replace(in_dir("key"), GW_STR("k"), 0600, &e), GW_OK);
	ck_assert_int_eq(gw_file_read_secret(&b, in_dir("key"), &e), GW_OK);
	ck_assert_int_eq(chmod(in_dir("key"), 0640), 0);
	ck_assert_int_eq(gw_file_read_secret(&b, in_dir("key"), &e), GW_DENIED);
	ck_assert_ptr_nonnull(strstr(e.text, "chmod 600"));
	gw_buf_fini(&b);
}
END_TEST

START_TEST(directories)
{
	make_dir();
	struct gw_error e = { 0 };
	struct stat st;
	umask(022);
	ck_assert_int_eq(gw_dir_make(in_dir("x/y/z/"), 0700, &e), GW_OK);
	ck_assert_int_eq(stat(in_dir("x/y/z"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(gw_dir_make(in_dir("x/y/z"), 0700, &e), GW_OK);
	ck_assert_int_eq(gw_file_replace(in_dir("f"), GW_STR(""), 0600, &e), GW_OK);
	ck_assert_int_eq(gw_dir_make(in_dir("f"), 0700, &e), GW_IO);
	ck_assert_int_ne(gw_dir_make(in_dir("f/g"), 0700, &e), GW_OK);
	ck_assert_int_eq(gw_dir_make("", 0700, &e), GW_INVALID);
}
END_TEST

START_TEST(shared_files)
{
	make_dir();
	char path[4096];
	struct gw_error e = { 0 };
	setenv("TIDEGATE_SHARE_DIR", dir, 1);
	ck_assert_int_eq(gw_file_replace(in_dir("catalog.json"), GW_STR("{}"), 0644, &e), GW_OK);
	ck_assert_int_eq(gw_share_path(path, "catalog.json", &e), GW_OK);
	ck_assert_str_eq(path, in_dir("catalog.json"));
	ck_assert_int_eq(gw_share_path(path, "absent.json", &e), GW_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "absent.json"));
	unsetenv("TIDEGATE_SHARE_DIR");
	ck_assert_int_eq(gw_share_path(path, "surely/absent", &e), GW_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(path, "/share/tidegate/surely/absent"));
}
END_TEST

UNIT_MAIN("file", replace_then_read, reading_fails_clearly, secrets_must_be_private, directories, shared_files)
