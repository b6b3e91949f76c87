# SPDX-License-Identifier: BSD-3-Clause
"""The lab leaves nothing behind: compared with a picture of the machine taken before."""
import contextlib
import os
import signal
import subprocess
import sys

from bed import Bed
from lab import Lab
from net import namespaces, run, wait_until
from scenario import unmeasured

PLACES = ("/run", "/run/netns", "/run/dpdk", "/dev/hugepages", "/dev/shm", "/var/tmp/frr",
          "/var/run/frr")
OURS = ("spillway-", "charon-systemd", "bird", "zebra", "bgpd", "bfdd", "staticd", "probe", "sniff",
        "tcpbulk")


def files():
    return {os.path.join(place, name) for place in PLACES if os.path.isdir(place)
            for name in os.listdir(place)}


def processes():
    """(pid, name) of what a lab could have started; other labs of this machine may live on."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as stat:
                name, _, rest = stat.read().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith(OURS) and not rest.startswith(" Z"):
            found.add((int(pid), name))
    return found


def living_in(prefix):
    """(pid, name) of the processes in the namespaces of a lab."""
    prefix = Lab(prefix).prefix
    homes = {os.stat("/run/netns/" + n).st_ino for n in namespaces() if n.startswith(prefix + "-")}
    found = set()
    for pid, name in processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.stat("/proc/%d/ns/net" % pid).st_ino in homes:
                found.add((pid, name))
    return found


def devices():
    return {line.split(":")[1].strip() for line in run("ip", "-o", "link").stdout.splitlines()}


def picture(prefix):
    prefix = Lab(prefix).prefix
    mine = {n for n in namespaces() if n.startswith(prefix + "-")}
    return mine, {f for f in files() if prefix in f}, devices()


def expect_clean(prefix, before, pids):
    after = picture(prefix)
    assert after == before, "left behind: %s" % [a - b for a, b in zip(after, before)]
    alive = pids & processes()
    assert not alive, "still running: %s" % sorted(alive)
    assert not Lab(prefix).leftovers(), Lab(prefix).leftovers()


@unmeasured
def test_destroy_leaves_nothing():
    prefix = "spwds"
    before = picture(prefix)
    with Bed(prefix):
        pids = living_in(prefix)
    seen = {name for _, name in pids}
    assert {"spillway-datapl", "spillway-iked", "spillway-contro", "charon-systemd", "bird",
            "bgpd"} <= seen, "of the lab's processes only %s were seen" % seen
    expect_clean(prefix, before, pids)


@unmeasured
def test_interrupted_lab_cleans_up():
    prefix = "spwdi"
    here = os.path.dirname(os.path.abspath(__file__))
    before = picture(prefix)
    code = ("import sys, time; sys.path.insert(0, %r)\n"
            "from lab import Lab\n"
            "with Lab(%r):\n    print('up', flush=True)\n    time.sleep(60)\n" % (here, prefix))
    for signo in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        assert child.stdout.readline().strip() == b"up"
        child.send_signal(signo)
        wait_until(lambda: child.poll() is not None, 20, "the interrupted lab to end")
        child.stdout.close()
        expect_clean(prefix, before, set())


@unmeasured
def test_destroy_after_kill_leaves_nothing():
    prefix = "spwdk"
    here = os.path.dirname(os.path.abspath(__file__))
    before = picture(prefix)
    code = ("import sys, time; sys.path.insert(0, %r)\n"
            "from lab import Lab\n"
            "Lab(%r).create()\nprint('up', flush=True)\ntime.sleep(60)\n" % (here, prefix))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout.readline().strip() == b"up"
    child.kill()
    child.wait()
    child.stdout.close()
    assert Lab(prefix).leftovers(), "nothing was there: the test proves nothing"
    Lab(prefix).destroy()
    expect_clean(prefix, before, set())
    Lab(prefix).destroy()               # and once more: nothing to do is no error
