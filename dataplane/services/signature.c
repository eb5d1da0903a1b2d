/* signature.c - reading, checking and remembering signed requests. */
#include "services/signature.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "http/headers.h"

#define SHARES 16
#define SHARE_MAX 65536           /* nonces; a million in all, which is 1,700 signed requests a second */

/* ---- reading ---- */

static struct gw_str scheme_rest(const struct dp_head *h)
{
	struct gw_str v = dp_header_find(h->headers, h->n_headers, "authorization"), scheme = GW_STR(DP_SIGN_SCHEME " ");

	return v.n > scheme.n && gw_str_ieq((struct gw_str){ v.p, scheme.n }, scheme) ? gw_str_from(v, scheme.n) : GW_STR_NONE;
}

bool dp_sign_present(const struct dp_head *h)
{
	return scheme_rest(h).p != NULL;
}

static bool is_token(struct gw_str s, size_t min, size_t max)
{
	if (s.n < min || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

/* One header of this name, not none and not two. */
static struct gw_str only(const struct dp_head *h, const char *name)
{
	return dp_header_count(h->headers, h->n_headers, name) == 1 ? dp_header_find(h->headers, h->n_headers, name) : GW_STR_NONE;
}

bool dp_sign_read(struct dp_signed *out, const struct dp_head *h, int64_t now_ms, struct dp_refusal *why)
{
	struct gw_str rest = scheme_rest(h);
	int64_t date;

	memset(out, 0, sizeof *out);
	if (dp_header_count(h->headers, h->n_headers, "authorization") != 1)
		return dp_refuse(why, DP_E_SIGN_MALFORMED, "The request has more than one Authorization header.");
	if (dp_header_count(h->headers, h->n_headers, "content-type") > 1)
		return dp_refuse(why, DP_E_SIGN_MALFORMED, "The request has more than one Content-Type header.");
	while (rest.p) {
		struct gw_str value = gw_str_trim(gw_str_cut(&rest, ',')), name = gw_str_cut(&value, '=');

		if (gw_str_ieq(name, GW_STR("KeyId")))
			out->key_id = value;
		else if (gw_str_ieq(name, GW_STR("Signature")))
			out->signature = value;
	}
	out->date = only(h, "x-tidegate-date");
	out->nonce = only(h, "x-tidegate-nonce");
	if (!is_token(out->key_id, 4, 64) || out->signature.n != 64)
		return dp_refuse(why, DP_E_SIGN_MALFORMED, "Authorization must be '" DP_SIGN_SCHEME " KeyId=<id>,Signature=<64 hex digits>'.");
	if (!is_token(out->nonce, 16, 64))
		return dp_refuse(why, DP_E_SIGN_MALFORMED, "X-Tidegate-Nonce must be 16 to 64 letters, digits, '-', '_' or '.'.");
	if (!gw_unhex(out->body, sizeof out->body, only(h, "x-tidegate-content-sha256")))
		return dp_refuse(why, DP_E_SIGN_MALFORMED, "X-Tidegate-Content-SHA256 must be the SHA-256 of the body in 64 hex digits.");
	if (!gw_time_parse(out->date, &date))
		return dp_refuse(why, DP_E_SIGN_MALFORMED, "X-Tidegate-Date must be a time such as 2026-03-01T08:00:00Z.");
	if (date < now_ms - DP_SIGN_WINDOW_MS || date > now_ms + DP_SIGN_WINDOW_MS)
		return dp_refuse(why, DP_E_SIGN_TIME, "X-Tidegate-Date is more than five minutes away from the gateway's clock.");
	return true;
}

/* ---- checking ---- */

static void line(struct gw_buf *b, struct gw_str s)
{
	gw_buf_add(b, s);
	gw_buf_add_byte(b, '\n');
}

bool dp_sign_ok(const struct dp_signed *s, const struct dp_head *h, struct gw_str secret)
{
	struct gw_str type = dp_header_find(h->headers, h->n_headers, "content-type");
	char digest[GW_HEX_LEN(32)];
	uint8_t want[32], got[32];
	struct gw_buf text;

	gw_hex(digest, s->body, sizeof s->body);
	gw_buf_init(&text, 1u << 20);
	line(&text, GW_STR(DP_SIGN_SCHEME));
	line(&text, s->date);
	line(&text, s->nonce);
	line(&text, h->method);
	line(&text, h->host);
	line(&text, h->target);
	line(&text, type);
	line(&text, gw_str_c(digest));
	gw_hmac_sha256(want, secret, gw_buf_str(&text));
	gw_buf_fini(&text);
	return gw_unhex(got, sizeof got, s->signature) &&
	       gw_secret_eq((struct gw_str){ (const char *)want, sizeof want }, (struct gw_str){ (const char *)got, sizeof got });
}

/* ---- nonces ---- */

/* One that was used, also the map's key; kept in the order of arrival, so the oldest ones are at the front. */
struct used {
	struct gw_node node;
	int64_t until_ms;
	uint8_t hash[32];
};

struct dp_nonces {
	unsigned magic;
#define DP_NONCES_MAGIC 0x40cece50u
	struct share {
		pthread_mutex_t lock;
		struct gw_map *map;
		struct gw_node order;
	} share[SHARES];
};

struct dp_nonces *dp_nonces_open(void)
{
	struct dp_nonces *n = gw_alloc(sizeof *n);

	n->magic = DP_NONCES_MAGIC;
	for (size_t i = 0; i < SHARES; i++) {
		pthread_mutex_init(&n->share[i].lock, NULL);
		n->share[i].map = gw_map_open(16);
		gw_list_init(&n->share[i].order);
	}
	return n;
}

static void drop_first(struct share *s)
{
	struct used *u = GW_CONTAINER(s->order.next, struct used, node);

	gw_map_del(s->map, (struct gw_str){ (const char *)u->hash, sizeof u->hash });
	gw_list_del(&u->node);
	free(u);
}

void dp_nonces_close(struct dp_nonces **np)
{
	struct dp_nonces *n = *np;

	if (!n)
		return;
	*np = NULL;
	GW_CHECK(n, DP_NONCES_MAGIC);
	for (size_t i = 0; i < SHARES; i++) {
		while (!gw_list_empty(&n->share[i].order))
			drop_first(&n->share[i]);
		gw_map_close(&n->share[i].map);
		pthread_mutex_destroy(&n->share[i].lock);
	}
	n->magic = 0;
	free(n);
}

bool dp_nonce_first(struct dp_nonces *n, struct gw_str key_id, struct gw_str nonce, int64_t now_ms, bool *full)
{
	uint8_t hash[32];
	struct share *s;
	bool first;
	struct gw_str key = { (const char *)hash, sizeof hash };

	GW_CHECK(n, DP_NONCES_MAGIC);
	*full = false;
	gw_hmac_sha256(hash, key_id, nonce);
	s = &n->share[hash[0] % SHARES];
	pthread_mutex_lock(&s->lock);
	while (!gw_list_empty(&s->order) && GW_CONTAINER(s->order.next, struct used, node)->until_ms <= now_ms)
		drop_first(s);
	first = gw_map_get(s->map, key) == NULL;
	*full = first && gw_map_count(s->map) >= SHARE_MAX;
	if (first && !*full) {
		struct used *u = gw_alloc(sizeof *u);

		memcpy(u->hash, hash, sizeof hash);
		u->until_ms = now_ms + 2 * DP_SIGN_WINDOW_MS;
		gw_list_add_tail(&s->order, &u->node);
		gw_map_put(s->map, (struct gw_str){ (const char *)u->hash, sizeof u->hash }, u);
	}
	pthread_mutex_unlock(&s->lock);
	return first && !*full;
}
