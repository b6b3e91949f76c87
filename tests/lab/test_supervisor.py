# SPDX-License-Identifier: BSD-3-Clause
"""The lab's supervisor behaves like Restart=on-failure: the kill scenarios rest on it."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile

from net import now_ns, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
NOTIFIER = ("import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
            "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(60)")


@contextlib.contextmanager
def supervised(**programs):
    """Run the supervisor on small programs; yields a function that reads the status."""
    with tempfile.TemporaryDirectory(prefix="spw-supervisor-") as directory:
        status = os.path.join(directory, "status.json")
        spec = os.path.join(directory, "spec.json")
        with open(spec, "w", encoding="ascii") as out:
            json.dump({"status": status, "log_dir": directory, "restart_delay_ms": 50, "programs": [
                {"name": name, "argv": argv} for name, argv in programs.items()]}, out)
        child = subprocess.Popen([sys.executable, os.path.join(HERE, "supervisor.py"), spec])

        def read():
            if not os.path.exists(status):
                return {name: {"pid": None, "restarts": 0, "last_exit": None, "ready": False}
                        for name in programs}
            with open(status, encoding="ascii") as text:
                return json.load(text)
        try:
            yield read
        finally:
            child.terminate()
            child.wait(20)
            assert all(state["pid"] is None for state in read().values()), "left running"


def test_ready_program_is_started_before_the_next():
    with supervised(first=[sys.executable, "-c", NOTIFIER], second=["sleep", "60"]) as read:
        wait_until(lambda: read()["second"]["pid"], 4, "the second program")
        assert read()["first"]["ready"]


def test_killed_program_is_restarted():
    with supervised(only=["sleep", "60"]) as read:
        pid = wait_until(lambda: read()["only"]["pid"], 4, "the program")
        killed = now_ns()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: read()["only"]["pid"] not in (None, pid), 4, "the restart")
        state = read()["only"]
        assert state["restarts"] == 1 and state["last_exit"] == -9
        assert state["since_ns"] > killed


def test_program_that_ends_well_is_not_restarted():
    with supervised(only=["true"]) as read:
        wait_until(lambda: read()["only"]["last_exit"] == 0, 4, "the end")
        assert read()["only"]["restarts"] == 0 and read()["only"]["pid"] is None


def test_program_that_always_fails_is_given_up():
    with supervised(only=["false"]) as read:
        wait_until(lambda: read()["only"]["restarts"] == 19, 8, "19 restarts")
        assert read()["only"]["last_exit"] == 1
