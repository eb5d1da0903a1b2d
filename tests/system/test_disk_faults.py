"""Disks that are full and disks that fail, under the control plane: nothing acknowledged is lost, nothing crashes, traffic goes on. F31, F32."""
import os
import signal
import sqlite3
import subprocess

import httpx
import pytest

from harness.gateway import Gateway
from harness.waiting import wait_until

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def configure(gateway, sim):
    gateway.provider("p0", sim, type="vllm", served=False)
    gateway.route("r0", "m", ("p0", "qwq-32b"), served=False)
    return gateway.key()


def call(gateway, key):
    return httpx.post(gateway.url + "/chat/completions", json=BODY, headers={"Authorization": "Bearer " + key}, trust_env=False, verify=False, timeout=30).status_code


def requests_of(gateway):
    return sum(row["requests"] for row in gateway.admin.get("usage?group_by=route").json()["items"])


@pytest.fixture
def house():
    """A gateway that is not started, and whose end is looked at like any other's."""
    gateway = Gateway(split=True)
    yield gateway
    try:
        statuses = gateway.stop()
        assert set(statuses.values()) <= {0}, statuses
        assert not [line for daemon in gateway.daemons for line in daemon.complaints()], gateway.logs()[-6000:]
    finally:
        gateway.clean()


@pytest.fixture
def small_disk(house):
    """The data directory on a disk of its own, of 24 MB."""
    house.data_dir.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", house.data_dir], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("nobody may mount here: %s" % mounted.stderr.decode())
    yield house
    for daemon in house.daemons:
        if daemon.running:
            daemon.stop()
    subprocess.run(["umount", "-l", house.data_dir], check=True)


def fill(folder):
    path = folder / "filler"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError:
                pass
    finally:
        os.close(fd)
    return path


