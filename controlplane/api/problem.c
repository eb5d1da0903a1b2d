/* problem.c - answers: JSON, and RFC 9457 problems with sentences that help. */
#include "api/internal.h"

#include <stdio.h>

#include "base/log.h"

#define MAX_ANSWER (512u << 20)

static const struct { const char *slug, *title; } titles[] = {
	{ "validation", "The request is not valid" },
	{ "malformed", "The request cannot be read" },
	{ "unauthenticated", "Log in first" },
	{ "bad-credentials", "Wrong user name or password" },
	{ "csrf", "The CSRF token is missing or wrong" },
	{ "forbidden", "Not allowed" },
	{ "not-found", "Not found" },
	{ "method-not-allowed", "Method not allowed" },
	{ "conflict", "The state forbids it" },
	{ "exists", "The name is taken" },
	{ "in-use", "Something refers to it" },
	{ "stale", "The object has changed since" },
	{ "too-large", "The request is too large" },
	{ "unsupported-media-type", "Unsupported media type" },
	{ "too-many-requests", "Too many attempts" },
	{ "already-initialised", "Set-up is done already" },
	{ "vendor", "The vendor could not be asked" },
	{ "no-worker", "No worker can do it" },
	{ "unavailable", "Not available now" },
	{ "storage-full", "The disk is full" },
	{ "internal", "Internal error" },
};

const char *cp_problem_title(const char *slug)
{
	for (size_t i = 0; i < GW_COUNT(titles); i++)
		if (strcmp(titles[i].slug, slug) == 0)
			return titles[i].title;
	return titles[GW_COUNT(titles) - 1].title;
}

json_t *cp_problem_json(const char *request_id, unsigned status, const char *slug, struct gw_str detail)
{
	char type[96];
	json_t *o = json_object();
	snprintf(type, sizeof type, "urn:tidegate:problem:%s", slug);
	gw_json_set_str(o, "type", gw_str_c(type));
	gw_json_set_str(o, "title", gw_str_c(cp_problem_title(slug)));
	json_object_set_new(o, "status", json_integer(status));
	gw_json_set_str(o, "detail", detail);
	gw_json_set_str(o, "request_id", gw_str_c(request_id));
	return o;
}

static void write_body(struct cp_ctx *x, unsigned status, const char *type, json_t *body)
{
	x->rs->status = status;
	x->rs->content_type = type;
	gw_buf_fini(&x->rs->body);
	gw_buf_init(&x->rs->body, MAX_ANSWER);
	if (gw_json_write(&x->rs->body, body, false) != GW_OK || !gw_buf_add_byte(&x->rs->body, '\n')) {
		gw_log(GW_LOG_ALERT, "request", gw_str_c(x->rq->id), "answer could not be written", NULL);
		gw_buf_clear(&x->rs->body);
		x->rs->status = 500;
	}
	json_decref(body);
}

void cp_answer(struct cp_ctx *x, unsigned status, json_t *body)
{
	write_body(x, status, "application/json", body);
}

void cp_answer_empty(struct cp_ctx *x, unsigned status)
{
	x->rs->status = status;
	gw_buf_clear(&x->rs->body);
}

void cp_problem(struct cp_ctx *x, unsigned status, const char *slug, json_t *errors, const char *fmt, ...)
{
	char detail[700];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(detail, sizeof detail, fmt, ap);
	va_end(ap);
	json_t *o = cp_problem_json(x->rq->id, status, slug, gw_str_c(detail));
	if (errors != NULL)
		json_object_set_new(o, "errors", errors);
	if (status == 401)
		cp_response_header(x->rq, x->rs, "WWW-Authenticate", GW_STR("Bearer"));
	write_body(x, status, "application/problem+json", o);
}

