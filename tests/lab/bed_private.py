# SPDX-License-Identifier: BSD-3-Clause
"""IPsec over private peering: a lab, and the test bed of a gateway whose first tunnel crosses the
circuit and whose second crosses the Internet.

            ---- sw ---- er ---- vnet ---- azurep     the gateway's private address, in the VNet
    lan -- gw                    |
            ------ inet ------ azure                  its public address

Over the circuit only the tunnel's own end is announced (10.1.255.1/32), so whatever else the edge
hears of the site would be in the clear. The VNet sends to the site through the private tunnel while
it knows a way over the edge to that end, and through the public one otherwise, as Azure's gateway
prefers.
"""
import ipaddress
import time

from bed import Bed, Span
from bird import COMMON, Bird
from lab import ADDRESSES, EDGE_AS, SITE_PREFIX, VNET_AS, VNET_PREFIX, Lab
from net import wait_until
from strongswan import StrongSwan
from traffic import ESP_NATIVE, ESP_UDP, SITE, VNET, Sniffer, repeated_ivs, within

PRIVATE_END, AZURE_PRIVATE, VNET_GATEWAY_SUBNET = "10.1.255.1", "10.100.255.4", "10.100.255.5"
PRIVATE, PUBLIC = "er-a", "azure-a"      # names of the tunnels

VNET_ROUTER = COMMON + """\
protocol kernel {{
    ipv4 {{ import none;
            export filter {{
                if net = {site_prefix} && dest = RTD_UNICAST then {{
                    gw = {azure_private}; krt_prefsrc = {vnet_host}; accept; }}
                if net ~ [ {site_prefix}{{17,32}} ] then accept;
                reject; }}; }};
}}
protocol static vnet {{ ipv4; {vnet_routes} }}
protocol static inside {{
    ipv4 {{ preference 50; }};
    route {site_prefix} recursive {private_end};
}}
protocol bgp edge from peer {{
    local {vnet_edge_address} as {vnet_as};
    neighbor {edge_vnet_address} as {edge_as};
    ipv4 {{ import where net ~ [ {site_prefix}+ ]; export where net ~ [ {vnet_prefix}+ ];
            next hop self; }};
}}
"""

LINES = """\
set interfaces er0 address {end}/32
set routing bgp neighbor {edge} announce {end}/32
set tunnel {name} description "Azure VPN gateway, private address"
set tunnel {name} local-address {end}
set tunnel {name} remote-address {remote}
set tunnel {name} pre-shared-key-file azure-a.psk
set tunnel {name} profile azure-custom-gcm256-ecp384
set vnet prod tunnel {name}
set vnet prod wait-to-restore 2
""".format(end=PRIVATE_END, edge=ADDRESSES["edge_er"], name=PRIVATE,
           remote=AZURE_PRIVATE).splitlines()


class LabPrivate(Lab):
    """The lab of one link with a second Azure gateway that only the VNet reaches."""

    names = Lab.names + ("azurep",)
    wires = Lab.wires + (("vnet", "vpn1", "azurep", "vnet0"),)
    forwarders = Lab.forwarders + ("vnet", "azurep")
    setup = dict(Lab.setup, vnet=Lab.setup["vnet"] + [
        "addr add %s/29 dev vpn1" % VNET_GATEWAY_SUBNET],
        azurep=["addr add %s/29 dev vnet0" % AZURE_PRIVATE,
                "route add default via %s" % VNET_GATEWAY_SUBNET])

    def _make_daemons(self, vnet_prefixes, azure):
        super()._make_daemons(vnet_prefixes, azure)
        self.vnet = Bird(self.registry, self.ns("vnet"), self.path("vnet"), VNET_ROUTER, dict(
            ADDRESSES, router_id=ADDRESSES["vnet_edge"], site_prefix=SITE_PREFIX,
            vnet_prefix=VNET_PREFIX, azure_private=AZURE_PRIVATE, private_end=PRIVATE_END,
            vnet_edge_address=ADDRESSES["vnet_edge"], edge_vnet_address=ADDRESSES["edge_vnet"],
            edge_as=EDGE_AS, vnet_as=VNET_AS,
            vnet_routes=" ".join("route %s blackhole;" % p for p in vnet_prefixes)))
        self.private = StrongSwan(self.registry, self.ns("azurep"), self.path("azurep"),
                                  AZURE_PRIVATE, PRIVATE_END, **azure)

    def _start_daemons(self):
        super()._start_daemons()
        self.private.start(routes=[SITE_PREFIX + " dev ipsec0",
                                   "%s/32 via %s" % (PRIVATE_END, VNET_GATEWAY_SUBNET)])

    def lose_private(self):
        """Azure's end of the private tunnel goes and does not answer; the circuit stands."""
        stamp = self.note("azurep ends the tunnel")
        self._end(self.private, "vnet", "er0")
        self.vnet.disable("inside")
        return stamp

    def mend_private(self):
        self._answer(self.private, "vnet", "er0")
        self.vnet.enable("inside")
        return self.note("azurep answers again")

    def lose_public(self):
        self._end(self.azure, "inet", "gw0")

    def mend_public(self):
        self._answer(self.azure, "inet", "gw0")

    def _end(self, azure, name, device):
        # The daemon lives on, and its device with the sniffer on it: only the way to it is closed.
        azure.terminate()
        self.run(name, "ip", "rule", "add", "pref", "100", "iif", device, "to",
                 azure.policy["local"], "blackhole")

    def _answer(self, azure, name, device):
        self.run(name, "ip", "rule", "del", "pref", "100", "iif", device, "to",
                 azure.policy["local"], "blackhole")

    def wait_expressroute(self, timeout=30):
        """BGP stands on both sides of the edge, and the VNet answers through the private tunnel."""
        wait_until(self.expressroute_up_at_edge, timeout, "BGP of the Microsoft edge", 0.1)
        wait_until(lambda: " via %s " % AZURE_PRIVATE in
                   self.run("vnet", "ip", "route", "get", ADDRESSES["lan_host"]).stdout,
                   timeout, "the VNet's route through the private tunnel", 0.1)


