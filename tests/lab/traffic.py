# SPDX-License-Identifier: BSD-3-Clause
"""Traffic through the lab and what became of it: probes, a TCP stream, sniffers.

`out` is LAN host to VNet host, `in` the way back. All times are CLOCK_MONOTONIC nanoseconds.
"""
import array
import bisect
import collections
import ipaddress
import json
import os
import signal
import struct

from lab import ADDRESSES, ROOT, SITE_PREFIX, VNET_PREFIX
from net import LabError, now_ns, wait_until

DIRECTIONS = ("out", "in")
ENDS = {"lan": ADDRESSES["lan_host"], "vnet": ADDRESSES["vnet_host"]}

Packet = collections.namedtuple(
    "Packet", "time_ns iv probe_seq probe_sent_ns src dst spi esp_seq length kind outgoing "
    "protocol is_probe")
PACKET = struct.Struct("=QQQQIIIIHBBBB2x")
KEPT_PACKETS = 700000       # of a log; a longer one is read anew each time
CLEAR, ESP_NATIVE, ESP_UDP, IKE, KEEPALIVE, OTHER = range(1, 7)

SITE = ipaddress.ip_network(SITE_PREFIX)
VNET = ipaddress.ip_network(VNET_PREFIX)
OWN = {int(ipaddress.ip_address(ADDRESSES[k]))
       for k in ("gateway_lan", "gateway_er", "gateway_wan")}


def build_dir():
    return os.environ.get("SPILLWAY_BUILD", os.path.join(ROOT, "build"))


def tool(name):
    """Path of a helper program; LabError when it is not built."""
    path = os.path.join(build_dir(), "tests", "tools", name)
    if not os.access(path, os.X_OK):
        raise LabError("%s is not built: run make (or set SPILLWAY_BUILD)" % path)
    return path


def within(network, address):
    return address & int(network.netmask) == int(network.network_address)


