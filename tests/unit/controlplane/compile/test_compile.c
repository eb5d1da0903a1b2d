/* From the database to a worker's snapshot: what travels, under which key, and what is found to be wrong. */
#include "compile/compile.h"
#include "controlplane/fixture.h"

static struct fx f;

/* The whole as workers get it. */
static uint64_t compile(struct gw_buf *bytes)
{
	struct cp_txn *t = NULL;
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	gw_buf_init(bytes, GW_SNAPSHOT_MAX_BYTES);
	ck_assert_int_eq(cp_txn_begin(&t, f.store, NULL), GW_OK);
	enum gw_rc rc = cp_compile(&s, t, cp_store_epoch(f.store), f.catalog, &f.keys, true, &err);
	ck_assert_msg(rc == GW_OK, "%s %s", err.path, err.text);
	cp_txn_end(&t);
	ck_assert_int_eq(gw_snapshot_write(bytes, s, NULL), GW_OK);
	uint64_t revision = gw_snapshot_revision(s);
	gw_snapshot_unref(&s);
	return revision;
}

START_TEST(a_worker_can_read_it_and_nobody_else)
{
	struct gw_buf bytes;
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	fx_open(&f);
	fx_call(&f, "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"deepseek\",\"description\":\"words\",\"api_keys\":"
		"[{\"name\":\"main\",\"value\":\"sk-canary-0123456789\"},{\"name\":\"off\",\"value\":\"sk-off-0123456789\",\"enabled\":false}]}", NULL);
	ck_assert_uint_eq(f.status, 201);
	fx_call(&f, "POST", "/api/v1/routes", "{\"name\":\"r\",\"targets\":[{\"provider\":\"p\"}],\"labels\":{\"team\":\"x\"}}", NULL);
	fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", NULL);
	fx_call(&f, "POST", "/api/v1/consumers/c/keys", "{\"value\":\"brought-along-0123456789\"}", NULL);
	ck_assert_uint_eq(f.status, 201);
	ck_assert_uint_eq(compile(&bytes), 5);
	ck_assert_ptr_null(strstr(bytes.p, "canary"));
	ck_assert_ptr_null(strstr(bytes.p, "words"));
	ck_assert_ptr_null(strstr(bytes.p, "team"));
	ck_assert_ptr_null(strstr(bytes.p, "fingerprint"));
	ck_assert_ptr_null(strstr(bytes.p, "brought-along"));
	enum gw_rc rc = gw_snapshot_decode(&s, gw_buf_str(&bytes), f.keys.snapshot, f.catalog, bytes.n, &err);
	ck_assert_msg(rc == GW_OK, "%s %s", err.path, err.text);
	const struct gw_provider *p = gw_snapshot_provider(s, GW_STR("p"));
	ck_assert(p->n_keys == 1 && gw_str_is(p->keys[0].value, "sk-canary-0123456789"));
	const struct gw_consumer_key *key = gw_snapshot_key(s, GW_STR("brought-along-0123456789"));
	ck_assert(key != NULL && gw_str_is(key->consumer->name, "c") && key->enabled);
	gw_snapshot_unref(&s);
	ck_assert_int_ne(gw_snapshot_decode(&s, gw_buf_str(&bytes), f.keys.master, f.catalog, bytes.n, &err), GW_OK);
	gw_buf_fini(&bytes);
	fx_close(&f);
}
END_TEST

START_TEST(the_same_configuration_gives_the_same_bytes)
{
	struct gw_buf a, b;
	fx_open(&f);
	fx_call(&f, "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"m\",\"value\":\"sk-0123456789\"}]}", NULL);
	compile(&a);
	compile(&b);
	ck_assert(gw_str_eq(gw_buf_str(&a), gw_buf_str(&b)));
	gw_buf_fini(&a);
	gw_buf_fini(&b);
	fx_close(&f);
}
END_TEST

