# SPDX-License-Identifier: BSD-3-Clause
"""Processes, namespaces and waiting: what every part of the lab stands on.

A process that the lab starts is recorded in a file `pids/PID` of the run directory with its start
time, so that a later run (or a run after a crash) ends exactly those processes and never a stranger
that was given the same number.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time


class LabError(Exception):
    """Something in the lab did not do what it was asked; the text is for the user."""


def now_ns():
    """CLOCK_MONOTONIC, the clock that all tools and namespaces share."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def in_namespace(ns, argv):
    """Prefix a command so that it runs in network namespace `ns` (mounts stay the host's)."""
    if ns is None:
        return [str(a) for a in argv]
    return ["nsenter", "--net=/run/netns/" + ns] + [str(a) for a in argv]


def run(*argv, ns=None, check=True, stdin=None, timeout=30, env=None):
    """Run a command to its end; return its CompletedProcess. LabError when it fails and `check`."""
    command = in_namespace(ns, argv)
    try:
        done = subprocess.run(command, input=stdin if stdin is not None else "", text=True,
                              capture_output=True, timeout=timeout, env=env)
    except subprocess.TimeoutExpired as late:
        raise LabError("no end after %d s: %s" % (timeout, " ".join(command))) from late
    except FileNotFoundError as missing:
        raise LabError("%s is not installed" % missing.filename) from missing
    if check and done.returncode != 0:
        raise LabError("%s: exit %d: %s" % (" ".join(command), done.returncode,
                                            (done.stderr or done.stdout).strip()[-600:]))
    return done


def ip_batch(ns, lines):
    """Run several `ip` commands in one process; one command a line, without the leading `ip`."""
    argv = ["ip"] + (["-n", ns] if ns else []) + ["-batch", "-"]
    run(*argv, stdin="\n".join(lines) + "\n")


def sysctl(ns, **values):
    """Set net.* sysctls in a namespace; `__` stands for the dot, so names fit keywords."""
    pairs = ["%s=%s" % (k.replace("__", "."), v) for k, v in values.items()]
    run("sysctl", "-q", "-w", *pairs, ns=ns)


def wait_until(check, timeout, what, interval=0.05):
    """Call `check` until it returns something true; return that. LabError after `timeout` s."""
    end = time.monotonic() + timeout
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise LabError("after %g s still waiting for %s" % (timeout, what))
        time.sleep(interval)


