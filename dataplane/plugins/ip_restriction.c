/*
 * ip-restriction: who may call, by address.
 *
 * The allow list, if there is one, must name the client; the deny list must not.  An IPv4 address that arrives as
 * ::ffff:a.b.c.d is the IPv4 address.
 */
#include <arpa/inet.h>

#include "plugin.h"

struct conf {
	struct gw_strv allow, deny;
	struct gw_str message;
};

static const struct gw_field fields[] = {
	GW_FIELD_LIST(struct conf, allow, "allow", 0, 1000,
	              "Addresses or networks that may call, like 10.0.0.0/8 or 2001:db8::/32. Empty: everybody.",
	              "允许访问的地址或网段，例如 10.0.0.0/8、2001:db8::/32。留空表示不限制。"),
	GW_FIELD_LIST(struct conf, deny, "deny", 0, 1000, "Addresses or networks that may not call, even if allowed above.",
	              "禁止访问的地址或网段，优先于允许列表。"),
	GW_FIELD_TEXT(struct conf, message, "message", 0, 200, "your address may not use this API",
	              "What a refused client is told.", "拒绝访问时返回的提示。"),
	GW_FIELD_END
};

struct net { unsigned char bytes[16]; unsigned bits; };   /* IPv4 as ::ffff:a.b.c.d, so with 96 bits more */

static bool parse(struct gw_str text, struct net *out)
{
	char z[64];
	struct gw_str rest = text, ip = gw_str_cut(&rest, '/');
	int64_t bits = -1;
	bool v4;

	ip = gw_str_trim(ip);
	if (!ip.n || ip.n >= sizeof z || (rest.p && !gw_str_int(gw_str_trim(rest), 0, 128, &bits)))
		return false;
	memcpy(z, ip.p, ip.n);
	z[ip.n] = '\0';
	v4 = inet_pton(AF_INET, z, out->bytes + 12) == 1;
	if (v4) {
		memset(out->bytes, 0, 10);
		memset(out->bytes + 10, 0xff, 2);
	} else if (inet_pton(AF_INET6, z, out->bytes) != 1) {
		return false;
	}
	if (v4 && bits > 32)
		return false;
	out->bits = bits < 0 ? 128 : (unsigned)bits + (v4 ? 96 : 0);
	return true;
}

static bool inside(const struct net *ip, const struct net *net)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	unsigned char mask = (unsigned char)(0xff00 >> rest);

	if (memcmp(ip->bytes, net->bytes, whole) != 0)
		return false;
	return !rest || ((ip->bytes[whole] ^ net->bytes[whole]) & mask) == 0;
}

static bool listed(const struct net *ip, const struct gw_strv *list)
{
	struct net net;

	for (size_t i = 0; i < list->n; i++)
		if (parse(list->v[i], &net) && inside(ip, &net))
			return true;
	return false;
}

static enum gw_rc check_list(const struct gw_strv *list, const char *name, struct gw_error *err)
{
	struct net net;

	for (size_t i = 0; i < list->n; i++)
		if (!parse(list->v[i], &net)) {
			gw_fail(err, GW_INVALID, NULL, "'%.*s' is not an address or network (like 10.0.0.0/8)",
			        (int)(list->v[i].n < 60 ? list->v[i].n : 60), list->v[i].p);
			gw_error_prefix(err, "/%s/%zu", name, i);
			return GW_INVALID;
		}
	return GW_OK;
}

static enum gw_rc check(const void *conf, struct gw_error *err)
{
	const struct conf *c = conf;
	enum gw_rc rc = check_list(&c->allow, "allow", err);

	return rc == GW_OK ? check_list(&c->deny, "deny", err) : rc;
}

static enum dp_verdict on_head(struct dp_call *c)
{
	const struct conf *cf = c->conf;
	struct net ip;

	if (!parse(dp_client_ip(c), &ip))
		return DP_BROKEN;
	if ((!cf->allow.n || listed(&ip, &cf->allow)) && !listed(&ip, &cf->deny))
		return DP_NEXT;
	dp_deny(c, 403, "permission_error", "ip_not_allowed", 0, "%.*s", GW_FMT(cf->message));
	return DP_ANSWERED;
}

extern const struct dp_plugin dp_plugin_ip_restriction;
const struct dp_plugin dp_plugin_ip_restriction = {
	.abi = DP_PLUGIN_ABI, .name = "ip-restriction", .label = "IP restriction", .label_zh = "IP 访问限制",
	.rank = DP_RANK_AUTHZ, .doc = "Lets only some addresses call, or keeps some out.",
	.doc_zh = "按客户端地址允许或拒绝访问。",
	.fields = fields, .conf_size = sizeof(struct conf), .check = check, .on = { [DP_HOOK_HEAD] = on_head },
};
