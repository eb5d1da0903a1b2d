/* headers.c - header lists: finding, splitting, and the two pass-through filters. */
#include "http/headers.h"

#include "base/str.h"
#include "http/ctype.h"

bool dp_token_ok(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!dp_is_token_byte((unsigned char)s.p[i]))
			return false;
	return s.n > 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Printable ASCII, eight bytes looked at together. */
static bool printable_8(const char *p)
{
	const uint64_t each = 0x0101010101010101u;
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return !(((v - 0x20 * each) | (v + each) | v) & 0x80 * each); /* below a blank, DEL, above ASCII */
}

bool dp_value_ok(struct gw_str s)
{
	size_t i = 0;

	if (s.n && (blank(s.p[0]) || blank(s.p[s.n - 1])))
		return false;
	while (i + 8 <= s.n && printable_8(s.p + i))
		i += 8;
	if (s.n >= 8 && i + 8 > s.n && printable_8(s.p + s.n - 8))
		return true; /* the end together with some bytes before it once more */
	for (; i < s.n; i++)
		if (!dp_is_value_byte((unsigned char)s.p[i]))
			return false;
	return true;
}

bool dp_header_ok(struct gw_str name, struct gw_str value)
{
	return dp_token_ok(name) && dp_value_ok(value);
}

struct gw_str dp_header_find_n(const struct gw_pair *h, size_t n, struct gw_str name)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_ieq(h[i].name, name))
			return h[i].value;
	return GW_STR_NONE;
}

size_t dp_header_count(const struct gw_pair *h, size_t n, const char *name)
{
	struct gw_str want = gw_str_c(name);
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += gw_str_ieq(h[i].name, want);
	return count;
}

bool dp_header_list_back(const struct gw_pair *h, size_t *n, const char *name, struct gw_str *rest, struct gw_str *element)
{
	struct gw_str want = gw_str_c(name);

	for (;;) {
		size_t cut = rest->n;

		if (cut > 0) {
			while (cut > 0 && rest->p[cut - 1] != ',')
				cut--;
			*element = gw_str_trim(gw_str_from(*rest, cut));
			rest->n = cut > 0 ? cut - 1 : 0;
			if (element->n > 0)
				return true;
		} else if (*n == 0) {
			return false;
		} else if (gw_str_ieq(h[--*n].name, want)) {
			*rest = h[*n].value;
		}
	}
}

static bool list_has(struct gw_str list, struct gw_str element)
{
	while (list.p)
		if (gw_str_ieq(gw_str_trim(gw_str_cut(&list, ',')), element))
			return true;
	return false;
}

bool dp_header_has(const struct gw_pair *h, size_t n, const char *name, const char *element)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_ieq(h[i].name, gw_str_c(name)) && list_has(h[i].value, gw_str_c(element)))
			return true;
	return false;
}

struct gw_str dp_media_type(struct gw_str content_type)
{
	struct gw_str rest = content_type;

	return content_type.p ? gw_str_trim(gw_str_cut(&rest, ';')) : GW_STR_NONE;
}

/* A quoted-string's content; copied into buf only when it holds escapes. */
static struct gw_str unquote(struct gw_str s, size_t *end, char *buf, size_t cap)
{
	size_t i, n = 0;
	bool escaped = false;

	for (i = 1; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n) {
			escaped = true;
			i++;
		}
		if (n == cap)
			return GW_STR_NONE;
		buf[n++] = s.p[i];
	}
	if (i >= s.n)
		return GW_STR_NONE;
	*end = i + 1;
	return escaped ? (struct gw_str){ buf, n } : (struct gw_str){ s.p + 1, i - 1 };
}

struct gw_str dp_media_param(struct gw_str ct, const char *name, char *buf, size_t cap)
{
	size_t at = 0, end;

