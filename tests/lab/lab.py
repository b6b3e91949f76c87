#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The namespace lab: a site, Spillway's gateway, ExpressRoute, the Internet, Azure and a VNet.

    lan ---- gw ---- sw ---- er ---- vnet        sw is the circuit: a bridge whose ports are cut
              |                       |          silently (port state) or with carrier (link down)
            inet ------- azure -------+

The gateway namespace holds the kernel ends of the DPDK ports, p-lan, p-er and p-wan: no address, no
ARP, no IPv6, and strict reverse path filtering, so that the kernel drops what it sees there (the
data plane reads a copy by AF_PACKET, and mirrors what is for the kernel through its twins).
Checksum offload is off on every end, because a data plane sees the bytes as they are.

Usage: lab.py create|destroy [--prefix P]. As a library: `with Lab("spw") as lab: ...`.
"""
import argparse
import atexit
import glob
import os
import shutil
import signal
import socket
import sys
import time

from bird import EDGE, VNET, Bird
from frr import CRASH_LOGS, Frr
from net import (Forwarding, LabError, Registry, end_namespace, ip_batch, namespaces, now_ns, run,
                 sysctl, wait_until)
from strongswan import StrongSwan

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

NAMES = ("lan", "gw", "sw", "er", "inet", "azure", "vnet")

ADDRESSES = {
    "lan_host": "10.1.0.10", "gateway_lan": "10.1.0.1",
    "gateway_er": "172.16.0.1", "edge_er": "172.16.0.2",
    "gateway_wan": "198.51.100.2", "inet_wan": "198.51.100.1",
    "inet_azure": "203.0.113.1", "azure_wan": "203.0.113.2",
    "edge_vnet": "10.255.0.1", "vnet_edge": "10.255.0.2",
    "azure_vnet": "10.255.1.1", "vnet_azure": "10.255.1.2",
    "vnet_host": "10.100.0.10",
}
SITE_PREFIX = "10.1.0.0/16"
VNET_PREFIX = "10.100.0.0/16"
GATEWAY_AS, EDGE_AS, VNET_AS = 65010, 12076, 65515
FORGET_S = 1.5      # longer than BFD's 3 x 300 ms
GATEWAY_PORTS = ("p-lan", "p-er", "p-wan")

# (namespace, device, namespace, device): the two ends of each wire.
WIRES = (
    ("lan", "eth0", "gw", "p-lan"),
    ("gw", "p-er", "sw", "to-gw"),
    ("sw", "to-er", "er", "gw0"),
    ("gw", "p-wan", "inet", "gw0"),
    ("inet", "az0", "azure", "wan0"),
    ("er", "vnet0", "vnet", "er0"),
    ("azure", "vnet0", "vnet", "vpn0"),
)

SETUP = {
    "lan": ["addr add {lan_host}/24 dev eth0", "route add default via {gateway_lan}"],
    "er": ["addr add {edge_er}/30 dev gw0", "addr add {edge_vnet}/30 dev vnet0"],
    "inet": ["addr add {inet_wan}/24 dev gw0", "addr add {inet_azure}/24 dev az0"],
    "azure": ["addr add {azure_wan}/24 dev wan0", "addr add {azure_vnet}/30 dev vnet0",
              "route add default via {inet_azure}",
              "route add 10.100.0.0/16 via {vnet_azure}"],
    "vnet": ["link add subnet0 type bridge", "link set subnet0 up",
             "addr add {vnet_host}/24 dev subnet0",
             "addr add {vnet_edge}/30 dev er0", "addr add {vnet_azure}/30 dev vpn0",
             # What Azure's VPN gateway offers; the edge's route (metric 32) wins while it stands.
             "route add 10.1.0.0/16 via {azure_vnet} src {vnet_host} metric 1000"],
}


class Lab:
    """One lab. `keep` leaves it up at the end; everything lives under `run_dir`.

    What another network is made of is in the class's attributes, its routers in _make_daemons().
    """

    names = NAMES
    wires = WIRES
    setup = SETUP
    circuits = ("sw",)
    forwarders = ("er", "inet", "azure")
    gateway_ports = GATEWAY_PORTS

    def __init__(self, prefix="spw", vnet_prefixes=(VNET_PREFIX,), azure=None):
        prefix = os.environ.get("SPILLWAY_LAB_PREFIX", "") + prefix
        if not prefix.isalnum() or len(prefix) > 8:
            raise LabError("lab prefix '%s': use 1 to 8 letters and digits" % prefix)
        self.prefix = prefix
        self.run_dir = "/run/%s-lab" % prefix
        self.keep = False
        self.lock = None
        self.events = []
        self.edge_forwarding = None
        self.registry = Registry(self.run_dir)
        self.frr = Frr(self.registry, self.ns("gw"), self.path("frr"), {"bgpd": ["bmp"]})
        self._make_daemons(vnet_prefixes, azure or {})

    def _make_daemons(self, vnet_prefixes, azure):
        values = dict(ADDRESSES, router_id="", site_prefix=SITE_PREFIX, vnet_prefix=VNET_PREFIX,
                      edge_address=ADDRESSES["edge_er"], gateway_address=ADDRESSES["gateway_er"],
                      edge_vnet_address=ADDRESSES["edge_vnet"],
                      vnet_edge_address=ADDRESSES["vnet_edge"], gateway_as=GATEWAY_AS,
                      edge_as=EDGE_AS, vnet_as=VNET_AS, gateway_password="",
                      vnet_routes=" ".join("route %s blackhole;" % p for p in vnet_prefixes))
        self.edge = Bird(self.registry, self.ns("er"), self.path("edge"), EDGE,
                         dict(values, router_id=ADDRESSES["edge_er"]))
        self.vnet = Bird(self.registry, self.ns("vnet"), self.path("vnet"), VNET,
                         dict(values, router_id=ADDRESSES["vnet_edge"]))
        self.azure = StrongSwan(self.registry, self.ns("azure"), self.path("azure"),
                                ADDRESSES["azure_wan"], ADDRESSES["gateway_wan"], **azure)

    def ns(self, name):
        return "%s-%s" % (self.prefix, name)

    def path(self, *parts):
        return os.path.join(self.run_dir, *parts)

    def run(self, name, *argv, **options):
        """Run a command in one of the lab's namespaces, named without the prefix."""
        return run(*argv, ns=self.ns(name), **options)

    # --- building ---------------------------------------------------------------------------

    def __enter__(self):
        self._take_lock()
        atexit.register(self.destroy_unless_kept)
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signo, _raise_interrupt)
        try:
            self.create()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.destroy_unless_kept()
        atexit.unregister(self.destroy_unless_kept)

    def destroy_unless_kept(self):
        if not self.keep:
            self.destroy()

    def create(self):
        """Build namespaces, wires, addresses; start BIRD on both sides and strongSwan."""
        if os.geteuid() != 0:
            raise LabError("the lab makes network namespaces: run it as root")
        self._take_lock()
        self._remove()
        os.makedirs(self.run_dir, mode=0o755)
        for name in self.names:
            run("ip", "netns", "add", self.ns(name))
            ip_batch(self.ns(name), ["link set lo up"])
            self._make_quiet(name)
        self._make_wires()
        self._make_circuits()
        self._quiet_gateway_ports()
        for name, lines in self.setup.items():
            ip_batch(self.ns(name), [line.format(**ADDRESSES) for line in lines])
        for name in self.forwarders:
            sysctl(self.ns(name), net__ipv4__ip_forward=1)
        self._start_daemons()
        self.note("lab up")

    def _make_quiet(self, name):
        sysctl(self.ns(name), net__ipv6__conf__all__disable_ipv6=1,
               net__ipv6__conf__default__disable_ipv6=1,
               net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0,
               net__ipv4__conf__all__send_redirects=0,
               net__ipv4__conf__default__send_redirects=0)

    def _start_daemons(self):
        self.edge.start()
        self.vnet.start()
        self.azure.start(routes=[SITE_PREFIX + " dev ipsec0"])

    def _make_wires(self):
        for left, left_dev, right, right_dev in self.wires:
            ip_batch(None, ["link add %s netns %s type veth peer name %s netns %s" %
                            (left_dev, self.ns(left), right_dev, self.ns(right))])
            for name, device in ((left, left_dev), (right, right_dev)):
                self.run(name, "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off",
                         "gro", "off")
                ip_batch(self.ns(name), ["link set %s up" % device])

    def _make_circuits(self):
        for circuit in self.circuits:
            ip_batch(self.ns(circuit), [
                "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
                "link set br0 up", "link set to-gw master br0", "link set to-er master br0"])

    def _quiet_gateway_ports(self):
        ip_batch(self.ns("gw"), ["link set %s arp off multicast off" % p
                                     for p in self.gateway_ports])
        for port in self.gateway_ports:
            run("sysctl", "-q", "-w", "net.ipv4.conf.%s.rp_filter=1" % port, ns=self.ns("gw"))

    # --- taking down ------------------------------------------------------------------------

    def destroy(self):
        """Take everything of this prefix away; no error when there is nothing."""
        self._take_lock()
        self._remove()
        self.lock.close()
        self.lock = None

    def _take_lock(self):
        # An abstract address: gone with the process, whatever ends it, and no file to leave behind.
        if self.lock is not None:
            return
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind("\0spillway-lab-" + self.prefix)
        except OSError as error:
            lock.close()
            raise LabError("a lab named %s is in use by another process: wait for its end, or set "
                           "SPILLWAY_LAB_PREFIX to have one beside it" % self.prefix) from error
        self.lock = lock

    def _remove(self):
        self.registry.stop_all()
        if self.edge_forwarding is not None:
            self.edge_forwarding.close()
            self.edge_forwarding = None
        frr_pids = self._frr_pids()
        present = set(namespaces())
        for name in self.names:
            if self.ns(name) in present:
                end_namespace(self.ns(name))
        for pid_of_daemon in frr_pids:
            shutil.rmtree(os.path.join(CRASH_LOGS, pid_of_daemon), ignore_errors=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _frr_pids(self):
        found = []
        for path in glob.glob(self.path("*", "*.pid")):
            with open(path, encoding="ascii", errors="replace") as text:
                daemon = os.path.basename(path)[:-len(".pid")]
                found.append("%s.%s" % (daemon, text.read().strip()))
        return found

    def leftovers(self):
        """What of this lab still exists: a list of lines, empty after a good destroy()."""
        found = ["namespace " + n for n in namespaces() if n.startswith(self.prefix + "-")]
        if os.path.exists(self.run_dir):
            found.append("directory " + self.run_dir)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as text:
                    command = text.read().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if self.run_dir + "/" in command and int(pid) != os.getpid():
                found.append("process %s %s" % (pid, command.strip()))
        for ours in glob.glob("/dev/hugepages/%s*" % self.prefix):
            found.append("hugepage file " + ours)
        return found

    def save_logs(self, directory):
        """Copy every log of the lab's daemons into `directory`, flat, named by their place."""
        os.makedirs(directory, exist_ok=True)
        for path in glob.glob(self.path("*", "*.log")) + glob.glob(self.path("*", "frr.conf")):
            flat = os.path.relpath(path, self.run_dir).replace(os.sep, "-")
            shutil.copyfile(path, os.path.join(directory, flat))

    # --- events -----------------------------------------------------------------------------

    def note(self, text, stamp=None):
        """Remember an event with its CLOCK_MONOTONIC time; return the time."""
        stamp = stamp if stamp is not None else now_ns()
        self.events.append((stamp, text))
        with open(self.path("events.log"), "a", encoding="ascii") as out:
            out.write("%d %s\n" % (stamp, text))
        return stamp

    def withdraw(self):
        """The edge stops speaking with the VNet: it loses the route and withdraws it from us."""
        return self.note("withdraw", self.edge.disable("vnet"))

    def announce(self):
        return self.note("announce", self.edge.enable("vnet"))

    def break_transit(self):
        """The edge drops what comes from the gateway for others; BGP and BFD with it live on."""
        return black_hole(self, "er", True)

    def mend_transit(self):
        return black_hole(self, "er", False)

    def withdraw_at_once(self):
        """A withdrawal at the very moment at which the edge begins to lose what it is sent."""
        control = self.edge.at_hand()
        try:
            stamp = self._forwarding(False)
            control.tell("disable vnet")
        finally:
            control.close()
        return self.note("withdraw", stamp)

    def announce_mended(self):
        self._forwarding(True)
        return self.announce()

    def _forwarding(self, on):
        if self.edge_forwarding is None:
            self.edge_forwarding = Forwarding(self.ns("er"))
        return self.edge_forwarding.set(on)

    def freeze_edge(self):
        """The edge dies silently: its daemon stands still, nothing passes, carrier stays."""
        stamp = self.note("freeze edge")
        self.edge.freeze()
        self._circuit_port_state("disabled")
        return stamp

    def thaw_edge(self):
        """The edge lives again; it speaks with the VNet once nobody remembers its old sessions.

        Without that pause the VNet's BFD, brought up by the last packets of a session that the edge
        is about to forget, goes down three seconds later and takes the route away once more.
        """
        stamp = self.note("thaw edge")
        self._circuit_port_state("forwarding")
        self.edge.thaw()
        self.edge.disable("vnet")
        time.sleep(FORGET_S)
        self.edge.enable("vnet")
        return stamp

    def _circuit_port_state(self, state):
        number = {"disabled": "0", "forwarding": "3"}[state]
        self.run("sw", "bridge", "link", "set", "dev", "to-er", "state", number)

    def link_down(self, both_ends=True):
        """A cut fibre: the gateway's port loses its carrier, and so does the edge's."""
        stamp = self.note("link down")
        ends = ["to-gw", "to-er"] if both_ends else ["to-gw"]
        ip_batch(self.ns("sw"), ["link set %s down" % end for end in ends])
        return stamp

    def link_up(self):
        stamp = self.note("link up")
        ip_batch(self.ns("sw"), ["link set to-er up", "link set to-gw up"])
        return stamp

    def expressroute_up_at_edge(self):
        return self.edge.established("site") and self.edge.established("vnet")

    def wait_expressroute(self, timeout=30):
        """Wait until BGP stands on both sides of the edge and the VNet prefers the edge."""
        wait_until(self.expressroute_up_at_edge, timeout, "BGP of the Microsoft edge", 0.1)
        wait_until(lambda: " via %s " % ADDRESSES["edge_vnet"] in
                   self.run("vnet", "ip", "route", "get", ADDRESSES["lan_host"]).stdout,
                   timeout, "the VNet's route over the edge", 0.1)

    def ping(self, name, source, target, count=1, wait=1):
        """Return the number of answers."""
        out = self.run(name, "ping", "-n", "-q", "-c", count, "-i", "0.05", "-W", wait, "-I",
                       source, target, check=False).stdout
        return int(out.split(" received")[0].split(",")[-1]) if " received" in out else 0


def black_hole(lab, name, on):
    """Drop transit from the gateway in an edge's namespace; its own packets live on.

    The way back stays: while an edge announces us, the VNet answers over it, tunnel or not.
    """
    stamp = lab.note("%s %s" % (name, "drops transit" if on else "forwards again"))
    ip_batch(lab.ns(name), ["rule %s pref 100 iif gw0 blackhole" % ("add" if on else "del")])
    return stamp


def _raise_interrupt(signo, frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description="Build or remove the namespace lab.")
    parser.add_argument("verb", choices=("create", "destroy"))
    parser.add_argument("--prefix", default="spw")
    args = parser.parse_args()
    lab = Lab(args.prefix)
    try:
        if args.verb == "destroy":
            lab.destroy()
        else:
            lab.create()
            print("lab up: " + " ".join(lab.ns(n) for n in NAMES))
    except LabError as error:
        print("lab: %s" % error, file=sys.stderr)
        if lab.lock is not None:
            lab.destroy()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
