#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Self-test of the lab with a stand-in gateway: does the lab itself do what the tests rely on?

Checks: ping and probes over ExpressRoute; a failure (all three with SPILLWAY_LAB_LONG=1) moves both
directions into the tunnel and back; the sniffers see clear packets when there are some, and none
when there are none; destroy leaves nothing. Prints one line per check and `N passed, N failed`.
"""
import os
import sys
import time

from acceptance import KINDS, RATE, Acceptance
from lab import ADDRESSES, Lab
from net import LabError, wait_until
from standin import Standin
from traffic import ProbePair, Watch, during

OUT_DIR = os.environ.get("SPILLWAY_DEMO_OUT")
HOSTS = ("lan", ADDRESSES["lan_host"], ADDRESSES["vnet_host"])


class Results:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        print("%-4s %s%s" % ("ok" if good else "FAIL", name, "  (%s)" % detail if detail else ""),
              flush=True)


def acceptance_checks(lab, gateway, results):
    """The acceptance test itself, on the stand-in; its own bars are looser.

    The stand-in waits for nothing before it goes back, so what it sends while the edge router is
    still taking its routes in again is lost: that is the stand-in's, and bounded, not forbidden.
    """
    kinds = KINDS if os.environ.get("SPILLWAY_LAB_LONG") == "1" else KINDS[:1]
    test = Acceptance(lab, gateway, kinds=kinds, say=lambda line: None, brisk=True)
    test.run()
    for rnd in test.rounds:
        bar_ms = rnd.kind.bar_ms + 300
        for direction, flow in test.flows.items():
            gap = test.gap_ms(rnd, direction)
            results.check("%s %s: gap below %d ms" % (rnd.kind.key, direction, bar_ms),
                          0 < gap < bar_ms, "gap %.0f ms, lost %d" % (
                              gap, len(flow.lost(rnd.event_ns, rnd.restore_ns))))
    figures = test.figures()
    results.check("nothing in the clear, nothing in the tunnel before the first failure",
                  figures["clear-on-internet"] == 0 and not during(
                      test.watch.transit("out"), [(0, test.rounds[0].event_ns)]))
    for rnd in test.rounds:
        results.check("%s: the return loses at most half a second" % rnd.kind.key,
                      test.lost_returning(rnd) <= RATE, "%d lost" % test.lost_returning(rnd))
    # The stand-in keeps no log of its switches, so when it stood is known to poll precision only.
    broken = [line for line in test.judge()
              if "gap of" not in line and
              not line.startswith(("tunnel-while", "lost-on-return"))]
    results.check("no other bar is broken", not broken, "; ".join(broken))
    results.check("ESP seen, no IV repeated", test.watch.esp_count() > 1000 and
                  not test.watch.repeated_ivs(), "%d packets" % test.watch.esp_count())
    test.draw(OUT_DIR or lab.path("demo-out"))
    drawn = os.path.join(OUT_DIR or lab.path("demo-out"), "failover.png")
    results.check("the timeline is drawn", os.path.getsize(drawn) > 5000)
    for line in test.table():
        print("     " + line)


def sniffer_checks(lab, results):
    """A clear packet sent on purpose must be seen: a check that cannot fail is none."""
    watch = Watch(lab).start()
    lab.run("inet", "ping", "-c", "1", "-W", "1", "-I", ADDRESSES["inet_azure"],
            ADDRESSES["azure_wan"])
    lab.run("azure", "ip", "addr", "add", "10.100.9.9/32", "dev", "lo")
    lab.run("azure", "ping", "-c", "1", "-W", "1", "-I", "10.100.9.9", ADDRESSES["inet_azure"],
            check=False)
    lab.run("azure", "ip", "addr", "del", "10.100.9.9/32", "dev", "lo")
    time.sleep(0.2)
    watch.stop()
    results.check("a clear packet on the Internet is noticed", len(watch.clear_packets()) >= 1)


def rate_checks(lab, results):
    for rate in (1000, 10000):
        probes = ProbePair(lab, rate=rate, name="rate%d" % rate, port=7200).start()
        time.sleep(3)
        flows = probes.stop()
        for direction, flow in flows.items():
            lost = len(flow.lost())
            results.check("probe %s at %d packets/s loses none" % (direction, rate),
                          lost == 0 and len(flow.received) > rate * 2.5,
                          "%d received, p99 %.0f us" % (len(flow.received),
                                                        flow.latency_us(99)))
            told = probes.summary("vnet" if direction == "out" else "lan")
            p50 = flow.latency_us(50)
            results.check("  and the probe's own summary agrees with the logs",
                          told["received"] == len(flow.received) and told["missing"] == lost and
                          abs(told["latency_p50_us"] - p50) <= 0.03 * p50 + 1)


def rekey_checks(lab, results):
    before = {c["spi-in"] for c in lab.azure.child_sas()}
    lab.azure.rekey_child()
    lab.azure.rekey_ike()
    wait_until(lambda: {c["spi-in"] for c in lab.azure.child_sas()} - before, 5, "a child rekey")
    results.check("the Azure side rekeys both SAs", lab.azure.is_up())


def echoes_heard(lab):
    """How many echo requests the gateway's kernel has taken in."""
    names, values = [line.split()[1:] for line in
                     lab.run("gw", "cat", "/proc/net/snmp").stdout.splitlines()
                     if line.startswith("Icmp:")]
    return int(dict(zip(names, values))["InEchos"])