	while (at < ct.n && ct.p[at] != ';')
		at++;
	while (at < ct.n) {
		struct gw_str key, value, rest;

		at++;
		while (at < ct.n && (blank(ct.p[at]) || ct.p[at] == ';'))
			at++;
		for (end = at; end < ct.n && dp_is_token_byte((unsigned char)ct.p[end]); end++)
			;
		key = (struct gw_str){ ct.p + at, end - at };
		if (end >= ct.n || ct.p[end] != '=')
			return GW_STR_NONE;
		rest = gw_str_from(ct, end + 1);
		if (rest.n && rest.p[0] == '"') {
			value = unquote(rest, &end, buf, cap);
			if (!value.p)
				return value;
		} else {
			for (end = 0; end < rest.n && rest.p[end] != ';'; end++)
				;
			value = gw_str_trim((struct gw_str){ rest.p, end });
		}
		if (gw_str_ieq(key, gw_str_c(name)))
			return value;
		at = (size_t)(rest.p - ct.p) + end;
		while (at < ct.n && ct.p[at] != ';')
			at++;
	}
	return GW_STR_NONE;
}

static char plain(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c == '_' ? '-' : c;
}

bool dp_header_same(struct gw_str a, struct gw_str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i] && plain(a.p[i]) != plain(b.p[i]))
			return false;
	return true;
}

/*
 * Names in lower case by their first letter, so that a header is compared with a few and not with all; a trailing `*`
 * makes a prefix.  Nearly all of those that begin with `x-` and its third letter stand in a list of their own.
 */
#define BY_LETTER_MAX 12
typedef const struct gw_str by_letter[26][BY_LETTER_MAX];
#define L(c) [(c) - 'a']
#define N(name) { name, sizeof name - 1 }

static bool in_row(const struct gw_str *row, struct gw_str name)
{
	for (size_t i = 0; i < BY_LETTER_MAX && row[i].n; i++) {
		struct gw_str want = row[i];

		if (want.p[want.n - 1] != '*') {
			if (name.n == want.n && dp_header_same(name, want))
				return true;
		} else if (name.n >= --want.n && dp_header_same((struct gw_str){ name.p, want.n }, want)) {
			return true;
		}
	}
	return false;
}

static const struct gw_str *row_of(by_letter list, struct gw_str name, size_t at)
{
	char c = name.n > at ? plain(name.p[at]) : '\0';

	return c >= 'a' && c <= 'z' ? list[c - 'a'] : NULL;
}

static bool among(by_letter list, struct gw_str name)
{
	const struct gw_str *row = row_of(list, name, 0);

	return row && in_row(row, name);
}

static bool among_x(by_letter list, struct gw_str name)
{
	const struct gw_str *row = name.n > 2 && plain(name.p[0]) == 'x' && plain(name.p[1]) == '-' ? row_of(list, name, 2) : NULL;

	return row && in_row(row, name);
}

bool dp_hop_by_hop(const struct gw_pair *h, size_t n, struct gw_str name)
{
	static by_letter hop = {
		L('c') = { N("connection") }, L('h') = { N("http2-settings") }, L('k') = { N("keep-alive") }, L('p') = { N("proxy-*") },
		L('t') = { N("te"), N("trailer"), N("transfer-encoding") }, L('u') = { N("upgrade") },
	};

	if (among(hop, name))
		return true;
	for (size_t i = 0; i < n; i++)
		if (gw_str_ieq(h[i].name, GW_STR("connection")) && list_has(h[i].value, name))
			return true;
	return false;
}