/* "/targets/0/provider" → "targets[0].provider", as people write it. */
static void dotted(const char *pointer, char *out, size_t size)
{
	size_t n = 0;
	bool number = false;
	for (const char *p = pointer; *p && n + 4 < size; p++) {
		if (*p != '/') {
			out[n++] = *p;
			continue;
		}
		if (number)
			out[n++] = ']';
		const char *end = p + 1 + strspn(p + 1, "0123456789");
		number = end > p + 1 && (*end == 0 || *end == '/');
		if (number)
			out[n++] = '[';
		else if (n > 0)
			out[n++] = '.';
	}
	if (number)
		out[n++] = ']';
	out[n] = 0;
}

bool cp_problem_faults(struct cp_ctx *x)
{
	char where[200];
	if (json_array_size(x->faults) == 0)
		return false;
	const json_t *first = json_array_get(x->faults, 0);
	const char *path = json_string_value(json_object_get(first, "path"));
	const char *message = json_string_value(json_object_get(first, "message"));
	dotted(path, where, sizeof where);
	size_t more = json_array_size(x->faults) - 1;
	char rest[48] = "";
	if (more > 0)
		snprintf(rest, sizeof rest, " (and %zu more)", more);
	cp_problem(x, 400, "validation", json_incref(x->faults), "%s%s%s%s", where, where[0] ? ": " : "", message, rest);
	return true;
}

static void problem_path(struct cp_ctx *x, unsigned status, const char *slug, const char *code, const struct gw_error *e)
{
	char where[200];
	json_t *errors = json_array();
	cp_fault_add(errors, e->path, code, "%s", e->text);
	dotted(e->path, where, sizeof where);
	cp_problem(x, status, slug, errors, "%s%s%s", where, where[0] ? ": " : "", e->text);
}

/* The reason in the document's words; the sentence below was written by the part that knows the member. */
static const char *code_of(const struct gw_error *e)
{
	struct gw_str text = gw_str_c(e->text);
	size_t at;
	if (gw_str_starts(text, GW_STR("there is no member")))
		return "unknown_member";
	if (gw_str_starts(text, GW_STR("there is no ")))
		return "unknown_reference";
	if (gw_str_find(text, GW_STR("is required"), &at))
		return "required";
	if (gw_str_find(text, GW_STR("twice"), &at) || gw_str_starts(text, GW_STR("two ")))
		return "duplicate";
	if (gw_str_starts(text, GW_STR("numbers must")))
		return "wrong_type";
	if (gw_str_find(text, GW_STR(", from "), &at) || gw_str_find(text, GW_STR("within"), &at))
		return "out_of_range";
	return "bad_format";
}

void cp_problem_error(struct cp_ctx *x, const struct gw_error *e)
{
	switch (e->rc) {
	case GW_INVALID:
	case GW_VERSION:
		problem_path(x, 400, "validation", code_of(e), e);
		break;
	case GW_INUSE:
		problem_path(x, 400, "validation", "unknown_reference", e);
		break;
	case GW_NOTFOUND:
		cp_problem(x, 404, "not-found", NULL, "%s", e->text);
		break;
	case GW_EXISTS:
		problem_path(x, 409, "exists", "conflict", e);
		break;
	case GW_CONFLICT:
		cp_problem(x, 412, "stale", NULL, "%s", e->text);
		break;
	case GW_DENIED:
		cp_problem(x, 403, "forbidden", NULL, "%s", e->text);
		break;
	case GW_TOOBIG:
		cp_problem(x, 507, "storage-full", NULL, "%s", e->text);
		break;
	case GW_BUSY:
		cp_response_header(x->rq, x->rs, "Retry-After", GW_STR("1"));
		cp_problem(x, 503, "unavailable", NULL, "%s", e->text);
		break;
	default:
		gw_log(GW_LOG_ERROR, "request", gw_str_c(x->rq->id), "call failed", "operation=%s error=%s",
		       x->op ? x->op->id : "", e->text);
		cp_problem(x, 500, "internal", NULL, "something went wrong here; the log has it under this request id");
	}
}

