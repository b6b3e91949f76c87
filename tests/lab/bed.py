# SPDX-License-Identifier: BSD-3-Clause
"""A test bed: lab, gateway on the demo's configuration, and measured spans of traffic.

A scenario gets a bed that is up and ready, does its harm inside `with bed.traffic() as span:`, and
judges what the span shows. Leaving a span always checks what must hold whatever happens: nothing in
the clear on the Internet, no (SPI, IV) twice, no packet twice.
"""
import contextlib
import ipaddress
import os
import time

from lab import Lab
from net import LabError, now_ns, wait_until
from product import EXPRESSROUTE, Gateway
from traffic import ProbePair, Watch

LONG = os.environ.get("SPILLWAY_LAB_LONG", "") not in ("", "0")
TUNNEL = "azure-a"          # the demo's
WAIT_TO_RESTORE_S = 2       # the demo's 5 s are for people who watch
BEGUN_S = 0.8               # traffic that does not arrive by then is the scenario's to judge


class Measured:
    """Probes each way while sniffers listen; a kind of span gives `probes` and sniffers()."""

    probes = None
    flows = None        # {direction: Flow}, at the end

    def sniffers(self):
        """What listens during the span: each can start() and stop()."""
        raise NotImplementedError

    @contextlib.contextmanager
    def measured(self):
        """Sniffers first, probes then; what they saw is there at the end, whatever happens."""
        for sniffer in self.sniffers():
            sniffer.start()
        self.probes.start()
        with contextlib.suppress(LabError):
            wait_until(self.probes.arrived, BEGUN_S, "traffic", 0.02)
        try:
            yield self
        finally:
            self.flows = self.probes.stop()
            for sniffer in self.sniffers():
                sniffer.stop()


class Span(Measured):
    """One span of traffic; the results are there after the `with` block."""

    def __init__(self, lab, rate):
        self.watch = Watch(lab)
        self.probes = ProbePair(lab, rate=rate)

    def sniffers(self):
        return (self.watch,)

    def clear_packets(self):
        """What went in the clear where nothing may."""
        return self.watch.clear_packets()

    def repeated_ivs(self):
        return self.watch.repeated_ivs()

    def lost(self, since=0, until=1 << 63):
        return {d: len(f.lost(since, until)) for d, f in self.flows.items()}

    def longest_gap_ms(self, since, until):
        return {d: f.longest_gap_ms(since, until) for d, f in self.flows.items()}

    def expect_no_loss(self, since=0, until=1 << 63):
        lost = self.lost(since, until)
        offered = {d: f.offered(since, until) for d, f in self.flows.items()}
        assert min(offered.values()) > 0, "no traffic was offered: the test proves nothing"
        assert not any(lost.values()), "lost packets: %s of %s" % (lost, offered)

    def expect_in_tunnel(self, since, until):
        """Nearly all that was received in the span went through the tunnel."""
        tunnelled = self.watch.tunnelled_probes()
        for direction, flow in self.flows.items():
            inside = [seq for stamp, seq, _ in flow.received if since < stamp < until]
            crossed = sum(seq in tunnelled[direction] for seq in inside)
            assert inside and crossed >= 0.99 * len(inside), \
                "%s: %d of %d packets crossed the tunnel" % (direction, crossed, len(inside))

    def expect_outside_tunnel(self, since, until):
        crossed = [p for p in self.watch.transit("out")
                   if p.is_probe and since < p.probe_sent_ns < until]
        assert not crossed, "%d packets in the tunnel while ExpressRoute stood" % len(crossed)


