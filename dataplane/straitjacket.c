/* straitjacket.c - one-way restrictions of the process. */
#include "straitjacket.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

void dp_straitjacket(void)
{
	struct rlimit none = { 0, 0 };

	umask(077);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}
