/* state.c - identity and last good configuration on disk. */
#include "apply/state.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "seal.h"

#define HEAD_MAX 4096

static void path_of(char out[4096], const struct dp_state *s, const char *name)
{
	snprintf(out, 4096, "%s/%s", s->dir, name);
}

static enum gw_rc read_node_id(struct dp_state *s, struct gw_error *err)
{
	char path[4096];
	uint8_t bytes[16];
	struct gw_buf b;
	enum gw_rc rc;

	path_of(path, s, "node-id");
	gw_buf_init(&b, 256);
	rc = gw_file_read(&b, path, err);
	if (rc == GW_OK && !gw_unhex(bytes, sizeof bytes, gw_str_trim(gw_buf_str(&b))))
		rc = gw_fail(err, GW_INVALID, NULL, "%s does not hold 32 hex digits; remove it to become a new node", path);
	else if (rc == GW_OK)
		gw_hex(s->node_id, bytes, sizeof bytes);
	if (rc == GW_NOTFOUND) {
		gw_random(bytes, sizeof bytes);
		gw_hex(s->node_id, bytes, sizeof bytes);
		rc = gw_file_replace(path, gw_str_c(s->node_id), 0600, err);
	}
	gw_buf_fini(&b);
	return rc;
}

enum gw_rc dp_state_open(struct dp_state *s, const char *dir, struct gw_str token_secret, struct gw_error *err)
{
	enum gw_rc rc;

	memset(s, 0, sizeof *s);
	if (strlen(dir) >= sizeof s->dir)
		return gw_fail(err, GW_INVALID, NULL, "--state-dir is too long");
	snprintf(s->dir, sizeof s->dir, "%s", dir);
	gw_derive_key(s->node_key, token_secret, "tidegate node key");
	rc = gw_dir_make(dir, 0700, err);
	return rc == GW_OK ? read_node_id(s, err) : rc;
}

enum gw_rc dp_state_save(const struct dp_state *s, struct gw_str snapshot, const uint8_t key[32], struct gw_error *err)
{
	char path[4096], hex[GW_HEX_LEN(32)];
	json_t *head = json_object();
	struct gw_buf out;
	enum gw_rc rc;

	gw_hex(hex, key, 32);
	json_object_set_new(head, "format", json_integer(1));
	json_object_set_new(head, "key", gw_seal(s->node_key, gw_str_c(hex)));
	gw_secret_wipe(hex, sizeof hex);
	gw_buf_init(&out, snapshot.n + HEAD_MAX);
	rc = gw_json_write(&out, head, true);
	gw_buf_add_byte(&out, '\n');
	gw_buf_add(&out, snapshot);
	json_decref(head);
	path_of(path, s, "snapshot.last");
	if (rc == GW_OK)
		rc = gw_file_replace(path, gw_buf_str(&out), 0600, err);
	gw_buf_fini(&out);
	return rc;
}

static enum gw_rc open_head(const struct dp_state *s, struct gw_str line, uint8_t key[32], struct gw_error *err)
{
	struct gw_arena *a = gw_arena_open(512);
	json_t *head = NULL;
	struct gw_str hex = GW_STR_NONE;
	enum gw_rc rc = gw_json_parse(&head, line, HEAD_MAX, err);

	if (rc == GW_OK)
		rc = gw_unseal_value(s->node_key, json_object_get(head, "key"), a, &hex, err);
	if (rc == GW_OK && !gw_unhex(key, 32, hex))
		rc = gw_fail(err, GW_INVALID, NULL, "the key of the last good snapshot is damaged");
	json_decref(head);
	gw_arena_close(&a);
	return rc;
}

enum gw_rc dp_state_load(const struct dp_state *s, struct gw_buf *bytes, uint8_t key[32], struct gw_error *err)
{
	char path[4096];
	const char *end;
	enum gw_rc rc;
	size_t n;

	path_of(path, s, "snapshot.last");
	rc = gw_file_read(bytes, path, err);
	if (rc != GW_OK)
		return rc;
	n = bytes->n < HEAD_MAX ? bytes->n : HEAD_MAX;
	end = n ? memchr(bytes->p, '\n', n) : NULL;
	if (!end)
		return gw_fail(err, GW_INVALID, NULL, "%s is damaged", path);
	n = (size_t)(end - bytes->p);
	rc = open_head(s, (struct gw_str){ bytes->p, n }, key, err);
	gw_buf_drop_front(bytes, n + 1);
	return rc;
}
