/*
 * memory.h - how much memory there is for this process, and who says so.
 *
 * The machine's, that of a control group which it stands in (systemd's MemoryMax, a container's limit), or what its
 * operator allows it: whichever is less.  Looked at once, when the process begins.
 */
#ifndef DP_MEMORY_H
#define DP_MEMORY_H

#include <stddef.h>

struct dp_memory {
	size_t bytes;       /* 0: nobody knows */
	const char *by;     /* "machine", "control_group" or "option": who decides; static */
};

/* `allowed` is the operator's word, 0: none.  `root` is where /proc and /sys are looked for: "" but in tests. */
void dp_memory_of_process(struct dp_memory *out, size_t allowed, const char *root);

#endif
