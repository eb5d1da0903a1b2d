/* memory.c - physical memory and control groups, version 1 and 2. */
#include "memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number in the file, or `otherwise`: there is no file, or it says "max". */
static size_t number_in(const char *path, size_t otherwise)
{
	FILE *f = fopen(path, "re");
	char text[32] = "", *end;
	unsigned long long v;

	if (!f)
		return otherwise;
	if (!fgets(text, sizeof text, f))
		text[0] = '\0';
	fclose(f);
	v = strtoull(text, &end, 10);
	return end == text || v == 0 || v > (unsigned long long)otherwise ? otherwise : (size_t)v;
}

/* "0::/system.slice/x" in version 2, "9:memory:/x" in version 1; the group's own files, and those at the root of what we see. */
static size_t of_group(char *line, size_t most)
{
	char path[600], *controllers = strchr(line, ':'), *name = controllers ? strchr(controllers + 1, ':') : NULL;
	bool one;

	if (!name)
		return most;
	*name++ = '\0';
	name[strcspn(name, "\n")] = '\0';
	controllers++;
	one = strcmp(controllers, "memory") == 0;
	if (!one && *controllers)
		return most;
	snprintf(path, sizeof path, one ? "/sys/fs/cgroup/memory%.500s/memory.limit_in_bytes" : "/sys/fs/cgroup%.500s/memory.max", name);
	most = number_in(path, most);
	return number_in(one ? "/sys/fs/cgroup/memory/memory.limit_in_bytes" : "/sys/fs/cgroup/memory.max", most);
}

size_t dp_memory_of_process(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	size_t most = pages > 0 && size > 0 ? (size_t)pages * (size_t)size : 0;
	FILE *f = most ? fopen("/proc/self/cgroup", "re") : NULL;
	char line[600];

	while (f && fgets(line, sizeof line, f))
		most = of_group(line, most);
	if (f)
		fclose(f);
	return most;
}
