# SPDX-License-Identifier: BSD-3-Clause
"""The interop matrix: what its cells are, which of them a sample takes, and how one is run.

A cell is a set of proposals, with or without a NAT between, dialled by us or by strongSwan, with
IKE messages cut at some size on each side or not at all (RFC 7383). Running it means: up, packets
both ways all the while, a child rekey from each side, a rekey of the IKE SA, down. Then the peer's
word on what was negotiated, what was seen on the Internet and the count of packets are judged.

So that there is something to cut, both sides have identities of a hundred bytes and offer ESP
suites that the other does not have, behind the one of the cell: a request of IKE_AUTH of ours is
longer than 576 bytes, those of strongSwan (its child rekeys too) than 576, in IKE_AUTH than 1280.
kernel-libipsec claims to be behind a NAT whatever there is, so ESP is in UDP in every cell; the NAT
axis changes addresses on the way, and each side must see that.
"""
import collections
import ipaddress
import itertools
import random
import struct
import time

from bed_tunnel import TUNNEL, not_excused
from lab import ADDRESSES, SITE_PREFIX, VNET_PREFIX
from net import LabError, now_ns, packet_socket, wait_until
from traffic import ProbePair, within

OUR_ID = "gateway.%s.%s.example.net" % ("s" * 40, "t" * 40)
THEIR_ID = "azure.%s.%s.example.net" % ("u" * 40, "v" * 40)
SIZES = (576, 1280, 0)          # 0 = never cut
RATE, SPAN_S = 400, 0.6         # packets a second each way, and how long a cell has them at least
PACKETS = 120                   # of those 240 that even a probe kept waiting has sent

# IKE SA | child SA (its group = PFS) | what we say of extended sequence numbers, which
# kernel-libipsec does not have: where we would negotiate them, the peer's "no" must be taken.
Suite = collections.namedtuple("Suite", "ike esp esn")
SETS = (
    Suite("aes256-sha1-modp1024", "aes256gcm16", "no"),            # Azure without a custom policy
    Suite("aes256-sha256-modp1024", "aes256-sha1", "no"),
    Suite("aes128-sha1-modp1024", "aes128-sha1-modp1024", "negotiate"),
    Suite("aes128-sha256-modp2048", "aes128-sha256", "no"),
    Suite("aes256-sha256-modp2048", "aes256gcm16-modp2048", "no"),
    Suite("aes256-sha256-modp2048s256", "aes256gcm16-modp2048s256", "no"),
    Suite("aes256-sha384-ecp384", "aes256gcm16-ecp384", "no"),
    Suite("aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384", "negotiate"),
    Suite("aes256gcm16-prfsha256-ecp256", "aes256-sha256-ecp256", "no"),
    Suite("aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256", "no"),
    Suite("aes256gcm16-prfsha384-modp2048", "aes192gcm16-modp1024", "no"),
    Suite("aes256-sha512-ecp384", "chacha20poly1305-ecp256", "negotiate"),
    Suite("aes256gcm16-prfsha512-ecp256", "aes256-sha256-modp2048", "no"),
    Suite("aes128gcm16-prfsha384-ecp384", "chacha20poly1305", "no"),
    Suite("aes256gcm16-prfsha256-x25519", "aes256gcm16-x25519", "no"),
    Suite("aes256-sha512-ecp521", "aes128gcm16-ecp521", "negotiate"),
)

# How the peer names what our words mean.
ENCR = {"aes128gcm16": ("AES_GCM_16", "128"), "aes192gcm16": ("AES_GCM_16", "192"),
        "aes256gcm16": ("AES_GCM_16", "256"), "aes128": ("AES_CBC", "128"),
        "aes256": ("AES_CBC", "256"), "chacha20poly1305": ("CHACHA20_POLY1305", None)}
INTEG = {"sha1": "HMAC_SHA1_96", "sha256": "HMAC_SHA2_256_128", "sha384": "HMAC_SHA2_384_192",
         "sha512": "HMAC_SHA2_512_256"}
PRF = {"sha1": "PRF_HMAC_SHA1", "sha256": "PRF_HMAC_SHA2_256", "sha384": "PRF_HMAC_SHA2_384",
       "sha512": "PRF_HMAC_SHA2_512"}
GROUP = {"modp1024": "MODP_1024", "modp2048": "MODP_2048", "modp2048s256": "MODP_2048_256",
         "ecp256": "ECP_256", "ecp384": "ECP_384", "ecp521": "ECP_521", "x25519": "CURVE_25519"}
SHOWN = {"aes128gcm16": "AES128-GCM", "aes192gcm16": "AES192-GCM", "aes256gcm16": "AES256-GCM",
         "aes128": "AES128-CBC", "aes256": "AES256-CBC", "chacha20poly1305": "ChaCha20-Poly1305"}

