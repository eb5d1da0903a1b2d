/* spec_counters.c - settings.counters: where limits are counted, and what holds when that place cannot be reached. */
#include "base/str.h"
#include "spec.h"

#include <stdio.h>

static const char *const backends[] = { "local", "redis", NULL };
static const char *const modes[] = { "single", "sentinel", "cluster", NULL };
static const char *const policies[] = { "local_share", "open", "closed", NULL };

#define S struct gw_counter_settings
const struct gw_field gw_counter_fields[] = {
	GW_FIELD_ENUM(S, backend, "backend", backends, GW_COUNTERS_LOCAL,
	    "local: each worker counts for itself. redis: all workers count together.",
	    "local：每个工作进程各自计数；redis：所有工作进程共同计数。"),
	GW_FIELD_TEXT_WHEN(S, url, "url", GW_F_NEEDED, 512, "backend=redis",
	    "redis://HOST:PORT or rediss:// for TLS, with /N for another database; with sentinels or a cluster, one of them.",
	    "redis://主机:端口，TLS 用 rediss://，可加 /N 选择数据库；哨兵或集群模式下填其中之一。"),
	GW_FIELD_ENUM(S, mode, "mode", modes, GW_REDIS_SINGLE, "One server, sentinels that name the master, or a cluster.",
	    "单机、哨兵或集群。"),
	GW_FIELD_LIST(S, members, "members", 0, 32, "Further sentinels, or servers of the cluster: HOST:PORT.",
	    "其他哨兵或集群节点：主机:端口。"),
	GW_FIELD_TEXT_WHEN(S, master_name, "master_name", GW_F_NEEDED, 128, "mode=sentinel",
	    "The name under which the sentinels know the master.", "哨兵中主节点的名称。"),
	GW_FIELD_TEXT(S, username, "username", 0, 128, NULL, "User of Redis' access lists; empty: the default one.",
	    "Redis ACL 用户；留空为默认用户。"),
	GW_FIELD_SECRET(S, password, "password", 0, 1024, "Password of that user.", "该用户的密码。"),
	GW_FIELD_SECRET(S, sentinel_password, "sentinel_password", 0, 1024, "Password of the sentinels, if they want one.",
	    "哨兵的密码（如需要）。"),
	GW_FIELD_BOOL(S, verify, "verify", 1, "TLS: check the server's certificate.", "TLS：校验服务器证书。"),
	GW_FIELD_TEXT(S, ca_pem, "ca_pem", 0, 65536, NULL, "TLS: certificates to trust besides the system's, PEM.",
	    "TLS：除系统证书外信任的证书（PEM）。"),
	GW_FIELD_ENUM(S, on_failure, "on_failure", policies, GW_ON_FAILURE_LOCAL_SHARE,
	    "While Redis cannot be reached: local_share, each worker grants its part of every limit; open, nothing is limited; "
	    "closed, what is limited is refused. Prepaid budgets are closed unless they say otherwise.",
	    "Redis 不可用时：local_share 每个工作进程按份额放行；open 不限制；closed 一律拒绝。预付额度默认为 closed。"),
	GW_FIELD_END
};
#undef S

static const char *url_fault(struct gw_str url)
{
	struct gw_str rest = url, database;
	int64_t port;
	size_t at;
	if (!gw_str_starts(url, GW_STR("redis://")) && !gw_str_starts(url, GW_STR("rediss://")))
		return "must begin with redis:// or rediss://";
	gw_str_find(url, GW_STR("://"), &at);
	database = gw_str_from(url, at + 3);
	rest = gw_str_cut(&database, '/');
	if (memchr(rest.p, '@', rest.n))
		return "must not contain a user name or password: they have members of their own";
	if (database.n && !gw_str_int(database, 0, 1000000, &port))
		return "may have the number of a database behind the slash, and nothing else";
	if (!rest.n || memchr(rest.p, '?', rest.n))
		return "must name a host";
	return NULL;
}

/* "host", "host:6379", "[::1]:6379": what stands behind the host must be a port. */
static bool is_address(struct gw_str s)
{
	int64_t port;
	size_t at;
	struct gw_str host = s, rest = GW_STR_NONE;
	if (s.n && s.p[0] == '[') {
		if (!gw_str_find(s, GW_STR("]"), &at))
			return false;
		host.n = at + 1;
		rest = gw_str_from(s, at + 1);
	} else if (gw_str_find(s, GW_STR(":"), &at)) {
		host.n = at;
		rest = gw_str_from(s, at);
	}
	return gw_spec_is_host(host) && (!rest.n || (rest.p[0] == ':' && gw_str_int(gw_str_from(rest, 1), 1, 65535, &port)));
}

static struct gw_str authority_of(struct gw_str url)
{
	size_t at;
	struct gw_str rest;
	gw_str_find(url, GW_STR("://"), &at);
	rest = gw_str_from(url, at + 3);
	return gw_str_cut(&rest, '/');
}

enum gw_rc gw_spec_counters(struct gw_spec *s, const json_t *o, struct gw_counter_settings *out, struct gw_error *err)
{
	enum gw_rc rc = gw_fields_read(gw_counter_fields, o, s->strict, s->unseal, s->arena, out, &s->unknown, err);
	if (rc != GW_OK)
		return rc;
	if (out->url.n) {
		const char *fault = url_fault(out->url);
		if (!fault && !is_address(authority_of(out->url)))
			fault = "must name a host in plain ASCII, and a port from 1 to 65535 or none";
		if (fault)
			return gw_fail(err, GW_INVALID, "/url", "`url` %s", fault);
	}
	for (size_t i = 0; i < out->members.n; i++) {
		char path[32];
		if (is_address(out->members.v[i]))
			continue;
		snprintf(path, sizeof path, "/members/%zu", i);
		return gw_fail(err, GW_INVALID, path, "entry %zu of `members` must be HOST:PORT", i + 1);
	}
	return GW_OK;
}
