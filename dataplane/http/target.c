/* target.c - request targets and base URLs, taken apart or refused. */
#include "http/target.h"

#include <stdio.h>

#include "base/str.h"
#include "http/ctype.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode one path byte at raw[*i]; -1 with *why when it is not to be understood in one way only. */
static int path_byte(struct gw_str raw, size_t *i, struct dp_refusal *why)
{
	unsigned char c = (unsigned char)raw.p[*i];
	int hi, lo, v;

	if (c <= 0x20 || c >= 0x7f || c == '\\' || c == ';' || c == '"' || c == '<' || c == '>' || c == '#') {
		dp_refuse(why, DP_E_BAD_FRAMING, "the request target holds a byte (0x%02x) that a path may not hold", c);
		return -1;
	}
	if (c != '%')
		return c;
	if (*i + 2 >= raw.n || (hi = hex(raw.p[*i + 1])) < 0 || (lo = hex(raw.p[*i + 2])) < 0) {
		dp_refuse(why, DP_E_BAD_FRAMING, "the request target holds a '%%' that is not followed by two hex digits");
		return -1;
	}
	v = hi << 4 | lo;
	if (v < 0x20 || v == 0x7f || v == '/' || v == '\\' || v == ';' || v == '%') {
		dp_refuse(why, DP_E_BAD_FRAMING, "the request target hides a byte (%%%02x) that may not be encoded", v);
		return -1;
	}
	*i += 2;
	return v;
}

/* "", "." and ".." as segments; an empty one is allowed at the very end ("/v1/models/"). */
static bool segments_ok(struct gw_str path)
{
	struct gw_str rest = gw_str_from(path, 1);

	while (rest.p) {
		struct gw_str seg = gw_str_cut(&rest, '/');

		if ((seg.n == 0 && rest.p) || gw_str_is(seg, ".") || gw_str_is(seg, ".."))
			return false;
	}
	return true;
}

/* Nothing in it to decode, to refuse or to doubt: what nearly every request asks for. */
static bool is_plain(struct gw_str raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = (unsigned char)raw.p[i];

		if (c == '/' ? i + 1 == raw.n || raw.p[i + 1] == '.' || raw.p[i + 1] == '/' : !dp_is_host_byte(c))
			return false;
	}
	return true;
}

static bool decode_path(struct dp_uri *out, char *buf, struct dp_refusal *why)
{
	size_t n = 0;

	if (is_plain(out->raw_path)) {
		memcpy(buf, out->raw_path.p, out->raw_path.n);
		out->path = (struct gw_str){ buf, out->raw_path.n };
		return true;
	}
	for (size_t i = 0; i < out->raw_path.n; i++) {
		int v = path_byte(out->raw_path, &i, why);

		if (v < 0)
			return false;
		buf[n++] = (char)v;
	}
	out->path = (struct gw_str){ buf, n };
	if (!gw_utf8_valid(out->path))
		return dp_refuse(why, DP_E_BAD_FRAMING, "the path is not valid UTF-8");
	if (!segments_ok(out->path))
		return dp_refuse(why, DP_E_BAD_FRAMING, "the path has an empty segment or one that is '.' or '..'");
	return true;
}

static bool query_ok(struct gw_str query, struct dp_refusal *why)
{
	for (size_t i = 0; i < query.n; i++) {
		unsigned char c = (unsigned char)query.p[i];

		if (c <= 0x20 || c >= 0x7f || c == '#')
			return dp_refuse(why, DP_E_BAD_FRAMING, "the query holds a byte (0x%02x) that must be encoded", c);
	}
	return true;
}

/* http://host/path: allowed when it names the very host of the Host header. */
static bool strip_absolute(struct gw_str *target, struct gw_str host, struct dp_refusal *why)
{
	struct gw_str s = *target, authority;
	size_t end = 0, skip = 0;

	if (s.n > 7 && gw_str_ieq((struct gw_str){ s.p, 7 }, GW_STR("http://")))
		skip = 7;
	else if (s.n > 8 && gw_str_ieq((struct gw_str){ s.p, 8 }, GW_STR("https://")))
		skip = 8;
	else
		return dp_refuse(why, DP_E_BAD_FRAMING, "the request target must be a path that starts with '/'");
	s = gw_str_from(s, skip);
	while (end < s.n && s.p[end] != '/' && s.p[end] != '?')
		end++;
	authority = (struct gw_str){ s.p, end };
	if (!host.p || !gw_str_ieq(authority, host))
		return dp_refuse(why, DP_E_BAD_FRAMING, "the request target names another host than the Host header");
	*target = gw_str_from(s, end);
	if (!target->n || target->p[0] != '/')
		return dp_refuse(why, DP_E_BAD_FRAMING, "the request target has no path");
	return true;
}