# ESP suites that the other side does not have.
OUR_FILLERS = ("aes128-sha1", "aes128-sha256", "aes256-sha1", "aes256-sha256", "aes128gcm16",
               "aes192gcm16", "aes256gcm16", "chacha20poly1305")
THEIR_FILLERS = tuple("%s%s-%s" % words for words in itertools.product(
    ("aes", "camellia"), ("128", "192", "256"), ("sha384", "sha512", "md5", "aesxcbc")))[:21]

Cell = collections.namedtuple("Cell", "suite nat dial ours theirs")


# --- which cells there are --------------------------------------------------------------------

def whole():
    """Every set of proposals with each other axis: 9 pairs of fragment sizes among them."""
    return [Cell(*words) for words in itertools.product(
        range(len(SETS)), (False, True), ("we", "they"), SIZES, SIZES)]


def covered_by(cell):
    """What a cell shows: each value, and the pairs that depend on one another."""
    return {("suite", cell.suite), ("nat, dial", cell.nat, cell.dial),
            ("sizes", cell.ours, cell.theirs), ("dial, ours", cell.dial, cell.ours),
            ("dial, theirs", cell.dial, cell.theirs), ("suite, dial", cell.suite, cell.dial),
            ("nat, ours", cell.nat, cell.ours), ("nat, theirs", cell.nat, cell.theirs)}


def sample(seed, count):
    """`count` cells, chosen so that each shows as much as can be that no other has shown."""
    cells = whole()
    random.Random(seed).shuffle(cells)
    chosen, seen = [], set()
    while len(chosen) < min(count, len(cells)):
        best = max((c for c in cells if c not in chosen), key=lambda c: len(covered_by(c) - seen))
        chosen.append(best)
        seen |= covered_by(best)
    return chosen


def ordered(cells):
    """Those without a NAT first: what the NAT remembers is not for them."""
    return sorted(cells, key=lambda c: c.nat)


def name(cell):
    suite = SETS[cell.suite]
    return "%s | %s%s, %s, %s dial, cut at %s/%s" % (
        suite.ike, suite.esp, "" if suite.esn == "no" else " esn " + suite.esn,
        "NAT" if cell.nat else "no NAT", cell.dial, cell.ours or "off", cell.theirs or "off")


def must_cut(cell):
    """Which sides surely send a message in pieces: a subset of {"we", "they"}.

    None is cut unless both can. Strongswan's rekey of the child is longer than 576 bytes, its
    IKE_AUTH than 1280; of ours IKE_AUTH alone is longer than 576, and nothing than 1280.
    """
    sides = set()
    if cell.ours and cell.theirs:
        if cell.ours == 576 and cell.dial == "we":
            sides.add("we")
        if cell.theirs == 576 or cell.dial == "they":
            sides.add("they")
    return sides


# --- configuration ----------------------------------------------------------------------------

def group_of(esp):
    """The PFS group of an ESP proposal, with its dash, or nothing."""
    last = esp.rsplit("-", 1)[-1]
    return "-" + last if last in GROUP else ""


def our_offer(esp):
    own = [esp] + [f + group_of(esp) for f in OUR_FILLERS if f + group_of(esp) != esp]
    return own[:8]


def their_offer(esp):
    return ", ".join([esp] + [f + group_of(esp) for f in THEIR_FILLERS])


def our_settings(cell):
    suite = SETS[cell.suite]
    return {"ike-proposal": suite.ike, "esp-proposal": our_offer(suite.esp), "esn": suite.esn,
            "ike-fragment": cell.ours, "mode": "initiate" if cell.dial == "we" else "respond"}


def their_settings(cell):
    suite = SETS[cell.suite]
    return {"ike_proposals": suite.ike, "esp_proposals": their_offer(suite.esp),
            "remote": ADDRESSES["inet_azure" if cell.nat else "gateway_wan"],
            "extra_connection": "fragmentation = %s" % ("yes" if cell.theirs else "no")}


def bed_settings(cell):
    """What the bed is given, that it may take it back: all that any cell changes on our side, and
    on theirs."""
    ours = dict(our_settings(cell), **{"allow-legacy": "true", "local-id": OUR_ID,
                                       "remote-id": THEIR_ID})
    return ours, dict(their_settings(cell), local_id=THEIR_ID, remote_id=OUR_ID)


NAT_RULES = """\
table ip spillway_lab {
  chain out { type nat hook postrouting priority 100;
              oif az0 ip saddr %(gateway_wan)s masquerade; }
  chain in { type nat hook prerouting priority -100;
             iif az0 ip daddr %(inet_azure)s udp dport { 500, 4500 } dnat to %(gateway_wan)s; }
}
""" % ADDRESSES


