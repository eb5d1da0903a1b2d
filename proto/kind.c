/*
 * kind.c - the list of kinds, looked up.
 */
#include "kind.h"
#include "base/str.h"

static const struct {
	const char *path;
	bool travels;
} kinds[] = {
#define X(name, path, travels) { path, travels },
	GW_KIND_TABLE(X)
#undef X
};

const char *gw_kind_path(enum gw_kind k)
{
	assert(k < GW_KIND_COUNT);
	return kinds[k].path;
}

bool gw_kind_travels(enum gw_kind k)
{
	assert(k < GW_KIND_COUNT);
	return kinds[k].travels;
}

bool gw_kind_parse(struct gw_str path, enum gw_kind *out)
{
	for (size_t i = 0; i < GW_COUNT(kinds); i++) {
		if (gw_str_is(path, kinds[i].path)) {
			*out = (enum gw_kind)i;
			return true;
		}
	}
	return false;
}

bool gw_name_valid(struct gw_str name)
{
	if (name.n < 1 || name.n > 63)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		bool inner = i > 0 && i + 1 < name.n && (c == '.' || c == '-');
		if (!alnum && !inner)
			return false;
	}
	return true;
}
