# SPDX-License-Identifier: BSD-3-Clause
"""strongSwan with userspace ESP as the Azure VPN gateway (and, in the self-test, as a stand-in).

kernel-libipsec gives a TUN `ipsec0`. With any-to-any selectors three settings keep IKE's own
packets out of it: the socket's mark, the negated mark in kernel-netlink, and a routing table after
main. Names and defaults are Azure's: lifetimes without jitter, identities = addresses, no MOBIKE.
"""
import os

from net import LabError, run, wait_until

DAEMON = "/usr/sbin/charon-systemd"

STRONGSWAN_CONF = """\
charon-systemd {{
  load = random nonce aes aesni sha1 sha2 hmac kdf gcm gmp curve25519 openssl pem pkcs1 pkcs8 x509 \
pubkey constraints kernel-libipsec kernel-netlink socket-default vici updown
  install_routes = no
  install_virtual_ip = no
  routing_table = 220
  routing_table_prio = 40000
  fragment_size = {fragment_size}
  {extra_daemon}
  retransmit_tries = {retransmit_tries}
  retransmit_timeout = {retransmit_timeout}
  retransmit_base = {retransmit_base}
  plugins {{
    vici {{ socket = unix://{dir}/vici.sock }}
    kernel-libipsec {{ allow_peer_ts = yes }}
    socket-default {{ fwmark = 0x42 }}
    kernel-netlink {{ fwmark = !0x42 }}
  }}
  filelog {{
    file {{ path = {dir}/charon.log
            time_format = %H:%M:%S
            ike_name = yes
            time_add_ms = yes
            flush_line = yes
            default = 1
            {log_levels} }}
  }}
  journal {{ default = -1 }}
}}
"""

SWANCTL_CONF = """\
connections {{
  gw {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = {ike_proposals}
    rekey_time = {ike_rekey_s}s
    over_time = {ike_over_s}s
    rand_time = 0s
    dpd_delay = {dpd_delay_s}s
    mobike = no
    keyingtries = 0
    {extra_connection}
    local {{ auth = psk
            id = {local_id} }}
    remote {{ auth = psk
             id = {remote_id} }}
    children {{
      net {{
        local_ts = {local_ts}
        remote_ts = {remote_ts}
        esp_proposals = {esp_proposals}
        rekey_time = {child_rekey_s}s
        life_time = {child_life_s}s
        rand_time = 0s
        start_action = {start_action}
        dpd_action = {dpd_action}
        close_action = none
      }}
    }}
  }}
}}
secrets {{
  ike-gw {{ id-1 = {local_id}
           id-2 = {remote_id}
           secret = "{psk}" }}
  {extra_secrets}
}}
"""

AZURE_DEFAULTS = {
    "ike_proposals": "aes256gcm16-prfsha384-ecp384",
    "esp_proposals": "aes256gcm16-ecp384",
    "ike_rekey_s": 28800, "ike_over_s": 2880,
    "child_rekey_s": 27000, "child_life_s": 28000,
    "dpd_delay_s": 45,
    "start_action": "none",      # none: respond only; start: dial
    "dpd_action": "clear",
    "local_ts": "0.0.0.0/0", "remote_ts": "0.0.0.0/0",
    "psk": "Lab-Only-Pre-Shared-Key-0001",
    "retransmit_tries": 3, "retransmit_timeout": 4.0, "retransmit_base": 1.5,
    "fragment_size": 1280,
    "extra_connection": "", "extra_secrets": "", "extra_daemon": "", "log_levels": "",
}


def parse_raw(text):
    """Parse `swanctl --raw` output (`name {key=value key2=[a b] sub {...}}`) into a list of dicts.

    Each line is one event; its outermost name is dropped.
    """
    return [_parse_block(_tokens(line))
            for line in text.splitlines() if "{" in line]


def _tokens(line):
    line = line[line.index("{"):]
    for mark in "{}[]":
        line = line.replace(mark, " %s " % mark)
    return iter(line.split())


def _parse_block(tokens):
    # A block is what stands between braces. A word `k=v` is a value (v may hold spaces: words that
    # follow without `=` belong to it unless a brace comes next); a word before `{` names a block.
    root = {}
    stack = [root]
    pending = last_key = None
    for token in tokens:
        if token == "{":
            if pending is not None:
                stack.append(stack[-1].setdefault(pending, {}))
            pending = last_key = None
        elif token == "}":
            if pending is not None and last_key:
                stack[-1][last_key] += " " + pending
            pending = last_key = None
            if len(stack) > 1:
                stack.pop()
        elif token == "[":
            values = []
            for item in tokens:
                if item == "]":
                    break
                values.append(item)
            if last_key:
                stack[-1][last_key] = values
            last_key = None
        elif "=" in token:
            last_key, value = token.split("=", 1)
            stack[-1][last_key] = value
        else:
            if pending is not None and last_key:
                stack[-1][last_key] += " " + pending
            pending = token
    return root