def set_nat(lab, on):
    anew = "table ip spillway_lab\ndelete table ip spillway_lab\n"
    lab.run("inet", "nft", "-f", "-", stdin=anew + (NAT_RULES if on else ""))


# --- what is on the wire ----------------------------------------------------------------------

Datagram = collections.namedtuple("Datagram", "side kind length exchange pieces")
INIT, SKF = 34, 53
PROTECTED = [ipaddress.ip_network(p) for p in (SITE_PREFIX, VNET_PREFIX)]


def dissect(frame, outgoing):
    """One frame on the Internet as a Datagram: kind "ike", "esp", "clear" or "other"."""
    side = "they" if outgoing else "we"
    if frame[12:14] != b"\x08\x00" or len(frame) < 34:
        return Datagram(side, "other", len(frame), None, False)
    length, = struct.unpack_from("!H", frame, 16)
    ends = struct.unpack_from("!II", frame, 26)
    if any(within(network, end) for network in PROTECTED for end in ends):
        return Datagram(side, "clear", length, None, False)
    udp = 14 + 4 * (frame[14] & 15)
    if frame[23] != 17 or len(frame) < udp + 12:
        return Datagram(side, "esp" if frame[23] == 50 else "other", length, None, False)
    ports = struct.unpack_from("!HH", frame, udp)
    if 4500 in ports and frame[udp + 8:udp + 12] != bytes(4):
        return Datagram(side, "esp" if length > 48 else "other", length, None, False)
    ike = frame[udp + (12 if 4500 in ports else 8):]
    if not {500, 4500} & set(ports) or len(ike) < 28:
        return Datagram(side, "other", length, None, False)
    return Datagram(side, "ike", length, ike[18], ike[16] == SKF)


class Wire:
    """Hears the Internet next to the gateway, before any NAT."""

    def __init__(self, lab):
        self.sock = packet_socket(lab.ns("inet"), "gw0")

    def take(self):
        """What came since the last time."""
        found = []
        while True:
            try:
                frame, address = self.sock.recvfrom(2048)
            except BlockingIOError:
                break
            found.append(dissect(frame, address[2] == 4))
        dropped = struct.unpack("II", self.sock.getsockopt(263, 6, 8))[1]
        if dropped:
            raise LabError("the capture missed %d frames: it proves nothing" % dropped)
        return found

    def close(self):
        self.sock.close()


def judge_wire(cell, seen):
    """What was seen on the Internet against what the cell says."""
    assert not any(d.kind == "clear" for d in seen), "packets in the clear on the Internet"
    both = bool(cell.ours and cell.theirs)
    for side, size in (("we", cell.ours), ("they", cell.theirs)):
        ike = [d for d in seen if d.kind == "ike" and d.side == side]
        longest = max((d.length for d in ike if d.exchange != INIT), default=0)
        pieces = sum(d.pieces for d in ike)
        assert not any(d.pieces for d in ike if d.exchange == INIT), "IKE_SA_INIT was cut"
        if not both:
            assert not pieces, "%s sent %d pieces though one side cannot" % (side, pieces)
            assert side == "we" or longest > 576, "nothing was long enough to tell"
            continue
        assert longest <= size, "%s sent a packet of %d bytes, over %d" % (side, longest, size)
        assert pieces or side not in must_cut(cell), "%s cut nothing at %d" % (side, size)
    esp = collections.Counter(d.side for d in seen if d.kind == "esp")
    assert min(esp["we"], esp["they"]) >= PACKETS, "ESP on the Internet: %s" % dict(esp)


# --- running one ------------------------------------------------------------------------------

