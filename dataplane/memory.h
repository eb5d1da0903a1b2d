/*
 * memory.h - how much memory there is for this process.
 *
 * The machine's, or that of the control group which it stands in (systemd's MemoryMax, a container's limit), whichever is
 * less.  Looked at once, when the process begins.
 */
#ifndef DP_MEMORY_H
#define DP_MEMORY_H

#include <stddef.h>

size_t dp_memory_of_process(void);   /* bytes; 0: nobody knows */

#endif
