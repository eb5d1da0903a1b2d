/*
 * observe.h - what an operator may see of requests: access log, traces, captured prompts, as configured.
 *
 * Views like those of snapshot.h, which embeds them in the settings and in routes; read by spec_observe.c.
 */
#ifndef GW_PROTO_OBSERVE_H
#define GW_PROTO_OBSERVE_H

#include "base/gw.h"
#include "mask.h"

/* Fields of a line of the access log; a set of them is a bit each. */
enum gw_access_field {
#define X(id, name, doc) GW_ACCESS_##id,
#include "tbl/access_fields.def"
#undef X
	GW_ACCESS_COUNT
};
extern const char *const gw_access_names[GW_ACCESS_COUNT];

enum gw_access_target { GW_ACCESS_STDOUT, GW_ACCESS_FILE, GW_ACCESS_SYSLOG };

/* settings.tracing */
struct gw_trace_header { struct gw_str name, value; };       /* the value is a secret */
struct gw_tracing {
	bool enabled;
	struct gw_str endpoint;              /* http or https; "/v1/traces" is added where it has no path */
	struct gw_str service_name;
	uint32_t sample_per_million;                 /* of requests without a decision of their caller's, per million */
	const struct gw_trace_header *headers;
	size_t n_headers;
};

/* route.log: may prompts and answers be kept?  Only if settings.data_plane.access_log.prompts allows it, too. */
enum gw_capture { GW_CAPTURE_OFF, GW_CAPTURE_MASKED, GW_CAPTURE_FULL };
struct gw_route_log {
	enum gw_capture prompts;
	int64_t sample_percent;
	int64_t max_bytes;                   /* of the prompt and of the answer, each */
	const struct gw_masker *masker;      /* MASKED: with the route's own patterns, if it has any */
};

#endif
