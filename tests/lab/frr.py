# SPDX-License-Identifier: BSD-3-Clause
"""FRR in a namespace without watchfrr: private directory, private sockets, no system files."""
import contextlib
import os
import shutil

from net import LabError, run, wait_until

LIBEXEC = "/usr/lib/frr"
CRASH_LOGS = "/var/tmp/frr"


class Frr:
    """zebra, bgpd, bfdd and staticd of one namespace."""

    DAEMONS = ("zebra", "staticd", "bfdd", "bgpd")

    def __init__(self, registry, ns, directory, modules=None):
        self.registry = registry
        self.ns = ns
        self.dir = directory
        self.modules = modules or {}     # daemon -> list of modules (`-M`)
        self.pids = {}

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        empty = os.path.join(self.dir, "empty.conf")
        with open(empty, "w", encoding="ascii"):
            pass
        for path in (self.dir, empty):
            shutil.chown(path, "frr", "frr")
        os.chmod(self.dir, 0o755)
        for daemon in self.DAEMONS:
            self._start_daemon(daemon, empty)

    def _start_daemon(self, daemon, config, options=()):
        pid_file = os.path.join(self.dir, daemon + ".pid")
        argv = [os.path.join(LIBEXEC, daemon), "-d", "-f", config, "-i", pid_file,
                "-z", os.path.join(self.dir, "zserv.api"), "--vty_socket", self.dir,
                "-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0",
                "--log", "file:%s/%s.log" % (self.dir, daemon)]
        if daemon == "bfdd":
            argv += ["--bfdctl", os.path.join(self.dir, "bfdd.sock")]
        for module in self.modules.get(daemon, ()):
            argv += ["-M", module]
        run(*argv, *options, ns=self.ns)
        wait_until(lambda: os.path.exists(os.path.join(self.dir, daemon + ".vty")), 5,
                   daemon + " in " + self.ns)
        with open(pid_file, encoding="ascii") as text:
            self.pids[daemon] = int(text.read())
        self.registry.record(self.pids[daemon], daemon)

    def restart(self, config, daemons=("bgpd",), options=()):
        """Start daemons that have died, as their supervisor would, and load the file `config`."""
        empty = os.path.join(self.dir, "empty.conf")
        for daemon in daemons:
            for ending in (".vty", ".pid"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.dir, daemon + ending))
            self._start_daemon(daemon, empty, options)
        done = run("vtysh", "--vty_socket", self.dir, "-f", config, check=False)
        if done.returncode != 0:
            raise LabError("FRR refuses %s: %s" % (config, done.stdout + done.stderr))

    def vtysh(self, *commands):
        words = [word for command in commands for word in ("-c", command)]
        return run("vtysh", "--vty_socket", self.dir, *words).stdout

    def apply(self, text):
        """Load a whole configuration text."""
        path = os.path.join(self.dir, "frr.conf")
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
        done = run("vtysh", "--vty_socket", self.dir, "-f", path, check=False)
        if done.returncode != 0:
            raise LabError("FRR refuses its configuration: " + done.stdout + done.stderr)

    def forget_crash_logs(self):
        """FRR keeps a directory per daemon below /var/tmp; ours go with the lab."""
        for daemon, pid in self.pids.items():
            shutil.rmtree(os.path.join(CRASH_LOGS, "%s.%d" % (daemon, pid)), ignore_errors=True)
