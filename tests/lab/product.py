# SPDX-License-Identifier: BSD-3-Clause
"""Spillway itself inside a lab: daemons under the supervisor, the shell, what the shell says."""
import glob
import json
import os
import re
import signal
import sys

from lab import ROOT
from net import LabError, now_ns, run, send, start_time, wait_until
from traffic import build_dir

# Where a build puts each program, and how the lab starts it. {run} is the daemons' run directory.
PROGRAMS = {
    "dataplane": ("spillway-dataplane", "--run-dir {run} --no-huge --memory 1024 "
                                        "--polling adaptive"),
    "iked": ("spillway-iked", "--run-dir {run}"),
    "controld": ("spillway-controld", "--run-dir {run} --state-dir {state} --frr-dir {frr}"),
}
SHELL = "spillway"
PLACES = ("dataplane", "ike", "ike/iked", "control", "control/cli")

DEMO_CONFIG = os.path.join(ROOT, "conf", "examples", "demo", "gateway.set")
VNET_NAME = "prod"
EXPRESSROUTE = "expressroute"


def program(name):
    """Path of one of our programs in the build directory."""
    for place in PLACES:
        path = os.path.join(build_dir(), place, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise LabError("%s is not built below %s: run make (or set SPILLWAY_BUILD)" %
                   (name, build_dir()))


class Gateway:
    """The three daemons and FRR in the gateway's namespace of a lab that is up."""

    def __init__(self, lab, psk=None):
        self.lab = lab
        self.run_dir = lab.path("spillway")
        self.state_dir = lab.path("state")
        self.psk = psk if psk is not None else lab.azure.policy["psk"]
        self.psk_file = lab.path("state", "azure-a.psk")
        self.supervisor = None

    # --- life -------------------------------------------------------------------------------

    def start(self):
        """Start FRR, then the daemons; returns once the shell gets answers."""
        for path in (self.run_dir, self.state_dir, self.lab.path("log")):
            os.makedirs(path, mode=0o755, exist_ok=True)
        with open(self.psk_file, "w", encoding="ascii",
                  opener=lambda p, f: os.open(p, f, 0o600)) as out:
            out.write(self.psk + "\n")
        self.lab.frr.start()
        places = {"run": self.run_dir, "state": self.state_dir, "frr": self.lab.frr.dir}
        programs = []
        for name, (binary, options) in PROGRAMS.items():
            argv = ["nsenter", "--net=/run/netns/" + self.lab.ns("gw"), program(binary)]
            programs.append({"name": name, "argv": argv + options.format(**places).split()})
        spec = self.lab.path("supervisor.json")
        with open(spec, "w", encoding="ascii") as out:
            json.dump({"status": self.lab.path("status.json"), "log_dir": self.lab.path("log"),
                       "programs": programs}, out)
        here = os.path.dirname(os.path.abspath(__file__))
        self.supervisor = self.lab.registry.start(
            "supervisor", [sys.executable, os.path.join(here, "supervisor.py"), spec],
            log=self.lab.path("log", "supervisor.log"), detach=True)
        wait_until(self._answers, 20, "the daemons of the gateway (see %s)" %
                   self.lab.path("log"), 0.1)

    def _answers(self):
        if self.supervisor.poll() is not None:
            raise LabError("the supervisor ended, see " + self.lab.path("log"))
        if len(self.status()) < len(PROGRAMS) or any(s["pid"] is None
                                                     for s in self.status().values()):
            return False
        return self.shell("show", "version", check=False).returncode == 0

    def stop(self):
        if self.supervisor is not None:
            self.lab.registry.stop(self.supervisor.pid, timeout=20)
            self.supervisor = None

    def status(self):
        """What the supervisor knows: {name: {pid, restarts, ready, last_exit, since_ns}}."""
        try:
            with open(self.lab.path("status.json"), encoding="ascii") as text:
                return json.load(text)
        except FileNotFoundError:
            return {}

    def kill(self, name):
        """kill -9 one daemon; return the time."""
        stamp = self.lab.note("kill -9 " + name)
        send(self.status()[name]["pid"], signal.SIGKILL)
        return stamp

    def wait_restarted(self, name, since, timeout=10):
        """Wait until the daemon was started again after `since` and its process lives."""
        def restarted():
            state = self.status().get(name, {})
            return state.get("pid") and state["since_ns"] > since and \
                start_time(state["pid"]) is not None
        wait_until(restarted, timeout, name + " to be restarted")
        return now_ns()

    def log(self, name):
        with open(self.lab.path("log", name + ".log"), encoding="utf-8",
                  errors="replace") as text:
            return text.read()

    # --- the shell --------------------------------------------------------------------------

    def shell_command(self):
        """How a user opens the shell in the gateway's namespace."""
        return "sudo nsenter --net=/run/netns/%s %s --run-dir %s" % (
            self.lab.ns("gw"), program(SHELL), self.run_dir)

    def shell(self, *words, check=True, as_json=False):
        """One-shot: `spillway [--json] WORDS`."""
        argv = [program(SHELL), "--run-dir", self.run_dir] + (["--json"] if as_json else [])
        return run(*argv, *words, ns=self.lab.ns("gw"), check=check)

    def show(self, *words):
        """`spillway --json show WORDS` as Python values."""
        text = self.shell("show", *words, as_json=True).stdout
        try:
            return json.loads(text)
        except ValueError as broken:
            raise LabError("show %s --json is not JSON: %s" % (" ".join(words),
                                                              text[:200])) from broken

    def configure(self, lines, check=True):
        """Run configuration lines and a commit as one script of the shell."""
        path = self.lab.path("script.set")
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(["configure", *lines, "commit", "exit"]) + "\n")
        return run(program(SHELL), "--run-dir", self.run_dir, "-f", path,
                   ns=self.lab.ns("gw"), check=check)

    def demo_lines(self, path=DEMO_CONFIG):
        """The lines of the demo's configuration, with the secret's file of this lab."""
        try:
            with open(path, encoding="utf-8") as text:
                lines = [line.strip() for line in text]
        except FileNotFoundError as missing:
            raise LabError("%s is missing" % path) from missing
        lines = [line for line in lines if line and not line.startswith("#")]
        return [re.sub(r"(psk-file)\s+\S+", r"\1 " + self.psk_file, line) for line in lines]

    def load_demo(self):
        return self.configure(self.demo_lines())

    def configuration(self):
        return self.shell("show", "configuration").stdout

    # --- what it says -----------------------------------------------------------------------

    def failover(self, vnet=VNET_NAME):
        """The entry of one vnet in `show failover`."""
        shown = self.show("failover")
        entries = shown.get("vnets", []) if isinstance(shown, dict) else shown
        for entry in entries:
            if entry.get("vnet", entry.get("name")) == vnet:
                return entry
        raise LabError("show failover does not know vnet %s" % vnet)

    def active(self):
        return self.failover().get("active")

    def candidates(self):
        """{path name: state word} of the demo's vnet."""
        return {c.get("path", c.get("name")): c.get("state")
                for c in self.failover().get("candidates", [])}

    def switches(self):
        """The switch log, oldest first: dicts with at_ns, from, to, cause, detect_ms, switch_us.

        at_ns is CLOCK_MONOTONIC, the same clock as the lab's.
        """
        shown = self.show("failover", "history")
        entries = shown.get("switches", []) if isinstance(shown, dict) else shown
        return sorted(entries, key=lambda e: e["at_ns"])

    def tunnel_ready(self):
        states = self.candidates()
        return any(state == "ready" for path, state in states.items() if path != EXPRESSROUTE)

    def wait_active(self, wanted, timeout, interval=0.05):
        """Wait until the vnet is on path `wanted` ("expressroute" or "tunnel")."""
        wait_until(lambda: (self.active() == EXPRESSROUTE) == (wanted == EXPRESSROUTE), timeout,
                   "traffic to be on %s (show failover: %s)" % (wanted, self.active()), interval)

    def wait_ready(self, timeout=40):
        """Wait for ExpressRoute active and the tunnel ready behind it."""
        def ready():
            return self.active() == EXPRESSROUTE and self.tunnel_ready()
        wait_until(ready, timeout, "vnet %s active on expressroute and its tunnel ready" %
                   VNET_NAME, 0.2)

    def core_files(self):
        return glob.glob(os.path.join(self.run_dir, "core*"))
