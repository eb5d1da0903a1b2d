/* The channel's certificate authority: made once, renewed when due, refused when damaged. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "unit.h"
#include "ws/pki.h"

#define DAY_MS (24LL * 3600 * 1000)
#define NOW_MS (20000LL * DAY_MS) /* in 2024 */

static char dir[128];

static void fresh(void)
{
	static unsigned n;
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%.60s/pki-test-%d-%u", tmp ? tmp : "/tmp", (int)getpid(), n++);
}

static void forget(void)
{
	static const char *const names[] = { "ca.pem", "ca.key", "server.pem", "server.key" };
	char path[256];
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void open_ok(struct cp_pki *p, const char *names, int64_t now_ms)
{
	struct gw_error err = { 0 };
	ck_assert_msg(cp_pki_open(p, dir, names, now_ms, &err) == GW_OK, "%s", err.text);
}

START_TEST(is_made_once)
{
	struct cp_pki a, b;
	struct stat st;
	fresh();
	open_ok(&a, NULL, NOW_MS);
	open_ok(&b, NULL, NOW_MS + DAY_MS);
	ck_assert(a.renewed && !b.renewed);
	ck_assert_uint_eq(strlen(a.fingerprint), 64);
	ck_assert_str_eq(a.fingerprint, b.fingerprint);
	ck_assert_int_eq(stat(a.server_key, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_gt(a.server_expires_ms, NOW_MS + 390 * DAY_MS);
	forget();
}
END_TEST

START_TEST(renews_near_the_end)
{
	struct cp_pki a, b;
	fresh();
	open_ok(&a, NULL, NOW_MS);
	open_ok(&b, NULL, NOW_MS + 330 * DAY_MS);
	ck_assert(!b.renewed);
	open_ok(&b, NULL, NOW_MS + 350 * DAY_MS);
	ck_assert(b.renewed);
	ck_assert_str_eq(a.fingerprint, b.fingerprint);
	forget();
}
END_TEST

START_TEST(renews_for_other_names)
{
	struct cp_pki p;
	fresh();
	open_ok(&p, NULL, NOW_MS);
	open_ok(&p, "gw.example.org, 10.1.2.3 fd00::1", NOW_MS);
	ck_assert(p.renewed);
	open_ok(&p, "gw.example.org,10.1.2.3,fd00::1", NOW_MS);
	ck_assert(!p.renewed);
	forget();
}
END_TEST

START_TEST(refuses_what_is_damaged)
{
	struct cp_pki p;
	struct gw_error err = { 0 };
	char path[256];
	fresh();
	open_ok(&p, NULL, NOW_MS);
	snprintf(path, sizeof path, "%s/ca.key", dir);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_ne(cp_pki_open(&p, dir, NULL, NOW_MS, &err), GW_OK);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(gw_file_replace(path, GW_STR("nonsense"), 0600, NULL), GW_OK);
	ck_assert_int_eq(cp_pki_open(&p, dir, NULL, NOW_MS, &err), GW_IO);
	ck_assert_ptr_nonnull(strstr(err.text, "ca.key"));
	unlink(path);
	ck_assert_int_eq(cp_pki_open(&p, dir, NULL, NOW_MS, &err), GW_IO);
	forget();
}
END_TEST

START_TEST(mends_a_broken_server_certificate)
{
	struct cp_pki a, b;
	struct gw_error err = { 0 };
	int64_t expires;
	fresh();
	open_ok(&a, NULL, NOW_MS);
	ck_assert_int_eq(cp_pki_inspect(dir, NOW_MS, &expires, &err), GW_OK);
	ck_assert_int_eq(expires, a.server_expires_ms);
	ck_assert_int_eq(gw_file_replace(a.server_cert, GW_STR("nonsense"), 0600, NULL), GW_OK);
	ck_assert_int_ne(cp_pki_inspect(dir, NOW_MS, &expires, &err), GW_OK);
	open_ok(&b, NULL, NOW_MS);
	ck_assert(b.renewed);
	ck_assert_str_eq(a.fingerprint, b.fingerprint);
	forget();
}
END_TEST

UNIT_MAIN("pki", is_made_once, renews_near_the_end, renews_for_other_names, refuses_what_is_damaged,
	  mends_a_broken_server_certificate)
