/*
 * ip-restriction: who may call, by address.
 *
 * The allow list, if there is one, must name the client; the deny list must not.  An IPv4 address that arrives as
 * ::ffff:a.b.c.d is the IPv4 address.
 */
#include "plugin.h"

struct conf {
	struct gw_netv allow, deny;
	struct gw_str message;
};

static const struct gw_field fields[] = {
	GW_FIELD_NETS(struct conf, allow, "allow", 0, 1000,
	              "Addresses or networks that may call, like 10.0.0.0/8 or 2001:db8::/32. Empty: everybody.",
	              "允许访问的地址或网段，例如 10.0.0.0/8、2001:db8::/32。留空表示不限制。"),
	GW_FIELD_NETS(struct conf, deny, "deny", 0, 1000, "Addresses or networks that may not call, even if allowed above.",
	              "禁止访问的地址或网段，优先于允许列表。"),
	GW_FIELD_TEXT(struct conf, message, "message", 0, 200, "your address may not use this API",
	              "What a refused client is told.", "拒绝访问时返回的提示。"),
	GW_FIELD_END
};

static bool listed(const struct gw_net *ip, const struct gw_netv *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (gw_net_holds(&list->v[i], ip))
			return true;
	return false;
}

static enum dp_verdict on_head(struct dp_call *c)
{
	const struct conf *cf = c->conf;
	struct gw_net ip;

	if (!gw_net_parse(dp_client_ip(c), &ip))
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
	.fields = fields, .conf_size = sizeof(struct conf), .on = { [DP_HOOK_HEAD] = on_head },
};
