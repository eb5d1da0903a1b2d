/* tell.c - a finished request, for whoever watches: the access log, traces, captured prompts. */
#include "base/str.h"
#include "exchange/impl.h"

/* Of the requests that went well, a share by the id's hash; what failed is always told. */
static bool sampled(const struct dp_exchange *x, const struct gw_usage_record *r, int64_t percent)
{
	if (percent >= 100 || r->status >= 400 || r->status == 0 || r->end_reason != GW_END_COMPLETE)
		return true;
	return (int64_t)(gw_hash(gw_str_c(x->id)) % 100) < percent;
}

static void tell_access_log(struct dp_exchange *x, const struct gw_usage_record *r)
{
	const struct gw_dp_settings *st = x->settings;
	struct dp_access_facts f = { .step = gw_str_c(dp_step_name(x->step)) };

	if (!x->shard->ring || !st || !st->access_log_enabled || !sampled(x, r, st->access_log_sample_percent))
		return;
	if (x->head) {
		f.method = x->head->method;
		f.path = x->uri.path;
		f.user_agent = dp_header_find(x->head->headers, x->head->n_headers, "user-agent");
	}
	dp_access_log_add(x->shard->ring, st->access_log_mask, r, &f);
}

void dp_x_tell(struct dp_exchange *x, const struct gw_usage_record *r)
{
	tell_access_log(x, r);
}
