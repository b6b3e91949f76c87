# SPDX-License-Identifier: BSD-3-Clause
"""TWAMP-light and IPv6 probes from the configuration to the reflector and back into the shows: what
they see, what they take a path away for, what they must not, and what readiness and the drill make
of them."""
import json
import os
import sys
import time

from bed_two import TUNNELS
from lab_two import SITE6_PREFIX, TWO, VNET6_PREFIX
from net import LabError, ip_batch, sysctl, wait_until
from scenario import bed_with, long_form
from traffic import ProbePair

REFLECTOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reflector.py")
PORT = 8620
ECHO6 = "fd00:100::11"
FOUR, SIX = TWO["vnet_host"], TWO["vnet6_host"]
BLACK_HOLE_S = 3 + 2        # seen within 3 s, and shown on a loaded machine
TS = "0.0.0.0/0,::/0"

EXTRA = ["set vnet prod probe %s kind twamp" % FOUR, "set vnet prod probe %s port %d" % (FOUR, PORT),
         "set vnet prod probe %s kind twamp" % SIX, "set vnet prod probe %s port %d" % (SIX, PORT),
         "set vnet prod probe %s kind icmp" % ECHO6,
         "set class voice rank 1", "set class voice share 10", "set class voice dscp ef",
         "set class rest rank 3", "set tunnel azure1 bandwidth 100",
         "set tunnel azure2 bandwidth 100"]


def ipv6_through_the_tunnels(two):
    """Azure's gateways carry IPv6 into the VNet, too; its answers take the edge."""
    for number, name in enumerate(TUNNELS, 1):
        net = "fd00:254:%d::" % number
        sysctl(two.lab.ns(name), net__ipv6__conf__all__disable_ipv6=0,
               net__ipv6__conf__ipsec0__disable_ipv6=0, net__ipv6__conf__vnet0__disable_ipv6=0,
               net__ipv6__conf__all__forwarding=1)
        ip_batch(two.lab.ns("vnet"), ["addr add %s2/64 dev vpn%d nodad" % (net, number)])
        ip_batch(two.lab.ns(name), ["addr add %s1/64 dev vnet0 nodad" % net,
                                    "route add %s via %s2" % (VNET6_PREFIX, net),
                                    "route add %s dev ipsec0" % SITE6_PREFIX])
    ip_batch(two.lab.ns("vnet"), ["addr add %s/64 dev subnet0 nodad" % ECHO6])
    # bgpd waits longer after each attempt that failed while the other side began, too.
    wait_until(lambda: two.lab.edges[1].bird.established("site6"), 90, "the IPv6 session", 0.2)


def reflect(two, address):
    return two.lab.registry.start(
        "reflector", [sys.executable, "-B", REFLECTOR, "--bind", address, "--port", str(PORT)],
        ns=two.lab.ns("vnet"), ready="ready")


def probes(two, target=None, path=None):
    return [p for p in two.gateway.show("probes")["probes"] if p["purpose"] == "forwarding" and
            target in (None, p["target"]) and
            path in (None, p["path"], p["next_hop"])]


def states(two, target):
    return {p["next_hop"] or p["path"]: p["state"] for p in probes(two, target)}


def wait_states(two, target, wanted, timeout=15):
    try:
        wait_until(lambda: all(states(two, target).get(path) == state
                               for path, state in wanted.items()), timeout, "probes", 0.1)
    except LabError as late:
        raise AssertionError("probes of %s are %s" % (target, states(two, target))) from late


def link(two, next_hop):
    """(state, faults, probe) of one next hop of ExpressRoute in show failover."""
    return next((l["state"], l["faults"], l["probe"]) for c in two.gateway.failover()["candidates"]
                for l in c.get("links", ()) if l["next_hop"] == next_hop)


def wait_link(two, next_hop, state, faults, timeout):
    wait_until(lambda: link(two, next_hop)[:2] == (state, faults), timeout,
               "%s to be %s; it is %s" % (next_hop, state, link(two, next_hop)), 0.1)


def check_shown(two):
    """What `show probes` says of a reflector that answers: a histogram of all its answers."""
    for probe in probes(two):
        where = "%s over %s" % (probe["target"], probe["next_hop"] or probe["path"])
        assert probe["kind"] == ("icmp" if probe["target"] == ECHO6 else "twamp"), where
        counted = sum(n for _, _, n in probe["rtt_histogram_us"])
        assert counted == probe["received_packets"] > 0, "%s: %s" % (where, probe)
        low, high = probe["rtt_histogram_us"][0][0], probe["rtt_histogram_us"][-1][1]
        assert low <= probe["rtt_min_us"] <= probe["rtt_p50_us"] * 2 and \
            probe["rtt_max_us"] <= high, "%s: %s" % (where, probe)
    text = two.gateway.shell("show", "probes", "detail").stdout
    assert "twamp" in text and "rtt_histogram_us" in text and SIX in text, text


