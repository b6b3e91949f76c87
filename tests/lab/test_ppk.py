# SPDX-License-Identifier: BSD-3-Clause
"""Keys of a tunnel against strongSwan: a post-quantum pre-shared key (RFC 8784) in both roles, with
and without it, and a pre-shared key that both ends change. The short form is the first.
"""
import contextlib
import os
import time

from bed_tunnel import TUNNEL
from net import now_ns, wait_until
from scenario import leaves_bed_clean, long_form

PPK = "Lab-Only-Post-Quantum-Key-0001-32-octets"
SECOND = "Lab-Only-Pre-Shared-Key-0002"


def write(tunnel, name, text):
    path = os.path.join(tunnel.gateway.state_dir, "keys", name)
    with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as out:
        out.write(text + "\n")


def ours(tunnel, key=PPK, required=True, mode="initiate"):
    write(tunnel, "lab.ppk", key)
    return {"mode": mode, "ppk-id": "azure-q", "ppk-file": "lab.ppk",
            "ppk-required": "true" if required else "false"}


def theirs(required=True):
    return {"extra_connection": "ppk_id = azure-q\n    ppk_required = %s" %
                                ("yes" if required else "no"),
            "extra_secrets": 'ppk-q { id-1 = azure-q\n secret = "%s" }' % PPK}


@contextlib.contextmanager
def settings(tunnel, mine, **azure):
    """Settings for a while; what comes after them begins with a tunnel that stands again."""
    with tunnel.with_settings(mine, **azure):
        yield
    tunnel.wait_up()


def at_azure(tunnel):
    """Whether the peer says that its IKE SA has the PPK."""
    return [sa.get("ppk") == "yes" for sa in tunnel.lab.azure.ike_sas()]


def expect(tunnel, used):
    assert tunnel.ike()["ppk"] is used, tunnel.ike()
    assert at_azure(tunnel) == [used], tunnel.lab.azure.ike_sas()


def give_up(tunnel):
    """Neither end goes on with a dial that came to nothing."""
    tunnel.gateway.configure(["set tunnel %s enabled false" % TUNNEL])
    for sa in tunnel.lab.azure.ike_sas():       # half-open ones would be there for 30 s
        tunnel.lab.azure.swanctl("--terminate", "--ike-id", sa["uniqueid"], "--force",
                                 "--timeout", "2", check=False)


def no_secret_told(tunnel):
    for name in ("iked", "controld"):
        log = tunnel.gateway.log(name)
        assert PPK not in log and SECOND not in log, "a key stands in the log of " + name
    for words in (("ike",), ("configuration",)):
        assert PPK not in tunnel.gateway.shell("show", *words).stdout


@leaves_bed_clean
def test_a_ppk_is_used_whoever_dials_and_rekeys(tunnel):
    for who, mode in (("we", "initiate"), ("they", "respond")):
        with settings(tunnel, ours(tunnel, mode=mode), **theirs()):
            tunnel.dial(who)
            expect(tunnel, True)
            with tunnel.traffic() as span:
                begun = now_ns()
                for side, what in (("we", "child"), ("they", "ike"), ("we", "ike"),
                                   ("they", "child")):
                    tunnel.rekey(side, what)
                time.sleep(0.3)
                ended = now_ns()
            span.expect_in_tunnel(begun, ended)
            span.expect_no_loss(begun)
            assert tunnel.ike()["ppk"] is True
    no_secret_told(tunnel)


@long_form
@leaves_bed_clean
def test_a_ppk_that_only_one_end_has(tunnel):
    """Not required: the tunnel comes up without it. Required: it does not, and why is told."""
    with settings(tunnel, ours(tunnel, required=False)):
        tunnel.dial("we")
        expect(tunnel, False)
    with settings(tunnel, ours(tunnel, required=False),
                  extra_secrets='ppk-q { id-1 = somebody\n secret = "%s" }' % PPK):
        tunnel.dial("we")           # it says USE_PPK, does not know the name, takes NO_PPK_AUTH
        expect(tunnel, False)
        assert "no PPK for 'azure-q' found" in tunnel.lab.azure.log()
    with settings(tunnel, {"mode": "respond"}, **theirs(required=False)):
        tunnel.dial("they")
        expect(tunnel, False)
    with settings(tunnel, ours(tunnel)):
        tunnel.enable()
        wait_until(lambda: "PPK" in (tunnel.ike()["reason"] or ""), 10, "the reason", 0.1)
        assert not tunnel.lab.azure.is_up()
        give_up(tunnel)
    with settings(tunnel, ours(tunnel, mode="respond")):
        tunnel.enable()
        assert tunnel.lab.azure.initiate().returncode != 0
        assert "PPK" in tunnel.ike()["reason"], tunnel.ike()
        give_up(tunnel)


@long_form
@leaves_bed_clean
def test_another_ppk_under_the_same_name_is_refused(tunnel):
    for who, mode in (("we", "initiate"), ("they", "respond")):
        with settings(tunnel, ours(tunnel, PPK + "x", False, mode), **theirs(required=False)):
            tunnel.enable()
            if who == "they":
                assert tunnel.lab.azure.initiate().returncode != 0
            wait_until(lambda: "authentication failed" in (tunnel.ike()["reason"] or ""), 10,
                       "the reason to be told", 0.1)
            assert not tunnel.lab.azure.is_up()


@long_form
@leaves_bed_clean
def test_a_pre_shared_key_is_changed_at_azure_first(tunnel):
    """With the next key configured, Azure's change costs one refused dial and no person."""
    gateway, azure = tunnel.gateway, tunnel.lab.azure
    first = azure.policy["psk"]
    write(tunnel, "second.psk", SECOND)
    with settings(tunnel, {"mode": "both"}, psk=first):
        tunnel.dial("we")
        spis = tunnel.ike_spis()
        gateway.configure(["set tunnel %s next-pre-shared-key-file second.psk" % TUNNEL])
        assert tunnel.ike()["key"] == "azure-a.psk"
        assert tunnel.ike_spis() == spis, "a key that is not used yet touched the IKE SA"
        azure.load(psk=SECOND)
        azure.terminate()
        wait_until(lambda: azure.is_up() and tunnel.ike()["key"] == "second.psk", 15,
                   "the tunnel with the second key", 0.1)
        spis = tunnel.ike_spis()
        # the second key takes the first one's place: the IKE SA stands
        gateway.configure(["set tunnel %s pre-shared-key-file second.psk" % TUNNEL,
                           "delete tunnel %s next-pre-shared-key-file" % TUNNEL])
        time.sleep(1)
        assert tunnel.ike_spis() == spis and tunnel.ike()["key"] == "second.psk"
        azure.terminate()
        assert azure.initiate().returncode == 0     # and Azure may dial with it
        wait_until(azure.is_up, 10, "the tunnel", 0.1)
        no_secret_told(tunnel)
        tunnel.take_down()
        gateway.configure(["set tunnel %s pre-shared-key-file azure-a.psk" % TUNNEL])
