# SPDX-License-Identifier: BSD-3-Clause
"""The peer: DPDK's own example gateway, ipsec-secgw, from Debian's source package `dpdk`.

The source is fetched by apt from where the system has its packages, with lists, sources and cache of
our own (nothing of the system's apt set-up changes), and built once against the installed DPDK, for this machine's instruction set, into
build/secgw/. The one change: it asks every port for receive checksum offload, which no pcap port has.
Packets are counted by the port statistics that its telemetry socket gives.
"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import machine
import traffic as t
from product import NotMeasured, die_with_parent

CACHE = os.path.join(machine.ROOT, "build", "secgw")
SYSTEM_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list",
                  "/etc/apt/sources.list.d/*.sources")
APT_CONF = """\
Dir::Etc::SourceList "{dir}/none.list";
Dir::Etc::SourceParts "{dir}/parts";
Dir::State::Lists "{dir}/lists";
Dir::Cache "{dir}/cache";
APT::Sandbox::User "root";
Acquire::Retries "1";
Acquire::http::Timeout "10";
"""
OFFLOAD = re.compile(r"(\.offloads = )RTE_ETH_RX_OFFLOAD_CHECKSUM\b")
CONFIG = """\
sp ipv4 out esp protect 5 pri 1 dst {remote_net} sport 0:65535 dport 0:65535
sp ipv4 in esp protect 6 pri 1 dst {lan_net} sport 0:65535 dport 0:65535
sa out 5 aead_algo aes-256-gcm aead_key {key} mode ipv4-tunnel src {wan} dst {peer} type cpu-crypto
sa in 6 aead_algo aes-256-gcm aead_key {key} mode ipv4-tunnel src {peer} dst {wan} type cpu-crypto
rt ipv4 dst {lan_net} port 0
rt ipv4 dst {peer}/32 port 1
neigh port 0 {host_mac}
neigh port 1 {peer_mac}
"""


def run(*argv, **options):
    done = subprocess.run(argv, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no word"])[-1]
        raise NotMeasured(f"{argv[0]} {argv[1]} failed: {last}")
    return done.stdout


def wanted_version():
    return run("dpkg-query", "-W", "-f", "${Version}", "libdpdk-dev")


def as_source(text, one_line):
    """The text of a sources file with its binary packages turned into source packages."""
    if one_line:
        return "".join(f"deb-src {line.split(maxsplit=1)[1]}\n" for line in text.splitlines()
                       if line.startswith("deb "))
    return re.sub(r"(?m)^Types:.*$", "Types: deb-src", text)


def sources(directory):
    """An apt of our own: the system's sources, everything it writes below `directory`."""
    for part in ("parts", "lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(directory, part), exist_ok=True)
    for path in (path for pattern in SYSTEM_SOURCES for path in glob.glob(pattern)):
        one_line = path.endswith(".list")
        name = "system-" + os.path.basename(path)
        with open(os.path.join(directory, "parts", name), "w", encoding="utf-8") as out:
            out.write(as_source(machine.read(path), one_line))
    conf = os.path.join(directory, "apt.conf")
    with open(conf, "w", encoding="ascii") as out:
        out.write(APT_CONF.format(dir=directory))
    return {**os.environ, "APT_CONFIG": conf}


def fetch(directory, version):
    """Download the source package (apt checks its signature); path of the upstream archive."""
    env = sources(directory)
    run("apt-get", "update", "-q", env=env, cwd=directory)
    get = ("apt-get", "source", "-q", "--download-only")
    try:
        run(*get, f"dpdk={version}", env=env, cwd=directory)
    except NotMeasured:     # the archive has moved on; a later point release fits as well
        run(*get, "dpdk", env=env, cwd=directory)
    archives = glob.glob(os.path.join(directory, "dpdk_*.orig.tar.xz"))
    if not archives:
        raise NotMeasured("apt-get source dpdk gave no archive")
    return archives[0]


def build():
    """Path of the program, made first when it is not in the cache."""
    version = wanted_version()
    directory = os.path.join(CACHE, version.replace("~", "-"))
    program = os.path.join(directory, "ipsec-secgw")
    if os.path.exists(program):
        return program
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    archive = fetch(directory, version)
    run("tar", "xf", archive, "-C", directory, "--strip-components=1", "--wildcards",
        "*/examples/ipsec-secgw", "*/examples/common")
    source = os.path.join(directory, "examples", "ipsec-secgw")
    main = os.path.join(source, "ipsec-secgw.c")
    text, changed = OFFLOAD.subn(r"\g<1>0", machine.read(main))
    if changed != 1:
        raise NotMeasured("ipsec-secgw.c does not ask for checksum offload where expected")
    with open(main, "w", encoding="utf-8") as out:
        out.write(text)
    # The flags of libdpdk.pc name an old CPU; what is named last wins.
    run("make", "-s", "-C", source, env={**os.environ, "LDFLAGS": "-march=native"})
    shutil.copy(os.path.join(source, "build", "ipsec-secgw-shared"), program + ".new")
    os.rename(program + ".new", program)
    return program


def source_of(program):
    """The source archive that a program was built from."""
    return [os.path.basename(path) for path in
            glob.glob(os.path.join(os.path.dirname(program), "dpdk_*.orig.tar.xz"))]


class Secgw:
    """One process on the same two ports as the product."""
    feature = {"selectors": "one ACL rule each way", "replay_window": 0, "esn": False, "burst": 32,
               "limits": "none", "counters": False, "library": "librte_ipsec (-l), cpu-crypto, "
               "crypto_aesni_gcm", "march": "native",
               "lookups": "outer route; inner policy by ACL", "changed": "RX checksum offload off"}

    def __init__(self, program, directory, huge, cpu, devices):
        self.dir = os.path.join(directory, "secgw")
        os.makedirs(self.dir)
        config = os.path.join(self.dir, "secgw.cfg")
        with open(config, "w", encoding="ascii") as out:
            out.write(CONFIG.format(remote_net=t.REMOTE_NET, lan_net=t.LAN_NET, wan=t.GATEWAY_WAN,
                                    peer=t.PEER_WAN, host_mac=t.HOST_MAC, peer_mac=t.PEER_MAC,
                                    key=":".join(f"{byte:02x}" for byte in os.urandom(36))))
        argv = [program, "--file-prefix", "spwsecgw", "-l", str(cpu), "--no-pci",
                *(["--in-memory", "-m", "512"] if huge else ["--no-huge", "-m", "512"]),
                "--vdev", devices[0], "--vdev", devices[1], "--vdev", "crypto_aesni_gcm0", "--",
                "-l", "-P", "-p", "0x3", "-u", "0x2", "-s", "16384",
                "--config", f"(0,0,{cpu}),(1,0,{cpu})", "-f", config]
        self.log = open(os.path.join(directory, "secgw.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log,
                                        preexec_fn=die_with_parent,
                                        env={**os.environ, "RUNTIME_DIRECTORY": self.dir})
        self.telemetry = None
        try:
            self.connect()
        except BaseException:
            self.stop()
            raise

    def connect(self):
        end = time.monotonic() + 60
        while self.telemetry is None:
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.flush()
                said = machine.read(self.log.name).strip().splitlines() or ["no word"]
                raise NotMeasured(f"ipsec-secgw did not start: {said[-1]}")
            time.sleep(0.05)
            for path in glob.glob(f"{self.dir}/**/dpdk_telemetry.v2", recursive=True):
                self.telemetry = self.greet(path)
        while not self.sent()[0]:
            if time.monotonic() > end:
                raise NotMeasured("ipsec-secgw sends nothing")
            time.sleep(0.05)

    @staticmethod
    def greet(path):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(10)
        try:
            sock.connect(path)
            sock.recv(4096)
        except OSError:
            sock.close()
            return None
        return sock

    def sent(self):
        """(packets that left through the sink so far, when)."""
        before = time.monotonic()
        self.telemetry.send(b"/ethdev/stats,1")
        stats = json.loads(self.telemetry.recv(65536))["/ethdev/stats"] or {"opackets": 0}
        return stats["opackets"], (before + time.monotonic()) / 2

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.telemetry:
            self.telemetry.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
