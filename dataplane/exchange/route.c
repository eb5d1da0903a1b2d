/*
 * route.c - which route serves the request, and whether this consumer may call it.
 *
 * What a consumer may be served with is decided target by target (proto/permit.c), for every attempt anew.
 */
#include "base/str.h"
#include "exchange/impl.h"

bool dp_x_may_use(const struct dp_exchange *x, const struct gw_target *t, bool is_fallback)
{
	return gw_consumer_may(x->consumer, x->route, t, is_fallback, x->req.model);
}

static void refuse_model(struct dp_exchange *x, enum dp_code code, const char *how)
{
	struct gw_str model = x->req.model;

	if (model.n > 100)
		model.n = 100;
	dp_answer_error(x, code, "The model `%.*s` %s%.*s.", GW_FMT(model), how, GW_FMT(dp_x_other_models(x)));
}

bool dp_x_route(struct dp_exchange *x)
{
	struct gw_match_input in = {
		.host = x->head->host, .path = x->uri.path, .model = x->req.model, .headers = x->head->headers,
		.n_headers = x->head->n_headers, .query = x->uri.query,
	};

	x->route = gw_match(x->snapshot, &in);
	if (!x->route) {
		if (x->req.model.p)
			refuse_model(x, DP_E_NO_MODEL, "is not served here");
		else
			dp_answer_error(x, DP_E_NO_PATH, "No route serves this path.");
		return false;
	}
	if (!x->consumer && x->route->auth.required) {
		dp_x_refuse_anonymous(x);
		return false;
	}
	if (!gw_route_allows(x->route, x->consumer)) {
		dp_answer_error(x, DP_E_FORBIDDEN, "Your key belongs to consumer `%.*s`, which may not call the route `%.*s`.",
		                GW_FMT(x->consumer->name), GW_FMT(x->route->name));
		return false;
	}
	if (!gw_consumer_may_any(x->consumer, x->route, x->req.model)) {
		if (x->req.model.p)
			refuse_model(x, DP_E_MODEL_FORBIDDEN, "is not allowed for your key");
		else
			dp_answer_error(x, DP_E_MODEL_FORBIDDEN, "The request names no model, and your key may only use some models.");
		return false;
	}
	return true;
}