def quiet_port_checks(lab, results):
    """What arrives on a port device must not reach the kernel but through a twin.

    With an address of the gateway on a twin (here a TAP that nobody reads), the edge sends to it:
    the kernel must not take the copy that it sees on p-er. With the filter off it would.
    """
    shown = lab.run("gw", "ip", "-o", "link", "show", "p-er").stdout
    mac = shown.split("link/ether ")[1].split()[0]
    lab.run("gw", "ip", "tuntap", "add", "er0", "mode", "tap")
    lab.run("gw", "ip", "addr", "add", ADDRESSES["gateway_er"] + "/30", "dev", "er0")
    lab.run("gw", "ip", "link", "set", "er0", "up")
    lab.run("er", "ip", "neigh", "replace", ADDRESSES["gateway_er"], "lladdr", mac, "dev", "gw0")
    before = echoes_heard(lab)
    lab.ping("er", ADDRESSES["edge_er"], ADDRESSES["gateway_er"], count=3)
    quiet = echoes_heard(lab) == before
    lab.run("gw", "sysctl", "-q", "-w", "net.ipv4.conf.p-er.rp_filter=0")
    lab.ping("er", ADDRESSES["edge_er"], ADDRESSES["gateway_er"], count=3)
    heard = echoes_heard(lab) > before
    lab.run("er", "ip", "neigh", "del", ADDRESSES["gateway_er"], "dev", "gw0")
    lab.run("gw", "ip", "link", "del", "er0")
    results.check("the kernel does not take packets from a port device", quiet)
    results.check("  and that would be noticed", heard)


def main():
    results = Results()
    begun = time.monotonic()
    try:
        with Lab("spwst") as lab:
            quiet_port_checks(lab, results)
            gateway = Standin(lab)
            gateway.start()
            lab.wait_expressroute()
            wait_until(lambda: gateway.path() == "expressroute", 10, "ExpressRoute")
            results.check("ping over ExpressRoute", lab.ping(*HOSTS, count=5) == 5)
            rate_checks(lab, results)
            sniffer_checks(lab, results)
            acceptance_checks(lab, gateway, results)
            rekey_checks(lab, results)
            lab.keep = os.environ.get("KEEP") == "1"
    except LabError as error:
        results.check("the lab", False, str(error))
    if os.environ.get("KEEP") != "1":
        left = Lab("spwst").leftovers()
        results.check("destroy leaves nothing", not left, "; ".join(left))
    print("%d passed, %d failed  (lab self-test, %.0f s)" % (
        results.passed, results.failed, time.monotonic() - begun))
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
