/*
 * script.h - the one script behind all counters in Redis.
 *
 * Its text is part of the agreement between workers of one installation: they all count in the same hashes.
 */
#ifndef DP_SERVICES_REDIS_SCRIPT_H
#define DP_SERVICES_REDIS_SCRIPT_H

extern const char dp_counter_script[];

#endif
