# SPDX-License-Identifier: BSD-3-Clause
"""Spillway itself inside a lab: daemons under the supervisor, the shell, what the shell says."""
import datetime
import json
import os
import pwd
import re
import signal
import sys
import time

from lab import ROOT
from net import LabError, now_ns, run, send, start_time, wait_until
from traffic import build_dir

# Where a build puts each program, and how the lab starts it. {run} is the daemons' run directory.
# A machine that only tried the demo has no user spillway-iked: there iked stays what it is.
PROGRAMS = {
    "dataplane": ("spillway-dataplane", "--run-dir {run} --no-huge --memory 1024 "
                                        "--polling adaptive --iked-user {iked_account}"),
    "iked": ("spillway-iked", "--run-dir {run} --user {iked_user}"),
    "controld": ("spillway-controld", "--run-dir {run} --state-dir {state} --frr-dir {frr}"),
}
SHELL = "spillway"
NICE = {"dataplane": -10}       # as its service has it
PLACES = ("dataplane", "ike", "ike/iked", "control", "control/cli")

DEMO_CONFIG = os.path.join(ROOT, "conf", "examples", "demo", "gateway.set")
VNET_NAME = "prod"
EXPRESSROUTE = "expressroute"
STANDS = ("ready", "up")       # states of a tunnel that carries or could
SETTLED_S = 1.5
PEERS = ("dataplane", "iked")   # of controld, by their names in its log
# What that log says when a session, link, tunnel or path changes, or one of them comes and goes.
CHANGE = re.compile(r"^(\S+)Z spillway-controld \w+ (?:bgp session|tunnel (?:up|down)|port link|"
                    r"path |dataplane |iked )", re.M)
IKED_USER = "spillway-iked"


