# SPDX-License-Identifier: BSD-3-Clause
"""What else ExpressRoute brings: Microsoft peering, a default route to a proxy, Azure's own gateway
announced over it."""
import ipaddress
import time

from bed_two import EDGES, TUNNELS
from lab import VNET_PREFIX
from lab_two import SERVICE_PREFIX, TWO
from net import wait_until
from scenario import bed_with, long_form
from test_links import FLUSH_S, calm
from traffic import ESP_NATIVE, ESP_UDP, IKE, Sniffer, within

BEYOND = "198.18.0.0/24"
SERVICE = ipaddress.ip_network(SERVICE_PREFIX)
PINGS = 10


class Listen:
    """Sniffers on the ways, for packets that are no probes. The next one takes over its files."""

    PLACES = {"er1": ("er1", "gw0"), "er2": ("er2", "gw0"), "internet": ("inet", "gw0"),
              "azure1": ("azure1", "ipsec0"), "azure2": ("azure2", "ipsec0"),
              "lan": ("lan", "eth0")}

    def __init__(self, two):
        self.sniffers = {name: Sniffer(two.lab, *place, label="listen") for name, place in self.PLACES.items()}

    def __enter__(self):
        for sniffer in self.sniffers.values():
            sniffer.start()
        return self

    def __exit__(self, *_):
        time.sleep(FLUSH_S)
        for sniffer in self.sniffers.values():
            sniffer.stop()

    def towards(self, network):
        """Names of the places where packets to a network were seen."""
        return {name for name, sniffer in self.sniffers.items()
                if any(within(network, p.dst) for p in sniffer.packets())}

    def count(self, name, network):
        return sum(within(network, p.dst) for p in self.sniffers[name].packets())

    def tunnelled(self, name):
        """Packets of IKE and ESP seen at a place."""
        return [p for p in self.sniffers[name].packets()
                if p.kind in (IKE, ESP_NATIVE, ESP_UDP)]


def service(two, count=PINGS):
    """Answers of the public service to our public address."""
    return two.lab.ping("lan", TWO["site_public"], TWO["service"], count)


def announce_extra(two, prefixes):
    for edge in two.lab.edges.values():
        edge.change(extra=prefixes)


@long_form
@bed_with(extra=["set vnet o365 prefix " + SERVICE_PREFIX, "set vnet o365 peering microsoft",
                 "set vnet o365 wait-to-restore 1"])
def test_microsoft_peering_fails_over_to_the_internet_and_never_into_a_tunnel(two):
    announce_extra(two, [SERVICE_PREFIX])
    wait_until(lambda: two.carrier(TWO["service"]) == "expressroute", 10, "Microsoft peering")
    with Listen(two) as before:
        over_expressroute = service(two)
    places = before.towards(SERVICE)
    announce_extra(two, [])
    wait_until(lambda: two.carrier(TWO["service"]) != "expressroute", 10, "the withdrawal")
    with Listen(two) as after:
        over_internet = service(two)
    assert over_internet == PINGS, "%d answers over the Internet" % over_internet
    assert over_expressroute == PINGS, "%d answers over ExpressRoute" % over_expressroute
    assert places & set(EDGES) and places - {"lan"} <= set(EDGES), places
    assert after.towards(SERVICE) - {"lan"} == {"internet"}, after.towards(SERVICE)
    assert after.count("internet", SERVICE) == PINGS, "requests were lost on the way"
    announce_extra(two, [SERVICE_PREFIX])
    wait_until(lambda: two.carrier(TWO["service"]) == "expressroute", 10, "the return")
    time.sleep(1)
    answered = service(two)
    assert answered == PINGS, "%d of %d answers after the return" % (answered, PINGS)
    assert two.gateway.violations() == 0


@long_form
@bed_with(extra=["delete routing static 0.0.0.0/0",
                 "set routing static 0.0.0.0/0 next-hop " + TWO["proxy"]])
def test_the_vnets_internet_traffic_goes_to_the_proxy_and_the_tunnels_stand(two):
    """With the default route on the LAN, IKE and ESP still leave by the Internet."""
    lab = two.lab
    ways = {"er1": ("172.16.0.1", TWO["edge1_vnet"]), "azure1": ("dev ipsec0", TWO["azure1_vnet"])}
    for name, (beyond, from_vnet) in ways.items():
        to = beyond if beyond.startswith("dev") else "via " + beyond
        lab.run(name, "ip", "route", "add", BEYOND, *to.split())
    beyond = ipaddress.ip_network(BEYOND)

    def through(name):
        lab.run("vnet", "ip", "route", "replace", BEYOND, "via", ways[name][1])
        with Listen(two) as heard:
            answered = lab.ping("vnet", TWO["vnet_host"], TWO["beyond_proxy"], PINGS)
        assert answered == PINGS, "%d of %d answered through %s" % (answered, PINGS, name)
        assert heard.towards(beyond) == {name, "lan"}, heard.towards(beyond)

    through("er1")
    for edge in lab.edges.values():
        edge.withdraw()
    two.wait_carrier("tunnel", 5)
    through("azure1")
    for edge in lab.edges.values():
        edge.announce()
    two.wait_carrier("expressroute", 20)
    assert all(azure.is_up() for azure in lab.azures.values()), "a tunnel fell"


@long_form
@bed_with()
def test_ike_and_esp_keep_to_the_internet_when_the_edges_announce_azures_gateway(two):
    announce_extra(two, [TWO["azure1_wan"] + "/32", TWO["azure2_wan"] + "/32"])
    time.sleep(1.5)
    with two.traffic() as span, Listen(two) as heard:
        two.lab.lose_both("withdraw")
        two.wait_carrier("tunnel", 5)
        time.sleep(0.5)
        away = calm(1)
        back = two.lab.lose_both("announce")[0]
        two.wait_carrier("expressroute", 30)
        two.lab.wait_expressroute()
        time.sleep(0.5)
    for edge in EDGES:
        assert not heard.tunnelled(edge), "IKE or ESP of ours at " + edge
    assert heard.tunnelled("internet"), "no ESP on the Internet: the test proves nothing"
    span.expect_ways(TUNNELS, *away)
    span.expect_no_loss(since=back)
    assert two.lab.run("gw", "ip", "route", "get", TWO["azure1_wan"]).stdout.split()[2] == \
        TWO["inet_wan"], "the kernel would send IKE elsewhere"
    assert VNET_PREFIX in two.lab.run("gw", "ip", "route").stdout
