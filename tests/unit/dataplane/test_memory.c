/* test_memory.c - whose word about memory counts: both versions of control groups, the machine, the operator. */
#include "unit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"

#define MIB ((size_t)1 << 20)

static char root[64];

static void put(const char *path, const char *text)
{
	char whole[600];
	FILE *f;

	snprintf(whole, sizeof whole, "%s%s", root, path);
	for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(whole, 0755);
	}
	f = fopen(whole, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void begin(void)
{
	strcpy(root, "/tmp/tidegate-memory-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void end(void)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0)
		execlp("rm", "rm", "-r", root, (char *)NULL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

static void expect(size_t allowed, size_t bytes, const char *by)
{
	struct dp_memory m;

	dp_memory_of_process(&m, allowed, root);
	ck_assert_str_eq(m.by, by);
	if (bytes)
		ck_assert_uint_eq(m.bytes, bytes);
	else
		ck_assert_uint_gt(m.bytes, 16 * MIB);
}

START_TEST(the_machine_or_the_operator)
{
	begin();
	expect(0, 0, "machine");                          /* no /proc */
	expect(12 * MIB, 12 * MIB, "option");
	expect(SIZE_MAX, 0, "machine");                   /* more than there is */
	put("/proc/self/cgroup", "0::/system.slice/tidegate-worker.service\n");
	expect(0, 0, "machine");                          /* a group without files */
	put("/sys/fs/cgroup/system.slice/tidegate-worker.service/memory.max", "max\n");
	expect(0, 0, "machine");
	end();
}
END_TEST

START_TEST(groups_of_version_2)
{
	begin();
	put("/proc/self/cgroup", "0::/system.slice/tidegate-worker.service\n");
	put("/sys/fs/cgroup/system.slice/tidegate-worker.service/memory.max", "104857600\n");
	expect(0, 100 * MIB, "control_group");
	expect(40 * MIB, 40 * MIB, "option");
	expect(400 * MIB, 100 * MIB, "control_group");
	put("/sys/fs/cgroup/system.slice/memory.max", "52428800\n");
	expect(0, 50 * MIB, "control_group");             /* the slice has less than its service was given */
	put("/sys/fs/cgroup/system.slice/tidegate-worker.service/memory.max", "max\n");
	expect(0, 50 * MIB, "control_group");
	end();
}
END_TEST

/* In a container the name of the group is "/", or one that leads nowhere, and its limit stands at the root. */
START_TEST(containers)
{
	begin();
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "67108864\n");
	expect(0, 64 * MIB, "control_group");
	put("/proc/self/cgroup", "0::/../../docker/0123456789abcdef\n");
	expect(0, 64 * MIB, "control_group");
	end();
}
END_TEST

START_TEST(groups_of_version_1)
{
	begin();
	put("/proc/self/cgroup", "9:name=systemd:/other\n4:memory:/docker/abc\n0::/\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "33554432\n");
	put("/sys/fs/cgroup/other/memory.max", "1\n");
	expect(0, 32 * MIB, "control_group");
	put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n"); /* how version 1 says none */
	expect(0, 0, "machine");
	put("/proc/self/cgroup", "nonsense\n::\n4:memory\n");
	expect(0, 0, "machine");
	end();
}
END_TEST

UNIT_MAIN("memory", the_machine_or_the_operator, groups_of_version_2, containers, groups_of_version_1)
