#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Self-test of the lab with a stand-in gateway: does the lab itself do what the tests rely on?

Checks: ping and probes over ExpressRoute; the three failures move both directions into the tunnel
and back; the sniffers see clear packets when there are some, and none when there are none;
destroy leaves nothing. Prints one line per check and `N passed, N failed`.
"""
import os
import sys
import time

from lab import ADDRESSES, Lab
from net import LabError, run, wait_until
from standin import Standin
from strongswan import parse_raw
from traffic import ProbePair, TcpStream, Watch, during

HOSTS = ("lan", ADDRESSES["lan_host"], ADDRESSES["vnet_host"])


class Results:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        print("%-4s %s%s" % ("ok" if good else "FAIL", name, "  (%s)" % detail if detail else ""),
              flush=True)


def fail_and_return(lab, gateway, results, name, fail, restore):
    """One failure, 2.5 s in the tunnel, then the return."""
    event = fail()
    try:
        wait_until(lambda: gateway.path() == "tunnel", 3, "the tunnel after " + name)
    except LabError as error:
        results.check(name + ": gateway moves to the tunnel", False, str(error))
    time.sleep(2.5)
    results.check(name + ": ping through the tunnel", lab.ping(*HOSTS, count=5) == 5)
    back = restore()
    lab.wait_expressroute()
    wait_until(lambda: gateway.path() == "expressroute", 10, "the return after " + name)
    time.sleep(1)
    results.check(name + ": ping over ExpressRoute again", lab.ping(*HOSTS, count=5) == 5)
    return event, back


def traffic_checks(lab, gateway, results):
    watch = Watch(lab).start()
    probes = ProbePair(lab, rate=1000).start()
    stream = TcpStream(lab).start()
    time.sleep(1)
    rounds = [
        ("withdraw", 500, fail_and_return(lab, gateway, results, "withdraw", lab.withdraw,
                                          lab.announce)),
        ("freeze", 1500, fail_and_return(lab, gateway, results, "freeze", lab.freeze_edge,
                                         lab.thaw_edge)),
        ("link", 500, fail_and_return(lab, gateway, results, "link", lab.link_down,
                                      lab.link_up)),
    ]
    tcp = stream.stop()
    flows = probes.stop()
    watch.stop()
    tunnelled = watch.tunnelled_probes()
    for name, bar_ms, (event, back) in rounds:
        for direction, flow in flows.items():
            gap = flow.longest_gap_ms(event, back)
            results.check("%s %s: gap below %d ms" % (name, direction, bar_ms), 0 < gap < bar_ms,
                          "gap %.0f ms, lost %d" % (gap, len(flow.lost(event, back))))
            inside = [s for t, s, _ in flow.received if back - 10**9 < t < back]
            results.check("%s %s: crossed the tunnel" % (name, direction),
                          len(inside) > 900 and set(inside) <= tunnelled[direction])
    first = rounds[0][2][0]
    results.check("no packet in the tunnel before the first failure",
                  not during(watch.transit("out"), [(0, first)]))
    results.check("no packet in the clear on the Internet", not watch.clear_packets())
    results.check("ESP seen, no IV repeated", watch.esp_count() > 1000 and
                  not watch.repeated_ivs(), "%d packets" % watch.esp_count())
    results.check("TCP survives", tcp["client"]["alive"] and tcp["server"]["bytes"] ==
                  tcp["client"]["bytes"], "%d bytes, %d retransmitted, longest stall %.0f ms" % (
                      tcp["client"]["bytes"], tcp["client"]["retransmits"],
                      tcp["client"]["longest_stall_ms"]))


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


def rekey_checks(lab, results):
    before = {c["spi-in"] for c in lab.azure.child_sas()}
    lab.azure.rekey_child()
    lab.azure.rekey_ike()
    wait_until(lambda: {c["spi-in"] for c in lab.azure.child_sas()} - before, 5, "a child rekey")
    results.check("the Azure side rekeys both SAs", lab.azure.is_up())


def parser_checks(results):
    parsed = parse_raw("list-sa event {gw {uniqueid=1 state=ESTABLISHED tasks-active=[A B] "
                       "child-sas {net-1 {name=net state=INSTALLED}}}}\nlist-sas reply {}\n")
    results.check("swanctl --raw is parsed", parsed[0]["gw"]["child-sas"]["net-1"]["state"] ==
                  "INSTALLED" and parsed[0]["gw"]["tasks-active"] == ["A", "B"])


def main():
    results = Results()
    parser_checks(results)
    begun = time.monotonic()
    try:
        with Lab("spwst") as lab:
            gateway = Standin(lab)
            gateway.start()
            lab.wait_expressroute()
            wait_until(lambda: gateway.path() == "expressroute", 10, "ExpressRoute")
            results.check("ping over ExpressRoute", lab.ping(*HOSTS, count=5) == 5)
            rate_checks(lab, results)
            sniffer_checks(lab, results)
            traffic_checks(lab, gateway, results)
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