class Runner:
    """Runs cells one after the other on a bed whose tunnel has bed_settings() and is down."""

    def __init__(self, bed):
        self.bed = bed
        self.lab = bed.lab
        self.azure = bed.lab.azure
        self.nat = None
        self.wire = Wire(self.lab)
        self.probes = ProbePair(self.lab, rate=RATE)
        self.results = []

    def __enter__(self):
        self.probes.start()
        return self

    def __exit__(self, kind, value, trace):
        flows = self.probes.stop()
        self.wire.close()
        set_nat(self.lab, False)
        self.azure.reload_settings(fragment_size=1280)
        for result in self.results:
            self._count(result, flows)

    def run(self, cell):
        """One cell to its end, good or bad; its result is complete when the runner is left."""
        begun = time.monotonic()
        result = {"cell": name(cell), "ok": True, "reason": None, "span": None}
        self.results.append(result)
        try:
            self._run(cell, result)
        except (AssertionError, LabError) as bad:
            result.update(ok=False, reason=str(bad).strip() or type(bad).__name__)
            self._clean()
        result["seconds"] = round(time.monotonic() - begun, 2)
        return result

    def _run(self, cell, result):
        self.wire.take()
        self.configure(cell)
        if cell.dial == "they":
            self.bed.azure_dials()
        self.bed.wait_up()
        seen = self.wire.take()
        at_azure = self.bed.lost_at_azure()
        begun = now_ns()
        # The IKE SA is rekeyed by the side that was dialled.
        steps = (("they", "child"), ("we", "child"), ("they" if cell.dial == "we" else "we", "ike"))
        times = [self.bed.rekey(*step) for step in steps]
        time.sleep(max(0.0, SPAN_S - (now_ns() - begun) / 1e9))
        result["span"] = (begun, now_ns())
        result["steps_ms"] = [[*step, round((start - begun) / 1e6), round((end - begun) / 1e6)]
                              for step, (start, end) in zip(steps, times)]
        time.sleep(0.05)
        result["at_azure"] = (at_azure, self.bed.lost_at_azure())
        self.judge_sas(cell)
        self.down(cell)
        seen += self.wire.take()
        judge_wire(cell, seen)
        result["pieces"] = {side: sum(d.pieces for d in seen if d.side == side)
                            for side in ("we", "they")}

    def configure(self, cell):
        """Both sides and what is between; enables our side, which dials when it is to."""
        if cell.nat != self.nat:
            set_nat(self.lab, cell.nat)
            self.nat = cell.nat
        if cell.theirs and cell.theirs != self.azure.policy["fragment_size"]:
            self.azure.reload_settings(fragment_size=cell.theirs)
        self.azure.load(**their_settings(cell))
        self.bed.gateway.configure(
            ["delete tunnel %s %s" % (TUNNEL, leaf)
             for leaf in ("ike-proposal", "esp-proposal", "enabled")] +
            self.bed.lines(our_settings(cell))[1:])

    def judge_sas(self, cell):
        """The peer's word and ours on what was negotiated."""
        suite = SETS[cell.suite]
        encr, hashed, group = suite.ike.split("-")
        sa, = [s for s in self.azure.ike_sas() if s.get("state") == "ESTABLISHED"]
        plain = hashed[3:] if hashed.startswith("prf") else hashed
        expect(sa, "encr-alg encr-keysize", ENCR[encr])
        expect(sa, "prf-alg dh-group", (PRF[plain], GROUP[group]))
        expect(sa, "integ-alg", (None if hashed.startswith("prf") else INTEG[plain],))
        expect(sa, "remote-host", (their_settings(cell)["remote"],))
        words = suite.esp.split("-")
        child, = [c for c in sa["child-sas"] if c.get("state") == "INSTALLED"]
        integ = next((w for w in words[1:] if w in INTEG), None)
        expect(child, "encr-alg encr-keysize integ-alg", ENCR[words[0]] + (INTEG.get(integ),))
        expect(child, "dh-group esn", (GROUP.get(group_of(suite.esp)[1:]), None))
        shown = {s["cipher"] for s in self.bed.gateway.show("ipsec", "sa")["sas"]}
        assert shown == {SHOWN[words[0]] + ("/" + integ.upper() if integ else "")}, \
            "show ipsec sa has %s" % shown
        nat = self.bed.ike()["nat"]
        assert nat == ("both" if cell.nat else "there"), "show ike sees NAT: %s" % nat

    def down(self, cell):
        """The side that dialled ends it."""
        if cell.dial == "they":
            self.azure.terminate()
            wait_until(lambda: self.bed.ike()["children"] == 0, 5, "our side to end", 0.02)
        self.bed.take_down()

    def _clean(self):
        """After a failure: nothing of it may reach the next cell."""
        self.bed.gateway.configure(["set tunnel %s enabled false" % TUNNEL], check=False)
        self.azure.terminate()
        self.bed.take_down()

    @staticmethod
    def _count(result, flows):
        """Complete a result with its packets: none may be lost but by strongSwan's own host."""
        span, at_azure = result.pop("span"), result.pop("at_azure", None)
        if span is None or at_azure is None:
            return
        result["packets"] = {d: f.offered(*span) for d, f in flows.items()}
        lost = {d: f.lost(*span) for d, f in flows.items()}
        result["lost"] = {d: len(numbers) for d, numbers in lost.items()}
        result["lost_by_us"] = not_excused(result["lost"], *at_azure)
        result["lost_at_ms"] = {d: sorted({round((flows[d].sent_ns[n] - span[0]) / 1e6)
                                           for n in numbers}) for d, numbers in lost.items()}
        if result["ok"] and min(result["packets"].values()) < PACKETS:
            result.update(ok=False, reason="only %s packets were offered" % result["packets"])
        if result["ok"] and any(result["lost_by_us"].values()):
            result.update(ok=False, reason="lost packets: %(lost_by_us)s of %(packets)s" % result)


def expect(sa, keys, values):
    for key, value in zip(keys.split(), values):
        assert sa.get(key) == value, "the peer has %s %s, not %s" % (key, sa.get(key), value)
