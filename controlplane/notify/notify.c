/* notify.c - what each kind of place wants to read, and how it says no. */
#include "notify/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"
#include "json.h"

#define MAX_BODY   65536
#define MAX_ANSWER 65536

static const char *const types[] = {
#define X(name, text) text,
	CP_CHANNEL_TYPE_TABLE(X)
#undef X
};

const char *cp_channel_type_name(enum cp_channel_type t)
{
	assert(t < CP_CHANNEL_TYPES);
	return types[t];
}

bool cp_channel_type_parse(struct gw_str text, enum cp_channel_type *out)
{
	for (size_t i = 0; i < GW_COUNT(types); i++)
		if (gw_str_is(text, types[i])) {
			*out = (enum cp_channel_type)i;
			return true;
		}
	return false;
}

/* ---- words ---- */

static const char *state_word(const struct cp_channel *c, const struct cp_notice *n)
{
	bool firing = strcmp(n->state, "firing") == 0, test = strcmp(n->state, "test") == 0;
	if (c->chinese)
		return firing ? "告警" : test ? "测试" : "恢复";
	return firing ? "FIRING" : test ? "TEST" : "RESOLVED";
}

static struct gw_str title(struct gw_arena *a, const struct cp_channel *c, const struct cp_notice *n)
{
	return gw_arena_printf(a, "[%s] %.*s%s%.*s", state_word(c, n), GW_FMT(n->rule), n->object.n ? ": " : "", (int)n->object.n,
	    n->object.p ? n->object.p : "");
}

static struct gw_str severity_word(const struct cp_channel *c, const struct cp_notice *n)
{
	if (!c->chinese)
		return n->severity;
	return gw_str_is(n->severity, "critical") ? GW_STR("严重") : gw_str_is(n->severity, "warning") ? GW_STR("警告") : GW_STR("提示");
}

static struct gw_str lines(struct gw_arena *a, const struct cp_channel *c, const struct cp_notice *n, const char *gap)
{
	char began[GW_TIME_LEN], ended[GW_TIME_LEN] = "";
	gw_time_format(began, n->started_at_ms);
	if (n->ended_at_ms)
		gw_time_format(ended, n->ended_at_ms);
	return gw_arena_printf(a, "%.*s%s%s%.*s%s%s%s%s%s%s%s%.*s", GW_FMT(n->text), gap, c->chinese ? "级别：" : "Severity: ",
	    GW_FMT(severity_word(c, n)), gap, c->chinese ? "开始：" : "Since: ", began, ended[0] ? gap : "", ended[0] ? (c->chinese ? "结束：" : "Until: ") : "",
	    ended, n->description.n ? gap : "", (int)n->description.n, n->description.p ? n->description.p : "");
}

/* ---- bodies ---- */

static json_t *pair(const char *name, json_t *value)
{
	json_t *o = json_object();
	json_object_set_new(o, name, value);
	return o;
}

static json_t *text_json(struct gw_str s)
{
	return json_stringn_nocheck(s.p, s.n);
}

static json_t *webhook_body(const struct cp_notice *n)
{
	json_t *o = json_object();
	gw_json_set_str(o, "id", n->id);
	json_object_set_new(o, "state", json_string(n->state));
	gw_json_set_str(o, "rule", n->rule);
	gw_json_set_str(o, "object", n->object);
	gw_json_set_str(o, "severity", n->severity);
	gw_json_set_str(o, "text", n->text);
	gw_json_set_str(o, "description", n->description);
	json_object_set_new(o, "value", json_real(n->value));
	gw_json_set_time(o, "started_at", n->started_at_ms);
	gw_json_set_time(o, "ended_at", n->ended_at_ms);
	return o;
}

static json_t *body_of(struct gw_arena *a, const struct cp_channel *c, const struct cp_notice *n)
{
	json_t *o = json_object();
	struct gw_str head = title(a, c, n);
	struct gw_str marked = gw_arena_printf(a, "### %.*s\n\n%.*s", GW_FMT(head), GW_FMT(lines(a, c, n, "\n\n")));
	switch (c->type) {
	case CP_CHANNEL_DINGTALK:
		json_object_set_new(o, "msgtype", json_string("markdown"));
		json_object_set_new(o, "markdown", pair("title", text_json(head)));
		json_object_set_new(json_object_get(o, "markdown"), "text", text_json(marked));
		break;
	case CP_CHANNEL_WECOM:
		json_object_set_new(o, "msgtype", json_string("markdown"));
		json_object_set_new(o, "markdown", pair("content", text_json(marked)));
		break;
	case CP_CHANNEL_FEISHU:
		json_object_set_new(o, "msg_type", json_string("text"));
		json_object_set_new(o, "content", pair("text", text_json(gw_arena_printf(a, "%.*s\n%.*s", GW_FMT(head), GW_FMT(lines(a, c, n, "\n"))))));
		break;
	case CP_CHANNEL_SLACK:
		json_object_set_new(o, "text", text_json(gw_arena_printf(a, "*%.*s*\n%.*s", GW_FMT(head), GW_FMT(lines(a, c, n, "\n")))));
		break;
	default:
		json_decref(o);
		o = webhook_body(n);
		break;
	}
	return o;
}

