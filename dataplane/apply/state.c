/* state.c - identity and last good configuration on disk. */
#include "apply/state.h"

#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "seal.h"

#define HEAD_MAX 4096
#define JOURNAL_MIN (256u << 10) /* a journal up to this length is never too long */

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

enum gw_rc dp_state_save(struct dp_state *s, struct gw_str snapshot, const uint8_t key[32], struct gw_error *err)
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
	s->whole = rc == GW_OK;
	if (rc != GW_OK)
		return rc;
	/* If we die here, the old changes are passed over: they lead to no later revision. */
	path_of(path, s, "snapshot.journal");
	unlink(path);
	memcpy(s->key, key, sizeof s->key);
	s->last_bytes = snapshot.n;
	s->journal_bytes = 0;
	return rc;
}

enum gw_rc dp_state_add(struct dp_state *s, struct gw_str delta, const uint8_t key[32], struct gw_error *err)
{
	char path[4096];
	size_t limit = s->last_bytes / 2 > JOURNAL_MIN ? s->last_bytes / 2 : JOURNAL_MIN;
	struct gw_buf line;
	enum gw_rc rc;

	if (!s->whole || memcmp(key, s->key, sizeof s->key) != 0 || s->journal_bytes + delta.n > limit)
		return gw_fail(err, GW_CONFLICT, NULL, "the journal cannot take this change");
	path_of(path, s, "snapshot.journal");
	gw_buf_init(&line, delta.n + 1);
	gw_buf_add(&line, delta);
	gw_buf_add_byte(&line, '\n');
	rc = gw_file_append(path, gw_buf_str(&line), 0600, err);
	s->journal_bytes += line.n;
	s->whole = rc == GW_OK; /* what was written in part must not be followed by more */
	gw_buf_fini(&line);
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

/* One change off the front: its head says how long it is.  false: what follows is not one. */
static bool next_change(struct gw_str *rest, struct gw_str *out)
{
	size_t limit = rest->n < HEAD_MAX ? rest->n : HEAD_MAX;
	const char *end = limit ? memchr(rest->p, '\n', limit) : NULL;
	json_t *head = NULL;
	int64_t bytes = -1;
	size_t n;
	bool ok;

	if (!end || gw_json_parse(&head, (struct gw_str){ rest->p, (size_t)(end - rest->p) }, HEAD_MAX, NULL) != GW_OK)
		return false;
	ok = gw_json_int(head, "bytes", 0, GW_SNAPSHOT_MAX_BYTES, &bytes, NULL) == GW_OK && bytes >= 0;
	json_decref(head);
	n = (size_t)(end - rest->p) + 1 + (size_t)bytes;
	if (!ok || n >= rest->n || rest->p[n] != '\n')
		return false;
	*out = (struct gw_str){ rest->p, n };
	*rest = gw_str_from(*rest, n + 1);
	return true;
}

void dp_state_replay(struct dp_state *s, const uint8_t key[32],
                     enum gw_rc (*change)(void *arg, const struct gw_wire *w, struct gw_error *err), void *arg)
{
	struct gw_error err = { .text = "its end is torn" };
	struct gw_str rest, one;
	struct gw_buf all;
	char path[4096];
	enum gw_rc rc;

	memcpy(s->key, key, sizeof s->key);
	path_of(path, s, "snapshot.journal");
	gw_buf_init(&all, GW_SNAPSHOT_MAX_BYTES);
	rc = gw_file_read(&all, path, &err);
	rest = gw_buf_str(&all);
	s->journal_bytes = rest.n;
	if (rc == GW_NOTFOUND)
		rc = GW_OK;
	while (rc == GW_OK && rest.n > 0) {
		struct gw_wire w;

		rc = next_change(&rest, &one) ? gw_wire_parse_binary(&w, one, &err) : GW_INVALID;
		if (rc != GW_OK)
			break;
		rc = w.type == GW_WIRE_DELTA ? change(arg, &w, &err) : GW_INVALID;
		gw_wire_fini(&w);
	}
	s->whole = rc == GW_OK;
	if (rc != GW_OK)
		gw_log(GW_LOG_WARN, "snapshot", GW_STR_NONE, "the journal of changes counts up to a broken one", "%s", err.text);
	gw_buf_fini(&all);
}

enum gw_rc dp_state_load(struct dp_state *s, struct gw_buf *bytes, uint8_t key[32], struct gw_error *err)
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
	s->last_bytes = bytes->n;
	return rc;
}
