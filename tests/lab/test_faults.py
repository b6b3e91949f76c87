# SPDX-License-Identifier: BSD-3-Clause
"""What users and peers get wrong: one clear line, and nothing changed."""
import contextlib
import re
import signal
import time

from bed import TUNNEL
from net import now_ns, send, wait_until
from scenario import bed_with, leaves_bed_clean, long_form

WRONG_PSK = "Another-Pre-Shared-Key-0002"


def refused(bed, *lines):
    """Commit lines that must be refused: return the complaint; the configuration stays."""
    before = bed.gateway.configuration()
    done = bed.gateway.configure(lines, check=False)
    complaint = [line for line in (done.stderr + done.stdout).splitlines()
                 if line.strip() and not line.startswith(("+", "-", "["))]
    assert done.returncode != 0, "accepted: %s" % (lines,)
    assert len(complaint) == 1, "not one line: %s" % complaint
    assert bed.gateway.configuration() == before, "a refused change left traces"
    return complaint[0]


def unchanged_on_expressroute(bed, act):
    """ExpressRoute traffic must not notice what `act` does."""
    with bed.traffic() as span:
        start = now_ns()
        result = act()
        time.sleep(0.5)
    span.expect_no_loss(start)
    return result


@contextlib.contextmanager
def dialled_anew(bed, **theirs):
    """Our tunnel ends, Azure is set so, and we dial as on the first day; the end undoes it. Yields
    where iked's log was then."""
    before = {key: bed.lab.azure.policy[key] for key in theirs}
    bed.take_down()
    try:
        bed.lab.azure.load(**theirs)
        mark = len(bed.gateway.log("iked"))
        bed.enable()
        yield mark
    finally:
        bed.gateway.configure(["set tunnel %s enabled false" % TUNNEL])
        bed.lab.azure.terminate()
        bed.lab.azure.load(**before)
        bed.enable()


def peer_reason(bed, pattern, mark=0, timeout=20):
    """Wait until `show ike` and iked's log both name the reason; the tunnel must not be ready."""
    def named():
        shown = bed.gateway.shell("show", "ike").stdout
        return re.search(pattern, shown, re.I) and \
            re.search(pattern, bed.gateway.log("iked")[mark:], re.I)
    wait_until(named, timeout, "show ike and the log to say why (/%s/)" % pattern, 0.2)
    assert not bed.gateway.tunnel_ready(), "a tunnel that cannot be is called ready"


@leaves_bed_clean
def test_wrong_psk_is_named_and_expressroute_goes_on(bed):
    with dialled_anew(bed, psk=WRONG_PSK) as mark:
        unchanged_on_expressroute(bed, lambda: peer_reason(bed, "authentication", mark))


@long_form
@bed_with(azure={"ike_proposals": "aes128-sha256-modp3072"}, ready=False)
def test_no_common_ike_proposal_is_named(bed):
    unchanged_on_expressroute(bed, lambda: peer_reason(bed, "proposal"))


@leaves_bed_clean
def test_no_common_esp_proposal_is_named(bed):
    with dialled_anew(bed, esp_proposals="aes128-sha256") as mark:
        unchanged_on_expressroute(bed, lambda: peer_reason(bed, "proposal", mark))


@leaves_bed_clean
def test_selectors_that_do_not_fit_carry_nothing(bed):
    """Azure narrows to selectors that exclude the VNet: nothing may pass, in the clear or not."""
    with dialled_anew(bed, local_ts="192.0.2.0/24", remote_ts="192.0.2.0/24"):
        wait_until(lambda: bed.ike()["state"] == "established" or bed.ike()["reason"], 10,
                   "Azure's answer", 0.1)
        with bed.traffic() as span:
            begun, ended = bed.without_circuit()
    crossed = [p for p in span.watch.transit("out") if begun < p.time_ns < ended]
    assert not crossed, "%d packets outside the negotiated selectors" % len(crossed)
    assert span.flows["out"].lost(begun, ended), "the withdrawal had no effect"


@leaves_bed_clean
def test_unknown_port_is_refused(bed):
    def act():
        line = refused(bed, "set interfaces extra role lan",
                       "set interfaces extra device net_af_packet9,iface=no-such-port")
        assert "no-such-port" in line or "extra" in line, line
    unchanged_on_expressroute(bed, act)


@leaves_bed_clean
def test_value_outside_the_model_is_refused(bed):
    line = refused(bed, "set vnet prod wait-to-restore never")
    assert "wait-to-restore" in line, line


@leaves_bed_clean
def test_unreadable_psk_file_is_refused(bed):
    def act():
        line = refused(bed, "set tunnel azure-a pre-shared-key-file /nonexistent/azure-a.psk")
        assert "/nonexistent/azure-a.psk" in line, line
    unchanged_on_expressroute(bed, act)


@leaves_bed_clean
def test_psk_file_readable_by_others_is_refused(bed):
    bed.gateway.write_key("open.psk", 0o644)
    line = refused(bed, "set tunnel azure-a pre-shared-key-file open.psk")
    assert "open.psk" in line, line


@leaves_bed_clean
def test_dead_data_plane_is_one_clear_line(bed):
    """With the data plane stopped for good, commits that need it are refused in one line."""
    send(bed.gateway.supervisor.pid, signal.SIGSTOP)       # no restart while we look
    try:
        killed = bed.gateway.kill("dataplane")
        time.sleep(0.5)
        line = refused(bed, "set interfaces extra role lan",
                       "set interfaces extra device net_null0")
        assert re.search("data ?plane", line, re.I), line
        assert re.search("data ?plane", bed.gateway.log("controld"), re.I)
        shown = bed.gateway.shell("show", "workers", check=False)
        assert re.search("data ?plane", shown.stdout + shown.stderr, re.I)
    finally:
        send(bed.gateway.supervisor.pid, signal.SIGCONT)
    bed.gateway.wait_restarted("dataplane", killed)


@leaves_bed_clean
def test_secrets_are_never_shown(bed):
    secret = bed.gateway.psk
    shown = bed.gateway.configuration() + bed.gateway.shell("show", "ike", "detail",
                                                            check=False).stdout
    logs = "".join(bed.gateway.log(name) for name in ("iked", "controld", "dataplane"))
    assert secret not in shown + logs
