/* history.c - revisions, and the configuration as it stood at any of them. */
#include "store/sql.h"

#include "base/str.h"

#define MAX_SPEC (16u << 20)

enum gw_rc cp_revisions_each(struct cp_txn *t, uint64_t before,
			     bool (*row)(void *arg, const struct cp_revision_row *r), void *arg, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT revision, at, actor, action, kind, name, summary FROM revisions"
			       " WHERE revision < ? ORDER BY revision DESC");
	cp_sql_int(&q, before > 0 && before < INT64_MAX ? (int64_t)before : INT64_MAX);
	while (cp_sql_row(&q)) {
		struct cp_revision_row r = {
			.revision = (uint64_t)cp_col_int(&q, 0), .at_ms = cp_col_int(&q, 1),
			.actor = cp_col_text(&q, 2), .action = cp_col_text(&q, 3), .kind = cp_col_text(&q, 4),
			.name = cp_col_text(&q, 5), .summary = cp_col_text(&q, 6),
		};
		if (!row(arg, &r))
			break;
	}
	return cp_sql_close(&q, err);
}

/* out[kind][name] = {"spec","owner","ident"}; an absent spec takes the object out. */
static enum gw_rc set_object(json_t *out, struct gw_str kind, struct gw_str name, struct gw_str owner,
			     struct gw_str ident, struct gw_str spec, struct gw_error *err)
{
	json_t *of_kind = json_object_getn(out, kind.p, kind.n), *parsed = NULL;
	if (of_kind == NULL) {
		of_kind = json_object();
		json_object_setn_new(out, kind.p, kind.n, of_kind);
	}
	if (spec.p == NULL) {
		json_object_deln(of_kind, name.p, name.n);
		return GW_OK;
	}
	enum gw_rc rc = gw_json_parse(&parsed, spec, MAX_SPEC, err);
	if (rc != GW_OK)
		return rc;
	json_t *o = json_object();
	json_object_set_new(o, "spec", parsed);
	if (owner.p != NULL)
		gw_json_set_str(o, "owner", owner);
	if (ident.p != NULL)
		gw_json_set_str(o, "ident", ident);
	json_object_setn_new(of_kind, name.p, name.n, o);
	return GW_OK;
}

static enum gw_rc load_now(struct cp_txn *t, json_t *out, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc bad = GW_OK;
	for (int k = 0; k < GW_KIND_COUNT; k++) {
		if (!cp_kind_is_configuration((enum gw_kind)k))
			continue;
		struct gw_str kind = gw_str_c(gw_kind_path((enum gw_kind)k));
		json_object_setn_new(out, kind.p, kind.n, json_object());
		cp_sql_open(&q, t->db, "SELECT name, owner, ident, spec FROM objects WHERE kind = ?");
		cp_sql_text(&q, kind);
		while (bad == GW_OK && cp_sql_row(&q))
			bad = set_object(out, kind, cp_col_text(&q, 0), cp_col_text(&q, 1), cp_col_text(&q, 2),
					 cp_col_text(&q, 3), err);
		enum gw_rc rc = cp_sql_close(&q, bad == GW_OK ? err : NULL);
		if (bad != GW_OK || rc != GW_OK)
			return bad != GW_OK ? bad : rc;
	}
	return GW_OK;
}

enum gw_rc cp_config_at(struct cp_txn *t, uint64_t revision, json_t **out, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	*out = NULL;
	if (revision > t->revision)
		return gw_fail(err, GW_NOTFOUND, NULL, "revision %llu does not exist; the newest one is %llu",
			       (unsigned long long)revision, (unsigned long long)t->revision);
	json_t *config = json_object();
	enum gw_rc rc = load_now(t, config, err), bad = GW_OK;
	if (rc == GW_OK && revision < t->revision) {
		cp_sql_open(&q, t->db, "SELECT kind, name, owner, ident_before, before FROM changes WHERE revision > ?"
				       " ORDER BY revision DESC, seq DESC");
		cp_sql_int(&q, (int64_t)revision);
		while (bad == GW_OK && cp_sql_row(&q))
			bad = set_object(config, cp_col_text(&q, 0), cp_col_text(&q, 1), cp_col_text(&q, 2),
					 cp_col_text(&q, 3), cp_col_text(&q, 4), err);
		rc = cp_sql_close(&q, bad == GW_OK ? err : NULL);
		rc = bad != GW_OK ? bad : rc;
	}
	if (rc != GW_OK)
		json_decref(config);
	else
		*out = config;
	return rc;
}