def test_a_full_disk_F31(small_disk, vllm_sim):
    """Writes are refused by name, reads and traffic go on, and when there is space again no restart is needed and no usage is missing."""
    gateway = small_disk
    gateway.start()
    gateway.set_up()
    key = configure(gateway, vllm_sim)
    gateway.wait_served()
    assert call(gateway, key) == 200
    wait_until(lambda: requests_of(gateway) == 1, 10, "the first row")
    filler = fill(gateway.data_dir)
    for attempt in range(40):                    # what the database had set aside is used up at some time
        status = gateway.admin.post("consumers", {"name": "c%d" % attempt}, expect=None)
        if status.status_code != 201:
            break
    fill(gateway.data_dir)                       # and what it gave up for its own work
    assert status.status_code == 507 and status.json()["type"].endswith("storage-full"), status.text
    for _ in range(3):
        assert gateway.admin.post("consumers", {"name": "again"}, expect=None).status_code == 507
        assert call(gateway, key) == 200
    assert gateway.admin.get("consumers").json()["items"] and gateway.console_answers()
    assert gateway.daemon("control").running and gateway.daemon("worker-0").running
    filler.unlink()
    wait_until(lambda: gateway.admin.post("consumers", {"name": "after"}, expect=None).status_code == 201, 10, "writes")
    gateway.wait_served()
    assert call(gateway, key) == 200
    wait_until(lambda: requests_of(gateway) == 5, 30, "every request in the ledger, those of the full disk too")
    gateway.stop()
    with sqlite3.connect(next(gateway.data_dir.glob("*.db"))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static __thread int inside;
static int counted, generation = -1;
/* What is to become of this call: 0 nothing special, 1 it fails, 2 half of it, 3 interrupted. */
static int plan(int fd, int is_sync)
{
	char path[64], where[512], text[64] = "", mode[16] = "off";
	const char *folder = getenv("TEST_IO_DIR"), *file = getenv("TEST_IO_FILE");
	int n = 0, gen = 0, control, what = 0;
	ssize_t got;
	if (!folder || !file || inside)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	got = readlink(path, where, sizeof where - 1);
	if (got <= 0 || strncmp(where, folder, strlen(folder)) != 0)
		return 0;
	inside = 1;
	control = open(file, O_RDONLY | O_CLOEXEC);
	if (control >= 0) {
		if (read(control, text, sizeof text - 1) > 0)
			sscanf(text, "%15s %d %d", mode, &n, &gen);
		close(control);
	}
	inside = 0;
	if (gen != generation) {
		generation = gen;
		counted = 0;
	}
	if (strcmp(mode, "off") == 0)
		return 0;
	if (is_sync != (strcmp(mode, "sync") == 0) || ++counted != n)
		return 0;
	errno = strcmp(mode, "full") == 0 ? ENOSPC : EIO;
	what = strcmp(mode, "short") == 0 ? 2 : strcmp(mode, "eintr") == 0 ? 3 : 1;
	return what;
}
static ssize_t put(int fd, const void *p, size_t n, off_t at, int positioned)
{
	switch (plan(fd, 0)) {
	case 1: return -1;
	case 2: n = n > 1 ? n / 2 : n; break;
	case 3: errno = EINTR; return -1;
	}
	return positioned ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
}
ssize_t write(int fd, const void *p, size_t n) { return put(fd, p, n, 0, 0); }
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return put(fd, p, n, at, 1); }
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) { return put(fd, p, n, at, 1); }
int fsync(int fd) { return plan(fd, 1) ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return plan(fd, 1) ? -1 : (int)syscall(SYS_fdatasync, fd); }
"""
HARMLESS = {"short": range(1, 24, 3), "eintr": range(1, 24, 3)}       # the rest is written by a second call
BREAKS = [("eio", 1), ("eio", 2), ("sync", 1), ("eio", 3)]


def test_writes_that_fail_F32(house, vllm_sim):
    """
    The n-th write or sync of the control plane is cut short, interrupted, finds no space, or fails. After an I/O error it writes no more until it
    is restarted, since nobody knows what the disk has; it is killed then. What was acknowledged is there, what was refused is not,
    and an object never without its row of the audit.
    """
    source, library, control = house.folder / "io.c", house.folder / "io.so", house.folder / "io.txt"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    house.env = {"LD_PRELOAD": str(library), "TEST_IO_DIR": str(house.data_dir), "TEST_IO_FILE": str(control),
                 "ASAN_OPTIONS": "exitcode=99:detect_leaks=0:verify_asan_link_order=0"}
    house.start()
    house.set_up()
    key = configure(house, vllm_sim)
    house.wait_served()
    acknowledged, refused, generation = [], [], 0

    def write(name, mode="off", n=0):
        nonlocal generation
        generation += 1
        control.write_text("%s %d %d" % (mode, n, generation))
        answer = house.admin.post("consumers", {"name": name}, expect=None)
        control.write_text("off 0 %d" % generation)
        assert answer.status_code in (201, 500, 507), (name, answer.text)
        if mode != "sync":                   # then all stands in the file, and whether it stays nobody can say
            (acknowledged if answer.status_code == 201 else refused).append(name)
        return answer.status_code

    def check():
        there = {item["name"] for item in house.admin.get("consumers?limit=500").json()["items"]}
        audited = {row["name"] for row in house.admin.get("audit?limit=500&kind=consumer").json()["items"]}
        for found in there, audited:
            assert found >= set(acknowledged), set(acknowledged) - found
            assert not found & set(refused), "what was refused did not happen: %r" % (found & set(refused))
        assert there - {house.consumer} == audited - {house.consumer}, "object and audit row stand together"
    for mode, numbers in HARMLESS.items():
        for n in numbers:
            assert write("%s-%d" % (mode, n), mode, n) == 201
    for n in range(1, 24, 3):
        write("full-%d" % n, "full", n)
        assert write("behind-full-%d" % n) == 201, "there is space again"
    # One of them: a write of the control plane's own affairs may have met one of the faults.
    assert [name for name in refused if name.startswith("full-")] and "disk has space again" in house.daemon("control").log()
    check()
    for mode, n in BREAKS:
        # A write of the control plane's own affairs may meet the fault in our stead; then the next of ours is refused.
        assert 500 in (write("%s-%d-%d" % (mode, n, again), mode, n) for again in range(5))
        assert write("behind-%s-%d" % (mode, n)) == 500, "until it is restarted"
        assert "nothing is written until a restart" in house.daemon("control").log()
        assert call(house, key) == 200 and house.daemon("control").running
        house.daemon("control").send(signal.SIGKILL)
        house.daemon("control").process.wait(10)
        house.start_control()
        check()
        assert write("again-%s-%d" % (mode, n)) == 201
    house.wait_served()
    assert call(house, key) == 200
    wait_until(lambda: requests_of(house) == len(BREAKS) + 1, 20, "every request in the ledger")
    house.stop()
    with sqlite3.connect(next(house.data_dir.glob("*.db"))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
