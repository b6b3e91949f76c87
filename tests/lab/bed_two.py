# SPDX-License-Identifier: BSD-3-Clause
"""The test bed of two links and two tunnels, and what its traffic shows: which way each flow went.

FLOWS flows each way run through one measured span. Sniffers on both edges and in both Azure gateways
say over which of the four ways each packet went; what must hold whatever happens is checked when the
span ends: nothing in the clear on the Internet, no (SPI, IV) twice, no packet twice, no daemon dead,
no violation counted by the data plane.
"""
import contextlib
import os

from bed import Bed, Measured
from lab import SITE_PREFIX, VNET_PREFIX
from lab_two import LINKS, PASSWORD, SITE6_PREFIX, SITE_PUBLIC_PREFIX, TWO, VNET6_PREFIX, LabTwo
from net import wait_until
from product import STANDS, Gateway
from traffic import CLEAR, ProbePair, Sniffer, repeated_ivs

FLOWS = 16
RATE = 800                      # packets a second each way, over all flows
EDGES = ("er1", "er2")
TUNNELS = ("azure1", "azure2")
DEVICE = "net_af_packet%d,iface=%s,qdisc_bypass=1"

LINES = """\
set system host-name gw
set interfaces lan0 device {lan}
set interfaces lan0 role lan
set interfaces lan0 address {gateway_lan}/24
set interfaces lan0 address {gateway6_lan}/64
set interfaces er1 device {er1}
set interfaces er1 role expressroute
set interfaces er2 device {er2}
set interfaces er2 role expressroute
set interfaces primary parent er1
set interfaces primary vlan 100
set interfaces primary role expressroute
set interfaces primary address {gateway_er1}/30
set interfaces primary address {gateway6_er1}/126
set interfaces secondary parent er2
set interfaces secondary vlan 200
set interfaces secondary inner-vlan 10
set interfaces secondary role expressroute
set interfaces secondary address {gateway_er2}/30
set interfaces wan0 device {wan}
set interfaces wan0 role internet
set interfaces wan0 gateway {inet_wan}
set interfaces wan0 address {gateway_wan}/24
set routing static 0.0.0.0/0 next-hop {inet_wan}
set routing static {site_public_prefix} next-hop {lan_host}
set routing bgp local-as 65010
set routing bgp router-id {gateway_er1}
set routing bgp announce {site_prefix}
set routing bgp announce {site_public_prefix}
set routing bgp announce {site6_prefix}
set routing static {site6_prefix} next-hop {lan6_host}
set routing bgp neighbor {edge_er1} remote-as 12076
set routing bgp neighbor {edge_er1} password-file er1.bgp
set routing bgp neighbor {edge_er1} timers keepalive 3 hold 9
set routing bgp neighbor {edge_er1} bfd transmit 300 receive 300 multiplier 3
set routing bgp neighbor {edge_er2} remote-as 12076
set routing bgp neighbor {edge_er2} timers keepalive 3 hold 9
set routing bgp neighbor {edge_er2} bfd transmit 300 receive 300 multiplier 3
set routing bgp neighbor {edge6_er1} remote-as 12076
set routing bgp neighbor {edge6_er1} password-file er1.bgp
set routing bgp neighbor {edge6_er1} bfd transmit 300 receive 300 multiplier 3
set tunnel azure1 local-address {gateway_wan}
set tunnel azure1 remote-address {azure1_wan}
set tunnel azure1 pre-shared-key-file azure.psk
set tunnel azure2 local-address {gateway_wan}
set tunnel azure2 remote-address {azure2_wan}
set tunnel azure2 pre-shared-key-file azure.psk
set vnet prod prefix {vnet_prefix}
set vnet prod prefix {vnet6_prefix}
set vnet prod tunnel azure1
set vnet prod tunnel azure2
set vnet prod wait-to-restore 2
set vnet prod damping-maximum 0
set vnet prod probe {vnet_host} kind icmp
"""