class StrongSwan:
    """One charon in one namespace, driven by swanctl."""

    def __init__(self, registry, ns, directory, local, remote, **policy):
        unknown = set(policy) - set(AZURE_DEFAULTS) - {"local_id", "remote_id"}
        if unknown:
            raise LabError("strongSwan: no such setting: %s" % ", ".join(sorted(unknown)))
        self.registry = registry
        self.ns = ns
        self.dir = directory
        self.policy = dict(AZURE_DEFAULTS, local=local, remote=remote, local_id=local,
                           remote_id=remote)
        self.policy.update(policy)
        self.child = None

    def start(self, routes=()):
        """Start charon, load the connection, route `routes` into the tunnel device."""
        os.makedirs(os.path.join(self.dir, "sw"), exist_ok=True)
        self._write("strongswan.conf", STRONGSWAN_CONF)
        env = dict(os.environ, STRONGSWAN_CONF=os.path.join(self.dir, "strongswan.conf"))
        self.child = self.registry.start("charon", [DAEMON], ns=self.ns, env=env, detach=True,
                                         log=os.path.join(self.dir, "stdout"))
        wait_until(self._answers, 10, "strongSwan in " + self.ns)
        for route in routes:
            run("ip", "-n", self.ns, "route", "replace", *route.split())
        self.load()

    def load(self, **changes):
        """Write swanctl.conf with changed settings and load it; existing SAs stay."""
        self.policy.update(changes)
        self._write("sw/swanctl.conf", SWANCTL_CONF)
        self.swanctl("--load-all", "--noprompt", "--clear")

    def reload_settings(self, **changes):
        """Change what stands in strongswan.conf; IKE SAs made from now on go by it."""
        self.policy.update(changes)
        self._write("strongswan.conf", STRONGSWAN_CONF)
        self.swanctl("--reload-settings")

    def swanctl(self, *words, check=True):
        env = dict(os.environ, SWANCTL_DIR=os.path.join(self.dir, "sw"),
                   STRONGSWAN_CONF=os.path.join(self.dir, "strongswan.conf"))
        return run("swanctl", words[0], *words[1:], "--uri", "unix://%s/vici.sock" % self.dir,
                   env=env, check=check)

    def ike_sas(self):
        """List of IKE SAs as dicts: `state`, `uniqueid`, `child-sas` (list of dicts), ..."""
        found = []
        for event in parse_raw(self.swanctl("--list-sas", "--raw").stdout):
            for name, sa in event.items():
                if isinstance(sa, dict) and "uniqueid" in sa:
                    sa["connection"] = name
                    sa["child-sas"] = list(sa.get("child-sas", {}).values())
                    found.append(sa)
        return found

    def child_sas(self, state="INSTALLED"):
        return [child for sa in self.ike_sas() for child in sa["child-sas"]
                if child.get("state") == state]

    def is_up(self):
        return any(sa.get("state") == "ESTABLISHED" and
                   any(c.get("state") == "INSTALLED" for c in sa["child-sas"])
                   for sa in self.ike_sas())

    def initiate(self):
        return self.swanctl("--initiate", "--child", "net", "--timeout", "10", check=False)

    def rekey_child(self):
        self.swanctl("--rekey", "--child", "net")

    def rekey_ike(self):
        self.swanctl("--rekey", "--ike", "gw")

    def terminate(self):
        self.swanctl("--terminate", "--ike", "gw", "--timeout", "5", check=False)

    def log(self):
        with open(os.path.join(self.dir, "charon.log"), encoding="utf-8",
                  errors="replace") as text:
            return text.read()

    def stop(self):
        if self.child is not None:
            self.registry.stop(self.child.pid)
            self.child = None

    def _answers(self):
        if self.child.poll() is not None:
            raise LabError("strongSwan in %s ended at once, see %s/stdout" % (self.ns, self.dir))
        if not os.path.exists(os.path.join(self.dir, "vici.sock")):
            return False
        there = run("ip", "-n", self.ns, "link", "show", "ipsec0", check=False)
        return there.returncode == 0 and self.swanctl("--stats", check=False).returncode == 0

    def _write(self, name, template):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii", opener=_private) as out:
            out.write(template.format(dir=self.dir, **self.policy))


def _private(path, flags):
    return os.open(path, flags, 0o600)
