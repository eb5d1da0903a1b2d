/* describe.c - who asks for what, as one JSON object: for services that decide about requests. */
#include <ctype.h>
#include <strings.h>

#include "base/str.h"
#include "exchange/impl.h"

static void add_text(struct gw_buf *b, const char *name, struct gw_str s)
{
	gw_buf_printf(b, ",\"%s\":", name);
	if (s.p)
		gw_buf_add_json(b, s);
	else
		gw_buf_add_c(b, "null");
}

static void add_groups(struct gw_buf *b, const struct gw_consumer *consumer)
{
	gw_buf_add_c(b, ",\"groups\":[");
	for (size_t i = 0; consumer && i < consumer->groups.n; i++) {
		if (i > 0)
			gw_buf_add_byte(b, ',');
		gw_buf_add_json(b, consumer->groups.v[i]);
	}
	gw_buf_add_byte(b, ']');
}

/* A client does not say who it is in our words. */
static bool in_our_words(struct gw_str name)
{
	return name.n >= 11 && strncasecmp(name.p, "x-tidegate-", 11) == 0;
}

static void add_headers(struct gw_buf *b, const struct dp_head *head, const struct gw_strv *wanted)
{
	bool first = true;

	gw_buf_add_c(b, ",\"headers\":{");
	for (size_t i = 0; i < wanted->n; i++) {
		struct gw_str name = wanted->v[i], value = dp_header_find(head->headers, head->n_headers, name.p);

		if (!value.p || in_our_words(name))
			continue;
		gw_buf_add_c(b, first ? "\"" : ",\"");
		for (size_t k = 0; k < name.n; k++)
			gw_buf_add_byte(b, (char)tolower((unsigned char)name.p[k]));
		gw_buf_add_c(b, "\":");
		gw_buf_add_json(b, value);
		first = false;
	}
	gw_buf_add_byte(b, '}');
}

struct gw_str dp_x_describe(struct dp_exchange *x, const struct gw_strv *headers, bool with_body, size_t max_bytes)
{
	struct gw_str body = with_body && x->req.json ? gw_buf_str(&x->body) : GW_STR("null"), out = GW_STR_NONE;
	struct gw_buf b;

	gw_buf_init(&b, max_bytes + 1);
	gw_buf_add_c(&b, "{\"request_id\":");
	gw_buf_add_json(&b, gw_str_c(x->id));
	add_text(&b, "method", x->head->method);
	add_text(&b, "path", x->uri.path);
	add_text(&b, "client_ip", dp_x_client_ip(x));
	add_text(&b, "consumer", x->consumer ? x->consumer->name : GW_STR_NONE);
	add_text(&b, "key_id", x->key && x->consumer ? x->key->id : GW_STR_NONE);
	add_groups(&b, x->consumer);
	add_text(&b, "route", x->route ? x->route->name : GW_STR_NONE);
	add_text(&b, "model", x->req.model);
	add_text(&b, "operation", gw_str_c(x->op->name));
	gw_buf_printf(&b, ",\"stream\":%s,\"prompt_tokens\":%lld", x->req.stream ? "true" : "false", (long long)x->req.prompt_estimate);
	add_headers(&b, x->head, headers);
	gw_buf_add_c(&b, ",\"body\":");
	gw_buf_add(&b, body);
	gw_buf_add_byte(&b, '}');
	if (!b.full)
		out = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}