class Bed:
    """Use as a context manager; `config` changes the demo's configuration lines (a function)."""

    def __init__(self, prefix="spwck", azure=None, psk=None, config=None, ready=True,
                 options=None):
        self.lab = Lab(prefix, azure=azure)
        self.gateway = Gateway(self.lab, psk=psk, options=options)
        self.config = config or (lambda lines: lines)
        self.ready = ready

    def __enter__(self):
        self.lab.__enter__()
        try:
            self.gateway.start()
            self.gateway.configure(self.config(self.configuration_lines()))
            if self.ready:
                self.wait_ready()
            else:
                wait_until(lambda: self.gateway.active() == EXPRESSROUTE, 30, "ExpressRoute")
        except BaseException:
            self._save_logs()
            self.lab.__exit__(None, None, None)
            raise
        return self

    def configuration_lines(self):
        return self.gateway.demo_lines() + [
            "set vnet prod wait-to-restore %d" % WAIT_TO_RESTORE_S]

    def wait_ready(self):
        self.gateway.wait_ready()
        self.lab.wait_expressroute()

    def wait_ready_again(self):
        """The same between two scenarios: how long a state has stood counts, too."""
        self.gateway.left_alone = True
        try:
            self.wait_ready()
        finally:
            self.gateway.left_alone = False

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self._save_logs()
        with contextlib.suppress(LabError):
            self.gateway.stop()
        self.lab.__exit__(kind, value, trace)

    def _save_logs(self):
        """Print who crashed and the ends of the logs: the run directory will be gone."""
        print("".join("    %s\n" % crash for crash in self.gateway.crashes()), end="")
        for name in ("dataplane", "iked", "controld"):
            with contextlib.suppress(OSError):
                tail = self.gateway.log(name).splitlines()[-15:]
                print("\n".join("    %s: %s" % (name, line) for line in tail))

    @contextlib.contextmanager
    def traffic(self, **how):
        """Probes each way and sniffers; checks the invariants when it ends without an error."""
        with self.span(**how).measured() as span:
            yield span
        self.standing_checks(span)

    def span(self, rate=1000):
        return Span(self.lab, rate)

    def standing_checks(self, span):
        clear = span.clear_packets()
        assert not clear, "%d packets in the clear, the first from %s to %s" % (
            len(clear), *map(ipaddress.ip_address, (clear[0].src, clear[0].dst)))
        repeated = span.repeated_ivs()
        assert not repeated, "(SPI, IV) repeated: %s" % repeated[:3]
        crashes = self.gateway.crashes()
        assert not crashes, "; ".join(crashes)
        copies = {d: f.duplicated for d, f in span.flows.items()}
        assert not any(copies.values()), "packets delivered twice: %s" % copies

    # --- the tunnel up and down -------------------------------------------------------------

    def take_down(self):
        """End the tunnel from our side; neither may have anything left."""
        self.gateway.configure(["set tunnel %s enabled false" % TUNNEL])
        wait_until(lambda: not self.standing(), 20, "the peer to end", 0.02)

    def enable(self):
        self.gateway.configure(["delete tunnel %s enabled" % TUNNEL])

    def standing(self):
        """IKE SAs at the peer but for half-open ones, which it forgets after 30 s by itself: of two
        that are dialled at once ours may be given up when the other stands."""
        return [sa for sa in self.lab.azure.ike_sas() if sa["state"] != "CONNECTING"]

    def ike(self):
        """Our tunnel in `show ike`."""
        return next(i for i in self.gateway.show("ike")["ike"] if i["peer"] == TUNNEL)

    # --- what must hold, and the way of the traffic -----------------------------------------

    def no_violations(self):
        """The data plane saw no transit packet in a tunnel against the rule."""
        violations = self.gateway.violations()
        assert violations == 0, "the data plane counted %d violations" % violations

    def into_tunnel(self):
        """Withdraw ExpressRoute and wait until the traffic is in the tunnel; return the time."""
        self.lab.withdraw()
        self.gateway.wait_active("tunnel", 5)
        time.sleep(0.5)
        return now_ns()

    def without_circuit(self, seconds=2):
        """Withdraw ExpressRoute for a while, wherever the traffic goes; return when it was so."""
        begun = now_ns()
        self.lab.withdraw()
        time.sleep(seconds)
        ended = now_ns()
        self.lab.announce()
        return begun, ended

    def back_to_expressroute(self, timeout=30):
        self.lab.announce()
        self.gateway.wait_active(EXPRESSROUTE, timeout)
        self.lab.wait_expressroute()
        return now_ns()
