/*
 * straitjacket.h - what the process gives up before it serves strangers.
 *
 * No core files and no reading of its memory by others of the same user, no new privileges for anything it might be
 * tricked into starting, files readable by the owner only.
 */
#ifndef DP_STRAITJACKET_H
#define DP_STRAITJACKET_H

void dp_straitjacket(void);

#endif
