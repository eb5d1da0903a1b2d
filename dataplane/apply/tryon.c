/* tryon.c - decoding and checking a configuration. */
#include "apply/tryon.h"

#include <malloc.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "http/headers.h"
#include "http/target.h"
#include "net/dial.h"
#include "net/tls_server.h"
#include "seal.h"

#define MAX_FILE (64u << 20)

static enum gw_rc check_provider(const struct gw_provider *p, struct gw_error *err)
{
	struct dp_base_url u;
	char why[200];

	for (size_t i = 0; i < p->n_endpoints; i++) {
		if (!dp_base_url_parse(&u, p->endpoints[i].url, why, sizeof why)) {
			gw_fail(err, GW_INVALID, NULL, "%s", why);
			gw_error_prefix(err, "/objects/providers/%.*s/endpoints/%zu/url", GW_FMT(p->name), i);
			return GW_INVALID;
		}
	}
	for (size_t i = 0; i < p->n_headers; i++) {
		if (!dp_header_ok(p->headers[i].name, p->headers[i].value)) {
			gw_fail(err, GW_INVALID, NULL, "the header cannot be sent: its name or value has bytes that HTTP does not allow");
			gw_error_prefix(err, "/objects/providers/%.*s/headers/%.*s", GW_FMT(p->name), GW_FMT(p->headers[i].name));
			return GW_INVALID;
		}
	}
	for (size_t i = 0; i < p->n_keys; i++) {
		if (!dp_value_ok(p->keys[i].value)) {
			gw_fail(err, GW_INVALID, NULL, "the key cannot be sent in a header: it has blanks at its ends or control bytes");
			gw_error_prefix(err, "/objects/providers/%.*s/api_keys/%zu/value", GW_FMT(p->name), i);
			return GW_INVALID;
		}
	}
	if (p->tls.ca_pem.n > 0 && dp_tls_check_pem(p->tls.ca_pem, err) != GW_OK) {
		gw_error_prefix(err, "/objects/providers/%.*s/tls/ca_pem", GW_FMT(p->name));
		return GW_INVALID;
	}
	return GW_OK;
}

static enum gw_rc check_tls(const struct gw_tls_settings *t, struct gw_error *err)
{
	struct dp_tls_server *server = NULL;
	enum gw_rc rc = t->mode == GW_TLS_OFF ? GW_OK : dp_tls_server_open(&server, t, err);

	dp_tls_server_unref(&server);
	if (rc != GW_OK)
		gw_error_prefix(err, "/objects/settings/settings/tls");
	return rc;
}

struct check { struct gw_error *err; enum gw_rc rc; };

static void check_one(void *arg, const void *view)
{
	struct check *c = arg;

	if (c->rc == GW_OK)
		c->rc = check_provider(view, c->err);
}

/* Providers that `base` has too were checked then. */
static enum gw_rc check_new(struct gw_snapshot **s, const struct gw_snapshot *base, struct gw_error *err)
{
	struct check c = { err, GW_OK };

	gw_snapshot_each_new(*s, base, GW_KIND_PROVIDER, check_one, &c);
	if (c.rc == GW_OK)
		c.rc = check_tls(&gw_snapshot_settings(*s)->tls, err);
	if (c.rc != GW_OK)
		gw_snapshot_unref(s);
	return c.rc;
}

enum gw_rc dp_tryon(struct gw_snapshot **out, struct gw_str bytes, const uint8_t key[32], const struct gw_catalog *cat,
                    struct gw_error *err)
{
	enum gw_rc rc = gw_snapshot_decode(out, bytes, key, cat, GW_SNAPSHOT_MAX_BYTES, err);

	malloc_trim(0); /* the document as a tree was many times the size of what is kept of it */
	return rc == GW_OK ? check_new(out, NULL, err) : rc;
}

enum gw_rc dp_tryon_delta(struct gw_snapshot **out, const struct gw_snapshot *base, const struct dp_delta *d,
                          const uint8_t key[32], const struct gw_catalog *cat, struct gw_error *err)
{
	struct gw_digest state;
	enum gw_rc rc;

	*out = NULL;
	if (!gw_str_eq(gw_snapshot_epoch(base), d->epoch) || gw_snapshot_revision(base) != d->base)
		return gw_fail(err, GW_CONFLICT, NULL, "this worker does not serve revision %llu, from which the change begins",
			       (unsigned long long)d->base);
	rc = gw_snapshot_patch(out, base, d->bytes, d->revision, key, cat, err);
	if (rc != GW_OK)
		return rc;
	gw_snapshot_state(&state, *out);
	if (memcmp(&state, &d->state, sizeof state) != 0) {
		gw_snapshot_unref(out);
		return gw_fail(err, GW_CONFLICT, NULL, "the change does not lead to the configuration that it announces");
	}
	return check_new(out, base, err);
}

/* ---- a file written by a person ---- */

/* "secret":"tgk_…" of a key becomes the hash that the format wants. */
static void hash_keys(json_t *doc, struct gw_str pepper)
{
	json_t *consumers = json_object_get(json_object_get(doc, "objects"), "consumers"), *c, *k;
	const char *name;
	size_t i;

	json_object_foreach(consumers, name, c) {
		json_array_foreach(json_object_get(c, "keys"), i, k) {
			struct gw_str secret = gw_json_str(json_object_get(k, "secret"));
			uint8_t sum[32];
			char hex[GW_HEX_LEN(32)];

			if (!secret.p)
				continue;
			gw_sha256_2(sum, pepper, secret);
			gw_hex(hex, sum, sizeof sum);
			json_object_set_new(k, "hash", json_string(hex));
			json_object_del(k, "secret");
		}
	}
}

enum gw_rc dp_tryon_file(struct gw_snapshot **out, const char *path, const struct gw_catalog *cat, struct gw_error *err)
{
	struct gw_buf text;
	json_t *doc = NULL;
	uint8_t key[32];
	enum gw_rc rc;

	*out = NULL;
	gw_buf_init(&text, MAX_FILE);
	rc = gw_file_read_secret(&text, path, err);
	if (rc == GW_OK)
		rc = gw_json_parse(&doc, gw_buf_str(&text), MAX_FILE, err);
	if (rc == GW_OK) {
		struct gw_str pepper = gw_json_str(json_object_get(doc, "pepper"));

		gw_random(key, sizeof key);
		if (pepper.p || !json_object_get(doc, "pepper")) {
			struct gw_str used = pepper.p ? pepper : GW_STR("static");

			hash_keys(doc, used);
			json_object_set_new(doc, "pepper", gw_seal(key, used));
		}
		gw_buf_clear(&text);
		rc = gw_json_write(&text, doc, true);
	}
	if (rc == GW_OK)
		rc = dp_tryon(out, gw_buf_str(&text), key, cat, err);
	if (doc)
		json_decref(doc);
	if (text.p)
		gw_secret_wipe(text.p, text.n);
	gw_buf_fini(&text);
	gw_secret_wipe(key, sizeof key);
	return rc;
}
