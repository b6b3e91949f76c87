# SPDX-License-Identifier: BSD-3-Clause
"""What the figures were taken on, and the huge pages that the process benches borrow."""
import datetime
import os
import platform
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB"
ISA = ("aes", "pclmulqdq", "avx2", "avx512f", "avx512bw", "avx512vl", "vaes", "vpclmulqdq")
PACKAGES = ("libdpdk-dev", "libipsec-mb-dev", "libsodium23", "libpcap0.8", "gcc")


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()
    except OSError:
        return default


def cpu():
    """Model, clock and the instruction sets that a cipher could use."""
    info = read("/proc/cpuinfo")
    first = lambda name: (re.search(rf"^{name}\s*: (.*)$", info, re.M) or [None, "?"])[1]
    flags = set(first("flags").split())
    return {"model": first("model name"), "mhz": first("cpu MHz"), "cores": os.cpu_count(),
            "cores_allowed": sorted(os.sched_getaffinity(0)),
            "flags": [name for name in ISA if name in flags]}


def versions(packages=PACKAGES):
    found = {}
    for package in packages:
        out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found[package] = out.stdout.strip() or "not installed"
    return found


def commit():
    """The commit that was measured; a plus sign when the tree has changes beside it."""
    git = lambda *args: subprocess.run(["git", "-C", ROOT, "-c", f"safe.directory={ROOT}", *args],
                                       text=True, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL).stdout.strip()
    changed = "+" if git("status", "--porcelain", "-uno") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def environment():
    memory = re.findall(r"^(HugePages_Total|HugePages_Free|MemTotal):\s+(\d+)",
                        read("/proc/meminfo"), re.M)
    return {"when": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "commit": commit(), "kernel": platform.release(), "cpu": cpu(),
            "packages": versions(), "memory": {name: int(value) for name, value in memory},
            "load_before": os.getloadavg()}


class HugePages:
    """At least `megabytes` of free 2 MB pages while it lasts; `got` says whether there are.

    Others may add and take away pages meanwhile: what was added here is what goes at the end.
    """

    def __init__(self, megabytes):
        self.wanted = megabytes // 2
        self.added = 0
        self.got = False

    def __enter__(self):
        total, free = self.pages("nr"), self.pages("free")
        if free < self.wanted and self.set(total + self.wanted - free):
            self.added = self.pages("nr") - total
        self.got = self.pages("free") >= self.wanted
        return self

    def __exit__(self, *_):
        if self.added > 0:
            self.set(max(0, self.pages("nr") - self.added))

    @staticmethod
    def pages(which):
        return int(read(f"{HUGE}/{which}_hugepages", "0").strip() or 0)

    @staticmethod
    def set(number):
        try:
            with open(f"{HUGE}/nr_hugepages", "w", encoding="ascii") as out:
                out.write(str(number))
            return True
        except OSError:
            return False


def worker_cpus():
    """CPUs for workers: the last ones; the first is left to everything else."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[1:] or allowed
