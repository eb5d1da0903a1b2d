/*
 * reserve.c - "only this group may call these routes": the group, its members and the routes in one transaction.
 *
 * Step by step, a failure in the middle would leave a model open to everybody, or closed to those it is meant for.
 */
#include "api/internal.h"

struct reserve {
	struct cp_ctx *x;
	struct cp_change *c;
	json_t *group;                       /* its name, as a text */
	struct gw_error err;
	json_int_t members, routes;          /* that were changed */
};

/* A group nobody has made yet, with the defaults of the API. */
static enum gw_rc make_group(struct reserve *r, struct gw_str name, bool *made)
{
	struct cp_ctx *x = r->x;
	struct cp_record old;
	*made = cp_get(cp_change_view(r->c), GW_KIND_GROUP, name, x->a, &old, NULL) != GW_OK;
	if (!*made)
		return GW_OK;
	json_t *o = json_pack("{sO}", "name", r->group);
	cp_contract_check(x->api->contract, cp_contract_schema(x->api->contract, "GroupWrite"), o, x->faults);
	json_object_del(o, "name");
	enum gw_rc rc = cp_put_spec(x, r->c, GW_KIND_GROUP, name, o, CP_MUST_BE_NEW, &r->err);
	json_decref(o);
	return rc;
}

static bool holds(const json_t *list, const json_t *v)
{
	size_t i;
	json_t *o;
	json_array_foreach((json_t *)list, i, o)
		if (json_equal(o, (json_t *)v))
			return true;
	return false;
}

/* true: it is another one now. */
static bool join(const struct reserve *r, json_t *consumer)
{
	json_t *groups = json_object_get(consumer, "groups");
	if (holds(groups, r->group))
		return false;
	if (groups == NULL)
		json_object_set_new(consumer, "groups", groups = json_array());
	json_array_append(groups, r->group);
	return true;
}

static bool close_to_others(const struct reserve *r, json_t *route)
{
	json_t *auth = json_pack("{sbs[]s[O]}", "required", 1, "consumers", "groups", r->group);
	bool other = !json_equal(auth, json_object_get(route, "auth"));
	json_object_set_new(route, "auth", auth);
	return other;
}

/* Each object that `member` of the request names. */
static enum gw_rc change_all(struct reserve *r, const char *member, enum gw_kind k, bool (*change)(const struct reserve *r, json_t *o),
			     json_int_t *changed)
{
	struct cp_ctx *x = r->x;
	enum gw_rc rc = GW_OK;
	json_t *v;
	size_t i;
	json_array_foreach(json_object_get(x->body, member), i, v) {
		struct gw_str name = gw_arena_copy(x->a, gw_json_str(v));
		struct cp_record old;
		char path[64];
		snprintf(path, sizeof path, "/%s/%zu", member, i);
		if (cp_get(cp_change_view(r->c), k, name, x->a, &old, NULL) != GW_OK) {
			cp_fault_add(x->faults, path, "unknown_reference", "there is no %s \"%.*s\"", cp_kind_singular(k), GW_FMT(name));
			continue;
		}
		json_t *spec = cp_spec_parse(old.spec);
		if (rc == GW_OK && change(r, spec)) {
			rc = cp_put_spec(x, r->c, k, name, spec, CP_ANY, &r->err);
			*changed += 1;
		}
		json_decref(spec);
	}
	return rc;
}

void cp_api_reserve_for_group(struct cp_ctx *x)
{
	struct reserve r = { .x = x, .group = cp_text_json(x->param[0]) };
	struct cp_written w;
	bool made = false;
	enum gw_rc rc = cp_change_begin(&r.c, x->app->store, &x->actor, "reserve", &r.err);
	if (rc == GW_OK)
		rc = make_group(&r, x->param[0], &made);
	if (rc == GW_OK)
		rc = change_all(&r, "consumers", GW_KIND_CONSUMER, join, &r.members);
	if (rc == GW_OK)
		rc = change_all(&r, "routes", GW_KIND_ROUTE, close_to_others, &r.routes);
	json_decref(r.group);
	if (rc != GW_OK || json_array_size(x->faults) > 0) {
		cp_change_abort(&r.c);
		if (rc != GW_OK)
			cp_problem_error(x, &r.err);
		else
			cp_problem_faults(x);
		return;
	}
	if (!cp_finish(x, &r.c, NULL, &w))
		return;
	if (!x->dry_run)
		cp_revision_header(x, w.revision);
	json_t *o = json_object();
	json_object_set_new(o, "group_created", json_boolean(made));
	json_object_set_new(o, "consumers_changed", json_integer(r.members));
	json_object_set_new(o, "routes_changed", json_integer(r.routes));
	json_object_set_new(o, "warnings", w.warnings);
	cp_answer(x, 200, o);
}
