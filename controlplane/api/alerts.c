/* alerts.c - rules, channels and silences beyond what the engine does for every kind, and what fired. */
#include "api/internal.h"

#include <stdio.h>

#include "alerts/alerts.h"
#include "base/log.h"
#include "store/alert_store.h"

#define DAY_MS (24LL * 3600 * 1000)

/* ---- checks ---- */

static const struct gw_field secret_fields[] = {
	{ .name = "url", .type = GW_T_SECRET, .max = 2048 },
	{ .name = "secret", .type = GW_T_SECRET, .max = 512 },
	{ .name = "password", .type = GW_T_SECRET, .max = 512 },
	{ .name = NULL, .type = GW_T_END },
};

static void fault_at(struct cp_ctx *x, const char *path, const char *member, const char *code, const char *text)
{
	char where[160];
	snprintf(where, sizeof where, "%s%s", path, member);
	cp_fault_add(x->faults, where, code, "%s", text);
}

/* A stored password goes to the server it was given for, and to no other: whoever may change the host must know it. */
static void keep_password(struct cp_ctx *x, const json_t *body, const json_t *old, bool sent, const char *path)
{
	static const char *const places[] = { "host", "port", "security" };
	const json_t *was = json_object_get(old, "smtp"), *is = json_object_get(body, "smtp");
	bool moved = false;
	for (size_t i = 0; i < GW_COUNT(places); i++)
		moved |= !json_equal(json_object_get(was, places[i]), json_object_get(is, places[i]));
	moved |= !json_equal(json_object_get(old, "ca_pem"), json_object_get(body, "ca_pem"));
	if (!sent && moved && json_object_get(old, "password") != NULL)
		fault_at(x, path, "/password", "secret_required",
			 "the mail server, its port, its security or its authorities change: give the password again");
}

void cp_seal_alert_channel(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	bool mail = gw_str_is(gw_json_str(json_object_get(body, "type")), "email");
	const json_t *smtp = json_object_get(body, "smtp");
	bool password_sent = json_is_string(json_object_get(body, "password"));
	if (old != NULL && !json_equal(json_object_get(old, "type"), json_object_get(body, "type"))) {
		fault_at(x, path, "/type", "read_only", "the type of a channel cannot change: create another one");
		return;
	}
	if (mail && old != NULL)
		keep_password(x, body, old, password_sent, path);
	cp_seal_fields(x, secret_fields, body, old, path);
	if (!mail && json_object_get(body, "url") == NULL)
		fault_at(x, path, "/url", "secret_required", "no address is stored yet, so `url` must be given");
	if (mail && gw_json_str(json_object_get(smtp, "host")).n == 0)
		fault_at(x, path, "/smtp/host", "required", "a channel of type email needs the mail server's name");
	if (mail && gw_json_str(json_object_get(smtp, "from")).n == 0)
		fault_at(x, path, "/smtp/from", "required", "a channel of type email needs a sender");
	if (mail && json_array_size(json_object_get(smtp, "to")) == 0)
		fault_at(x, path, "/smtp/to", "required", "a channel of type email needs a receiver");
}

static void check_duration(struct cp_ctx *x, const json_t *body, const char *name, int64_t least_ms, const char *path)
{
	int64_t ms = 0;
	char where[160], least[GW_DURATION_LEN];
	if (!gw_duration_parse(gw_json_str(json_object_get(body, name)), &ms) || (ms >= least_ms && ms <= DAY_MS))
		return;
	snprintf(where, sizeof where, "%s/%s", path, name);
	gw_duration_format(least, least_ms);
	cp_fault_add(x->faults, where, "out_of_range", "%s must be from %s to 24h", name, least);
}

/* A rule is judged once, as it would be every ten seconds: what cannot be judged is refused. */
void cp_seal_alert(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct cp_rule rule;
	struct cp_cases cases;
	struct cp_alerts_options o = { .store = x->app->store };
	(void)old;
	check_duration(x, body, "window", 10000, path);
	check_duration(x, body, "for", 0, path);
	check_duration(x, body, "repeat", 0, path);
	if (json_array_size(x->faults) > 0 || cp_txn_begin(&t, x->app->store, &err) != GW_OK)
		return;
	bool series = cp_rule_read(&rule, GW_STR("rule"), cp_json_text(x, body), x->a) && rule.watch == CP_WATCH_SERIES;
	if (series && cp_watch_look(&cases, &rule, &o, t, gw_now_ms(), x->a, &err) != GW_OK) {
		bool by = strcmp(err.path, "?by") == 0;
		char where[160];
		snprintf(where, sizeof where, by ? "%s/by" : strcmp(err.path, "?metric") == 0 ? "%s/metric" : "%s/only/%s", path, err.path + 1);
		cp_fault_add(x->faults, where, "conflict", "%s", err.text);
	}
	const char *misfit = series && json_array_size(x->faults) == 0 ? cp_rule_misfit(&rule, t, x->a) : NULL;
	if (misfit != NULL)
		cp_fault_add(x->faults, gw_arena_printf(x->a, "%s/statistic", path).p, "conflict", "%s", misfit);
	cp_txn_end(&t);
}

struct references { struct cp_ctx *x; struct cp_txn *t; enum gw_rc rc; struct gw_error *err; };

