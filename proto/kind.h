/*
 * kind.h - every sort of thing an operator can create, named once.
 *
 * X(NAME, url-segment, travels): `travels` says whether workers ever see it; those that do are the members of a
 * snapshot's "objects", under this very name.  From this list come the REST collections, the `kind` column, the
 * audit vocabulary and the order of a declarative apply (referred-to kinds first).
 *
 * A CREDENTIAL is stored by itself and travels inside its consumer ("keys").
 */
#ifndef GW_PROTO_KIND_H
#define GW_PROTO_KIND_H

#include "base/gw.h"

#define GW_KIND_TABLE(X)                         \
	X(SETTINGS,      "settings",       1)    \
	X(PROVIDER,      "providers",      1)    \
	X(GROUP,         "groups",         1)    \
	X(CONSUMER,      "consumers",      1)    \
	X(JWT_ISSUER,    "jwt-issuers",    1)    \
	X(ROUTE,         "routes",         1)    \
	X(PRICE,         "prices",         1)    \
	X(QUOTA,         "quotas",         1)    \
	X(GLOBAL_PLUGIN, "global-plugins", 1)    \
	X(ALERT_CHANNEL, "alert-channels", 0)    \
	X(ALERT,         "alerts",         0)    \
	X(SILENCE,       "silences",       0)    \
	X(CREDENTIAL,    "credentials",    0)    \
	X(USER,          "users",          0)    \
	X(TOKEN,         "tokens",         0)    \
	X(JOIN_TOKEN,    "join-tokens",    0)    \
	X(NODE,          "nodes",          0)
enum gw_kind {
#define X(name, path, travels) GW_KIND_##name,
	GW_KIND_TABLE(X)
#undef X
	GW_KIND_COUNT
};

const char *gw_kind_path(enum gw_kind k);                     /* "providers"; static */
bool gw_kind_travels(enum gw_kind k);
bool gw_kind_parse(struct gw_str path, enum gw_kind *out);

/* Names of objects: lower-case letters, digits, inner `.` and `-`, 1 to 63 bytes. */
bool gw_name_valid(struct gw_str name);

#endif
