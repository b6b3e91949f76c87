# SPDX-License-Identifier: BSD-3-Clause
"""spillway-dataplane as a bench drives it: the real process on pcap ports, configured over its
socket as controld and iked do.

One tunnel to the peer by default, an any-to-any child SA with byte, packet and time limits and a
replay window of 4,096, inner and outer routes looked up for every packet, busy polling. Counters are
read over the socket by the API thread, on another CPU than the worker's.
"""
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time

import machine
import traffic as t

sys.path.insert(0, os.path.join(machine.ROOT, "tests", "dataplane"))
import dpclient as dp  # noqa: E402

LAN_IF, WAN_IF = 1, 2
P_LAN, P_WAN, P_TUNNEL = 1, 2, 16
G_LAN, G_WAN, G_TUNNEL = 1, 2, 16
GCM_256, KEY = 3, 36
TUNNEL_MTU = 1420
BATCH = 1000
START_S = 60


class NotMeasured(Exception):
    """A bench could not run; the text says why."""


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def batches(elements, size):
    for at in range(0, len(elements), size):
        yield elements[at:at + size]


class Product:
    """One process. `feature` says what it runs with, for the results."""
    feature = {"selectors": "any to any", "replay_window": 4096, "esn": False, "burst": 64,
               "limits": "seconds, bytes, packets", "counters": True,
               "lookups": "inner and outer route, path group"}

    def __init__(self, binary, directory, huge, cpus, options=(), name="spillway"):
        self.dir = os.path.join(directory, name)
        os.makedirs(self.dir)
        memory = ["--memory", "1024"] if "--memory" not in options else []
        argv = [binary, "--run-dir", self.dir, "--file-prefix", f"spwbench-{name}", "--polling", "busy",
                "--cores", ",".join(map(str, cpus)), "--log-level", "error", *memory, *options]
        self.log = open(os.path.join(directory, f"{name}.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(argv if huge else [*argv, "--no-huge"], stderr=self.log,
                                        stdout=self.log, preexec_fn=die_with_parent)
        self.tunnels = {}
        try:
            self.connect()
        except BaseException:
            self.stop()
            raise

    def connect(self):
        path = os.path.join(self.dir, "dataplane.sock")
        end = time.monotonic() + START_S
        while True:
            try:
                self.control = dp.Client(path, name="bench", subscribe=dp.SUB_PATH)
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise NotMeasured(f"spillway-dataplane did not start: {self.said()}") from None
                time.sleep(0.02)
        self.iked = dp.Client(path, role=dp.IKED, name="bench-iked")

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as text:
            return " / ".join(text.read().strip().splitlines()[-3:]) or "no word"

    # --- configuration ----------------------------------------------------------------------

    def configure(self, devices, n_tunnels=1):
        """Two ports, addresses, neighbours, tunnels 1..n_tunnels; the remote net goes into the first."""
        call = self.control.call
        self.port(0, b"lan", devices[0])
        self.port(1, b"wan", devices[1])
        call("IFACE_SET",
             dp.Iface(id=LAN_IF, generation=1, name=b"lan", kind=dp.KIND_PORT, role=dp.LAN, port=0,
                      mtu=1500, up=1),
             dp.Iface(id=WAN_IF, generation=1, name=b"wan", kind=dp.KIND_PORT, role=dp.INTERNET,
                      port=1, mtu=1500, up=1))
        call("ADDR_SET", dp.Address(LAN_IF, 1, dp.prefix(f"{t.GATEWAY_LAN}/16")),
             dp.Address(WAN_IF, 1, dp.prefix(f"{t.GATEWAY_WAN}/24")))
        call("NEIGH_SET", dp.Neigh(LAN_IF, 1, dp.addr(t.LAN_HOST), dp.mac(t.HOST_MAC), 1),
             dp.Neigh(WAN_IF, 1, dp.addr(t.PEER_WAN), dp.mac(t.PEER_MAC), 1))
        call("PATH_SET", dp.Path(id=P_LAN, generation=1, kind=dp.CONNECTED, iface=LAN_IF),
             dp.Path(id=P_WAN, generation=1, kind=dp.ADJACENCY, iface=WAN_IF,
                     next_hop=dp.addr(t.PEER_WAN)))
        call("PATH_STATE", dp.PathState(P_LAN, 1, 0), dp.PathState(P_WAN, 1, 0))
        call("GROUP_SET", dp.group(G_LAN, [dp.tier(0, [P_LAN])]),
             dp.group(G_WAN, [dp.tier(0, [P_WAN])]))
        call("ROUTE_SET", dp.Route(dp.prefix(t.LAN_NET), G_LAN, 1),
             dp.Route(dp.prefix("192.0.2.0/24"), G_WAN, 1))
        for number in range(1, n_tunnels + 1):
            self.tunnel(number)
        self.route(t.REMOTE_NET, 1)

    def port(self, number, name, device):
        reply = self.control.call("PORT_SET", dp.Port(id=number, generation=1, name=name, mtu=1500,
                                                      devargs=device.encode()))[0]
        mac = ":".join(f"{byte:02x}" for byte in reply.mac)
        if number == 0 and mac != t.LAN_MAC:
            raise NotMeasured(f"the pcap port's address is {mac}, the packets are for {t.LAN_MAC}")

    def tunnel(self, number):
        call = self.control.call
        call("TUNNEL_SET", dp.Tunnel(
            id=number, generation=1, name=f"t{number}".encode(), local=dp.addr(t.GATEWAY_WAN),
            remote=dp.addr(t.PEER_WAN), mtu=TUNNEL_MTU, outer_path=dp.NONE, dscp_copy=1))
        call("PATH_SET", dp.Path(id=P_TUNNEL + number, generation=1, kind=dp.PATH_TUNNEL,
                                 tunnel=number))
        self.rekey(number)
        call("PATH_STATE", dp.PathState(P_TUNNEL + number, 1, 0))
        call("GROUP_SET", dp.group(G_TUNNEL + number, [dp.tier(2, [P_TUNNEL + number])],
                                   dp.PROTECTED))

    def rekey(self, number):
        """A new child SA takes over the tunnel; the one before it, if any, goes."""
        call = self.iked.call
        spi = call("SPI_ALLOC", dp.Spi(number, 0))[0].spi
        sa = dp.SaDesc(tunnel=number, spi_in=spi, spi_out=0x80000000 | secrets.randbits(30),
                       encr=GCM_256, key_len=KEY, local=dp.addr(t.GATEWAY_WAN),
                       remote=dp.addr(t.PEER_WAN), replay_window=4096, n_local=1, n_remote=1,
                       seconds=dp.Limit(27000, 30000), bytes=dp.Limit(1 << 50, 1 << 51))
        for field in (sa.key_in, sa.key_out):
            field[:KEY] = list(secrets.token_bytes(KEY))
        for selector in (sa.sel_local, sa.sel_remote):
            selector[0] = dp.Selector(low=dp.addr("0.0.0.0"), high=dp.addr("255.255.255.255"),
                                      port_high=65535)
        call("SA_INSTALL", dp.SaInstall(self.iked.hello.incarnation, 1, 0, sa))
        if number in self.tunnels:
            call("SA_DELETE", dp.SaRef(self.tunnels[number], 3))
        self.tunnels[number] = spi

    def route(self, prefix, tunnel):
        self.control.call("ROUTE_SET", dp.Route(dp.prefix(prefix), G_TUNNEL + tunnel, 1))

    def routes(self, prefixes, tunnel):
        for part in batches(prefixes, BATCH):
            self.control.call("ROUTE_SET", *(dp.Route(dp.prefix(p), G_TUNNEL + tunnel, 1)
                                             for p in part))

    # --- running ----------------------------------------------------------------------------

    def sent(self):
        """(packets that left through the sink so far, when)."""
        before = time.monotonic()
        packets = next(i.tx_packets for i in self.control.call("GET_IFACES") if i.id == WAN_IF)
        return packets, (before + time.monotonic()) / 2

    def cipher_isa(self):
        return self.control.hello.cipher_isa.decode()

    def drops(self):
        return self.control.drops()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.go_on()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
