/* memory.c - physical memory and control groups, version 1 and 2. */
#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 512   /* of a group, deeper ones are cut */

/* The number in the file; 0: there is no file, or it says "max". */
static size_t number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	char text[32] = "", *end;
	unsigned long long v;

	if (!f)
		return 0;
	if (!fgets(text, sizeof text, f))
		text[0] = '\0';
	fclose(f);
	v = strtoull(text, &end, 10);
	return end == text || v > SIZE_MAX ? 0 : (size_t)v;
}

static void take_less(struct dp_memory *m, size_t bytes, const char *by)
{
	if (bytes > 0 && (m->bytes == 0 || bytes < m->bytes))
		*m = (struct dp_memory){ bytes, by };
}

/*
 * "0::/a/b" in version 2, "9:memory:/a/b" in version 1.  Each group above it has a limit too, up to the root of what we see:
 * in a container the names may lead nowhere, and the limit stands at the root.
 */
static void look_at_group(struct dp_memory *m, char *line, const char *root)
{
	char path[1024], *controllers = strchr(line, ':'), *name = controllers ? strchr(controllers + 1, ':') : NULL, *slash;
	const char *at, *file;

	if (!name)
		return;
	*name++ = '\0';
	name[strcspn(name, "\n")] = '\0';
	controllers++;
	if (*controllers && strcmp(controllers, "memory") != 0)
		return;
	at = *controllers ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
	file = *controllers ? "memory.limit_in_bytes" : "memory.max";
	if (strlen(name) > NAME_MAX_BYTES)
		name[NAME_MAX_BYTES] = '\0';
	for (;;) {
		snprintf(path, sizeof path, "%.300s%s%s/%s", root, at, name, file);
		take_less(m, number_in(path), "control_group");
		slash = strrchr(name, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

void dp_memory_of_process(struct dp_memory *out, size_t allowed, const char *root)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	char path[400], line[NAME_MAX_BYTES + 64];
	FILE *f;

	*out = (struct dp_memory){ 0, "machine" };
	if (pages > 0 && size > 0)
		out->bytes = (size_t)pages * (size_t)size;
	snprintf(path, sizeof path, "%.300s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		look_at_group(out, line, root);
	if (f)
		fclose(f);
	take_less(out, allowed, "option");
}