def hole6(two, on):
    """The edge drops IPv6 transit from the gateway; sessions live on."""
    two.lab.run("er1", "ip", "-6", "rule", "add" if on else "del", "pref", "100", "iif", "gw0",
                "blackhole")


def answer6(two, through):
    """The VNet has no IPv6 routing of its own: its way back follows what is announced."""
    via = {"er1": TWO["edge1_vnet6"], "azure1": "fd00:254:1::1"}[through]
    two.lab.run("vnet", "ip", "-6", "route", "replace", SITE6_PREFIX, "via", via)


def condemned(two, path=""):
    """How often probes took a path away; those of next hops alone when `path` is "a "."""
    return sum('path fault path="' + path in line and "cause=probe-lost" in line
               for line in two.gateway.log("controld").splitlines())


@long_form
@bed_with(extra=EXTRA, azure={"local_ts": TS, "remote_ts": TS})
def test_twamp_and_ipv6_probes_tell_a_path_from_a_target(two):
    ipv6_through_the_tunnels(two)
    first = (TWO["edge_er1"], TWO["edge_er2"]) + TUNNELS
    every6 = (TWO["edge6_er1"],) + TUNNELS
    # Nobody reflects yet: all next hops are silent together, which condemns none.
    wait_states(two, FOUR, dict.fromkeys(first, "down"))
    wait_states(two, ECHO6, dict.fromkeys(every6, "up"))
    time.sleep(1)
    assert condemned(two, "a ") == 0, "a target that nobody reaches took a next hop away"
    reflectors = {target: reflect(two, target) for target in (FOUR, SIX)}
    for target, paths in ((FOUR, first), (SIX, every6)):
        wait_states(two, target, dict.fromkeys(paths, "up"))
    check_shown(two)
    # An IPv4 target dies while the IPv6 ones answer.
    before = condemned(two)
    two.lab.registry.stop(reflectors[FOUR].pid)
    wait_states(two, FOUR, dict.fromkeys(first, "down"))
    time.sleep(1)
    assert condemned(two) == before, "a dead target took a path away"
    reflect(two, FOUR)
    wait_states(two, FOUR, dict.fromkeys(first, "up"))
    # Holes of one family behind an edge whose sessions stand.
    edge = two.lab.edges[1]
    for next_hop, other, dig, fill, follow in (
            (TWO["edge_er1"], TWO["edge6_er1"], edge.break_transit, edge.mend_transit,
             lambda _: None),
            (TWO["edge6_er1"], TWO["edge_er1"], lambda: hole6(two, True),
             lambda: hole6(two, False), lambda through: answer6(two, through))):
        dig()
        wait_link(two, next_hop, "down", ["probe-lost"], BLACK_HOLE_S)
        follow("azure1")
        assert link(two, other) == ("up", [], "up"), "%s: %s" % (other, link(two, other))
        assert edge.up(), "BGP went down: that was no black hole"
        fill()
        wait_link(two, next_hop, "up", [], 15)
        follow("er1")
    assert two.gateway.violations() == 0
    check_readiness(two)
    check_drill(two)


def check_readiness(two):
    """Two links, two tunnels, two families: every line of readiness comes from a measurement."""
    load = ProbePair(two.lab, rate=800).start()
    wait_until(lambda: readiness(two)["capacity"]["load_kbps"] > 100, 10, "the load", 0.5)
    entry = readiness(two)
    load.stop()
    for tunnel in entry["tunnels"]:
        empty = [key for key, value in tunnel.items() if value is None and key != "last_rekey_s"]
        assert not empty, "%s: nothing is known of %s" % (tunnel["tunnel"], ", ".join(empty))
        assert tunnel["probe"] == "up" and tunnel["mtu_test"]["verdict"] == "passes" and \
            tunnel["pfs"] in ("proven", "unproven") and tunnel["rtt_p99_us"] > 0, tunnel
    capacity = entry["capacity"]
    assert capacity["capacity_kbps"] == 200000 and capacity["fits"] is True, capacity
    by_name = {c["class"]: c["load_kbps"] for c in capacity["classes"]}
    assert by_name["rest"] > 100 and by_name["voice"] == 0, capacity


def readiness(two):
    return two.gateway.show("failover", "readiness")["vnets"][0]


def check_drill(two):
    """The drill measures with the probes of both families over both links and both tunnels."""
    done = two.gateway.shell("failover", "test", "for", "3s", "force", as_json=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["survived"] and report["restored"], report
    for phase in report["phases"]:
        assert phase["probes_sent"] > 0 and phase["rtt_p50_us"], phase