bool dp_request_header_passes(const struct gw_pair *h, size_t n, struct gw_str name)
{
	/* Credentials, framing, what we set ourselves, who the client is, and what only concerns our own connection. */
	static by_letter never = {
		L('a') = { N("authorization"), N("accept-encoding"), N("api-key"), N("access-control-*"), N("anthropic-dangerous-direct-browser-access") },
		L('c') = { N("cookie"), N("cookie2"), N("content-length"), N("content-encoding"), N("cf-*") },
		L('d') = { N("date"), N("dnt") },
		L('e') = { N("expect") },
		L('f') = { N("forwarded") },
		L('h') = { N("host") },
		L('i') = { N("if-*") },
		L('m') = { N("max-forwards") },
		L('o') = { N("origin"), N("openai-organization"), N("openai-project") },
		L('p') = { N("priority") },
		L('r') = { N("range"), N("referer"), N("remote-*") },
		L('s') = { N("set-cookie"), N("sec-*") },
		L('t') = { N("true-client-ip") },
		L('v') = { N("via") },
	};
	/* The same, and by what gateways and proxies tell a backend who calls: a client must not be able to say it. */
	static by_letter never_x = {
		L('a') = { N("x-api-key"), N("x-amz-*"), N("x-amzn-*"), N("x-aws-*"), N("x-apisix-*"), N("x-anonymous-consumer"), N("x-authenticated-*"),
		           N("x-auth-request-*"), N("x-auth-user*"), N("x-auth-group*"), N("x-access-token") },
		L('c') = { N("x-client-ip"), N("x-client-cert*"), N("x-consumer*"), N("x-credential-*") },
		L('e') = { N("x-envoy-*") },
		L('f') = { N("x-forwarded-*") },
		L('g') = { N("x-goog-api-key"), N("x-goog-authenticated-user-*"), N("x-goog-iap-*") },
		L('h') = { N("x-http-method*"), N("x-higress-*") },
		L('i') = { N("x-id-token") },
		L('j') = { N("x-jwt-*") },
		L('k') = { N("x-kong-*") },
		L('l') = { N("x-litellm-*") },
		L('m') = { N("x-ms-*"), N("x-mse-*") },
		L('o') = { N("x-original-*") },
		L('p') = { N("x-portkey-*") },
		L('r') = { N("x-real-ip"), N("x-rewrite-*"), N("x-remote-*") },
		L('s') = { N("x-ssl-client-*") },
		L('t') = { N("x-tidegate-*") },
		L('u') = { N("x-userinfo") },
		L('w') = { N("x-webauth-*") },
	};

	return !among(never, name) && !among_x(never_x, name) && !dp_hop_by_hop(h, n, name);
}

bool dp_response_header_passes(struct gw_str name)
{
	static by_letter always = {
		L('a') = { N("anthropic-ratelimit-*") },
		L('c') = { N("content-type"), N("content-disposition"), N("content-language") },
		L('o') = { N("openai-processing-ms"), N("openai-model"), N("openai-version") },
		L('r') = { N("retry-after"), N("retry-after-ms"), N("ratelimit-*") },
	};
	static by_letter always_x = {
		L('d') = { N("x-ds-trace-id") },
		L('g') = { N("x-generation-id") },
		L('r') = { N("x-ratelimit-*") },
		L('s') = { N("x-should-retry"), N("x-siliconcloud-trace-id") },
		L('t') = { N("x-tokenlimit-*") },
	};

	return among(always, name) || among_x(always_x, name);
}

/* "Bearer <credentials>", the scheme in any case. */
static struct gw_str bearer(struct gw_str value)
{
	if (value.n < 7 || !gw_str_ieq((struct gw_str){ value.p, 7 }, GW_STR("bearer ")))
		return GW_STR_NONE;
	return gw_str_trim(gw_str_from(value, 7));
}

struct gw_str dp_basic_credential(const struct gw_pair *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_ieq(h[i].name, GW_STR("authorization")) && h[i].value.n > 6 &&
		    gw_str_ieq((struct gw_str){ h[i].value.p, 6 }, GW_STR("basic ")))
			return gw_str_trim(gw_str_from(h[i].value, 6));
	return GW_STR_NONE;
}

struct gw_str dp_credential(const struct gw_pair *h, size_t n, bool *conflict)
{
	struct gw_str found = GW_STR_NONE;

	*conflict = false;
	for (size_t i = 0; i < n; i++) {
		struct gw_str one = GW_STR_NONE;

		if (gw_str_ieq(h[i].name, GW_STR("authorization")))
			one = bearer(h[i].value);
		else if (gw_str_ieq(h[i].name, GW_STR("x-api-key")) || gw_str_ieq(h[i].name, GW_STR("api-key")) ||
		         gw_str_ieq(h[i].name, GW_STR("x-goog-api-key")))
			one = h[i].value;
		if (!one.n)
			continue;
		if (found.n && !gw_str_eq(found, one))
			*conflict = true;
		if (!found.n)
			found = one;
	}
	return found;
}