START_TEST(the_bytes_are_canonical)
{
	static const char *const bodies[][2] = {
		{ "/api/v1/providers", "{\"name\":\"p-2\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"m\",\"value\":\"sk-0123456789\"}]}" },
		{ "/api/v1/providers", "{\"name\":\"p.10\",\"type\":\"vllm\",\"base_url\":\"http://h/v1\"}" },
		{ "/api/v1/routes", "{\"name\":\"b\",\"targets\":[{\"provider\":\"p-2\"}]}" },
		{ "/api/v1/routes", "{\"name\":\"a1\",\"targets\":[{\"provider\":\"p.10\"}]}" },
		{ "/api/v1/consumers", "{\"name\":\"c\"}" },
	};
	struct gw_buf bytes, again;
	json_t *parsed = NULL;
	struct gw_error err = { 0 };
	fx_open(&f);
	for (size_t i = 0; i < GW_COUNT(bodies); i++)
		ck_assert_uint_eq(fx_call(&f, "POST", bodies[i][0], bodies[i][1], NULL), 201);
	uint64_t revision = compile(&bytes);
	gw_buf_init(&again, GW_SNAPSHOT_MAX_BYTES);
	ck_assert_int_eq(gw_json_parse(&parsed, gw_buf_str(&bytes), bytes.n, NULL), GW_OK);
	enum gw_rc rc = gw_snapshot_encode(&again, revision, gw_str_c(cp_store_epoch(f.store)), json_object_get(parsed, "objects"),
					   json_object_get(parsed, "pepper"), &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
	ck_assert_str_eq(bytes.p, again.p);
	json_decref(parsed);
	gw_buf_fini(&bytes);
	gw_buf_fini(&again);
	fx_close(&f);
}
END_TEST

START_TEST(a_dangling_reference_is_named)
{
	struct cp_txn *t = NULL;
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	fx_open(&f);
	fx_write(f.store, GW_KIND_ROUTE, "r", "{\"targets\":[{\"provider\":\"nobody\"}]}");
	ck_assert_int_eq(cp_txn_begin(&t, f.store, NULL), GW_OK);
	ck_assert_int_ne(cp_compile(&s, t, cp_store_epoch(f.store), f.catalog, &f.keys, true, &err), GW_OK);
	ck_assert_str_eq(err.path, "/routes/r/targets/0/provider");
	cp_txn_end(&t);
	fx_close(&f);
}
END_TEST

/* The model after each write, made from the one before, is what reading everything anew gives. */
static void same_as_whole(void)
{
	struct gw_snapshot *kept = NULL, *whole = NULL;
	struct gw_digest a, b;
	struct gw_error err = { 0 };
	struct cp_txn *t = NULL;
	enum gw_rc rc = cp_model_latest(f.model, &kept, &err);
	ck_assert_msg(rc == GW_OK, "%s %s", err.path, err.text);
	ck_assert_int_eq(cp_txn_begin(&t, f.store, NULL), GW_OK);
	ck_assert_int_eq(cp_compile(&whole, t, cp_store_epoch(f.store), f.catalog, &f.keys, true, &err), GW_OK);
	cp_txn_end(&t);
	ck_assert_uint_eq(gw_snapshot_revision(kept), gw_snapshot_revision(whole));
	gw_snapshot_state(&a, kept);
	gw_snapshot_state(&b, whole);
	ck_assert_mem_eq(&a, &b, sizeof a);
	gw_snapshot_unref(&kept);
	gw_snapshot_unref(&whole);
}

START_TEST(a_change_is_compiled_from_the_revision_before)
{
	static const struct { const char *method, *target, *body; unsigned status; } steps[] = {
		{ "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"vllm\",\"base_url\":\"http://h/v1\"}", 201 },
		{ "POST", "/api/v1/consumers", "{\"name\":\"c\",\"groups\":[\"g\"]}", 201 },
		{ "POST", "/api/v1/groups", "{\"name\":\"g\",\"models\":[\"m\"]}", 201 },
		{ "POST", "/api/v1/routes", "{\"name\":\"r\",\"targets\":[{\"provider\":\"p\"}],\"auth\":{\"consumers\":[\"c\"]}}", 201 },
		{ "POST", "/api/v1/consumers/c/keys", "{\"value\":\"brought-along-0123456789\"}", 201 },
		{ "PATCH", "/api/v1/providers/p", "{\"base_url\":\"http://other/v1\"}", 200 },
		{ "PATCH", "/api/v1/routes/r", "{\"targets\":[{\"provider\":\"nobody\"}]}", 400 },
		{ "PATCH", "/api/v1/routes/r?dry_run=true", "{\"enabled\":false}", 200 },
		{ "DELETE", "/api/v1/providers/p", NULL, 409 },
		{ "PATCH", "/api/v1/routes/r", "{\"auth\":{\"consumers\":[]}}", 200 },
		{ "PATCH", "/api/v1/routes/r", "{\"auth\":{\"consumers\":[]}}", 200 },
		{ "PATCH", "/api/v1/consumers/c", "{\"groups\":[]}", 200 },
		{ "DELETE", "/api/v1/groups/g", NULL, 204 },
		{ "DELETE", "/api/v1/consumers/c", NULL, 204 },
		{ "DELETE", "/api/v1/routes/r", NULL, 204 },
		{ "DELETE", "/api/v1/providers/p", NULL, 204 },
	};
	fx_open(&f);
	same_as_whole(); /* from here on nothing is read whole */
	for (size_t i = 0; i < GW_COUNT(steps); i++) {
		fx_call(&f, steps[i].method, steps[i].target, steps[i].body, NULL);
		ck_assert_msg(f.status == steps[i].status, "%s %s: %u %s", steps[i].method, steps[i].target, f.status, f.text);
		same_as_whole();
	}
	fx_close(&f);
}
END_TEST

UNIT_MAIN("compile", a_worker_can_read_it_and_nobody_else, the_same_configuration_gives_the_same_bytes, the_bytes_are_canonical,
	  a_dangling_reference_is_named, a_change_is_compiled_from_the_revision_before)
