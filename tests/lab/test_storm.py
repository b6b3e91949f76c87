# SPDX-License-Identifier: BSD-3-Clause
"""Many prefixes come and go at once, and FRR itself; nobody else notices."""
import os
import signal
import time

import million
from bed import LONG
from bed_two import EDGES
from lab import ADDRESSES, SITE_PREFIX
from lab_two import TWO
from net import LabError, now_ns, send, wait_until
from scenario import bed_with, long_form
from test_detect import moves
from test_links import FLUSH_S

PREFIXES = ["10.101.%d.%d/28" % (n // 16, n % 16 * 16) for n in range(4000)]   # Azure's own limit
STORM = "10.101.0.0/16"
ROUNDS = 20 if LONG else 3
SETTLE_S = 2.0
SAMPLES = PREFIXES[::1333] + PREFIXES[-1:]


def kernel_routes(two):
    shown = two.lab.run("gw", "ip", "route", "show", "root", STORM).stdout
    return sum(line.startswith("10.101.") for line in shown.splitlines())


def carriers(two):
    """What a worker does with one address of each sample: {kind of path: how many}."""
    found = {}
    for prefix in SAMPLES:
        host = prefix.rpartition("/")[0].rpartition(".")
        kind = two.gateway.show("fib", "%s.%d" % (host[0], int(host[2]) + 1)).get("kind")
        found[kind] = found.get(kind, 0) + 1
    return found


def wait_all_on(two, kind, routes, begun):
    """The kernel has so many of the prefixes, and within SETTLE_S the data plane follows."""
    wait_until(lambda: kernel_routes(two) == routes, 40, "%d routes in the kernel" % routes, 0.02)
    rib = time.monotonic()
    try:
        wait_until(lambda: carriers(two) == {kind: len(SAMPLES)}, SETTLE_S,
                   "the data plane to follow", 0.02)
    except LabError as late:
        raise AssertionError("%.1f s after the last update of the kernel the data plane has %s" % (
            time.monotonic() - rib, carriers(two))) from late
    return time.monotonic() - begun


@long_form
@bed_with(extra=["set vnet prod prefix " + STORM, "set vnet prod wait-to-restore 0"])
def test_a_storm_of_4000_prefixes_is_followed_and_others_lose_nothing(two):
    for edge in two.lab.edges.values():
        edge.change(extra=PREFIXES)
    wait_all_on(two, "expressroute", len(PREFIXES), time.monotonic())
    controls = [edge.bird.at_hand() for edge in two.lab.edges.values()]
    with two.traffic() as span:
        start = now_ns()
        for _ in range(ROUNDS):
            for word, kind, routes in (("disable", "tunnel", 0),
                                       ("enable", "expressroute", len(PREFIXES))):
                begun = time.monotonic()
                for control in controls:
                    control.tell(word + " extra")
                wait_all_on(two, kind, routes, begun)
        end = now_ns()
        time.sleep(FLUSH_S)
    for control in controls:
        control.close()
    span.expect_no_loss()
    span.expect_ways(EDGES, start, end)


@long_form
@bed_with()
def test_frr_killed_and_started_again_loses_nothing(two):
    switches = len(two.gateway.switches())
    with two.traffic() as span:
        start = now_ns()
        send(two.lab.frr.pids["bgpd"], signal.SIGKILL)
        time.sleep(1)
        two.lab.frr.restart(os.path.join(two.gateway.run_dir, "frr.conf"))
        two.wait_carrier("expressroute", 40)
        two.lab.wait_expressroute(60)
        two.wait_links(("primary", "secondary"), 40)
        end = now_ns()
        time.sleep(FLUSH_S)
    span.expect_no_loss()
    assert len(two.gateway.switches()) == switches, "the restart of FRR moved traffic"
    span.expect_ways(EDGES, start, end)


@long_form
def test_a_million_routes_are_installed_within_60_s_or_little_more_than_zebra_takes_alone():
    found = million.run(1000000)
    bar_s = max(60, 1.2 * found["zebra_s"])
    assert found["installed_s"] <= bar_s, "%(installed_s).1f s; zebra alone %(zebra_s).1f s" % found


FLAP_S = 3.0                                # 20 a minute
SILENT_S = 1.3                              # longer than 3 x 300 ms
FAST, SLOW = (200, 0) if LONG else (3, 2)   # slow: one after the return of the one before
DAMPING_MAX_S = 600


def flapping(lines):
    """One second to wait at first, and twice as long with each loss."""
    return [line for line in lines if "damping-maximum" not in line and
            "wait-to-restore" not in line] + [
                "set vnet prod wait-to-restore 1",
                "set vnet prod damping-maximum %d" % DAMPING_MAX_S]


def silence(lab, on):
    """Nothing passes the circuit, carrier stays."""
    lab.run("sw", "bridge", "link", "set", "dev", "to-er", "state", "0" if on else "3")


def flap(lab, times, period_s):
    """Silence the circuit for a moment so often, at the beginning of each period."""
    for _ in range(times):
        begun = time.monotonic()
        silence(lab, True)
        time.sleep(SILENT_S)
        silence(lab, False)
        time.sleep(max(0.0, begun + period_s - time.monotonic()))
        yield


def bfd_alone_flaps(edge):
    """The edge leaves its BGP session to the gateway, which resets it; so it is back at once."""
    text = edge.text.replace("protocol bfd {", "protocol bfd { neighbor %s dev \"gw0\" local %s;" % (
        ADDRESSES["gateway_er"], ADDRESSES["edge_er"]), 1)
    site = text.index("protocol bgp site from peer {") + len("protocol bgp site from peer {")
    edge.reconfigure(text[:site] + " bfd off;" + text[site:])


@long_form
@bed_with(config=flapping)
def test_flaps_of_bfd_move_traffic_once_and_each_loss_doubles_the_wait(bed):
    gateway = bed.gateway
    bfd_alone_flaps(bed.lab.edge)
    bed.wait_ready()
    before = len(gateway.switches())
    with bed.traffic() as span:
        time.sleep(0.5)
        downs = gateway.log("dataplane").count("old=up new=down")
        for _ in flap(bed.lab, FAST, FLAP_S):
            pass
        flapped = gateway.log("dataplane").count("old=up new=down") - downs
        made = moves(gateway.switches()[before:])
        last = now_ns()
        gateway.wait_active("expressroute", 30 + (DAMPING_MAX_S if LONG else 0))
        time.sleep(1)
    assert flapped >= 0.9 * FAST, "BFD went down %d times in %d flaps" % (flapped, FAST)
    assert made and len(made) <= 3, "%d flaps moved traffic so: %s" % (FAST, made)
    span.expect_no_loss(since=last)
    waits = []
    for _ in range(SLOW):
        for _ in flap(bed.lab, 1, FLAP_S):
            gateway.wait_active("expressroute", 60)
        over, back = gateway.switches()[-2:]
        waits.append((back["at_ns"] - over["at_ns"]) / 1e9)
    longer = [after - earlier for earlier, after in zip(waits, waits[1:])]
    assert all(more >= 1.8 for more in longer), "away for %s s: the wait does not double" % waits


LIMIT = 10
NEAR = TWO["edge_er2"]


def lines_of(two, words):
    return [line for line in two.gateway.log("controld").splitlines() if words in line]


def prefix_limit_is_warned_about(two):
    """At 80 %, once until it was below; beyond the limit the session still stands."""
    edge = two.lab.edges[2]
    for extra, percent, warnings in ((6, 70, 0), (7, 80, 1), (11, 120, 1), (6, 70, 1), (7, 80, 2)):
        edge.change(extra=PREFIXES[:extra])         # beside the VNet's own
        wait_until(lambda: neighbor_row(two)["prefix_limit_percent"] == percent, 10,
                   "%d %% to be shown; it is %s" % (percent, neighbor_row(two)), 0.2)
        time.sleep(1.5)                             # it is looked at once a second
        said = lines_of(two, "bgp prefix-limit neighbor=%s " % NEAR)
        assert len(said) == warnings, "%d %%: %s" % (percent, said)
    assert "prefixes=8 limit=%d" % LIMIT in said[-1], said
    text = two.gateway.shell("show", "bgp", "summary").stdout
    assert "%d (80%%)" % LIMIT in text, text
    assert edge.up(), "the session fell"


def neighbor_row(two):
    return next(n for n in two.gateway.show("bgp", "summary")["neighbors"] if n["address"] == NEAR)


def asymmetry_is_forwarded_and_told(two):
    """Azure answers through a tunnel what went out over ExpressRoute."""
    route = [SITE_PREFIX, "via", TWO["azure1_vnet"], "src", TWO["vnet_host"], "metric", "5"]
    assert not lines_of(two, "failover asymmetric"), "told before there was any"
    with two.traffic() as span:
        begun = now_ns()
        two.lab.run("vnet", "ip", "route", "add", *route)
        wait_until(lambda: two.gateway.show("failover")["asymmetric_packets"] > 100, 10,
                   "the asymmetry to be shown", 0.2)
        wait_until(lambda: lines_of(two, "failover asymmetric"), 10, "the warning", 0.2)
        end = now_ns()
        two.lab.run("vnet", "ip", "route", "del", *route)
        time.sleep(FLUSH_S)
    span.expect_no_loss()
    span.expect_ways(EDGES, begun + 3 * 10**8, end - 10**8)
    span.expect_ways(("azure1",), begun + 3 * 10**8, end - 10**8, "in")
    tunnel = next(t for t in two.gateway.show("ipsec", "statistics")["tunnels"]
                  if t["tunnel"] == "azure1")
    assert tunnel["asymmetric_packets"] > 100, tunnel
    assert "Asymmetric packets: 0" not in two.gateway.shell("show", "failover", "detail").stdout


@long_form
@bed_with(extra=["set routing bgp neighbor %s prefix-limit maximum %d" % (NEAR, LIMIT)])
def test_a_near_prefix_limit_and_answers_by_the_other_path_are_told(two):
    prefix_limit_is_warned_about(two)
    asymmetry_is_forwarded_and_told(two)
