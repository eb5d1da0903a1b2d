/*
 * authn.c - who asks: an API key, a name with a key as its password, a JSON Web Token, a signed request or a client
 * certificate.
 *
 * What stands in the headers counts before the certificate of the connection, and only one of them may stand there.
 * Nearly always the head decides.  Two things can come later: the keys of a token's issuer, if they have to be fetched,
 * and the body of a signed request, whose digest is compared when it is whole.
 *
 * On routes that want no key an unknown one is ignored, since OpenAI's SDKs cannot be told to send none; a token of a
 * known issuer or a signature that is wrong is refused everywhere.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "exchange/impl.h"

static const char unknown_key[] = "The API key is not known here. Check it, or issue a new one in the console under Consumers.";
static const char no_key[] = "No API key was given. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'; keys are issued in the "
                             "console under Consumers.";

/* The credential is right; may it be used, and may its consumer? */
static bool admit(struct dp_exchange *x, const struct gw_consumer_key *key, enum dp_code code, const char *what, struct dp_refusal *why)
{
	x->key = key;
	if (!key->enabled)
		return dp_refuse(why, code, "This %s is disabled.", what);
	if (key->expires_at_ms && key->expires_at_ms <= x->wall_ms)
		return dp_refuse(why, code, "This %s has expired.", what);
	if (!key->consumer->enabled)
		return dp_refuse(why, code, "The consumer that this %s belongs to is disabled.", what);
	x->consumer = key->consumer;
	return true;
}

/* ---- tokens ---- */

/* Which consumer stands behind a token that is right. */
static bool stand_behind(struct dp_exchange *x, const struct dp_jwt_identity *id, struct dp_refusal *why)
{
	const struct gw_jwt_issuer *issuer = x->auth.issuer;
	const struct gw_consumer_key *key =
		id->who.p ? gw_snapshot_credential(x->snapshot, GW_CREDENTIAL_JWT, issuer->name, id->who) : NULL;
	const struct gw_consumer *c = NULL;

	if (key) {
		if (!admit(x, key, DP_E_TOKEN_SUBJECT, "credential", why))
			return false;
	} else {
		if (id->who.p && issuer->claim_is_consumer)
			c = gw_snapshot_consumer(x->snapshot, id->who);
		if (!c && issuer->default_consumer.p)
			c = gw_snapshot_consumer(x->snapshot, issuer->default_consumer);
		if (!c)
			return dp_refuse(why, DP_E_TOKEN_SUBJECT, "The token is valid, but its `%.*s` belongs to no consumer here.",
			                 GW_FMT(issuer->consumer_claim));
		if (!c->enabled)
			return dp_refuse(why, DP_E_TOKEN_SUBJECT, "The consumer that this token belongs to is disabled.");
		x->consumer = c;
	}
	if (id->n_groups)
		x->consumer = gw_consumer_in_groups(x->snapshot, x->consumer, id->groups, id->n_groups, x->a);
	return true;
}

static bool check_token(struct dp_exchange *x, bool may_wait, struct dp_refusal *why)
{
	struct dp_jwt_identity id;
	bool fresh;
	struct gw_jwks keys = dp_jwks_get(x->shard->jwks, x->auth.issuer, &fresh);

	if (dp_jwt_check(x->auth.token, x->auth.issuer, &keys, x->wall_ms, x->a, &id, why))
		return stand_behind(x, &id, why);
	if (why->code != DP_E_TOKEN_KEY)
		return false;
	if (may_wait && fresh) {
		x->auth.waiting = true;
		return true;
	}
	if (keys.n == 0)
		dp_refuse(why, DP_E_AUTH_UNAVAILABLE, "The keys of the token's issuer `%.*s` could not be fetched; try again.",
		          GW_FMT(x->auth.issuer->name));
	return false;
}

/* The answer that the client was promised, now that it is known who asks; or the refusal. */
static void decide_late(struct dp_exchange *x)
{
	if (x->refused) {
		if (x->whole || dp_x_refuse_now(x))
			dp_answer_refusal(x, x->refusal);
		return;
	}
	if (x->auth.continue_after)
		dp_x_continue(x);
	if (x->whole && dp_x_authn_whole(x))
		dp_x_known(x);
}

static void keys_came(struct dp_jwks_wait *w)
{
	struct dp_exchange *x = GW_CONTAINER(w, struct dp_exchange, auth.wait);
	struct dp_refusal why;

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	x->auth.waiting = false;
	if (x->ended || x->head_sent || x->refused)
		return;
	if (!check_token(x, false, &why))
		dp_x_note_refusal(x, &why);
	decide_late(x);
}