/* ---- signatures ---- */

/* With the letters and the padding of RFC 4648, section 4; ours elsewhere are those of section 5. */
static void add_base64(struct gw_buf *out, const void *bytes, size_t n)
{
	size_t at = out->n;
	gw_b64_add(out, bytes, n);
	for (; at < out->n; at++)
		out->p[at] = out->p[at] == '-' ? '+' : out->p[at] == '_' ? '/' : out->p[at];
	for (size_t i = 0; i < (3 - n % 3) % 3; i++)
		gw_buf_add_byte(out, '=');
}

static struct gw_str base64_of(struct gw_arena *a, const uint8_t sum[32])
{
	struct gw_buf b;
	gw_buf_init(&b, 100);
	add_base64(&b, sum, 32);
	struct gw_str out = gw_arena_copy(a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}

/* For a query: what base64 has beside letters and digits. */
static struct gw_str escaped(struct gw_arena *a, struct gw_str s)
{
	struct gw_buf b;
	gw_buf_init(&b, 300);
	for (size_t i = 0; i < s.n; i++)
		if (strchr("+/=", s.p[i]))
			gw_buf_printf(&b, "%%%02X", (unsigned char)s.p[i]);
		else
			gw_buf_add_byte(&b, s.p[i]);
	struct gw_str out = gw_arena_copy(a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}

/* DingTalk: HMAC of "milliseconds\nsecret" under the secret, in the address. */
static struct gw_str dingtalk_url(struct gw_arena *a, const struct cp_channel *c, int64_t now_ms)
{
	uint8_t sum[32];
	size_t at;
	struct gw_str text = gw_arena_printf(a, "%lld\n%.*s", (long long)now_ms, GW_FMT(c->secret));
	gw_hmac_sha256(sum, c->secret, text);
	return gw_arena_printf(a, "%.*s%stimestamp=%lld&sign=%.*s", GW_FMT(c->url), gw_str_find(c->url, GW_STR("?"), &at) ? "&" : "?",
	    (long long)now_ms, GW_FMT(escaped(a, base64_of(a, sum))));
}

/* Feishu: HMAC of nothing under "seconds\nsecret", in the body. */
static void feishu_sign(struct gw_arena *a, const struct cp_channel *c, int64_t now_ms, json_t *body)
{
	uint8_t sum[32];
	struct gw_str key = gw_arena_printf(a, "%lld\n%.*s", (long long)(now_ms / 1000), GW_FMT(c->secret));
	gw_hmac_sha256(sum, key, GW_STR(""));
	gw_json_set_str(body, "timestamp", gw_arena_printf(a, "%lld", (long long)(now_ms / 1000)));
	gw_json_set_str(body, "sign", base64_of(a, sum));
}

/* ---- sending ---- */

/* A chat's own yes or no, in an answer whose status is 200 whatever it is. */
static enum gw_rc judge(const struct cp_channel *c, long status, struct gw_str answer, struct gw_error *err)
{
	static const char *const codes[CP_CHANNEL_TYPES] = { [CP_CHANNEL_DINGTALK] = "errcode", [CP_CHANNEL_WECOM] = "errcode",
		[CP_CHANNEL_FEISHU] = "code" };
	json_t *doc = NULL;
	if (status < 200 || status > 299)
		return gw_fail(err, GW_INVALID, NULL, "the receiver answered with status %ld", status);
	if (!codes[c->type])
		return GW_OK;
	if (gw_json_parse(&doc, answer, MAX_ANSWER, NULL) != GW_OK)
		return gw_fail(err, GW_INVALID, NULL, "the receiver's answer cannot be read");
	json_t *code = json_object_get(doc, codes[c->type]);
	if (!code && c->type == CP_CHANNEL_FEISHU)
		code = json_object_get(doc, "StatusCode"); /* of its older robots */
	enum gw_rc rc = json_is_integer(code) && json_integer_value(code) == 0 ? GW_OK :
	    gw_fail(err, GW_INVALID, NULL, "the receiver refused with code %lld", (long long)json_integer_value(code));
	json_decref(doc);
	return rc;
}

static enum gw_rc post(struct gw_arena *a, const struct cp_channel *c, const struct cp_notice *n, int64_t now_ms, int64_t limit_ms,
    struct gw_error *err)
{
	struct gw_buf body, answer;
	struct cp_post p = { .url = gw_arena_c(a, c->url), .allow_private = c->allow_private, .ca_pem = c->ca_pem, .limit_ms = limit_ms };
	json_t *o = body_of(a, c, n);
	long status;
	gw_buf_init(&body, MAX_BODY);
	gw_buf_init(&answer, MAX_ANSWER);
	if (c->type == CP_CHANNEL_FEISHU && c->secret.n > 0)
		feishu_sign(a, c, now_ms, o);
	if (c->type == CP_CHANNEL_DINGTALK && c->secret.n > 0)
		p.url = gw_arena_c(a, dingtalk_url(a, c, now_ms));
	enum gw_rc rc = gw_json_write(&body, o, false);
	json_decref(o);
	if (rc == GW_OK && c->type == CP_CHANNEL_WEBHOOK && c->secret.n > 0) {
		uint8_t sum[32];
		char hex[GW_HEX_LEN(32)];
		gw_hmac_sha256(sum, c->secret, gw_arena_printf(a, "%lld.%.*s", (long long)(now_ms / 1000), GW_FMT(gw_buf_str(&body))));
		gw_hex(hex, sum, sizeof sum);
		p.header[0] = gw_arena_printf(a, "X-Tidegate-Timestamp: %lld", (long long)(now_ms / 1000)).p;
		p.header[1] = gw_arena_printf(a, "X-Tidegate-Signature: sha256=%s", hex).p;
	}
	p.body = gw_buf_str(&body);
	if (rc == GW_OK)
		rc = cp_http_post(&p, &status, &answer, err);
	if (rc == GW_OK)
		rc = judge(c, status, gw_buf_str(&answer), err);
	gw_buf_fini(&body);
	gw_buf_fini(&answer);
	return rc;
}

static void add_base64_lines(struct gw_buf *out, struct gw_str s)
{
	for (size_t i = 0; i < s.n; i += 57) {
		add_base64(out, s.p + i, s.n - i < 57 ? s.n - i : 57);
		gw_buf_add_c(out, "\r\n");
	}
}

/* RFC 5322: everything that came from elsewhere stands in base64, so that no line can be slipped in. */
static enum gw_rc mail(struct gw_arena *a, const struct cp_channel *c, const struct cp_notice *n, int64_t now_ms, int64_t limit_ms,
    struct gw_error *err)
{
	char date[64];
	struct tm tm;
	time_t t = (time_t)(now_ms / 1000);
	struct gw_buf m;
	struct gw_str head = title(a, c, n);
	gw_buf_init(&m, 2 * MAX_BODY);
	gmtime_r(&t, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	gw_buf_printf(&m, "Date: %s\r\nFrom: <%.*s>\r\nTo: ", date, GW_FMT(c->from));
	for (size_t i = 0; i < c->to.n; i++)
		gw_buf_printf(&m, "%s<%.*s>", i ? ", " : "", GW_FMT(c->to.v[i]));
	gw_buf_add_c(&m, "\r\nSubject: =?UTF-8?B?");
	add_base64(&m, head.p, head.n < 200 ? head.n : 200);
	gw_buf_printf(&m, "?=\r\nMessage-ID: <%.*s.%lld@tidegate>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n", GW_FMT(n->id), (long long)now_ms);
	add_base64_lines(&m, gw_arena_printf(a, "%.*s\n\n%.*s\n", GW_FMT(head), GW_FMT(lines(a, c, n, "\n"))));
	enum gw_rc rc = m.full ? gw_fail(err, GW_TOOBIG, NULL, "the message is too long") : cp_smtp_send(c, gw_buf_str(&m), limit_ms, err);
	gw_buf_fini(&m);
	return rc;
}

enum gw_rc cp_notify(const struct cp_channel *c, const struct cp_notice *n, int64_t now_ms, int64_t limit_ms, struct gw_error *err)
{
	struct gw_arena *a = gw_arena_open(0);
	enum gw_rc rc = c->type == CP_CHANNEL_EMAIL ? mail(a, c, n, now_ms, limit_ms, err) : post(a, c, n, now_ms, limit_ms, err);
	gw_arena_close(&a);
	return rc;
}
