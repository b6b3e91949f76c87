# SPDX-License-Identifier: BSD-3-Clause
"""The acceptance test: reach the VNet, lose ExpressRoute, still reach it, get it back; three times.

One run = a steady probe each way, a TCP stream, the three failures one after the other, and a
judgement against the bars. The gateway is any object with wait_active(path, timeout) and
switches(): Spillway in the demo, the stand-in in the lab's self-test.
"""
import collections
import time

import figure
from net import LabError, now_ns
from traffic import ProbePair, TcpStream, Watch, during

Kind = collections.namedtuple("Kind", "key title short fail restore restored bar_ms")
KINDS = (
    Kind("withdraw", "BGP route withdrawn", "withdrawn", "withdraw", "announce", "announced", 100),
    Kind("bfd", "Microsoft edge frozen", "frozen", "freeze_edge", "thaw_edge", "thawed", 1200),
    Kind("link", "ExpressRoute link down", "link down", "link_down", "link_up", "link up", 100),
)
Round = collections.namedtuple("Round", "kind event_ns restore_ns return_ns end_ns")

BASELINE_S, BRISK_BASELINE_S = 3, 1.5
IN_TUNNEL_S, BRISK_IN_TUNNEL_S = 4, 2.5     # from the event; above every bar
AFTER_RETURN_S = 2
TUNNEL_WAIT_S = 5
RETURN_WAIT_S = 30
RATE = 1000

# The switch log is good to a millisecond and says how long the switch took, of which at most 10 ms
# are granted. After a return, a packet that carries no time of its own may have been under way.
SWITCH_LOG_GRACE_NS = 2 * 10**6
LONGEST_SWITCH_NS = 10 * 10**6
IN_FLIGHT_GRACE_NS = 20 * 10**6


