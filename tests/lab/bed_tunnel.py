# SPDX-License-Identifier: BSD-3-Clause
"""The test bed of those who try the tunnel itself: ExpressRoute is withdrawn once and for all, so
what carries traffic is the tunnel, and its settings and Azure's change under the traffic's feet.
"""
import contextlib
import signal
import threading
import time

from bed import TUNNEL, Bed
from net import LabError, now_ns, send, wait_until

DEMO_PROFILE = "azure-custom-gcm256-ecp384"


class BedTunnel(Bed):
    """A bed (see Bed) whose traffic goes by the tunnel."""

    withdrawn = False

    def wait_ready(self):
        if not self.withdrawn:
            super().wait_ready()
            self.into_tunnel()
            self.withdrawn = True
        self.gateway.wait_active("tunnel", 20)
        wait_until(self.is_whole, 10, "one IKE SA and one child SA")

    # --- settings ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def with_settings(self, ours, **theirs):
        """Azure set so, and our tunnel {leaf: value, or several}, not enabled yet.

        At the end the tunnel stands again with the settings of the demo.
        """
        before = {key: self.lab.azure.policy[key] for key in theirs}
        self.wait_ready()
        self.take_down()
        try:
            self.lab.azure.load(**theirs)
            self.gateway.configure(self.lines(ours))
            yield
        finally:
            self.take_down()
            self.lab.azure.load(**before)
            gone = [leaf for leaf in ours if leaf != "profile"] + ["enabled"]
            self.gateway.configure(["delete tunnel %s %s" % (TUNNEL, leaf) for leaf in gone] +
                                   ["set tunnel %s profile %s" % (TUNNEL, DEMO_PROFILE)])

    @staticmethod
    def lines(settings):
        """Lines that set these leaves; a value may be a list."""
        lines = ["delete tunnel %s profile" % TUNNEL] if "ike-proposal" in settings else []
        for leaf, value in settings.items():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                lines.append("set tunnel %s %s %s" % (TUNNEL, leaf, one))
        return lines

    # --- up and down ------------------------------------------------------------------------

    def dial(self, *who):
        """Let "we", "they" or both at once dial; return when the traffic is in the tunnel."""
        if "we" not in who:
            self.enable()
            self.azure_dials()
        elif "they" in who:
            self._dial_at_once()
        else:
            self.enable()
        self.wait_up()

    def _dial_at_once(self):
        """Azure stands still until our request and its own wish to dial wait for it."""
        azure = self.lab.azure
        thread = threading.Thread(target=azure.initiate)
        send(azure.child.pid, signal.SIGSTOP)
        try:
            self.enable()
            wait_until(lambda: self.ike()["state"] == "connecting", 5, "our side to dial", 0.02)
            thread.start()
            time.sleep(0.2)
        finally:
            send(azure.child.pid, signal.SIGCONT)
        thread.join()

    def azure_dials(self):
        """Azure alone, as soon as our side waits for it."""
        wait_until(lambda: self.ike()["state"] == "idle", 5, "our side to wait to be dialled", 0.02)
        done = self.lab.azure.initiate()
        if done.returncode != 0:
            raise LabError("initiate: " + (done.stdout + done.stderr).strip()[-200:])

    def wait_up(self):
        try:
            wait_until(self.lab.azure.is_up, 10, "the tunnel", 0.02)
            wait_until(lambda: self.gateway.is_on("tunnel"), 5, "the traffic in the tunnel", 0.02)
        except LabError as late:
            raise LabError("%s; we say: %s" % (late, self.ike().get("reason"))) from late

    # --- what stands ------------------------------------------------------------------------

    def child_spis(self):
        return {(sa["spi-in"], sa["spi-out"]) for sa in self.lab.azure.child_sas()}

    def ike_spis(self):
        return {(sa["initiator-spi"], sa["responder-spi"]) for sa in self.lab.azure.ike_sas()
                if sa.get("state") == "ESTABLISHED"}

    def is_whole(self):
        """One IKE SA and one child SA at the peer, and no exchange about another goes on."""
        sas = self.standing()
        children = [c["state"] for sa in sas for c in sa["child-sas"] if c["state"] != "DELETED"]
        return [sa["state"] for sa in sas] == ["ESTABLISHED"] and children == ["INSTALLED"]

    def lost_at_azure(self):
        """Packets {"out", "in"} that strongSwan's host has thrown away so far.

        Its ESP is a process like others: on a starved machine its socket overflows, its TUN, too.
        """
        text = self.lab.run("azure", "cat", "/proc/net/snmp", "/proc/net/dev").stdout
        lines = [line.split() for line in text.splitlines()]
        names, values = [words[1:] for words in lines if words[0] == "Udp:"]
        device, = [words for words in lines if words[0] == "ipsec0:"]
        return {"out": int(values[names.index("RcvbufErrors")]), "in": int(device[12])}

    # --- new keys ---------------------------------------------------------------------------

    def ask(self, what):
        """A rekey ("child", "ike") of ours, as soon as the exchange before is over."""
        def taken():
            return self.gateway.shell("rekey", "tunnel", TUNNEL, what, check=False).returncode == 0
        wait_until(taken, 8, "a rekey of ours", 0.02)

    def rekey(self, side, what):
        """A rekey by "we" or "they"; return when it began and ended.

        It is over when the new SA stands alone: who is amid deleting the old one refuses the next.
        """
        present = self.child_spis if what == "child" else self.ike_spis
        theirs = self.lab.azure.rekey_child if what == "child" else self.lab.azure.rekey_ike
        before, begun = present(), now_ns()
        if side == "we":
            self.ask(what)
        else:
            theirs()
        wait_until(lambda: present() - before and self.is_whole(), 8,
                   "%s rekey of %s" % (what, "ours" if side == "we" else "theirs"), 0.02)
        return begun, now_ns()


def not_excused(lost, before, after):
    """Of packets lost {direction: number} those that strongSwan's host did not throw away."""
    return {d: max(0, number - (after[d] - before[d])) for d, number in lost.items()}
