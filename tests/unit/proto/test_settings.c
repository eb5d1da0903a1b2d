/* test_settings.c - the settings object and its defaults, which the admin API promises. */
#include "unit.h"
#include "build_fixture.h"

#define S GW_KIND_SETTINGS

START_TEST(defaults)
{
	begin(true);
	for (int given = 0; given < 2; given++) {
		begin(true);
		if (given)
			add(S, "settings", "{}");
		const struct gw_dp_settings *d = gw_snapshot_settings(build());
		ck_assert_int_eq(d->max_body_bytes, 33554432);
		ck_assert_int_eq(d->max_header_bytes, 32768);
		ck_assert_int_eq(d->max_headers, 100);
		ck_assert_int_eq(d->max_request_line_bytes, 16384);
		ck_assert_int_eq(d->max_connections, 10000);
		ck_assert_int_eq(d->header_timeout_ms, 10000);
		ck_assert_int_eq(d->body_timeout_ms, 60000);
		ck_assert_int_eq(d->keepalive_idle_ms, 75000);
		ck_assert_int_eq(d->write_stall_timeout_ms, 60000);
		ck_assert_int_eq(d->stream_buffer_bytes, 262144);
		ck_assert_int_eq(d->sse_keepalive_ms, 15000);
		ck_assert_int_eq(d->drain_timeout_ms, 30000);
		ck_assert_uint_eq(d->trusted_proxies.n + d->cors_origins.n + d->public_url.n, 0);
		ck_assert_int_eq(d->access_log_enabled, 1);
		ck_assert_int_eq(d->access_log_prompts, 0);
		ck_assert_int_eq(d->access_log_target, GW_ACCESS_STDOUT);
		ck_assert_int_eq(d->access_log_sample_percent, 100);
		ck_assert_uint_eq(d->access_log_mask, (1ull << GW_ACCESS_COUNT) - 1);
		ck_assert(!d->tracing.enabled && d->tracing.sample_per_million == 1000000);
		ck_assert(gw_str_is(d->tracing.service_name, "tidegate"));
	}
	finish();
}
END_TEST

START_TEST(values)
{
	begin(true);
	add(S, "settings", "{'data_plane':{'max_body_bytes':1024,'header_timeout':'1s','sse_keepalive':'0s',"
	    "'trusted_proxies':['10.0.0.0/8','::1','fd00::/8','1.2.3.4'],'cors_origins':['*','https://a.example:8443'],"
	    "'access_log':{'enabled':false,'prompts':true}},'console':{'data_plane_url':'https://ai.example.com'}}");
	const struct gw_dp_settings *d = gw_snapshot_settings(build());
	ck_assert_int_eq(d->max_body_bytes, 1024);
	ck_assert_int_eq(d->header_timeout_ms, 1000);
	ck_assert_int_eq(d->sse_keepalive_ms, 0);
	ck_assert_uint_eq(d->trusted_proxies.n, 4);
	ck_assert_uint_eq(d->cors_origins.n, 2);
	ck_assert_int_eq(d->access_log_enabled, 0);
	ck_assert_int_eq(d->access_log_prompts, 1);
	ck_assert(gw_str_is(d->public_url, "https://ai.example.com"));
	finish();
}
END_TEST

START_TEST(refusals)
{
	begin(true);
	refuse(S, "[]", "", "object");
	refuse(S, "{'data_plane':[]}", "/data_plane", "object");
	refuse(S, "{'data':{}}", "/data", "no member");
	refuse(S, "{'data_plane':{'max_body':1}}", "/data_plane/max_body", "no member");
	refuse(S, "{'data_plane':{'max_body_bytes':1}}", "/data_plane/max_body_bytes", "from 1024 to 1073741824");
	refuse(S, "{'data_plane':{'header_timeout':'1ms'}}", "/data_plane/header_timeout", "from 1s to 5m");
	refuse(S, "{'data_plane':{'trusted_proxies':['10.0.0.0/33']}}", "/data_plane/trusted_proxies/0", "range");
	refuse(S, "{'data_plane':{'trusted_proxies':['10.0.0.0/']}}", "/data_plane/trusted_proxies/0", "range");
	refuse(S, "{'data_plane':{'trusted_proxies':['::1','example.com']}}", "/data_plane/trusted_proxies/1", "range");
	refuse(S, "{'data_plane':{'trusted_proxies':['']}}", "/data_plane/trusted_proxies/0", "text");
	refuse(S, "{'data_plane':{'cors_origins':['https://a/']}}", "/data_plane/cors_origins/0", "origin");
	refuse(S, "{'data_plane':{'cors_origins':['a.example']}}", "/data_plane/cors_origins/0", "origin");
	refuse(S, "{'data_plane':{'access_log':{'prompt':true}}}", "/data_plane/access_log/prompt", "no member");
	refuse(S, "{'data_plane':{'access_log':1}}", "/data_plane/access_log", "object");
	refuse(S, "{'console':{'data_plane_url':'ai.example.com'}}", "/console/data_plane_url", "http");
	refuse(S, "{'console':{'theme':1}}", "/console/theme", "no member");
	refuse(S, "{'retention':{'series_10s':'1s'}}", "/retention/series_10s", "from 1h to");
	refuse(S, "{'retention':{'series':'1h'}}", "/retention/series", "no member");
	/* A refused object changed nothing. */
	ck_assert_int_eq(gw_snapshot_settings(build())->max_body_bytes, 33554432);
	finish();
}
END_TEST