void cp_etag(struct cp_ctx *x, uint64_t revision)
{
	cp_response_header(x->rq, x->rs, "ETag", gw_arena_printf(x->a, "\"%llu\"", (unsigned long long)revision));
}

void cp_revision_header(struct cp_ctx *x, uint64_t revision)
{
	cp_response_header(x->rq, x->rs, "X-Tidegate-Revision", gw_arena_printf(x->a, "%llu", (unsigned long long)revision));
}

/* ---- small things ---- */

#define MAX_WAITING 6 /* of the httpd's 12 threads */

bool cp_wait_begin(struct cp_ctx *x)
{
	return atomic_fetch_add(&x->api->waiting, 1) < MAX_WAITING;
}

void cp_wait_end(struct cp_ctx *x)
{
	atomic_fetch_sub(&x->api->waiting, 1);
}

struct gw_str cp_query_text(const struct cp_ctx *x, const char *name)
{
	return gw_json_str(json_object_get(x->query, name));
}

int64_t cp_query_int(const struct cp_ctx *x, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(x->query, name);
	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

json_t *cp_text_json(struct gw_str s)
{
	json_t *o = json_object();
	if (s.p == NULL) {
		json_decref(o);
		return json_null();
	}
	gw_json_set_str(o, "v", s);
	json_t *v = json_incref(json_object_get(o, "v"));
	json_decref(o);
	return v;
}

json_t *cp_time_json(int64_t ms)
{
	char text[GW_TIME_LEN];
	if (ms <= 0)
		return json_null();
	gw_time_format(text, ms);
	return json_string(text);
}

json_t *cp_spec_parse(struct gw_str spec)
{
	json_t *v = NULL;
	if (gw_json_parse(&v, spec, CP_MAX_SPEC, NULL) != GW_OK) {
		gw_log(GW_LOG_ALERT, NULL, GW_STR_NONE, "stored object is not JSON", NULL);
		return json_object();
	}
	return v;
}

struct gw_str cp_json_text(struct cp_ctx *x, const json_t *v)
{
	struct gw_buf b;
	gw_buf_init(&b, CP_MAX_SPEC);
	struct gw_str out = GW_STR("{}");
	enum gw_rc rc = gw_json_write(&b, v, true);
	assert(rc == GW_OK); /* our own objects: no fractions, no strange sizes */
	if (rc == GW_OK)
		out = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}

bool cp_contains_nocase(struct gw_str hay, struct gw_str needle)
{
	for (size_t i = 0; i + needle.n <= hay.n; i++)
		if (gw_str_ieq((struct gw_str){ hay.p + i, needle.n }, needle))
			return true;
	return needle.n == 0;
}

bool cp_if_match(struct cp_ctx *x, uint64_t *out)
{
	struct gw_str h = gw_str_trim(cp_request_header(x->rq, "If-Match"));
	int64_t n;
	*out = CP_ANY;
	if (h.p == NULL || h.n == 0 || gw_str_is(h, "*"))
		return true;
	if (gw_str_starts(h, GW_STR("W/")))
		h = gw_str_from(h, 2);
	if (h.n > 2 && h.p[0] == '"' && h.p[h.n - 1] == '"' &&
	    gw_str_int((struct gw_str){ h.p + 1, h.n - 2 }, 0, INT64_MAX, &n)) {
		*out = n == 0 ? UINT64_MAX - 1 : (uint64_t)n; /* no object ever has revision 0 */
		return true;
	}
	cp_problem(x, 412, "stale", NULL, "If-Match must be the ETag that a read of the object gave, such as \"3\"");
	return false;
}

json_t *cp_list_json(json_t *items, const char *cursor, int64_t total)
{
	json_t *o = json_object();
	json_object_set_new(o, "items", items);
	json_object_set_new(o, "next_cursor", cursor != NULL ? json_string(cursor) : json_null());
	json_object_set_new(o, "total", json_integer(total));
	return o;
}