static bool check_references(void *arg, const struct cp_record *r)
{
	struct references *f = arg;
	struct cp_record channel;
	json_t *spec = cp_spec_parse(r->spec);
	const json_t *list = json_object_get(spec, "channels");
	for (size_t i = 0; i < json_array_size(list) && f->rc == GW_OK; i++) {
		char path[160];
		struct gw_str name = gw_json_str(json_array_get(list, i));
		snprintf(path, sizeof path, "/alerts/%.*s/channels/%zu", GW_FMT(r->name), i);
		if (cp_get(f->t, GW_KIND_ALERT_CHANNEL, name, f->x->a, &channel, NULL) == GW_NOTFOUND)
			f->rc = gw_fail(f->err, GW_INVALID, path, "there is no channel \"%.*s\"", GW_FMT(name));
	}
	json_decref(spec);
	return f->rc == GW_OK;
}

static void note_alert_kind(void *arg, enum gw_kind k, struct gw_str name, struct gw_str owner)
{
	(void)name, (void)owner;
	*(bool *)arg |= k == GW_KIND_ALERT || k == GW_KIND_ALERT_CHANNEL;
}

enum gw_rc cp_check_alert_channels(struct cp_ctx *x, struct cp_change *c, struct gw_error *err)
{
	struct references f = { x, cp_change_view(c), GW_OK, err };
	bool touched = false;
	cp_change_each(c, note_alert_kind, &touched);
	if (!touched)
		return GW_OK;
	enum gw_rc rc = cp_each(f.t, GW_KIND_ALERT, GW_STR_NONE, check_references, &f, err);
	return f.rc != GW_OK ? f.rc : rc;
}

void cp_seal_silence(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	int64_t from = 0, to = 0;
	(void)old;
	gw_time_parse(gw_json_str(json_object_get(body, "starts_at")), &from);
	gw_time_parse(gw_json_str(json_object_get(body, "ends_at")), &to);
	if (from >= to)
		fault_at(x, path, "/ends_at", "out_of_range", "a silence must end after it starts");
}

/* ---- the test button ---- */

void cp_api_test_alert_channel(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	if (x->app->alerts == NULL) {
		cp_problem(x, 503, "unavailable", NULL, "this control plane has no alerts");
		return;
	}
	if (!cp_wait_begin(x)) {
		cp_wait_end(x);
		return;
	}
	enum gw_rc rc = cp_alerts_test(x->app->alerts, x->param[0], &err);
	cp_wait_end(x);
	if (rc == GW_NOTFOUND) {
		cp_problem_error(x, &err);
		return;
	}
	struct cp_audit_note n = { .action = "alert-channel.test", .outcome = rc == GW_OK ? "ok" : "failed", .kind = GW_STR("alert-channels"),
		.name = x->param[0] };
	struct gw_error audit = { 0 };
	if (cp_audit_add(x->app->store, &x->actor, &n, &audit) != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "test of a channel not audited", "%s", audit.text);
	json_t *o = json_object();
	json_object_set_new(o, "ok", json_boolean(rc == GW_OK));
	json_object_set_new(o, "detail", json_string(rc == GW_OK ? "" : err.text));
	cp_answer(x, 200, o);
}

/* ---- history ---- */

struct history { json_t *items; size_t limit; bool more; int64_t last; };

static bool add_event(void *arg, const struct cp_alert_event *e)
{
	struct history *h = arg;
	if (json_array_size(h->items) == h->limit) {
		h->more = true;
		return false;
	}
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(e->id));
	gw_json_set_str(o, "rule", e->rule);
	gw_json_set_str(o, "object", e->object);
	gw_json_set_str(o, "severity", e->severity);
	gw_json_set_str(o, "text", e->text);
	gw_json_set_str(o, "text_zh", e->text_zh.n > 0 ? e->text_zh : e->text);
	json_object_set_new(o, "value", json_real(e->value));
	gw_json_set_time(o, "started_at", e->started_at_ms);
	gw_json_set_time(o, "ended_at", e->ended_at_ms);
	json_object_set_new(o, "silenced", json_boolean(e->silenced));
	json_array_append_new(h->items, o);
	h->last = e->id;
	return true;
}

static bool add_delivery(void *arg, const struct cp_delivery *d)
{
	json_t *o = json_object();
	gw_json_set_str(o, "channel", d->channel);
	gw_json_set_str(o, "state", d->state);
	gw_json_set_time(o, "at", d->at_ms);
	json_object_set_new(o, "tries", json_integer(d->tries));
	json_object_set_new(o, "ok", json_boolean(d->ok));
	json_object_set_new(o, "pending", json_boolean(d->pending));
	gw_json_set_str(o, "detail", d->detail);
	json_array_append_new(arg, o);
	return true;
}

void cp_api_list_alert_events(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct gw_str cursor = cp_query_text(x, "cursor");
	struct history h = { .items = json_array(), .limit = (size_t)cp_query_int(x, "limit", 50) };
	int64_t before = 0;
	if (cursor.n > 0 && !gw_str_int(cursor, 1, INT64_MAX, &before)) {
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
		json_decref(h.items);
		cp_problem_faults(x);
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_alerts_each(t, cp_query_text(x, "rule"), gw_str_is(cp_query_text(x, "state"), "firing"), before, add_event, &h, &err);
	for (size_t i = 0; rc == GW_OK && i < json_array_size(h.items); i++) {
		json_t *o = json_array_get(h.items, i), *deliveries = json_array();
		json_object_set_new(o, "deliveries", deliveries);
		rc = cp_deliveries_each(t, json_integer_value(json_object_get(o, "id")), add_delivery, deliveries, &err);
	}
	cp_txn_end(&t);
	if (rc != GW_OK) {
		json_decref(h.items);
		cp_problem_error(x, &err);
		return;
	}
	json_int_t n = (json_int_t)json_array_size(h.items);
	cp_answer(x, 200, cp_list_json(h.items, h.more ? gw_arena_printf(x->a, "%lld", (long long)h.last).p : NULL, n));
}