bool dp_uri_parse(struct dp_uri *out, struct gw_str method, struct gw_str target, struct gw_str host, char *buf,
                  size_t cap, struct dp_refusal *why)
{
	struct gw_str rest;

	*out = (struct dp_uri){ 0 };
	if (target.n > cap)
		return dp_refuse(why, DP_E_URI_TOO_LONG, "the request target is longer than %zu bytes", cap);
	if (gw_str_is(target, "*") && gw_str_is(method, "OPTIONS")) {
		out->path = out->raw_path = target;
		return true;
	}
	if (!target.n || target.p[0] != '/')
		if (!strip_absolute(&target, host, why))
			return false;
	rest = target;
	out->raw_path = gw_str_cut(&rest, '?');
	out->query = rest;
	return query_ok(out->query, why) && decode_path(out, buf, why);
}

static bool base_bad(char *why, size_t cap, const char *text)
{
	snprintf(why, cap, "%s", text);
	return false;
}

static bool base_authority(struct dp_base_url *out, char *why, size_t cap)
{
	struct gw_str a = out->authority, port = GW_STR_NONE;
	int64_t n;

	if (a.n && a.p[0] == '[') {
		const char *close = memchr(a.p, ']', a.n);

		if (!close)
			return base_bad(why, cap, "the address has '[' without ']'");
		out->host = (struct gw_str){ a.p + 1, (size_t)(close - a.p) - 1 };
		for (size_t i = 0; i < out->host.n; i++)
			if (hex(out->host.p[i]) < 0 && out->host.p[i] != ':' && out->host.p[i] != '.')
				return base_bad(why, cap, "what stands in brackets is not an IPv6 address");
		a = gw_str_from(a, out->host.n + 2);
		if (a.n && a.p[0] != ':')
			return base_bad(why, cap, "something other than a port stands behind ']'");
		if (a.n)
			port = gw_str_from(a, 1);
	} else {
		port = a;
		out->host = gw_str_cut(&port, ':');
		for (size_t i = 0; i < out->host.n; i++)
			if (!dp_is_host_byte((unsigned char)out->host.p[i]))
				return base_bad(why, cap, "the host name holds a byte that host names may not hold");
	}
	if (!out->host.n)
		return base_bad(why, cap, "the address has no host");
	out->port = out->tls ? 443 : 80;
	if (port.p) {
		if (!gw_str_int(port, 1, 65535, &n))
			return base_bad(why, cap, "the port is not a number from 1 to 65535");
		out->port = (uint16_t)n;
	}
	return true;
}

bool dp_base_url_parse(struct dp_base_url *out, struct gw_str url, char *why, size_t cap)
{
	struct dp_uri uri;
	struct dp_refusal bad = { .text = "" };
	size_t end = 0;
	char path[1024];

	*out = (struct dp_base_url){ 0 };
	if (gw_str_starts(url, GW_STR("https://")))
		out->tls = true;
	else if (!gw_str_starts(url, GW_STR("http://")))
		return base_bad(why, cap, "the address must start with http:// or https://");
	url = gw_str_from(url, out->tls ? 8 : 7);
	while (end < url.n && url.p[end] != '/')
		end++;
	out->authority = (struct gw_str){ url.p, end };
	if (!base_authority(out, why, cap))
		return false;
	out->path = gw_str_from(url, end);
	while (out->path.n && out->path.p[out->path.n - 1] == '/')
		out->path.n--;
	if (!out->path.n)
		return true;
	if (out->path.n > sizeof path)
		return base_bad(why, cap, "the path of the address is longer than 1024 bytes");
	if (!dp_uri_parse(&uri, GW_STR("GET"), out->path, GW_STR_NONE, path, sizeof path, &bad))
		return base_bad(why, cap, bad.text);
	if (uri.query.p)
		return base_bad(why, cap, "the address may not have a query");
	return true;
}
