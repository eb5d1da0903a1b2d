/* url.c - provider addresses. */
#include "net/url.h"

#include "base/str.h"
#include "net/guard.h"

static bool host_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* Only digits, dots and hex marks, and yet no dotted quad: 127.1, 0x7f000001, 2130706433 mean addresses to some. */
static bool odd_number(struct gw_str host)
{
	struct dp_addr a;
	struct gw_str last = host, rest = host;

	while (rest.p)
		last = gw_str_cut(&rest, '.');
	if (last.n == 0 || last.p[0] < '0' || last.p[0] > '9')
		return false;
	return !dp_addr_parse(host, 0, &a);
}

static enum gw_rc check_host(struct gw_str host, bool bracketed, struct gw_error *err)
{
	struct dp_addr a;

	if (bracketed)
		return dp_addr_parse(host, 0, &a) && a.v6 ? GW_OK :
			gw_fail(err, GW_INVALID, NULL, "'%.*s' is not an IPv6 address", GW_FMT(host));
	if (host.n == 0 || host.n > 253)
		return gw_fail(err, GW_INVALID, NULL, "the host is missing or longer than 253 bytes");
	for (size_t i = 0; i < host.n; i++) {
		if (!host_byte(host.p[i]))
			return gw_fail(err, GW_INVALID, NULL, "the host has a byte that host names may not have");
	}
	if (host.p[0] == '.' || odd_number(host))
		return gw_fail(err, GW_INVALID, NULL, "'%.*s' is neither a host name nor an IP address", GW_FMT(host));
	return GW_OK;
}

static enum gw_rc split_port(struct gw_str *hostport, int64_t *port, struct gw_error *err)
{
	size_t at = hostport->n;
	struct gw_str p;

	while (at > 0 && hostport->p[at - 1] != ':' && hostport->p[at - 1] != ']')
		at--;
	if (at == 0 || hostport->p[at - 1] == ']')
		return GW_OK;
	p = gw_str_from(*hostport, at);
	if (!gw_str_int(p, 1, 65535, port))
		return gw_fail(err, GW_INVALID, NULL, "'%.*s' is not a port", GW_FMT(p));
	hostport->n = at - 1;
	return GW_OK;
}

enum gw_rc dp_url_parse(struct dp_url *out, struct gw_str text, struct gw_error *err)
{
	struct gw_str rest, hostport;
	int64_t port;
	bool bracketed;
	size_t slash = 0;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] <= ' ' || text.p[i] >= 0x7f || strchr("\\\"<>^`{|}", text.p[i]))
			return gw_fail(err, GW_INVALID, NULL, "the address has a byte that URLs may not have");
		if (text.p[i] == '?' || text.p[i] == '#' || text.p[i] == '@')
			return gw_fail(err, GW_INVALID, NULL, "the address may not have a query, a fragment or user info");
	}
	if (gw_str_starts(text, GW_STR("https://")))
		out->tls = true;
	else if (!gw_str_starts(text, GW_STR("http://")))
		return gw_fail(err, GW_INVALID, NULL, "the address must begin with https:// or http://");
	rest = gw_str_from(text, out->tls ? 8 : 7);
	while (slash < rest.n && rest.p[slash] != '/')
		slash++;
	hostport = (struct gw_str){ rest.p, slash };
	out->path = gw_str_from(rest, slash);
	while (out->path.n > 0 && out->path.p[out->path.n - 1] == '/')
		out->path.n--;
	bracketed = hostport.n > 0 && hostport.p[0] == '[';
	out->authority = hostport;
	port = out->tls ? 443 : 80;
	out->host = hostport;
	if (split_port(&out->host, &port, err) != GW_OK)
		return GW_INVALID;
	out->port = (uint16_t)port;
	if (port == (out->tls ? 443 : 80))
		out->authority = out->host;
	if (bracketed) {
		if (out->host.n < 2 || out->host.p[out->host.n - 1] != ']')
			return gw_fail(err, GW_INVALID, NULL, "the host lacks its closing bracket");
		out->host = (struct gw_str){ out->host.p + 1, out->host.n - 2 };
	}
	return check_host(out->host, bracketed, err);
}
