# SPDX-License-Identifier: BSD-3-Clause
"""frr.conf as it is rendered, applied to FRR's daemons the way controld does: FRR takes each line,
and applying the same text again finds no difference, so a commit that changes nothing of routing
disturbs no session.

Usage: test_frr_apply.py TEST_CTL_FRR   (the program prints the text)
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from frr import Frr, LIBEXEC                                   # noqa: E402
from net import Registry, run                                  # noqa: E402

SKIP = 77
IGNORED = ("end", "no hostname " + os.uname().nodename)    # the machine's name is never ours
RELOAD = os.path.join(LIBEXEC, "frr-reload.py")


class Bgp(Frr):
    """Of FRR what reads our text; bgpd with the module that speaks BMP."""

    DAEMONS = ("zebra", "staticd", "bgpd")


def reload(frr, how, path):
    return run("/usr/bin/python3", RELOAD, how, "--stdout", "--log-level", "error", "--rundir",
               frr.dir, "--bindir", "/usr/bin", "--vty_socket", frr.dir, path, timeout=60)


def differences(frr, path):
    """Lines that an apply would delete or add."""
    out = reload(frr, "--test", path).stdout
    return [line for line in out.splitlines()
            if line.strip() and line[0] not in "=L" and line.strip() not in IGNORED]


def apply(frr, name, text):
    path = os.path.join(frr.dir, name + ".conf")
    with open(path, "w", encoding="ascii") as out:
        out.write(text)
    assert differences(frr, path), "%s: nothing to apply" % name
    reload(frr, "--reload", path)
    left = differences(frr, path)
    assert not left, "%s: applied, and still different: %s" % (name, left)
    running = iter(frr.vtysh("show running-config").splitlines())
    for line in text.splitlines():
        assert line in ("!", "end") or line in running, \
            "%s: FRR does not have, or has elsewhere: %r" % (name, line)
    print("%s: applied, no difference left" % name)


def check(frr, program):
    texts = [(how, subprocess.run([program, how], check=True, capture_output=True,
                                  text=True).stdout) for how in ("plain", "ipv6")]
    for name, text in texts + [("back", texts[0][1])]:
        apply(frr, name, text)
    assert "SPILLWAY" in frr.vtysh("show bmp"), "no BMP target"


def main():
    if os.geteuid() != 0 or not os.path.exists(RELOAD):
        print("needs root and FRR")
        return SKIP
    ns = "spw-frr-%d" % os.getpid()
    directory = tempfile.mkdtemp(prefix="spw-frr-")
    os.chmod(directory, 0o755)       # FRR runs as its own user
    registry = Registry(directory)
    run("ip", "netns", "add", ns)
    frr = Bgp(registry, ns, os.path.join(directory, "frr"), {"bgpd": ["bmp"]})
    try:
        run("ip", "link", "set", "lo", "up", ns=ns)
        frr.start()
        check(frr, sys.argv[1])
    finally:
        registry.stop_all()
        frr.forget_crash_logs()
        run("ip", "netns", "del", ns)
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