def program(name):
    """Path of one of our programs in the build directory."""
    for place in PLACES:
        path = os.path.join(build_dir(), place, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise LabError("%s is not built below %s: run make (or set SPILLWAY_BUILD)" %
                   (name, build_dir()))


def has_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


class Gateway:
    """The three daemons and FRR in the gateway's namespace of a lab that is up."""

    wrap = ()       # a command that runs each daemon, for scenarios that change its world

    def __init__(self, lab, psk=None, options=None):
        """`options`: {daemon: further words of its command line, the last of a name counts}."""
        self.options = options or {}
        self.lab = lab
        self.run_dir = lab.path("spillway")
        self.state_dir = lab.path("state")
        self.psk = psk if psk is not None else lab.azure.policy["psk"]
        self.supervisor = None
        self.kills = dict.fromkeys(PROGRAMS, 0)
        self.left_alone = False     # nothing is under way of which controld would still have to hear

    # --- life -------------------------------------------------------------------------------

    def start(self):
        """Start FRR, then the daemons; returns once the shell gets answers."""
        for path in (self.run_dir, self.state_dir, self.lab.path("log")):
            os.makedirs(path, mode=0o755, exist_ok=True)
        os.makedirs(os.path.join(self.state_dir, "keys"), mode=0o700, exist_ok=True)
        self.lab.frr.start()
        places = {"run": self.run_dir, "state": self.state_dir, "frr": self.lab.frr.dir,
                  "iked_user": IKED_USER if has_user(IKED_USER) else "-",
                  "iked_account": IKED_USER if has_user(IKED_USER) else "root"}
        programs = []
        for name, (binary, options) in PROGRAMS.items():
            argv = ["nsenter", "--net=/run/netns/" + self.lab.ns("gw"), "nice", "-n",
                    str(NICE.get(name, 0)), *self.wrap, program(binary)]
            words = options.format(**places).split() + self.options.get(name, "").split()
            programs.append({"name": name, "argv": argv + words})
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
        self.kills[name] += 1
        send(self.status()[name]["pid"], signal.SIGKILL)
        return stamp

    def crashes(self):
        """Daemons that ended without having been killed by us, one text each."""
        return ["%s ended by itself (%s)" % (name, state["last_exit"])
                for name, state in self.status().items()
                if state["restarts"] + (state["pid"] is None) > self.kills[name]]

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

    def dropped(self):
        """What Spillway itself dropped or never came to read: {reason: packets}."""
        return {d["reason"]: d["packets"] for d in self.show("drops")["drops"]}

    def configure(self, lines, check=True):
        """Run configuration lines and a commit as one script of the shell."""
        path = self.lab.path("script.set")
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(["configure", *lines, "commit", "exit"]) + "\n")
        return run(program(SHELL), "--run-dir", self.run_dir, "-f", path,
                   ns=self.lab.ns("gw"), check=check)

    def demo_lines(self, path=DEMO_CONFIG):
        """The lines of the demo's configuration; the key files that they name are made."""
        try:
            with open(path, encoding="utf-8") as text:
                lines = [line.strip() for line in text]
        except FileNotFoundError as missing:
            raise LabError("%s is missing" % path) from missing
        lines = [line for line in lines if line and not line.startswith("#")]
        for line in lines:
            named = re.match(r"set tunnel \S+ pre-shared-key-file (\S+)$", line)
            if named:
                self.write_key(named.group(1))
        return lines

    def write_key(self, name, mode=0o600):
        """Write the pre-shared key into a file of the state directory's keys/; return its path."""
        path = os.path.join(self.state_dir, "keys", os.path.basename(name))
        with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            out.write(self.psk + "\n")
        os.chmod(path, mode)
        return path

    def load_demo(self):
        return self.configure(self.demo_lines())

    def configuration(self):
        return self.shell("show", "configuration").stdout

    # --- what it says -----------------------------------------------------------------------

    def failover(self, vnet=VNET_NAME):
        """The entry of one vnet in `show failover`."""
        shown = self.show("failover")
        for entry in shown["vnets"]:
            if entry["name"] == vnet:
                return entry
        raise LabError("show failover does not know vnet %s" % vnet)

    def active(self):
        return self.failover()["active"]

    def is_on(self, path):
        """Whether the vnet is carried by "expressroute" or by any "tunnel"."""
        active = self.active()
        return active == EXPRESSROUTE if path == EXPRESSROUTE else \
            active not in (EXPRESSROUTE, "none")

    def candidates(self):
        """{path name: state word} of the demo's vnet."""
        return {c["path"]: c["state"] for c in self.failover()["candidates"]}

    def switches(self):
        """The switch log, oldest first: dicts with at_ns, from, to, cause, detect_ms, switch_us.

        at_ns is the entry's date on the lab's clock (CLOCK_MONOTONIC), good to a millisecond.
        """
        offset_ns = time.time_ns() - now_ns()
        entries = self.show("failover", "history")["switches"]
        for entry in entries:
            at = datetime.datetime.fromisoformat(entry["at"].replace("Z", "+00:00"))
            entry["at_ns"] = round(at.timestamp() * 1000) * 10**6 - offset_ns
        return sorted(entries, key=lambda e: e["at_ns"])

    def violations(self):
        """Transit packets that the data plane itself saw enter a tunnel against the rule."""
        return sum(t["violations"] for t in self.show("ipsec", "statistics")["tunnels"])

    def tunnel_ready(self):
        """A tunnel stands; it is "up" while a prefix of the vnet that nobody announces goes over it."""
        return any(state in STANDS for path, state in self.candidates().items()
                   if path != EXPRESSROUTE)

    def wait_active(self, wanted, timeout, interval=0.05):
        """Wait until the vnet is on path `wanted` ("expressroute" or "tunnel")."""
        try:
            wait_until(lambda: self.is_on(wanted), timeout, wanted, interval)
        except LabError as late:
            raise LabError("after %g s the traffic is not on %s; show failover says: %s" % (
                timeout, wanted, json.dumps(self.failover()))) from late

    def wait_ready(self, timeout=40):
        """Wait for ExpressRoute active and the tunnel ready behind it, for SETTLED_S in a row.

        Sessions that come up from both sides at once may collide and come up anew.
        """
        since = None

        def settled():
            nonlocal since
            if self.active() != EXPRESSROUTE or not self.tunnel_ready() or not self.complete():
                since = None
                return False
            since = since or time.monotonic()
            return time.monotonic() - since >= SETTLED_S or \
                self.left_alone and self.unchanged_s() >= SETTLED_S
        wait_until(settled, timeout, "vnet %s active on expressroute and its tunnel ready" %
                   VNET_NAME, 0.1)

    def complete(self):
        """The other daemons answer controld."""
        log = self.log("controld")
        return all(re.findall(r" %s (lost|unreachable|connected)\b" % name, log)[-1:] == ["connected"]
                   for name in PEERS)

    def unchanged_s(self):
        """Seconds for which the vnet is carried as it is and since controld told of a change."""
        stamps = CHANGE.findall(self.log("controld"))
        told = datetime.datetime.fromisoformat(stamps[-1] + "+00:00").timestamp() if stamps \
            else time.time()
        return min(self.failover()["since_s"], time.time() - told)
