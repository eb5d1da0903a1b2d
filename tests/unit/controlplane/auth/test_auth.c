/* Passwords, throttling, sessions, tokens, set-up, keys. */
#include "controlplane/fixture.h"

static char dir[128];
static struct cp_store *store;
static struct cp_auth *auth;
static struct gw_arena *arena;

static void open_all(void)
{
	fx_dir(dir);
	store = fx_store(dir);
	auth = cp_auth_open(store, dir);
	arena = gw_arena_open(0);
}

static void close_all(void)
{
	gw_arena_close(&arena);
	cp_auth_close(&auth);
	cp_store_close(&store);
	fx_rmdir(dir);
}

START_TEST(passwords_are_scrypt)
{
	struct gw_buf b;
	gw_buf_init(&b, 256);
	cp_password_hash(&b, GW_STR("correct horse"));
	ck_assert(gw_str_starts(gw_buf_str(&b), GW_STR("scrypt$15$8$1$")));
	ck_assert(cp_password_verify(gw_buf_str(&b), GW_STR("correct horse")));
	ck_assert(!cp_password_verify(gw_buf_str(&b), GW_STR("correct horsf")));
	ck_assert(!cp_password_verify(GW_STR_NONE, GW_STR("correct horse")));
	ck_assert(!cp_password_verify(GW_STR("scrypt$15$8$1$x$y"), GW_STR("correct horse")));
	ck_assert(!cp_password_verify(GW_STR("scrypt$1$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), GW_STR("")));
	gw_buf_fini(&b);
}
END_TEST

START_TEST(weak_passwords_are_told)
{
	ck_assert_ptr_nonnull(cp_password_weakness(GW_STR("root"), GW_STR("short")));
	ck_assert_ptr_nonnull(cp_password_weakness(GW_STR("administrator"), GW_STR("Administrator")));
	ck_assert_ptr_nonnull(cp_password_weakness(GW_STR("root"), GW_STR("password123")));
	ck_assert_ptr_nonnull(cp_password_weakness(GW_STR("root"), GW_STR("密码密码密码密码密")));  /* nine characters, not bytes */
	ck_assert_ptr_null(cp_password_weakness(GW_STR("root"), GW_STR("密码密码密码密码密码")));
	ck_assert_ptr_null(cp_password_weakness(GW_STR("root"), GW_STR("correct horse battery")));
}
END_TEST

START_TEST(failures_cost_time)
{
	struct gw_str me = GW_STR("root"), here = GW_STR("192.0.2.1");
	open_all();
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(cp_throttle_check(auth, me, here, 1000), 0);
		cp_throttle_failed(auth, me, here, 1000);
	}
	ck_assert_int_eq(cp_throttle_check(auth, me, here, 1000), 1);
	ck_assert_int_eq(cp_throttle_check(auth, me, GW_STR("192.0.2.2"), 1000), 1); /* by account, from anywhere */
	ck_assert_int_eq(cp_throttle_check(auth, GW_STR("other"), here, 1000), 0);
	ck_assert_int_eq(cp_throttle_check(auth, me, here, 2001), 0);
	for (int i = 0; i < 20; i++)
		cp_throttle_failed(auth, me, here, 3000);
	ck_assert_int_eq(cp_throttle_check(auth, me, GW_STR("192.0.2.2"), 3000), 30); /* an account is never locked for long */
	ck_assert_int_gt(cp_throttle_check(auth, GW_STR("other"), here, 3000), 0);    /* by address, whoever it claims to be */
	ck_assert_int_eq(cp_throttle_check(auth, me, GW_STR("192.0.2.2"), 3000 + 16 * 60 * 1000), 0);
	cp_throttle_succeeded(auth, me, here);
	ck_assert_int_eq(cp_throttle_check(auth, me, GW_STR("192.0.2.2"), 3000), 0);
	close_all();
}
END_TEST

START_TEST(set_up_works_once)
{
	char token[64], again[64], path[200];
	struct gw_error err = { 0 };
	struct cp_caller who;
	char cookie[64];
	open_all();
	snprintf(path, sizeof path, "%s/setup-token", dir);
	ck_assert_int_eq(cp_setup_token(auth, token, NULL), GW_OK);
	ck_assert(strncmp(token, "tgs_", 4) == 0 && access(path, F_OK) == 0);
	ck_assert_int_eq(cp_setup_token(auth, again, NULL), GW_OK);
	ck_assert_str_eq(token, again);
	ck_assert_int_eq(cp_setup_run(auth, &fx_actor, GW_STR("tgs_wrong"), GW_STR("root"), GW_STR("correct horse battery"), &err), GW_DENIED);
	ck_assert_str_eq(err.path, "/setup_token");
	ck_assert_int_eq(cp_setup_run(auth, &fx_actor, gw_str_c(token), GW_STR("root"), GW_STR("short"), &err), GW_INVALID);
	ck_assert_int_eq(cp_setup_run(auth, &fx_actor, gw_str_c(token), GW_STR("root"), GW_STR("correct horse battery"), &err), GW_OK);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(cp_setup_run(auth, &fx_actor, gw_str_c(token), GW_STR("eve"), GW_STR("correct horse battery"), &err), GW_EXISTS);
	ck_assert_int_eq(cp_login(auth, GW_STR("root"), GW_STR("correct horse battery"), GW_STR("x"), arena, &who, cookie, &err), GW_OK);
	ck_assert(who.role == CP_ROLE_ADMIN && who.has_session);
	close_all();
}
END_TEST

START_TEST(a_password_file_sets_up)
{
	char path[200], token[64];
	struct gw_error err = { 0 };
	open_all();
	snprintf(path, sizeof path, "%s/password", dir);
	ck_assert_int_eq(gw_file_replace(path, GW_STR("short\n"), 0644, NULL), GW_OK);
	ck_assert_int_eq(cp_setup_from_file(auth, path, &err), GW_INVALID);
	ck_assert_int_eq(gw_file_replace(path, GW_STR("correct horse battery\n"), 0644, NULL), GW_OK);
	ck_assert_int_eq(cp_setup_from_file(auth, path, &err), GW_OK);
	ck_assert_int_eq(cp_setup_token(auth, token, NULL), GW_OK);
	ck_assert_str_eq(token, "");
	close_all();
}
END_TEST

START_TEST(sessions_begin_and_end)
{
	struct cp_caller who, seen;
	char cookie[64];
	struct gw_error err = { 0 };
	open_all();
	struct gw_buf b;
	gw_buf_init(&b, 512);
	gw_buf_add(&b, GW_STR("{\"enabled\":true,\"role\":\"operator\",\"password\":\""));
	cp_password_hash(&b, GW_STR("correct horse battery"));
	gw_buf_add(&b, GW_STR("\"}"));
	fx_write(store, GW_KIND_USER, "op", b.p);
	ck_assert_int_eq(cp_login(auth, GW_STR("op"), GW_STR("wrong"), GW_STR("x"), arena, &who, cookie, &err), GW_DENIED);
	ck_assert_int_eq(cp_login(auth, GW_STR("no"), GW_STR("wrong"), GW_STR("x"), arena, &who, cookie, &err), GW_DENIED);
	ck_assert_int_eq(cp_login(auth, GW_STR("op"), GW_STR("correct horse battery"), GW_STR("x"), arena, &who, cookie, &err), GW_OK);
	ck_assert_int_eq(cp_session_check(auth, gw_str_c(cookie), arena, &seen, &err), GW_OK);
	ck_assert(seen.role == CP_ROLE_OPERATOR && gw_str_eq(seen.csrf, who.csrf) && gw_str_is(seen.name, "op"));
	ck_assert_int_eq(cp_session_check(auth, GW_STR("made-up"), arena, &seen, &err), GW_DENIED);
	fx_write(store, GW_KIND_USER, "op", "{\"enabled\":false,\"role\":\"operator\"}");
	ck_assert_int_eq(cp_session_check(auth, gw_str_c(cookie), arena, &seen, &err), GW_DENIED);
	gw_buf_fini(&b);
	close_all();
}
END_TEST

START_TEST(idle_sessions_end)
{
	struct cp_caller seen;
	struct gw_error err = { 0 };
	open_all();
	fx_write(store, GW_KIND_USER, "op", "{\"enabled\":true,\"role\":\"viewer\"}");
	struct cp_session_row row = { .user = GW_STR("op"), .seen_at_ms = gw_now_ms() - CP_SESSION_IDLE_MS - 1,
				      .expires_at_ms = gw_now_ms() + 100000 };
	gw_sha256(row.hash, GW_STR("idle"));
	ck_assert_int_eq(cp_session_put(store, &row, NULL), GW_OK);
	ck_assert_int_eq(cp_session_check(auth, GW_STR("idle"), arena, &seen, &err), GW_DENIED);
	row.seen_at_ms = gw_now_ms();
	row.expires_at_ms = gw_now_ms() - 1;
	gw_sha256(row.hash, GW_STR("over"));
	ck_assert_int_eq(cp_session_put(store, &row, NULL), GW_OK);
	ck_assert_int_eq(cp_session_check(auth, GW_STR("over"), arena, &seen, &err), GW_DENIED);
	close_all();
}
END_TEST

START_TEST(tokens_open_until_they_expire)
{
	struct cp_token_made made, old;
	struct cp_caller who;
	struct gw_error err = { 0 };
	open_all();
	ck_assert_int_eq(cp_token_create(store, &fx_actor, GW_STR("ci"), CP_ROLE_OPERATOR, 0, &made, &err), GW_OK);
	ck_assert_int_eq(cp_token_create(store, &fx_actor, GW_STR("old"), CP_ROLE_ADMIN, gw_now_ms() - 1000, &old, &err), GW_OK);
	ck_assert_int_eq(cp_token_check(auth, gw_str_c(made.secret), arena, &who, &err), GW_OK);
	ck_assert(who.role == CP_ROLE_OPERATOR && gw_str_is(who.name, "ci"));
	ck_assert_int_eq(cp_token_check(auth, gw_str_c(old.secret), arena, &who, &err), GW_DENIED);
	ck_assert_int_eq(cp_token_check(auth, GW_STR("tga_nonsense"), arena, &who, &err), GW_DENIED);
	ck_assert_int_eq(cp_token_check(auth, GW_STR("nonsense"), arena, &who, &err), GW_DENIED);
	close_all();
}
END_TEST

START_TEST(join_tokens_let_workers_in)
{
	struct cp_token_made made;
	struct gw_error err = { 0 };
	char id[32], fingerprint[65], bearer[200];
	open_all();
	memset(fingerprint, 'a', 64);
	fingerprint[64] = 0;
	ck_assert_int_eq(cp_join_token_create(store, &fx_actor, GW_STR("w"), 0, gw_str_c(fingerprint), &made, &err), GW_OK);
	ck_assert_int_eq(cp_join_token_verify(store, gw_str_c(made.secret), id, &err), GW_OK);
	ck_assert_str_eq(id, made.id);
	snprintf(bearer, sizeof bearer, "%.*s", (int)(strrchr(made.secret, '.') - made.secret), made.secret);
	ck_assert_int_eq(cp_join_token_verify(store, gw_str_c(bearer), id, &err), GW_OK);
	bearer[strlen(bearer) - 1] ^= 1;
	ck_assert_int_eq(cp_join_token_verify(store, gw_str_c(bearer), id, &err), GW_DENIED);
	ck_assert_int_eq(cp_join_token_verify(store, GW_STR("tgj_"), id, &err), GW_DENIED);
	ck_assert_int_eq(cp_join_token_verify(store, GW_STR("tgj_j-x.y"), id, &err), GW_DENIED);
	close_all();
}
END_TEST

START_TEST(keys_belong_to_one_database)
{
	struct cp_keys first, again;
	struct gw_error err = { 0 };
	uint8_t master[32] = { 1 }, wrong[32] = { 2 };
	open_all();
	ck_assert_int_eq(cp_keys_open(&first, master, store, &err), GW_OK);
	ck_assert_int_eq(cp_keys_open(&again, master, store, &err), GW_OK);
	ck_assert_mem_eq(&first, &again, sizeof first);
	ck_assert_int_eq(cp_keys_open(&again, wrong, store, &err), GW_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "master key"));
	json_t *a = cp_secret_new(&first, GW_STR("sk-0123456789abcdef"), 1000);
	ck_assert_str_eq(json_string_value(json_object_get(a, "last4")), "cdef");
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(a, "fingerprint"))), 16);
	json_t *b = cp_secret_new(&first, GW_STR("short"), 1000);
	ck_assert_str_eq(json_string_value(json_object_get(b, "last4")), "");
	json_decref(a);
	json_decref(b);
	close_all();
}
END_TEST

START_TEST(the_master_key_is_made_once)
{
	uint8_t a[32], b[32];
	char path[200];
	struct gw_error err = { 0 };
	fx_dir(dir);
	unsetenv("TIDEGATE_MASTER_KEY");
	ck_assert_int_eq(cp_master_key_load(a, dir, &err), GW_OK);
	ck_assert_int_eq(cp_master_key_load(b, dir, &err), GW_OK);
	ck_assert_mem_eq(a, b, 32);
	snprintf(path, sizeof path, "%s/master.key", dir);
	chmod(path, 0644);
	ck_assert_int_ne(cp_master_key_load(b, dir, &err), GW_OK);
	setenv("TIDEGATE_MASTER_KEY", "xyz", 1);
	ck_assert_int_eq(cp_master_key_load(b, dir, &err), GW_INVALID);
	unsetenv("TIDEGATE_MASTER_KEY");
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("auth", passwords_are_scrypt, weak_passwords_are_told, failures_cost_time, set_up_works_once, a_password_file_sets_up,
	  sessions_begin_and_end, idle_sessions_end, tokens_open_until_they_expire, join_tokens_let_workers_in,
	  keys_belong_to_one_database, the_master_key_is_made_once)
