"""The wall clock is set forwards and back: nobody takes over, and who dies is missed as soon as ever.

    lan ==+=========+==   lb1: sluice-vrrp, priority 90, its wall clock set by hand
        lb1       lb2     lb2: the same, priority 80

Setting the machine's own clock would be felt by everything on it. So the two programs ask a library of ours for the time,
which adds what a file says; the kernel's timers of that clock it does not hand out at all.
"""

import subprocess
import time

import pytest

from conftest import tell, wait_for
from oracle import Slack
from testbed.lab import Lab
from vrrp_peers import Sluice, instance

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long long* offset;  /* seconds */

__attribute__((constructor)) static void start(void) {
  int fd = open(getenv("WALL_CLOCK"), O_RDONLY);
  if (fd < 0) abort();
  offset = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
  if (offset == MAP_FAILED) abort();
}
static int is_wall(clockid_t id) {
  return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_REALTIME_ALARM || id == CLOCK_TAI;
}
int clock_gettime(clockid_t id, struct timespec* out) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int outcome = real(id, out);
  if (outcome == 0 && is_wall(id) && offset) out->tv_sec += *offset;
  return outcome;
}
int gettimeofday(struct timeval* out, void* zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
int timerfd_create(int id, int flags) {
  static int (*real)(int, int);
  if (!real) real = (int (*)(int, int))dlsym(RTLD_NEXT, "timerfd_create");
  if (is_wall(id)) return errno = EINVAL, -1;
  return real(id, flags);
}
"""
HOUR, DAY = 3600, 86_400
STEPS = [1, -1, HOUR, -HOUR, DAY, -30 * DAY, 3650 * DAY, 0]


class Clock:
    """The wall clock of the programs that are started with `prefix`, as an offset to the true one."""

    def __init__(self, directory):
        self.file, library, source = directory / "clock", directory / "clock.so", directory / "clock.c"
        source.write_text(SHIM)
        self.set(0)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self.prefix = ("env", f"LD_PRELOAD={library}", f"WALL_CLOCK={self.file}")

    def set(self, offset):
        self.offset = offset
        with open(self.file, "r+b" if self.file.exists() else "wb") as out:
            out.write(offset.to_bytes(8, "little", signed=True))

    def day(self):
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() + self.offset))


@pytest.fixture
def lab():
    lab = Lab.up("pair", servers=1, prefix="e2e")
    yield lab
    lab.down()


def test_steps_of_the_wall_clock_move_nothing(lab, tmp_path):
    late, clock = Slack().start(), Clock(tmp_path)
    one, two = (Sluice(lab, f"lb{n}", instance(lab, version=3, advert_int="100ms", priority=priority), prefix=clock.prefix).start()
                for n, priority in ((1, 90), (2, 80)))
    wait_for(lambda: one.is_master() and not two.is_master(), "lb1 to be master")
    changes = lambda: [speaker.text().count("Entering") for speaker in (one, two)]
    before = changes()
    for step in STEPS:
        clock.set(step)
        heard = two.show()["adverts_received"]
        wait_for(lambda: two.show()["adverts_received"] >= heard + 10, "ten more adverts")
        assert one.is_master() and not two.is_master() and changes() == before, f"a step of {step} s"
    clock.set(-3650 * DAY)
    began = time.monotonic()
    one.kill()
    wait_for(two.is_master, "lb2 to take over")
    taken = time.monotonic() - began
    tell(f"  {len(STEPS)} steps of the wall clock, of a second to ten years: no take-over; a kill amid one is noticed after {taken:.3f} s")
    assert taken <= 0.3 + 176 / 256 * 0.1 + 0.1 + late.seconds()
    assert f"{clock.day()}T" in two.text(), "the log has the time that was set"