START_TEST(every_field_is_documented_in_both_languages)
{
	const struct gw_field *tables[] = { gw_dp_fields, gw_access_log_fields, gw_retention_fields };
	for (size_t t = 0; t < GW_COUNT(tables); t++) {
		for (const struct gw_field *f = tables[t]; f->type != GW_T_END; f++) {
			ck_assert_uint_gt(strlen(f->doc), 5);
			ck_assert_uint_gt(strlen(f->doc_zh), 5);
			ck_assert_ptr_null(strchr(f->name, '-'));
			ck_assert(f->type == GW_T_LIST || f->type == GW_T_TEXT || f->type == GW_T_ENUM || (f->def >= f->min && f->def <= f->max));
		}
	}
}
END_TEST

START_TEST(observation)
{
	begin(true);
	add(S, "settings", "{'data_plane':{'access_log':{'target':'file','path':'a-1.log','sample_percent':5,'fields':['status','time']}},"
	    "'tracing':{'enabled':true,'endpoint':'http://c:4318','sample_per_million':250000,'service_name':'edge',"
	    "'headers':[{'name':'authorization','value':'Bearer x'}]}}");
	const struct gw_dp_settings *d = gw_snapshot_settings(build());
	ck_assert_int_eq(d->access_log_target, GW_ACCESS_FILE);
	ck_assert(gw_str_is(d->access_log_path, "a-1.log"));
	ck_assert_uint_eq(d->access_log_mask, 1ull << GW_ACCESS_STATUS | 1ull << GW_ACCESS_TIME);
	ck_assert(d->tracing.enabled && d->tracing.sample_per_million == 250000);
	ck_assert(gw_str_is(d->tracing.endpoint, "http://c:4318") && gw_str_is(d->tracing.service_name, "edge"));
	ck_assert_uint_eq(d->tracing.n_headers, 1);
	ck_assert(gw_str_is(d->tracing.headers[0].value, "Bearer x"));
	begin(true);
	refuse(S, "{'data_plane':{'access_log':{'path':'../x'}}}", "/data_plane/access_log/path", "file name");
	refuse(S, "{'data_plane':{'access_log':{'path':'/etc/passwd'}}}", "/data_plane/access_log/path", "file name");
	refuse(S, "{'data_plane':{'access_log':{'target':'ftp'}}}", "/data_plane/access_log/target", "stdout");
	refuse(S, "{'data_plane':{'access_log':{'fields':['time','secret']}}}", "/data_plane/access_log/fields/1", "no field");
	refuse(S, "{'tracing':{'enabled':true}}", "/tracing/endpoint", "required");
	refuse(S, "{'tracing':{'endpoint':'ftp://x'}}", "/tracing/endpoint", "http");
	refuse(S, "{'tracing':{'sample_per_million':1500000}}", "/tracing/sample_per_million", "1000000");
	refuse(S, "{'tracing':{'headers':[{'name':'a b'}]}}", "/tracing/headers/0/name", "header");
	refuse(S, "{'tracing':{'headers':[{'name':'Host','value':'x'}]}}", "/tracing/headers/0/name", "itself");
	refuse(S, "{'tracing':{'headers':[{'name':'a','value':'x'},{'name':'A','value':'y'}]}}", "/tracing/headers/1/name", "two headers");
	refuse(S, "{'tracing':{'headers':[{'name':'a','value':'x\\ny'}]}}", "/tracing/headers/0/value", "one line");
	finish();
}
END_TEST

UNIT_MAIN("settings", defaults, values, observation, refusals, every_field_is_documented_in_both_languages)
