#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A tiny service manager for the lab, behaving like systemd's Type=notify, Restart=on-failure: each
program has a session of its own.

usage: supervisor.py SPEC.json

SPEC: {"status": FILE, "log_dir": DIR, "restart_delay_ms": N, "programs": [{"name", "argv"}...]}.
Programs start in order, each once the one before said READY=1 on NOTIFY_SOCKET (or after 5 s). A
program that ends by a signal or a non-zero status is started again after the delay; one that ends
with 0 is not; one that fails 20 times within 10 s is given up. SIGTERM stops all in reverse order.
FILE always holds the present state as JSON: pid, restarts, ready, last_exit and since_ns by name.
"""
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

READY_WAIT_S = 5
STOP_WAIT_S = 5
BURST, BURST_S = 20, 10


class Program:
    """One supervised program."""

    def __init__(self, spec, log_dir):
        self.name = spec["name"]
        self.argv = spec["argv"]
        self.log = os.path.join(log_dir, self.name + ".log")
        self.notify_path = os.path.join(log_dir, self.name + ".notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.exists(self.notify_path):
            os.unlink(self.notify_path)
        self.notify.bind(self.notify_path)
        os.chmod(self.notify_path, 0o666)    # the daemon may have dropped root by then
        self.notify.setblocking(False)
        self.child = None
        self.restarts = 0
        self.ready = False
        self.last_exit = None
        self.started = 0.0
        self.start_again = None
        self.failures = []

    def start(self):
        env = dict(os.environ, NOTIFY_SOCKET=self.notify_path)
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, env=env, start_new_session=True)
        self.ready = False
        self.started = time.monotonic()
        self.start_again = None

    def read_notify(self):
        while True:
            try:
                message = self.notify.recv(4096)
            except BlockingIOError:
                return
            if b"READY=1" in message.split(b"\n"):
                self.ready = True

    def reap(self, delay_s):
        """Note an end; plan the restart when it was a failure. Return true when it has ended."""
        if self.child is None or self.child.poll() is None:
            return False
        now = time.monotonic()
        self.last_exit = self.child.returncode
        self.child = None
        self.ready = False
        if self.last_exit != 0:
            self.failures = [t for t in self.failures if now - t < BURST_S] + [now]
            if len(self.failures) < BURST:
                self.start_again = now + delay_s
        return True

    def state(self):
        return {"pid": self.child.pid if self.child else None, "restarts": self.restarts,
                "ready": self.ready, "last_exit": self.last_exit,
                "since_ns": int(self.started * 1e9)}


class Supervisor:
    def __init__(self, spec):
        self.status = spec["status"]
        self.delay_s = spec.get("restart_delay_ms", 100) / 1000
        self.programs = [Program(p, spec["log_dir"]) for p in spec["programs"]]
        self.waiting = list(self.programs)
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno())
        self.wake = (wake_read, wake_write)
        self.selector.register(wake_read, selectors.EVENT_READ, None)
        for program in self.programs:
            self.selector.register(program.notify, selectors.EVENT_READ, program)
        for signo in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signo, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda signo, frame: None)

    def _on_stop(self, signo, frame):
        self.stopping = True

    def run(self):
        while not self.stopping:
            self._advance()
            self._write_status()
            self._wait(self._next_deadline())
        self._stop_all()

    def _advance(self):
        now = time.monotonic()
        for program in self.programs:
            program.reap(self.delay_s)
            if program.start_again is not None and now >= program.start_again:
                program.restarts += 1
                program.start()
        index = len(self.programs) - len(self.waiting)
        before = self.programs[index - 1] if index > 0 else None
        if self.waiting and (before is None or before.ready or
                             now - before.started > READY_WAIT_S):
            self.waiting.pop(0).start()

    def _next_deadline(self):
        times = [p.start_again for p in self.programs if p.start_again is not None]
        if self.waiting:
            times.append(time.monotonic() + 0.1)
        return max(0.001, min(times) - time.monotonic()) if times else None

    def _wait(self, timeout):
        for key, _ in self.selector.select(timeout):
            if key.data is not None:
                key.data.read_notify()
                continue
            try:
                while self.wake[0].recv(512):
                    pass
            except BlockingIOError:
                pass

    def _write_status(self):
        text = json.dumps({p.name: p.state() for p in self.programs})
        with open(self.status + ".new", "w", encoding="ascii") as out:
            out.write(text)
        os.rename(self.status + ".new", self.status)

    def _stop_all(self):
        for program in reversed(self.programs):
            if program.child is None:
                continue
            program.child.terminate()
            try:
                program.child.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                program.child.kill()
                program.child.wait()
            program.reap(self.delay_s)
        self._write_status()


def main():
    with open(sys.argv[1], encoding="ascii") as text:
        spec = json.load(text)
    Supervisor(spec).run()


if __name__ == "__main__":
    main()