class Acceptance:
    def __init__(self, lab, gateway, kinds=KINDS, say=print, brisk=False):
        """`brisk`: the same bars, less time between the steps than the demo shows."""
        self.baseline_s = BRISK_BASELINE_S if brisk else BASELINE_S
        self.in_tunnel_s = BRISK_IN_TUNNEL_S if brisk else IN_TUNNEL_S
        self.lab = lab
        self.gateway = gateway
        self.kinds = kinds
        self.say = say
        self.rounds = []
        self.broken = []
        self.start_ns = self.end_ns = 0
        self.flows = self.tcp = self.watch = self.switches = None
        self.violations = 0

    # --- running ----------------------------------------------------------------------------

    def run(self):
        """Run all rounds under traffic and collect the evidence."""
        self.watch = Watch(self.lab).start()
        stream = TcpStream(self.lab).start()
        probes = ProbePair(self.lab, rate=RATE).start()
        self.start_ns = now_ns()
        self.tell(self.start_ns, "traffic starts: %d packets/s each way and a TCP stream" % RATE)
        time.sleep(self.baseline_s)
        try:
            for kind in self.kinds:
                self.rounds.append(self._round(kind))
        finally:
            self.end_ns = now_ns()
            self.tell(self.end_ns, "traffic ends")
            self.tcp = stream.stop()
            self.flows = probes.stop()
            self.watch.stop()
        self.switches = self.gateway.switches()
        self.violations = self.gateway.violations()
        self.broken += self.gateway.crashes()

    def _round(self, kind):
        event = getattr(self.lab, kind.fail)()
        self.tell(event, kind.title)
        self._wait(kind, "tunnel", TUNNEL_WAIT_S)
        time.sleep(max(0.0, self.in_tunnel_s - (now_ns() - event) / 1e9))
        restore = getattr(self.lab, kind.restore)()
        self.tell(restore, kind.restored)
        self._wait(kind, "expressroute", RETURN_WAIT_S)
        back = now_ns()
        self.tell(back, "back on ExpressRoute")
        time.sleep(AFTER_RETURN_S)
        return Round(kind, event, restore, back, now_ns())

    def _wait(self, kind, path, timeout):
        try:
            self.gateway.wait_active(path, timeout, 0.2)
        except LabError as error:
            self.broken.append("%s: %s" % (kind.title, error))

    def tell(self, stamp, text):
        self.say("%7.2f s  %s" % ((stamp - self.start_ns) / 1e9, text))

    # --- judging ----------------------------------------------------------------------------

    def gap_ms(self, rnd, direction):
        return self.flows[direction].longest_gap_ms(rnd.event_ns - 50 * 10**6, rnd.restore_ns)

    def lost(self, since, until):
        """Lost packets of both directions offered in [since, until)."""
        return {d: len(f.lost(since, until)) for d, f in self.flows.items()}

    def lost_on_return(self):
        return sum(self.lost_returning(rnd) for rnd in self.rounds)

    def lost_returning(self, rnd):
        return sum(self.lost(rnd.restore_ns, rnd.end_ns).values())

    def lost_elsewhere(self):
        total = sum(len(f.lost()) for f in self.flows.values())
        return total - sum(sum(self.lost(r.event_ns - 50 * 10**6, r.end_ns).values())
                           for r in self.rounds)

    def switch_after(self, since, until):
        """The first entry of the gateway's switch log within [since, until), or {}."""
        return next((s for s in self.switches if since <= s["at_ns"] < until), {})

    def expressroute_stood(self):
        """Intervals in which an ExpressRoute next hop stood, to our knowledge.

        It stands until the lab breaks it (the lab's own clock), and again from the moment the
        gateway's log says that it switched back, because before that it waits to be restored. A
        switch away that no failure of the lab explains ends it when the gateway detected its
        cause.
        """
        marks = [(self.start_ns, True)] + [(r.event_ns, False) for r in self.rounds]
        for switch in self.switches:
            if switch["to"] == "expressroute":
                switching_ns = int((switch.get("switch_us") or 0) * 1e3)
                marks.append((switch["at_ns"] + SWITCH_LOG_GRACE_NS +
                              min(switching_ns, LONGEST_SWITCH_NS), True))
            else:
                detecting_ns = int((switch.get("detect_ms") or 0) * 1e6)
                marks.append((switch["at_ns"] - detecting_ns, False))
        return standing(marks, self.end_ns + 10**9)

    def tunnel_while_expressroute(self):
        return len(during(self.watch.transit("out"), self.expressroute_stood(),
                          IN_FLIGHT_GRACE_NS))

    def figures(self):
        """The lines for machines: {name: number}."""
        found = {}
        for rnd in self.rounds:
            found["gap-ms-" + rnd.kind.key] = round(
                max(self.gap_ms(rnd, d) for d in self.flows), 1)
        found["lost-on-return"] = self.lost_on_return()
        found["clear-on-internet"] = len(self.watch.clear_packets())
        found["tunnel-while-expressroute"] = self.tunnel_while_expressroute()
        return found

    def judge(self):
        """Every broken must as one line; empty when all bars hold."""
        broken = list(self.broken)
        figures = self.figures()
        tunnelled = self.watch.tunnelled_probes()
        for rnd in self.rounds:
            gap = figures["gap-ms-" + rnd.kind.key]
            if gap > rnd.kind.bar_ms:
                broken.append("%s: gap of %.0f ms, at most %d allowed" % (
                    rnd.kind.title, gap, rnd.kind.bar_ms))
            for direction, flow in self.flows.items():
                last_second = [seq for stamp, seq, _ in flow.received
                               if rnd.restore_ns - 10**9 < stamp < rnd.restore_ns]
                crossed = sum(seq in tunnelled[direction] for seq in last_second)
                if crossed < RATE * 0.9:
                    broken.append("%s: only %d packets %s through the tunnel in its last second" %
                                  (rnd.kind.title, crossed, direction))
        if len(self.rounds) != len(self.kinds):
            broken.append("only %d of %d rounds were run" % (len(self.rounds), len(self.kinds)))
        for name in ("lost-on-return", "clear-on-internet", "tunnel-while-expressroute"):
            if figures[name] != 0:
                broken.append("%s is %d, must be 0" % (name, figures[name]))
        return broken + self._judge_streams()

    def _judge_streams(self):
        broken = []
        if self.lost_elsewhere() != 0:
            broken.append("%d packets lost outside the failures" % self.lost_elsewhere())
        repeated = len(self.watch.repeated_ivs())
        if repeated:
            broken.append("%d (SPI, IV) pairs were used more than once" % repeated)
        if self.violations:
            broken.append("the data plane counted %d packets in the tunnel against the rule" %
                          self.violations)
        if not self.tcp["client"]["alive"] or \
                self.tcp["server"]["bytes"] != self.tcp["client"]["bytes"]:
            broken.append("the TCP stream did not survive: sent %d bytes, %d arrived %s" % (
                self.tcp["client"]["bytes"], self.tcp["server"]["bytes"],
                self.tcp["client"]["error"]))
        return broken

    # --- telling ----------------------------------------------------------------------------

    def table(self):
        """The table of the demo as lines of text."""
        head = "%-24s %9s %9s %9s %9s  %10s %10s  %-18s %6s" % (
            "Failure", "lost out", "lost in", "gap out", "gap in", "detected", "switched", "cause",
            "return")
        lines = [head, "-" * len(head)]
        for rnd in self.rounds:
            lost = self.lost(rnd.event_ns - 50 * 10**6, rnd.restore_ns)
            switch = self.switch_after(rnd.event_ns, rnd.restore_ns)
            lines.append("%-24s %9d %9d %6.0f ms %6.0f ms  %10s %10s  %-18s %6d" % (
                rnd.kind.title, lost["out"], lost["in"], self.gap_ms(rnd, "out"),
                self.gap_ms(rnd, "in"), _unit(switch.get("detect_ms"), "ms"),
                _unit(switch.get("switch_us"), "us"), switch.get("cause", "-"),
                self.lost_returning(rnd)))
        return lines + [""] + self._totals()

    def _totals(self):
        out, back = self.flows["out"], self.flows["in"]
        return [
            "probes            %d out, %d in; %d lost in all, %d duplicated, %d reordered" % (
                len(out.sent_ns), len(back.sent_ns), len(out.lost()) + len(back.lost()),
                out.duplicated + back.duplicated, out.reordered + back.reordered),
            "latency           p50 %.0f us, p99 %.0f us out; p50 %.0f us, p99 %.0f us in" % (
                out.latency_us(50), out.latency_us(99), back.latency_us(50),
                back.latency_us(99)),
            "TCP               %.1f MB, %d retransmitted, longest stall %.0f ms" % (
                self.tcp["client"]["bytes"] / 1e6, self.tcp["client"]["retransmits"],
                self.tcp["client"]["longest_stall_ms"]),
            "on the Internet   %d ESP packets, %d in the clear, %d repeated (SPI, IV)" % (
                self.watch.esp_count(), len(self.watch.clear_packets()),
                len(self.watch.repeated_ivs())),
            "in the tunnel     %d packets of the VNet, %d of them while ExpressRoute stood" % (
                len(self.watch.transit("out")) + len(self.watch.transit("in")),
                self.tunnel_while_expressroute()),
        ]

    def draw(self, directory):
        events = []
        for rnd in self.rounds:
            events += [(rnd.event_ns, rnd.kind.short), (rnd.restore_ns, rnd.kind.restored),
                       (rnd.return_ns, "returned")]
        figure.draw(directory, self.flows, self.watch.tunnelled_probes(), events, self.start_ns,
                    self.end_ns, RATE)


def standing(marks, end_ns):
    """[(start, end)] in which the last of the (time, stands) marks says yes."""
    intervals, since = [], None
    for stamp, stands in sorted(marks):
        if stands and since is None:
            since = stamp
        elif not stands and since is not None:
            intervals.append((since, stamp))
            since = None
    return intervals + ([(since, end_ns)] if since is not None else [])


def _unit(value, unit):
    return "-" if value is None else "%.4g %s" % (value, unit)