def start_time(pid):
    """Start time of a process in clock ticks, or None when it is gone (or a zombie)."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


class Registry:
    """The processes of one lab, on disk."""

    def __init__(self, run_dir):
        self.dir = os.path.join(run_dir, "pids")
        self.children = {}

    def record(self, pid, name):
        os.makedirs(self.dir, exist_ok=True)
        started = start_time(pid)
        if started is not None:
            with open(os.path.join(self.dir, str(pid)), "w", encoding="ascii") as out:
                out.write("%d %s\n" % (started, name))

    def start(self, name, argv, ns=None, log=None, env=None, ready=None, detach=False):
        """Start a process that stays; its output goes to `log` (a path) or nowhere.

        `ready`: a line that the process prints on stdout once it works; waits 5 s for it.
        `detach`: its own session, so that it survives the driver (KEEP=1).
        """
        sink = open(log, "ab") if log else subprocess.DEVNULL
        try:
            child = subprocess.Popen(in_namespace(ns, argv), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE if ready else sink, stderr=sink,
                                     env=env, start_new_session=detach)
        except FileNotFoundError as missing:
            raise LabError("%s is not installed" % missing.filename) from missing
        finally:
            if log:
                sink.close()
        self.children[child.pid] = child
        self.record(child.pid, name)
        if ready:
            self._wait_ready(child, name, ready)
        return child

    @staticmethod
    def _wait_ready(child, name, ready):
        # The tools print `ready` as their first line, or end at once with a reason.
        line = child.stdout.readline().decode(errors="replace").strip()
        if line != ready:
            raise LabError("%s did not start: %s" % (name, line or "no output"))

    def stop(self, pid, signo=signal.SIGTERM, timeout=5):
        """End one recorded process and forget it; kill it when it does not go."""
        send(pid, signal.SIGCONT)
        send(pid, signo)
        try:
            wait_until(lambda: self._gone(pid), timeout, "process %d to end" % pid)
        except LabError:
            send(pid, signal.SIGKILL)
            wait_until(lambda: self._gone(pid), 5, "process %d to die" % pid)
        self._forget(pid)

    def stop_all(self):
        """End every recorded process that is still the one recorded."""
        mine = [pid for pid, started in self._recorded() if start_time(pid) == started]
        for pid in mine:
            send(pid, signal.SIGCONT)
            send(pid, signal.SIGTERM)
        end = time.monotonic() + 5
        while mine and time.monotonic() < end:
            mine = [pid for pid in mine if not self._gone(pid)]
            time.sleep(0.02)
        for pid in mine:
            send(pid, signal.SIGKILL)
        for pid in mine:
            wait_until(lambda pid=pid: self._gone(pid), 5, "process %d to die" % pid)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _recorded(self):
        found = []
        for name in os.listdir(self.dir) if os.path.isdir(self.dir) else []:
            with open(os.path.join(self.dir, name), encoding="ascii") as entry:
                words = entry.read().split()
            if name.isdigit() and words:
                found.append((int(name), int(words[0])))
        return found

    def _gone(self, pid):
        child = self.children.get(pid)
        if child is not None:
            return child.poll() is not None
        return start_time(pid) is None

    def _forget(self, pid):
        try:
            os.unlink(os.path.join(self.dir, str(pid)))
        except FileNotFoundError:
            pass


def send(pid, signo):
    """Send a signal; a process that is gone is no error."""
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass


@contextlib.contextmanager
def inside(ns):
    """What this thread opens meanwhile belongs to network namespace `ns`."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + ns, os.O_RDONLY)
    try:
        if libc.setns(there, 0) != 0:
            raise LabError("cannot enter namespace %s" % ns)
        yield
    finally:
        libc.setns(home, 0)
        os.close(home)
        os.close(there)


def packet_socket(ns, device, buffer_bytes=32 << 20):
    """A socket that hears every frame on a device, both ways, and holds this much unread."""
    with inside(ns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))    # ETH_P_ALL
        sock.setsockopt(socket.SOL_SOCKET, 33, buffer_bytes)                # SO_RCVBUFFORCE
        sock.bind((device, 3))
    sock.setblocking(False)
    return sock


class Forwarding:
    """The switch of a namespace's IPv4 forwarding, at hand: what is written takes effect at once,
    transit is dropped both ways, the host's own packets live on."""

    FILE = "/proc/sys/net/ipv4/ip_forward"

    def __init__(self, ns):
        # A file below /proc/sys/net belongs to the namespace in which it was opened.
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open("/run/netns/" + ns, os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            if libc.setns(there, 0) != 0:
                raise LabError("cannot enter namespace %s" % ns)
            self.file = os.open(self.FILE, os.O_WRONLY)
        finally:
            libc.setns(home, 0)
            os.close(home)
            os.close(there)

    def set(self, on):
        """Return the time of the change."""
        os.pwrite(self.file, b"1\n" if on else b"0\n", 0)
        return now_ns()

    def close(self):
        os.close(self.file)


def namespaces():
    """Names of all network namespaces of this machine."""
    return [line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line]


def end_namespace(ns):
    """Kill whatever still lives in a namespace of ours, then delete it."""
    for _ in range(50):
        pids = [int(p) for p in run("ip", "netns", "pids", ns, check=False).stdout.split()]
        for pid in pids:
            send(pid, signal.SIGKILL)
        if not pids:
            break
        time.sleep(0.05)
    run("ip", "netns", "del", ns, check=False)
