/* Changes, revisions, history and the audit chain. */
#include <sqlite3.h>

#include "controlplane/fixture.h"

static char dir[128];
static struct cp_store *store;
static uint64_t woken;

static void wake(void *arg, uint64_t revision)
{
	(void)arg;
	woken = revision;
}

static void open_all(void)
{
	fx_dir(dir);
	store = fx_store(dir);
	woken = 0;
	cp_store_on_commit(store, wake, NULL);
}

static void close_all(void)
{
	cp_store_close(&store);
	fx_rmdir(dir);
}

START_TEST(a_commit_makes_one_revision_and_wakes)
{
	open_all();
	ck_assert_uint_eq(cp_store_revision(store), 0);
	ck_assert_uint_eq(fx_write(store, GW_KIND_ROUTE, "r1", "{\"a\":1}"), 1);
	ck_assert_uint_eq(woken, 1);
	ck_assert_uint_eq(fx_write(store, GW_KIND_ROUTE, "r1", "{\"a\":1}"), 1); /* the same again is no change */
	ck_assert_uint_eq(fx_write(store, GW_KIND_USER, "u1", "{}"), 1);         /* users do not travel */
	ck_assert_uint_eq(fx_write(store, GW_KIND_ROUTE, "r1", "{\"a\":2}"), 2);
	close_all();
}
END_TEST

START_TEST(an_abort_leaves_nothing)
{
	struct cp_change *c = NULL;
	struct cp_txn *t = NULL;
	int64_t n;
	open_all();
	ck_assert_int_eq(cp_change_begin(&c, store, &fx_actor, "create", NULL), GW_OK);
	fx_put(c, GW_KIND_ROUTE, "r1", "{}");
	ck_assert_int_eq(cp_count(cp_change_view(c), GW_KIND_ROUTE, &n, NULL), GW_OK);
	ck_assert_int_eq(n, 1); /* a change sees its own writes */
	cp_change_abort(&c);
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	ck_assert_int_eq(cp_count(t, GW_KIND_ROUTE, &n, NULL), GW_OK);
	ck_assert_int_eq(n, 0);
	cp_txn_end(&t);
	ck_assert_uint_eq(woken, 0);
	close_all();
}
END_TEST

START_TEST(a_reader_keeps_its_view_while_others_write)
{
	struct cp_txn *t = NULL;
	int64_t n;
	open_all();
	fx_write(store, GW_KIND_ROUTE, "r1", "{}");
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	fx_write(store, GW_KIND_ROUTE, "r2", "{}");
	ck_assert_int_eq(cp_count(t, GW_KIND_ROUTE, &n, NULL), GW_OK);
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(cp_txn_revision(t), 1);
	cp_txn_end(&t);
	close_all();
}
END_TEST

START_TEST(conditions_are_kept)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	uint64_t revision;
	open_all();
	fx_write(store, GW_KIND_ROUTE, "r1", "{}");
	ck_assert_int_eq(cp_change_begin(&c, store, &fx_actor, "update", NULL), GW_OK);
	struct cp_record r = { .kind = GW_KIND_ROUTE, .name = GW_STR("r1"), .spec = GW_STR("{\"x\":1}") };
	ck_assert_int_eq(cp_put(c, &r, CP_MUST_BE_NEW, &err), GW_EXISTS);
	ck_assert_int_eq(cp_put(c, &r, 7, &err), GW_CONFLICT);
	ck_assert_int_eq(cp_put(c, &r, 1, &err), GW_OK);
	ck_assert_int_eq(cp_del(c, GW_KIND_ROUTE, GW_STR("nobody"), CP_ANY, &err), GW_NOTFOUND);
	struct cp_record k = { .kind = GW_KIND_CREDENTIAL, .name = GW_STR("k1"), .owner = GW_STR("c"), .ident = GW_STR("aa"), .spec = GW_STR("{}") };
	ck_assert_int_eq(cp_put(c, &k, CP_ANY, &err), GW_OK);
	k.name = GW_STR("k2");
	ck_assert_int_eq(cp_put(c, &k, CP_ANY, &err), GW_EXISTS);
	ck_assert_str_eq(err.path, "/ident");
	ck_assert_int_eq(cp_change_commit(&c, &revision, &err), GW_OK);
	ck_assert_uint_eq(revision, 2);
	close_all();
}
END_TEST