def lines():
    """The configuration of the two links and two tunnels."""
    ports = {name: DEVICE % (number, "p-" + name)
             for number, name in enumerate(("lan", "er1", "er2", "wan"))}
    return LINES.format(site_public_prefix=SITE_PUBLIC_PREFIX, site_prefix=SITE_PREFIX,
                        site6_prefix=SITE6_PREFIX, vnet_prefix=VNET_PREFIX,
                        vnet6_prefix=VNET6_PREFIX, **ports, **TWO).splitlines()


class Ways:
    """Sniffers on the four ways and on the Internet."""

    def __init__(self, lab):
        protect = (SITE_PREFIX, VNET_PREFIX)
        self.way = {name: Sniffer(lab, name, "gw0") for name in EDGES}
        self.way.update({name: Sniffer(lab, name, "ipsec0") for name in TUNNELS})
        self.internet = [Sniffer(lab, "inet", device, protect) for device in ("gw0", "az1", "az2")]

    def all(self):
        return list(self.way.values()) + self.internet

    def start(self):
        for sniffer in self.all():
            sniffer.start()
        return self

    def stop(self):
        for sniffer in self.all():
            sniffer.stop()

    def probes(self, name, direction="out"):
        """Probe packets seen on one way. Out of the site comes in at an edge or an Azure gateway."""
        if name in TUNNELS:
            outgoing = direction == "in"        # ipsec0: what Azure puts in, what it takes out
        else:
            outgoing = direction == "in"        # gw0 of the edge: sent to the gateway, received
        return [p for p in self.way[name].packets() if p.is_probe and p.outgoing == outgoing]

    def numbers(self, names, direction="out"):
        return {p.probe_seq for name in names for p in self.probes(name, direction)}

    def clear_packets(self):
        return [p for s in self.internet for p in s.packets() if p.kind == CLEAR]

    def repeated_ivs(self):
        return repeated_ivs(self.internet[0].packets())


class SpanTwo(Measured):
    """One span of traffic; the results are there after the `with` block."""

    def __init__(self, lab, gateway, rate, flows):
        self.gateway = gateway
        self.ways = Ways(lab)
        self.probes = ProbePair(lab, rate=rate, flows=flows)
        self.flow_count = flows
        self.dropped = {}       # packets by reason, of the gateway, during the span

    def sniffers(self):
        return (self.ways,)

    @contextlib.contextmanager
    def measured(self):
        before = self.gateway.dropped()
        with super().measured():
            yield self
        after = self.gateway.dropped()
        self.dropped = {r: n - before.get(r, 0) for r, n in after.items() if n != before.get(r, 0)}

    def clear_packets(self):
        return self.ways.clear_packets()

    def repeated_ivs(self):
        return self.ways.repeated_ivs()

    def lost(self, since=0, until=1 << 63, flows=None):
        """Numbers of lost packets by direction; of some flows when `flows` is a set."""
        return {d: [n for n in f.lost(since, until) if flows is None or
                    n % self.flow_count in flows] for d, f in self.flows.items()}

    def expect_no_loss(self, since=0, until=1 << 63, flows=None, directions=("out", "in")):
        for direction in directions:
            lost = self.lost(since, until, flows)[direction]
            offered = self.flows[direction].offered(since, until)
            assert offered > 0, "no traffic was offered: the test proves nothing"
            assert not lost, "%s: %d of %d packets lost%s" % (
                direction, len(lost), offered, self.whereabouts(direction, lost))

    def whereabouts(self, direction, lost):
        """What is known of lost packets: the ways on which they were seen, and Spillway's own drops."""
        seen = {name: len(set(lost) & self.ways.numbers([name], direction)) for name in EDGES + TUNNELS}
        return "; seen %s; numbers %s; Spillway dropped %s" % (seen, sorted(lost)[:5], self.dropped)

    def longest_gap_ms(self, since, until, direction="out", flows=None):
        """Longest time without a packet; with `flows`, the longest that one of these flows saw."""
        if flows is None:
            return self.flows[direction].longest_gap_ms(since, until)
        worst = 0.0
        for flow in flows:
            marks = [since] + [s for s, n, _ in self.flows[direction].received
                               if n % self.flow_count == flow and since < s < until] + [until]
            worst = max(worst, max(b - a for a, b in zip(marks, marks[1:])) / 1e6)
        return worst

    def on_way(self, name, since, until, direction="out"):
        """{flow: packets} of what was sent in [since, until) and went over a way."""
        found = {}
        for packet in self.ways.probes(name, direction):
            if since <= packet.probe_sent_ns < until:
                flow = packet.probe_seq % self.flow_count
                found[flow] = found.get(flow, 0) + 1
        return found

    def flows_on(self, name, since, until, direction="out"):
        return set(self.on_way(name, since, until, direction))

    def expect_ways(self, names, since, until, direction="out"):
        """Traffic of the span goes over each of these ways and over no other."""
        for name in EDGES + TUNNELS:
            count = sum(self.on_way(name, since, until, direction).values())
            if name in names:
                assert count > 0, "%s: nothing went over %s" % (direction, name)
            else:
                assert count == 0, "%s: %d packets went over %s" % (direction, count, name)