class SpanPrivate(Span):
    """Traffic with sniffers on the circuit and in the private tunnel, too."""

    def __init__(self, lab, rate):
        super().__init__(lab, rate)
        self.circuit = Sniffer(lab, "er", "gw0")
        self.inside = Sniffer(lab, "azurep", "ipsec0")

    def sniffers(self):
        return self.circuit, self.inside, self.watch

    def clear_packets(self):
        """On the circuit no more than on the Internet."""
        return super().clear_packets() + self.clear_on_circuit()

    def repeated_ivs(self):
        return super().repeated_ivs() + repeated_ivs(self.circuit.packets())

    def clear_on_circuit(self):
        """Packets on the circuit with an address of site or VNet that is no end of the tunnel."""
        ends = {int(ipaddress.ip_address(a)) for a in (PRIVATE_END, AZURE_PRIVATE)}
        return [p for p in self.circuit.packets()
                if any(a not in ends and (within(SITE, a) or within(VNET, a))
                       for a in (p.src, p.dst))]

    def esp_on_circuit(self):
        return [p for p in self.circuit.packets() if p.kind in (ESP_NATIVE, ESP_UDP)]

    def expect_way(self, name, since, until):
        """Nearly all that came in [since, until] crossed this tunnel, and none the other."""
        public = self.watch.tunnelled_probes()
        private = {d: {p.probe_seq for p in self.inside.packets()
                       if p.is_probe and p.outgoing == (d == "in")} for d in public}
        mine, other = (private, public) if name == PRIVATE else (public, private)
        for direction, flow in self.flows.items():
            seen = [seq for stamp, seq, _ in flow.received if since < stamp < until]
            crossed = sum(seq in mine[direction] for seq in seen)
            strays = sum(seq in other[direction] for seq in seen)
            assert seen and crossed >= 0.99 * len(seen) and not strays, \
                "%s: of %d packets %d crossed %s and %d the other tunnel" % (
                    direction, len(seen), crossed, name, strays)


class BedPrivate(Bed):
    """Use as a context manager; `extra` are further configuration lines."""

    def __init__(self, prefix="prv", extra=(), ready=True):
        super().__init__(prefix, ready=ready)
        self.lab = LabPrivate(prefix)
        self.gateway.lab = self.lab
        self.config = lambda lines: lines + LINES + list(extra)

    def wait_ready(self, timeout=40):
        """The private tunnel carries, the public one stands behind it."""
        self.lab.wait_expressroute(timeout)
        self.wait_carrier(PRIVATE, timeout)
        wait_until(lambda: self.gateway.candidates().get(PUBLIC) == "ready", timeout,
                   "the public tunnel ready", 0.2)
        time.sleep(max(0.0, 1 - self.gateway.unchanged_s()))

    def wait_carrier(self, name, timeout):
        wait_until(lambda: self.gateway.active() == name, timeout, "%s to carry; show failover "
                   "says %s" % (name, self.gateway.failover()), 0.05)

    def span(self, rate=1000):
        return SpanPrivate(self.lab, rate)

    def standing_checks(self, span):
        super().standing_checks(span)
        self.no_violations()
