# SPDX-License-Identifier: BSD-3-Clause
"""No secret is in anything that our daemons write, log or show, at the most talkative level.

The daemons log at debug while a tunnel comes up, is rekeyed, carries traffic, fails and comes back.
strongSwan, at its own most talkative level, gives the keys away that both sides have. The
pre-shared key, the BGP password and every key are then looked for, as they are, in hex and in
base64, in the logs, in what every show command says, and in every file of the state and run
directories but the key files.
"""
import base64
import glob
import os
import re
import secrets
import string

from net import LabError
from product import PROGRAMS, ROOT
from scenario import bed_with, unmeasured

LETTERS = string.ascii_letters + string.digits
PSK = "".join(secrets.choice(LETTERS) for _ in range(48))
PASSWORD = "".join(secrets.choice(LETTERS) for _ in range(24))
PIECE = 12                      # this many bytes in a row are no accident
TALKATIVE = "ike = 4\n chd = 4\n"


def forms(secret):
    """Every way in which a piece of the secret may stand in a text."""
    for at in range(len(secret) - PIECE + 1):
        piece = secret[at:at + PIECE]
        yield piece
        yield piece.hex().encode()
        yield piece.hex().upper().encode()
        yield piece.hex(" ").encode()
        yield piece.hex(":").encode()
        yield base64.b64encode(piece).rstrip(b"=")


def found(secret, text):
    return any(form in text for form in forms(secret))


def peer_keys(text):
    """What charon says of its keys: {bytes}. A dump of 16 bytes a line follows its title."""
    keys, taken, wanted = set(), b"", 0
    for line in text.splitlines():
        title = re.search(r"(?:secret|key|KEYMAT|SKEYSEED)\)? => (\d+) bytes @", line)
        dump = re.search(r"> +\d+: ((?:[0-9A-F]{2} ){1,16}) ", line)
        if title:
            taken, wanted = b"", int(title.group(1))
        elif dump and wanted:
            taken += bytes.fromhex(dump.group(1))
            if len(taken) >= wanted:
                keys.add(taken)
                wanted = 0
        else:
            wanted = 0
    return {key for key in keys if len(key) >= 2 * PIECE}


def show_commands():
    """Every show command of the generated reference, without its arguments."""
    with open(os.path.join(ROOT, "docs", "cli.md"), encoding="utf-8") as text:
        lines = re.findall(r"^\| `(show [^`]+)` \|", text.read(), re.M)
    for line in lines:
        plain = re.sub(r"\s*\[.*", "", line.replace("\\|", "|"))
        if "<address>" in plain:
            plain = plain.replace("<address>", "10.1.0.1")
        if "<" not in plain:
            yield plain.split()[1:]
            if "detail" in line:
                yield plain.split()[1:] + ["detail"]


def everything_said(gateway):
    """{where: bytes} of all that is shown or written."""
    said = {}
    for words in show_commands():
        for as_json in (False, True):
            answer = gateway.shell("show", *words, check=False, as_json=as_json)
            said["show " + " ".join(words)] = (answer.stdout + answer.stderr).encode()
    said["show configuration json"] = gateway.shell("show", "configuration", "json",
                                                    check=False).stdout.encode()
    places = [gateway.lab.path("log"), gateway.state_dir, gateway.run_dir]
    for place in places:
        for path in glob.glob(os.path.join(place, "**"), recursive=True):
            if os.path.isfile(path) and os.path.dirname(path) != os.path.join(
                    gateway.state_dir, "keys"):
                with open(path, "rb") as file:
                    said[path] = file.read()
    return said


@unmeasured
@bed_with(prefix="spwse", azure={"psk": PSK, "log_levels": TALKATIVE},
          options=dict.fromkeys(PROGRAMS, "--log-level debug"))
def test_no_secret_in_logs_shows_or_files(bed):
    gateway = bed.gateway
    assert found(PSK.encode(), b"x" + PSK.encode().hex().encode()) and not found(b"q" * 40, b"x")
    with open(os.path.join(gateway.state_dir, "keys", "bgp"), "w", encoding="ascii",
              opener=lambda p, f: os.open(p, f, 0o600)) as out:
        out.write(PASSWORD + "\n")
    gateway.configure(["set routing bgp neighbor 203.0.113.77 remote-as 65077",
                       "set routing bgp neighbor 203.0.113.77 password-file bgp"])
    refused = gateway.configure(["set tunnel azure-a pre-shared-key-file /nonexistent"], check=False)
    assert "nonexistent" in refused.stdout + refused.stderr
    for what in ("child", "ike"):
        gateway.shell("rekey", what, "azure-a", check=False)
        gateway.shell("request", "rekey", what, "azure-a", check=False)
    with bed.traffic():
        bed.into_tunnel()
        bed.back_to_expressroute()
    gateway.wait_restarted("iked", gateway.kill("iked"))
    gateway.wait_ready()
    with open(os.path.join(bed.lab.azure.dir, "charon.log"), encoding="utf-8", errors="replace") as log:
        keys = peer_keys(log.read())
    said = everything_said(gateway)
    if len(keys) < 8:
        raise LabError("strongSwan tells %d keys only" % len(keys))
    assert not gateway.crashes(), gateway.crashes()
    for name in PROGRAMS:
        with open("/proc/%d/cmdline" % gateway.status()[name]["pid"], "rb") as words:
            assert words.read().endswith(b"--log-level\0debug\0"), name + " is not talkative"
        assert len(said[gateway.lab.path("log", name + ".log")]) > 500, name + " says nothing"
    assert len(said) > 25, sorted(said)
    # bgpd must be told the password: the one file, and nobody else may read it
    with_password = os.path.join(gateway.run_dir, "frr.conf")
    assert PASSWORD.encode() in said[with_password]
    assert os.stat(with_password).st_mode & 0o007 == 0, "others may read " + with_password
    said[with_password] = said[with_password].replace(PASSWORD.encode(), b"")
    whole = b"\0".join(said.values())
    for secret in [PSK.encode(), PASSWORD.encode(), *keys]:
        leaks = [w for w, text in said.items() if found(secret, text)] if found(secret, whole) else []
        assert not leaks, "a secret of %d bytes is in %s" % (len(secret), leaks)
