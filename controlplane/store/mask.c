/* mask.c - a specification without what opens doors. */
#include "store/store.h"

#include "base/str.h"

static const char *const hidden[] = { "sealed", "hash", "password" };

json_t *cp_masked(const json_t *v)
{
	const char *key;
	json_t *member;
	size_t i;
	if (json_is_array(v)) {
		json_t *out = json_array();
		json_array_foreach((json_t *)v, i, member)
			json_array_append_new(out, cp_masked(member));
		return out;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	json_t *out = json_object();
	json_object_foreach((json_t *)v, key, member) {
		/* A sealed secret may have any name; what is shown of it is chosen one level below. */
		bool hide = false, sealed = json_object_get(member, "sealed") != NULL;
		for (size_t h = 0; h < GW_COUNT(hidden) && !sealed; h++)
			hide = hide || strcmp(key, hidden[h]) == 0;
		if (!hide)
			json_object_set_new(out, key, cp_masked(member));
	}
	return out;
}