static bool by_token(struct dp_exchange *x, struct gw_str text, struct dp_refusal *why)
{
	struct dp_jwt *t = x->auth.token = gw_arena_alloc(x->a, sizeof *t);

	if (!dp_jwt_open(t, text, x->a, why))
		return false;
	x->auth.issuer = t->iss.p ? gw_snapshot_jwt_issuer(x->snapshot, t->iss) : NULL;
	if (!x->auth.issuer && x->shard->any_open_route)
		return true;
	if (!x->auth.issuer)
		return dp_refuse(why, DP_E_TOKEN_ISSUER, "The token's issuer (`iss`) is not known here.");
	if (!check_token(x, true, why))
		return false;
	if (x->auth.waiting) {
		x->auth.wait.done = keys_came;
		dp_jwks_ask(x->shard->jwks, x->auth.issuer, &x->auth.wait);
	}
	return true;
}

/* ---- signed requests ---- */

static bool by_signature(struct dp_exchange *x, struct dp_refusal *why)
{
	struct dp_signed *s = x->auth.sign = gw_arena_alloc(x->a, sizeof *s);
	const struct gw_consumer_key *key;
	bool conflict, full;

	if (dp_credential(x->head->headers, x->head->n_headers, &conflict).p)
		return dp_refuse(why, DP_E_BAD_KEY, "The request is signed and carries an API key as well; send one.");
	if (!dp_sign_read(s, x->head, x->wall_ms, why))
		return false;
	key = gw_snapshot_credential(x->snapshot, GW_CREDENTIAL_HMAC, GW_STR(""), s->key_id);
	if (!key)
		return dp_refuse(why, DP_E_SIGN_KEY, "The signing key is not known here.");
	if (!dp_sign_ok(s, x->head, key->secret))
		return dp_refuse(why, DP_E_SIGN_MISMATCH, "The signature is not right: compare the text that was signed with the one in the manual.");
	if (!admit(x, key, DP_E_SIGN_KEY, "signing key", why))
		return false;
	if (!dp_nonce_first(x->shard->shared.nonces, s->key_id, s->nonce, x->wall_ms, &full))
		return full ? dp_refuse(why, DP_E_OVERLOADED, "Too many signed requests within the last minutes; try again.")
		            : dp_refuse(why, DP_E_SIGN_REPLAYED, "This signed request was sent before: every one needs a nonce of its own.");
	x->auth.digest = gw_sha256_begin();
	return true;
}

/* ---- client certificates ---- */

static const struct gw_consumer_key *of_certificate(struct dp_exchange *x, const struct dp_peer_cert *p)
{
	const struct gw_consumer_key *key =
		gw_snapshot_credential(x->snapshot, GW_CREDENTIAL_MTLS, GW_STR("fingerprint"), p->fingerprint);

	if (!key && p->subject.n)
		key = gw_snapshot_credential(x->snapshot, GW_CREDENTIAL_MTLS, GW_STR("subject"), p->subject);
	for (size_t i = 0; !key && i < p->n_sans; i++)
		key = gw_snapshot_credential(x->snapshot, GW_CREDENTIAL_MTLS, GW_STR("san"), p->sans[i]);
	return key;
}

/* Nothing stands in the headers: the connection may say who it is. */
static bool by_certificate(struct dp_exchange *x, struct dp_refusal *why)
{
	const struct dp_peer_cert *p = x->client->conn ? dp_conn_peer_cert(x->client->conn) : NULL;
	const struct gw_consumer_key *key = p ? of_certificate(x, p) : NULL;

	if (key)
		return admit(x, key, DP_E_BAD_KEY, "client certificate", why);
	if (x->shard->any_open_route)
		return true; /* whether this route wants a key is known when the model is */
	if (p)
		return dp_refuse(why, DP_E_BAD_KEY, "The client certificate belongs to no consumer here.");
	return dp_refuse(why, DP_E_NO_KEY, "%s", no_key);
}

/* ---- names and passwords ---- */

/* base64 as RFC 7617 has it, with padding or without. */
static bool decode_basic(struct gw_buf *out, struct gw_str encoded)
{
	struct gw_buf url;
	bool ok;

	for (int i = 0; i < 2 && encoded.n > 0 && encoded.p[encoded.n - 1] == '='; i++)
		encoded.n--;
	gw_buf_init(&url, 4096);
	for (size_t i = 0; i < encoded.n; i++)
		gw_buf_add_byte(&url, encoded.p[i] == '+' ? '-' : encoded.p[i] == '/' ? '_' : (unsigned char)encoded.p[i]);
	ok = url.n == encoded.n && gw_b64_decode(out, gw_buf_str(&url));
	if (url.p)
		explicit_bzero(url.p, url.cap);
	gw_buf_fini(&url);
	return ok;
}