class BedTwo(Bed):
    """Use as a context manager; `extra` are further configuration lines."""

    def __init__(self, prefix="two", extra=(), azure=None, ready=True):
        self.lab = LabTwo(prefix, azure=azure)
        self.gateway = Gateway(self.lab)
        self.extra = list(extra)
        self.config = lambda given: given + self.extra
        self.ready = ready

    def configuration_lines(self):
        self.gateway.write_key("azure.psk")
        self.lab.save_key(os.path.join(self.gateway.state_dir, "keys"), "er1.bgp", PASSWORD)
        return lines()

    def wait_ready(self, timeout=60):
        """Both links carry, both tunnels stand behind them."""
        self.gateway.wait_ready(timeout)
        self.lab.wait_expressroute(timeout)
        wait_until(lambda: all(state in STANDS for path, state in
                               self.gateway.candidates().items() if path in TUNNELS),
                   timeout, "both tunnels ready behind ExpressRoute", 0.2)
        self.wait_links(("primary", "secondary"), timeout)

    def links(self):
        """{interface: state word} of the vnet's IPv4 next hops over ExpressRoute."""
        candidates = self.gateway.failover()["candidates"]
        return {link["interface"]: link["state"] for candidate in candidates
                for link in candidate.get("links", ()) if ":" not in link["next_hop"]}

    def carrier(self, address=TWO["vnet_host"]):
        """What a worker does with a packet for an address: "expressroute", "tunnel", ..."""
        return self.gateway.show("fib", address).get("kind")

    def wait_carrier(self, kind, timeout):
        """Wait until the data plane sends the VNet's IPv4 traffic that way."""
        wait_until(lambda: self.carrier() == kind, timeout, "%s to carry the VNet's IPv4; show "
                   "failover says %s" % (kind, self.links()), 0.05)

    def wait_links(self, names, timeout=30):
        """Wait until exactly these links carry."""
        wait_until(lambda: {n for n, state in self.links().items() if state == "up"} == set(names),
                   timeout, "%s to carry; show failover says %s" % (
                       " and ".join(names) or "no link", self.links()), 0.1)

    def kernel_ways(self, prefix=VNET_PREFIX):
        """Numbers of the links over which the kernel of the gateway knows the prefix."""
        shown = self.lab.run("gw", "ip", "route", "show", prefix).stdout
        return {n for n in LINKS if "via %s " % TWO["edge_er%d" % n] in shown}

    def span(self, rate=RATE, flows=FLOWS):
        return SpanTwo(self.lab, self.gateway, rate, flows)

    def standing_checks(self, span):
        super().standing_checks(span)
        self.no_violations()
