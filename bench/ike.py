#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure IKE: spillway-iked beside charon from Debian, on one suite (AES256-GCM, SHA384, ECP384, a
pre-shared key), as responder and as initiator; a dated JSON file under bench/results/, and the closing
lines RATIO and FIGURE. `sudo make bench-ike` calls this.

Two network namespaces: in one the daemon under test, alone on the last CPU; in the other
bench-ike-driver, which is all the peers, the same for both daemons. A round is a fresh process of
each daemon, in turn: tunnels up, child SAs and IKE SAs rekeyed, memory read. What counts is the CPU
time of the daemon (user and system, all threads, /proc/PID/stat) between a command to the driver and
its word that all is done. Rounds are compared in pairs; medians are reported.

--quick: 200 tunnels, 3 rounds. Nothing fails for being slow; what cannot be measured is SKIPPED.
"""
import argparse
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import machine
from cbench import build
from product import NotMeasured, die_with_parent
from results import Results
from run import only_one
from vici import Vici, ViciError

CHARON = "/usr/sbin/charon-systemd"
PREFIX = f"bench-ike-{os.getpid()}"
INSIDE, OUTSIDE = f"{PREFIX}-d", f"{PREFIX}-p"
TICK = os.sysconf("SC_CLK_TCK")
PSK = "a pre-shared key for measuring 1"
RECORD = 4096       # of an IKE SA in escrow: the page that has both halves of its slot
BATCH = 20          # of what the daemon is told to begin at once; the driver's window is the same
SETTLE_S = 0.2      # for the Deletes after the last rekey
PATIENCE_S = 400
NAMES = ("ike-handshake/charon", "ike-bytes-per-tunnel", "ike-1000-tunnels-seconds")

CHARON_CONF = """\
charon-systemd {{
  load = random nonce openssl kdf kernel-libipsec kernel-netlink socket-default vici
  install_routes = no
  install_virtual_ip = no
  dos_protection = no
  cookie_threshold = 0
  block_threshold = 0
  init_limit_half_open = 0
  ikesa_table_size = 4096
  ikesa_table_segments = 16
  plugins {{
    vici {{ socket = unix://{dir}/vici.sock }}
    kernel-libipsec {{ allow_peer_ts = yes }}
    socket-default {{ fwmark = 0x42 }}
    kernel-netlink {{ fwmark = !0x42 }}
  }}
  journal {{ default = -1 }}
}}
"""


def run(*words):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise NotMeasured(f"{' '.join(words[:4])}: {done.stderr.strip()[:120]}")
    return done.stdout


def peer(index):
    return f"10.77.{index // 256}.{index % 256}"


class Bed:
    """Two namespaces and the wire between them."""

    def __enter__(self):
        try:
            for name in (INSIDE, OUTSIDE):
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", INSIDE, "link", "add", "wire", "type", "veth", "peer", "name", "wire",
                "netns", OUTSIDE)
            for name, address in ((INSIDE, "10.78.0.1/30"), (OUTSIDE, "10.78.0.2/30")):
                run("ip", "-n", name, "address", "add", address, "dev", "wire")
                run("ip", "-n", name, "link", "set", "wire", "up")
            run("ip", "-n", OUTSIDE, "route", "add", "local", "10.77.0.0/16", "dev", "lo")
            run("ip", "-n", INSIDE, "route", "add", "10.77.0.0/16", "via", "10.78.0.2")
        except NotMeasured:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in (INSIDE, OUTSIDE):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


class Program:
    """A process in a namespace, on some CPUs."""

    def __init__(self, namespace, words, cpus, env=None, talks=False):
        def prepare():
            die_with_parent()
            os.sched_setaffinity(0, cpus)
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        self.words = words
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", *words], stdin=pipe, stdout=pipe,
            stderr=self.log, env=env, preexec_fn=prepare)
        self.rest = b""

    def last_word(self):
        self.log.seek(0)
        return (self.log.read().decode(errors="replace").strip().splitlines() or ["no word"])[-1]

    def line(self, patience=PATIENCE_S):
        """The next line it says, as JSON."""
        until = time.monotonic() + patience
        out = self.child.stdout.fileno()
        while b"\n" not in self.rest:
            if not select.select([out], [], [], max(0, until - time.monotonic()))[0]:
                raise NotMeasured(f"{os.path.basename(self.words[0])} does not answer")
            part = os.read(out, 65536)
            if not part:
                raise NotMeasured(f"{os.path.basename(self.words[0])} ended with {self.child.wait()}: {self.last_word()}")
            self.rest += part
        said, self.rest = self.rest.split(b"\n", 1)
        return json.loads(said)

    def ask(self, command):
        self.child.stdin.write(f"{command}\n".encode())
        self.child.stdin.flush()
        answer = self.line()
        if "error" in answer:
            raise NotMeasured(f"{command}: {answer['error']}: {answer}")
        return answer

    def cpu_seconds(self):
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii") as text:
            fields = text.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """Bytes: what it has of physical memory (Pss), and what of it is locked."""
        found = {}
        with open(f"/proc/{self.child.pid}/smaps_rollup", encoding="ascii") as text:
            for line in text:
                name, _, value = line.partition(":")
                if name in ("Pss", "Rss", "Locked"):
                    found[name.lower()] = int(value.split()[0]) * 1024
        return found

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Iked:
    """spillway-iked with its control daemon and data plane played by bench-ike-control."""
    name = "iked"

    def __init__(self, directory, cpus, others):
        self.dir = tempfile.mkdtemp(prefix="bench-ike-")
        os.chmod(self.dir, 0o755)
        self.control = Program(INSIDE, [os.path.join(directory, "bench", "bench-ike-control"),
                                        self.dir], others, talks=True)
        self.control.line(10)
        self.daemon = Program(INSIDE, [os.path.join(directory, "ike", "iked", "spillway-iked"),
                                       "--run-dir", self.dir, "--user", "nobody", "--log-level",
                                       "error"], cpus)
        try:
            self.control.ask("attach")
            self.slots = self.control.ask("escrow")["slots"]
        except NotMeasured:
            self.stop()     # it has changed its user: nobody else would end it
            raise

    def load(self, count):
        """Know the peers, and wait for them."""
        self.control.ask(f"set 0 {count} answer")

    def not_kept(self, count):
        """How many of the tunnels have no record: where little memory may be locked, the escrow is
        small. They are counted as if they had one."""
        return max(0, count - self.slots)

    def prepare_to_dial(self, count):
        """Nothing: to know a peer is to dial it."""

    def dial(self, first, count):
        self.control.ask(f"set {first} {count} dial")

    def rekey(self, what, first, count):
        self.control.ask(f"rekey {what} {first} {count}")

    def stop(self):
        self.daemon.stop()
        self.control.child.stdin.close()
        self.control.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Charon:
    """charon of Debian with what the suite needs and userspace ESP."""
    name = "charon"

    def __init__(self, directory, cpus, others):
        if not os.path.exists(CHARON):
            raise NotMeasured("charon-systemd is not installed")
        self.dir = tempfile.mkdtemp(prefix="bench-ike-")
        conf = os.path.join(self.dir, "strongswan.conf")
        with open(conf, "w", encoding="ascii") as out:
            out.write(CHARON_CONF.format(dir=self.dir))
        self.daemon = Program(INSIDE, [CHARON], cpus, env=dict(os.environ, STRONGSWAN_CONF=conf))
        self.vici = None
        try:
            self.vici = self.connect()
            self.vici.call("load-shared", id="all", type="IKE", data=PSK)
        except (NotMeasured, ViciError, OSError):
            self.stop()
            raise

    def connect(self):
        for _ in range(200):
            if self.daemon.child.poll() is not None:
                raise NotMeasured(f"charon ended at once: {self.daemon.last_word()}")
            try:
                vici = Vici(f"{self.dir}/vici.sock")
                vici.call("version")
                return vici
            except (OSError, ViciError):
                time.sleep(0.05)
        raise NotMeasured("charon does not answer")

    def load(self, count):
        for i in range(count):
            self.vici.call("load-conn", **{f"t{i}": {
                "version": "2", "local_addrs": ["10.78.0.1"], "remote_addrs": [peer(i)],
                "proposals": ["aes256gcm16-prfsha384-ecp384"], "mobike": "no", "unique": "never",
                "dpd_delay": "0s", "rekey_time": "8h", "rand_time": "0s",
                "local-1": {"auth": "psk", "id": "10.78.0.1"},
                "remote-1": {"auth": "psk", "id": peer(i)},
                "children": {f"c{i}": {
                    "local_ts": ["0.0.0.0/0"], "remote_ts": ["0.0.0.0/0"], "rekey_time": "27000s",
                    "esp_proposals": ["aes256gcm16-ecp384"], "rand_time": "0s"}}}})

    prepare_to_dial = load

    def not_kept(self, count):
        return 0

    def dial(self, first, count):
        for i in range(first, first + count):
            self.vici.call("initiate", ike=f"t{i}", child=f"c{i}", timeout="-1")

    def rekey(self, what, first, count):
        for i in range(first, first + count):
            names = {"ike": f"t{i}"} if what == "ike" else {"ike": f"t{i}", "child": f"c{i}"}
            self.vici.call("rekey", **names)

    def stop(self):
        if self.vici:
            self.vici.close()
        self.daemon.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Run:
    """One run: what it found, and what it could not find."""

    def __init__(self, directory, tunnels, rounds):
        self.directory, self.tunnels, self.rounds = directory, tunnels, rounds
        allowed = sorted(os.sched_getaffinity(0))
        self.cpus, self.others = {allowed[-1]}, set(allowed[:-1]) or set(allowed)
        self.results = Results("ike")
        self.results.environment["ike"] = {
            "suite": "aes256gcm16-prfsha384-ecp384, esp aes256gcm16-ecp384, psk", "tunnels": tunnels,
            "at_once": BATCH, "cpu_of_the_daemon": allowed[-1],
            "data_plane": {"iked": "a process that says yes: SPI, install and switch are a request "
                                   "and an answer each", "charon": "kernel-libipsec, in process"},
            "packages": machine.versions(("charon-systemd", "libstrongswan", "libssl3"))}
        self.driver = None
        self.found = {}     # (daemon, what) -> [per CPU-second]

    def timed(self, daemon, role, what, count, work):
        """Run work; note how many of `what` a second of the daemon's CPU makes."""
        before, begun = daemon.daemon.cpu_seconds(), time.monotonic()
        work()
        wall = time.monotonic() - begun
        time.sleep(SETTLE_S)
        cpu = daemon.daemon.cpu_seconds() - before
        record = {"what": what, "role": role, "daemon": daemon.name, "count": count,
                  "cpu_s": cpu, "wall_s": wall, "per_cpu_s": count / max(cpu, 1 / TICK)}
        self.results.add(record)
        self.found.setdefault((daemon.name, role, what), []).append(record)

    def in_batches(self, begin, goal):
        """Tell the daemon to begin BATCH at a time; wait for the driver to see them done."""
        for first in range(0, self.tunnels, BATCH):
            begin(first, min(BATCH, self.tunnels - first))
            self.driver.ask(f"await {goal} {min(self.tunnels, first + BATCH)}")

    def as_responder(self, daemon):
        n = self.tunnels
        empty = daemon.daemon.memory()
        daemon.load(n)
        loaded = daemon.daemon.memory()
        self.timed(daemon, "responder", "handshake", n,
                   lambda: self.driver.ask(f"up 0 {n} {BATCH}"))
        full = daemon.daemon.memory()
        self.results.add({"what": "memory", "daemon": daemon.name, "tunnels": n,
                          **{f"{name}_{key}": value for name, part in
                             (("empty", empty), ("loaded", loaded), ("full", full))
                             for key, value in part.items()}})
        self.found.setdefault((daemon.name, "memory"), []).append(
            (full["pss"] - empty["pss"] + daemon.not_kept(n) * RECORD) / n)
        for what in ("child", "ike"):
            self.timed(daemon, "responder", f"rekey-{what}", n,
                       lambda: self.driver.ask(f"rekey {what} {n} {BATCH}"))
        self.driver.ask("down")

    def as_initiator(self, daemon):
        daemon.prepare_to_dial(self.tunnels)
        self.driver.ask(f"listen 0 {self.tunnels}")
        self.timed(daemon, "initiator", "handshake", self.tunnels,
                   lambda: self.in_batches(daemon.dial, "up"))
        for what in ("child", "ike"):
            self.driver.ask("mark")
            self.timed(daemon, "initiator", f"rekey-{what}", self.tunnels,
                       lambda: self.in_batches(lambda first, count:
                                               daemon.rekey(what, first, count), what))
        self.driver.ask("down")

    def round(self, make, part):
        """A fresh daemon, and a fresh driver, for one part of a round."""
        self.driver = Program(OUTSIDE, [os.path.join(self.directory, "bench", "bench-ike-driver")],
                              self.others, talks=True)
        daemon = None
        try:
            daemon = make(self.directory, self.cpus, self.others)
            part(daemon)
        finally:
            if daemon:
                daemon.stop()
            self.driver.child.stdin.close()
            self.driver.stop()

    def all_rounds(self):
        makers = [Iked, Charon]
        for number in range(self.rounds):
            self.key_exchange()
            for part in (self.as_responder, self.as_initiator):
                for make in list(makers):
                    try:
                        self.round(make, part)
                        print(f"round {number + 1}/{self.rounds}: {make.name} {part.__name__}",
                              flush=True)
                    except (NotMeasured, ViciError, OSError) as why:
                        if make is Iked:
                            raise NotMeasured(f"{part.__name__}: {why}") from None
                        self.results.skip(["ike-handshake/charon"], str(why)[:200])
                        makers.remove(make)

    def key_exchange(self):
        """CPU seconds of one key pair and one shared secret alone."""
        driver = Program(OUTSIDE, [os.path.join(self.directory, "bench", "bench-ike-driver")],
                         self.cpus, talks=True)
        try:
            answer = driver.ask("dh 300")
        finally:
            driver.child.stdin.close()
            driver.stop()
        self.results.add({"what": "key-exchange", "cpu_s": answer["cpu_s"] / answer["count"]})
        self.found.setdefault("key-exchange", []).append(answer["cpu_s"] / answer["count"])

    def summary(self):
        """Print the table; returns the figures."""
        figures = {}
        dh = statistics.median(self.found["key-exchange"])
        print(f"\n{'':32}{'iked':>10}{'charon':>10}   a CPU-second, medians of {self.rounds}")
        for role in ("responder", "initiator"):
            for what in ("handshake", "rekey-child", "rekey-ike"):
                ours = [r["per_cpu_s"] for r in self.found.get(("iked", role, what), [])]
                theirs = [r["per_cpu_s"] for r in self.found.get(("charon", role, what), [])]
                ratios = [a / b for a, b in zip(ours, theirs)]
                print(f"{what + ', ' + role:32}{middle(ours):>10}{middle(theirs):>10}"
                      + (f"   {statistics.median(ratios):.2f} times ({min(ratios):.2f} to "
                         f"{max(ratios):.2f})" if ratios else ""))
                if ratios:
                    self.results.ratios[f"ike-{what}-{role}/charon"] = statistics.median(ratios)
                    self.found[("ratio", role, what)] = ratios
        ours = self.found[("iked", "responder", "handshake")]
        each = statistics.median(r["cpu_s"] / r["count"] for r in ours)
        print(f"a key pair and a shared secret alone: {1e6 * dh:.0f} us; a handshake of iked as "
              f"responder: {1e6 * each:.0f} us, of it outside the key exchange "
              f"{100 * max(0, 1 - dh / each):.0f} %")
        for name in ("iked", "charon"):
            if self.found.get((name, "memory")):
                print(f"memory of an established tunnel, {name}: "
                      f"{statistics.median(self.found[(name, 'memory')]):.0f} bytes")
        figures["ike-bytes-per-tunnel"] = statistics.median(self.found[("iked", "memory")])
        figures["ike-1000-tunnels-seconds"] = statistics.median(
            r["wall_s"] * 1000 / r["count"] for r in ours)
        figures["ike-1000-tunnels-cpu-seconds"] = 1000 * each
        figures["ike-outside-dh-percent"] = 100 * max(0, 1 - dh / each)
        both = [r for role in ("responder", "initiator")
                for r in self.found.get(("ratio", role, "handshake"), [])]
        if both:
            self.results.ratios["ike-handshake/charon"] = statistics.median(both)
        return figures

    def close(self, figures):
        self.results.ratios.update(figures)
        print(self.results.write())
        for name, why in self.results.skipped.items():
            print(f"SKIPPED {name}: {why}")
        for name in sorted(set(self.results.ratios) - set(NAMES)) + list(NAMES):
            if name in self.results.ratios:
                kind = "RATIO" if "/" in name else "FIGURE"
                print(f"{kind} {name} {shown(self.results.ratios[name])}")


def shown(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def middle(values):
    return f"{statistics.median(values):.0f}" if values else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("--build", default=os.path.join(machine.ROOT, "build"))
    parser.add_argument("--tunnels", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench/ike.py needs root, for network namespaces")
    tunnels = options.tunnels or (200 if options.quick else 1000)
    bench = Run(os.path.abspath(options.build), tunnels,
                options.rounds or (3 if options.quick else 5))
    with only_one():
        try:
            for target in ("bench/bench-ike-driver", "bench/bench-ike-control",
                           "ike/iked/spillway-iked"):
                build(bench.directory, target)
            with Bed():
                bench.all_rounds()
            figures = bench.summary()
        except NotMeasured as why:
            bench.results.skip(NAMES, str(why)[:300])
            figures = {}
        bench.close(figures)


if __name__ == "__main__":
    main()