/*
 * RFC 7617, with a key of the consumer as its password: it is kept hashed, ends, is rotated and revoked like every key.
 * The name must be the consumer's; a key in its place, with an empty password, says it all as well.
 */
static bool by_name_and_key(struct dp_exchange *x, struct gw_str encoded, struct dp_refusal *why)
{
	static const char wrong[] = "The name or the password is not right. The name is that of the consumer, the password one of its API keys.";
	const struct gw_consumer_key *key = NULL;
	struct gw_buf text;
	struct gw_str name, secret;

	gw_buf_init(&text, 4096);
	if (decode_basic(&text, encoded)) {
		secret = gw_buf_str(&text);
		name = gw_str_cut(&secret, ':');
		key = gw_snapshot_key(x->snapshot, secret.n ? secret : name);
		if (key && secret.n && !gw_str_eq(name, key->consumer->name))
			key = NULL;
	}
	if (text.p)
		explicit_bzero(text.p, text.cap);
	gw_buf_fini(&text);
	if (key)
		return admit(x, key, DP_E_BAD_KEY, "API key", why);
	return x->shard->any_open_route ? true : dp_refuse(why, DP_E_BAD_KEY, "%s", wrong);
}

/* ---- all of them ---- */

/*
 * Most connections send one key, request after request, and its digest costs a twentieth of a request.  So a connection
 * remembers whose its last key was, by a SipHash of 64 bits with a secret of this process: to be taken for somebody
 * else on his own connection takes 2^63 tries.  Another configuration, and it is looked up again; whether the key is
 * disabled or has ended is asked each time.
 */
static const struct gw_consumer_key *key_of(struct dp_exchange *x, struct gw_str secret)
{
	struct dp_client *c = x->client;
	uint64_t hash = gw_hash(secret);

	if (x->snapshot != x->shard->snapshot)
		return gw_snapshot_key(x->snapshot, secret);
	if (!c->known.key || c->known.hash != hash || c->known.swaps != x->shard->swaps) {
		c->known.key = gw_snapshot_key(x->snapshot, secret);
		c->known.hash = hash;
		c->known.swaps = x->shard->swaps;
	}
	return c->known.key;
}

static bool by_key(struct dp_exchange *x, struct gw_str secret, struct dp_refusal *why)
{
	const struct gw_consumer_key *key = key_of(x, secret);

	if (key)
		return admit(x, key, DP_E_BAD_KEY, "API key", why);
	if (gw_snapshot_count(x->snapshot, GW_KIND_JWT_ISSUER) && dp_jwt_looks_like(secret))
		return by_token(x, secret, why);
	if (x->shard->any_open_route)
		return true; /* a route that wants a key says so later */
	return dp_refuse(why, DP_E_BAD_KEY, "%s", unknown_key);
}

bool dp_x_authenticate(struct dp_exchange *x, struct dp_refusal *why)
{
	bool conflict = false;
	struct gw_str secret, basic;

	if (dp_sign_present(x->head))
		return by_signature(x, why);
	secret = dp_credential(x->head->headers, x->head->n_headers, &conflict);
	basic = dp_basic_credential(x->head->headers, x->head->n_headers);
	if (basic.p && !secret.p)
		return by_name_and_key(x, basic, why);
	if (conflict || basic.p)
		return dp_refuse(why, DP_E_BAD_KEY, "The request carries two different API keys; send one.");
	if (secret.p)
		return by_key(x, secret, why);
	return by_certificate(x, why);
}

bool dp_x_authn_whole(struct dp_exchange *x)
{
	uint8_t digest[32];

	if (x->auth.waiting) {
		dp_x_step(x, DP_STEP_AUTH);
		return false;
	}
	if (!x->auth.digest)
		return true;
	gw_sha256_end(&x->auth.digest, digest);
	if (memcmp(digest, x->auth.sign->body, sizeof digest) == 0) /* neither is a secret */
		return true;
	dp_answer_error(x, DP_E_SIGN_BODY, "The body's digest is not the one that was signed.");
	return false;
}

void dp_x_refuse_anonymous(struct dp_exchange *x)
{
	bool conflict;

	if (dp_credential(x->head->headers, x->head->n_headers, &conflict).p || dp_basic_credential(x->head->headers, x->head->n_headers).p)
		dp_answer_error(x, DP_E_BAD_KEY, "%s", unknown_key);
	else
		dp_answer_error(x, DP_E_NO_KEY, "%s", no_key);
}