START_TEST(history_goes_back_to_the_beginning)
{
	struct cp_txn *t = NULL;
	struct cp_change *c = NULL;
	json_t *config = NULL;
	uint64_t revision;
	open_all();
	fx_write(store, GW_KIND_ROUTE, "r1", "{\"v\":1}");
	fx_write(store, GW_KIND_ROUTE, "r1", "{\"v\":2}");
	ck_assert_int_eq(cp_change_begin(&c, store, &fx_actor, "delete", NULL), GW_OK);
	ck_assert_int_eq(cp_del(c, GW_KIND_ROUTE, GW_STR("r1"), CP_ANY, NULL), GW_OK);
	ck_assert_int_eq(cp_change_commit(&c, &revision, NULL), GW_OK);
	ck_assert_uint_eq(revision, 3);
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	for (uint64_t n = 0; n <= 3; n++) {
		ck_assert_int_eq(cp_config_at(t, n, &config, NULL), GW_OK);
		const json_t *r = json_object_get(json_object_get(config, "routes"), "r1");
		const json_t *v = json_object_get(json_object_get(r, "spec"), "v");
		ck_assert_int_eq(json_integer_value(v), n == 1 || n == 2 ? (int)n : 0);
		json_decref(config);
	}
	ck_assert_int_eq(cp_config_at(t, 4, &config, NULL), GW_NOTFOUND);
	cp_txn_end(&t);
	close_all();
}
END_TEST

static void raw(const char *sql, int expected)
{
	char path[256];
	sqlite3 *db = NULL;
	snprintf(path, sizeof path, "%s/tidegate.db", dir);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xff, expected);
	sqlite3_close(db);
}

static enum gw_rc verify(int64_t *rows)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	enum gw_rc rc = cp_audit_verify(t, rows, &err);
	cp_txn_end(&t);
	return rc;
}

/* T40 */
START_TEST(the_audit_cannot_be_bent)
{
	int64_t rows;
	open_all();
	for (int i = 0; i < 5; i++) {
		char spec[32];
		snprintf(spec, sizeof spec, "{\"v\":%d}", i);
		fx_write(store, GW_KIND_ROUTE, "r1", spec);
	}
	struct cp_audit_note n = { .action = "session.login", .outcome = "denied", .kind = GW_STR("user"), .name = GW_STR("eve") };
	ck_assert_int_eq(cp_audit_add(store, &fx_actor, &n, NULL), GW_OK);
	ck_assert_int_eq(verify(&rows), GW_OK);
	ck_assert_int_eq(rows, 6);
	raw("DELETE FROM audit WHERE id = 3", SQLITE_CONSTRAINT);
	raw("UPDATE audit SET actor = 'nobody'", SQLITE_CONSTRAINT);
	raw("DROP TRIGGER audit_keeps_text; UPDATE audit SET actor = 'nobody' WHERE id = 3", SQLITE_OK);
	ck_assert_int_eq(verify(&rows), GW_INVALID);
	close_all();
}
END_TEST

START_TEST(the_audit_shows_no_secret)
{
	struct cp_txn *t = NULL;
	struct cp_audit_row r;
	struct gw_arena *a = gw_arena_open(0);
	open_all();
	fx_write(store, GW_KIND_PROVIDER, "p", "{\"api_keys\":[{\"value\":{\"last4\":\"cdef\",\"sealed\":\"QUJD\"}}],\"password\":\"scrypt$x\"}");
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	ck_assert_int_eq(cp_audit_get(t, 1, a, &r, NULL), GW_OK);
	ck_assert_str_eq(r.after.p, "{\"api_keys\":[{\"value\":{\"last4\":\"cdef\"}}]}");
	cp_txn_end(&t);
	gw_arena_close(&a);
	close_all();
}
END_TEST

START_TEST(sessions_uses_and_nodes_are_kept)
{
	struct cp_txn *t = NULL;
	struct gw_arena *a = gw_arena_open(0);
	struct cp_session_row s = { .hash = { 1 }, .user = GW_STR("u"), .created_at_ms = 5, .seen_at_ms = 5, .expires_at_ms = 100 }, got;
	int64_t last, count;
	open_all();
	ck_assert_int_eq(cp_session_put(store, &s, NULL), GW_OK);
	ck_assert_int_eq(cp_use_add(store, GW_KIND_TOKEN, GW_STR("t"), 50, NULL), GW_OK);
	ck_assert_int_eq(cp_use_add(store, GW_KIND_TOKEN, GW_STR("t"), 40, NULL), GW_OK);
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	ck_assert_int_eq(cp_session_get(t, s.hash, a, &got, NULL), GW_OK);
	ck_assert_int_eq(got.expires_at_ms, 100);
	ck_assert_int_eq(cp_use_get(t, GW_KIND_TOKEN, GW_STR("t"), &last, &count, NULL), GW_OK);
	ck_assert(last == 50 && count == 2);
	cp_txn_end(&t);
	ck_assert_int_eq(cp_session_sweep(store, 101, 1000, NULL), GW_OK);
	ck_assert_int_eq(cp_txn_begin(&t, store, NULL), GW_OK);
	ck_assert_int_eq(cp_session_get(t, s.hash, a, &got, NULL), GW_NOTFOUND);
	cp_txn_end(&t);
	gw_arena_close(&a);
	close_all();
}
END_TEST

UNIT_MAIN("store", a_commit_makes_one_revision_and_wakes, an_abort_leaves_nothing, a_reader_keeps_its_view_while_others_write,
	  conditions_are_kept, history_goes_back_to_the_beginning, the_audit_cannot_be_bent, the_audit_shows_no_secret,
	  sessions_uses_and_nodes_are_kept)