def _numbers(path):
    """All complete 8-byte numbers of a file."""
    with open(path, "rb") as log:
        data = log.read()
    numbers = array.array("Q")
    numbers.frombytes(data[:len(data) // 8 * 8])
    return numbers


class Flow:
    """One direction of a probe pair, from the sender's and the receiver's log."""

    def __init__(self, tx_path, rx_path):
        tx, rx = _numbers(tx_path), _numbers(rx_path)
        self.sent_ns = list(tx[1:len(tx) // 2 * 2:2])           # index = sequence number
        received = sorted(zip(rx[2::3], rx[0::3], rx[1::3]))    # (received, seq, sent)
        self.duplicated = 0
        self.reordered = 0
        self.received = []
        self.seen = set()
        highest = -1
        for stamp, seq, sent in received:
            if seq in self.seen:
                self.duplicated += 1
                continue
            self.seen.add(seq)
            self.received.append((stamp, seq, sent))
            self.reordered += seq < highest
            highest = max(highest, seq)
        self.stamps = [entry[0] for entry in self.received]

    def lost(self, since=0, until=1 << 63):
        """Numbers of the packets offered in [since, until) that never came."""
        first = bisect.bisect_left(self.sent_ns, since)
        last = bisect.bisect_left(self.sent_ns, until)
        return [seq for seq in range(first, last) if seq not in self.seen]

    def offered(self, since=0, until=1 << 63):
        return bisect.bisect_left(self.sent_ns, until) - bisect.bisect_left(self.sent_ns, since)

    def longest_gap_ms(self, since, until):
        """Longest time in [since, until] without a packet, including one still open at the end."""
        first = bisect.bisect_left(self.stamps, since)
        last = bisect.bisect_right(self.stamps, until)
        marks = ([self.stamps[first - 1]] if first > 0 else [since]) + self.stamps[first:last]
        marks.append(self.stamps[last] if last < len(self.stamps) else until)
        return max(b - a for a, b in zip(marks, marks[1:])) / 1e6 if len(marks) > 1 else 0.0

    def gap_from_ms(self, since, until, end):
        """Longest time without a packet that began in [since, until]; one still open at `end` counts
        to there."""
        first = max(0, bisect.bisect_left(self.stamps, since) - 1)
        last = bisect.bisect_right(self.stamps, until)
        marks = [max(stamp, since) for stamp in self.stamps[first:last + 1]]
        if last >= len(self.stamps):
            marks.append(end)
        return max((b - a for a, b in zip(marks, marks[1:])), default=0) / 1e6

    def latency_us(self, percent, since=0, until=1 << 63):
        values = sorted(stamp - sent for stamp, _, sent in self.received
                        if since <= stamp < until)
        return values[min(len(values) - 1, int(len(values) * percent / 100))] / 1e3 if values \
            else 0.0


class ProbePair:
    """A probe at the LAN host and one at the VNet host, sending to each other."""

    def __init__(self, lab, rate=1000, size=128, port=7000, name="probe", flows=1):
        self.lab = lab
        self.rate = rate
        self.flow_count = flows         # packet n is of flow n mod flows
        self.size = size
        self.port = port
        self.base = lab.path(name)
        self.children = []

    def start(self):
        # Both listen before either sends: the first packet comes 300 ms from now.
        first_ns = now_ns() + 300 * 10**6
        for end, other in (("vnet", "lan"), ("lan", "vnet")):
            self.children.append(self.lab.registry.start(
                "probe", [tool("probe"), "--bind", "%s:%d" % (ENDS[end], self.port),
                          "--peer", "%s:%d" % (ENDS[other], self.port), "--rate", self.rate,
                          "--size", self.size, "--start-ns", first_ns,
                          "--flows", self.flow_count,
                          "--out", "%s-%s" % (self.base, end)],
                ns=self.lab.ns(end), ready="ready"))
        return self

    def arrived(self):
        """Packets have come at both ends, as their logs tell up to 100 ms later."""
        return all(os.path.getsize("%s-%s.rx" % (self.base, end)) > 0 for end in ENDS)

    def stop(self):
        """End both senders at once, let what is in flight arrive, return {direction: Flow}."""
        _end_together(self.children)
        return self.flows()

    def flows(self):
        """The flows so far; while running, the last 100 ms may be missing."""
        return {"out": Flow(self.base + "-lan.tx", self.base + "-vnet.rx"),
                "in": Flow(self.base + "-vnet.tx", self.base + "-lan.rx")}

    def summary(self, end):
        with open("%s-%s.json" % (self.base, end), encoding="ascii") as text:
            return json.load(text)


class TcpStream:
    """A bulk stream from the LAN host to the VNet host."""

    def __init__(self, lab, rate=1250000, port=7100, name="tcp"):
        self.lab = lab
        self.rate = rate
        self.port = port
        self.base = lab.path(name)
        self.server = self.client = None

    def start(self):
        at = "%s:%d" % (ENDS["vnet"], self.port)
        self.server = self.lab.registry.start(
            "tcpbulk", [tool("tcpbulk"), "--listen", at, "--out", self.base + "-server.json"],
            ns=self.lab.ns("vnet"), ready="ready")
        self.client = self.lab.registry.start(
            "tcpbulk", [tool("tcpbulk"), "--connect", at, "--rate", self.rate, "--out",
                        self.base + "-client.json"], ns=self.lab.ns("lan"), ready="ready")
        return self

    def stop(self):
        """Close the stream; return {"client": summary, "server": summary}."""
        self.client.send_signal(signal.SIGTERM)
        self.client.wait(15)
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(15)
        result = {}
        for end in ("client", "server"):
            with open("%s-%s.json" % (self.base, end), encoding="ascii") as text:
                result[end] = json.load(text)
        return result


class Sniffer:
    """One sniffer on one device."""

    def __init__(self, lab, name, device, protect=(), label="sniff"):
        """`label` tells two at one place apart."""
        self.lab = lab
        self.name = name
        self.device = device
        self.protect = protect
        self.base = lab.path("%s-%s-%s" % (label, name, device))
        self.child = None
        self.kept = None            # the packets of a log that is complete

    def start(self):
        self.kept = None
        argv = [tool("sniff"), "--iface", self.device, "--out", self.base]
        for prefix in self.protect:
            argv += ["--protect", prefix]
        self.child = self.lab.registry.start("sniff", argv, ns=self.lab.ns(self.name),
                                             ready="ready")
        return self

    def stop(self):
        """End it; return its summary. LabError when the kernel had to drop: no evidence."""
        _end_together([self.child])
        with open(self.base + ".json", encoding="ascii") as text:
            summary = json.load(text)
        if summary["kernel_drops"]:
            raise LabError("sniffer on %s missed %d packets: the result proves nothing" %
                           (self.device, summary["kernel_drops"]))
        return summary

    def packets(self):
        if self.kept is not None:
            return self.kept
        with open(self.base + ".log", "rb") as log:
            data = log.read()
        whole = len(data) // PACKET.size * PACKET.size
        packets = [Packet._make(fields) for fields in PACKET.iter_unpack(data[:whole])]
        if self.child.poll() is not None and len(packets) <= KEPT_PACKETS:
            self.kept = packets
        return packets


class Watch:
    """The three sniffers of every measurement: both Internet links and Azure's tunnel device."""

    def __init__(self, lab):
        protect = (SITE_PREFIX, VNET_PREFIX)
        self.internet = Sniffer(lab, "inet", "gw0", protect)
        self.azure_side = Sniffer(lab, "inet", "az0", protect)
        self.tunnel = Sniffer(lab, "azure", "ipsec0")

    def start(self):
        for sniffer in (self.internet, self.azure_side, self.tunnel):
            sniffer.start()
        return self

    def stop(self):
        return [s.stop() for s in (self.internet, self.azure_side, self.tunnel)]

    def clear_packets(self):
        """Packets with an inner address in the clear on either Internet link."""
        return [p for s in (self.internet, self.azure_side) for p in s.packets()
                if p.kind == CLEAR]

    def repeated_ivs(self):
        return repeated_ivs(self.internet.packets())

    def esp_count(self):
        return sum(p.kind in (ESP_NATIVE, ESP_UDP) for p in self.internet.packets())

    def transit(self, direction="out"):
        """Inner packets of the VNet's traffic seen in the tunnel in one direction.

        Packets of the gateway itself (probes of the path, BGP in the tunnel) are not transit.
        """
        wanted = []
        for packet in self.tunnel.packets():
            site, vnet = (packet.src, packet.dst) if direction == "out" else \
                (packet.dst, packet.src)
            if packet.outgoing == (direction == "in") and within(SITE, site) and \
                    within(VNET, vnet) and site not in OWN:
                wanted.append(packet)
        return wanted

    def tunnelled_probes(self):
        """{direction: set of probe numbers that crossed the tunnel}."""
        return {d: {p.probe_seq for p in self.transit(d) if p.is_probe} for d in DIRECTIONS}


def repeated_ivs(packets):
    """(src, dst, SPI, IV) that were sent more than once: each would give a key away."""
    counts = collections.Counter((p.src, p.dst, p.spi, p.iv) for p in packets
                                 if p.kind in (ESP_NATIVE, ESP_UDP))
    return [key for key, count in counts.items() if count > 1]


def during(packets, intervals, grace_ns=0):
    """Packets offered to the gateway inside one of the (start, end) intervals.

    A probe's packet counts by the time it was sent at its host, so packets in flight at a switch
    are on the right side of it; for others the time of capture is taken, and `grace_ns` after
    the start of an interval is left to packets that were under way.
    """
    found = []
    for packet in packets:
        stamp = packet.probe_sent_ns if packet.is_probe else packet.time_ns
        slack = 0 if packet.is_probe else grace_ns
        if any(start + slack <= stamp and packet.time_ns < end for start, end in intervals):
            found.append(packet)
    return found


def _end_together(children):
    for child in children:
        child.send_signal(signal.SIGTERM)
    for child in children:
        wait_until(lambda child=child: child.poll() is not None, 10, "a tool to end")
        if child.returncode != 0:
            raise LabError("a tool ended with %d" % child.returncode)
