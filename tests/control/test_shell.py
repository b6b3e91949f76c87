#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shell and control.sock against controld with a stand-in runtime.

test_shell.py CONTROLD SHELL SHOW_JSON: one-shots, scripts, a terminal session, exit codes, and what a
stranger may send on the socket. Prints one line a test.
"""
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time

CONTROLD, SHELL, SHOW_JSON = sys.argv[1:4]

GATEWAY = """
set system host-name gw
set interfaces lan0 device net_null0 role lan address 10.1.0.1/24
set interfaces wan0 device net_null1 role internet address 198.51.100.2/24
set tunnel azure-a local-address 198.51.100.2 remote-address 203.0.113.2
set tunnel azure-a pre-shared-key-file azure-a.psk
set vnet prod prefix 10.100.0.0/16
set vnet prod tunnel azure-a
"""


class Bench:
    """A controld of its own for each test."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="spw-shell-")
        os.mkdir(os.path.join(self.dir, "keys"), 0o700)
        self.daemon = None

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.daemon = subprocess.Popen(
            [CONTROLD, "--run-dir", self.dir, "--state-dir", self.dir],
            env=dict(os.environ, SPW_SHOW_JSON=SHOW_JSON), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL)
        log.close()
        for _ in range(200):
            if os.path.exists(self.path("control.sock")):
                try:
                    self.connect().close()
                    return
                except ConnectionRefusedError:
                    pass
            time.sleep(0.02)
        raise AssertionError("controld does not start: " + self.log())

    def stop(self, kill=False):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.kill() if kill else self.daemon.terminate()
            self.daemon.wait(10)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as text:
            return text.read()

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="ascii") as out:
            out.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def shell(self, *args, stdin=""):
        return subprocess.run([SHELL, "--run-dir", self.dir, *args], input=stdin, text=True,
                              capture_output=True, timeout=20, check=False)

    def load_gateway(self):
        self.write("keys/azure-a.psk", "Key0001\n")
        done = self.shell("-f", self.write("gw.set", GATEWAY + "commit\n"))
        assert done.returncode == 0, done.stderr

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(self.path("control.sock"))
        return sock

    def ask(self, sock, text):
        sock.sendall(text if isinstance(text, bytes) else text.encode() + b"\n")
        return read_answer(sock)


def read_answer(sock):
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    return json.loads(data)


# --- one-shots and scripts ----------------------------------------------------------------------

def test_one_shot_show_and_exit_codes(b):
    done = b.shell("show", "ike")
    assert done.returncode == 0 and "azure-a" in done.stdout and "\033" not in done.stdout
    assert b.shell("-c", "show ike | match azure-b | count").stdout == "Count: 1 lines\n"
    assert b.shell("-c", "show version", "-c", "show workers").returncode == 0
    shown = json.loads(b.shell("--json", "show", "failover").stdout)
    assert shown["vnets"][0]["name"] == "prod"
    done = b.shell("show", "nonsense")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and not done.stdout
    assert b.shell("reset", "tunnel", "nope").returncode == 1
    assert b.shell("--nonsense").returncode == 2
    assert b.shell("-f", "/nonexistent").returncode == 1
    assert b.shell("failover", "test").stdout.startswith("prod survived")


def one_line(done, code, text):
    assert done.returncode == code and done.stderr.count("\n") == 1 and not done.stdout, \
        (done.returncode, done.stdout, done.stderr)
    assert text in done.stderr, done.stderr


def test_words_that_would_make_another_command_are_refused(b):
    one_line(b.shell("show", "ike\nset system host-name x"), 2, "end of a line")
    one_line(b.shell("set", "vnet", "a", "description", "a\rcommit"), 2, "end of a line")
    one_line(b.shell("set", "vnet", "a", "description", "x" * 5000), 2, "too long")
    one_line(b.shell("set", "vnet", "a", "description", "\" " * 2000), 2, "too long")
    for words in (["show", "interfaces", b"\xff"], ["failover", "lockout", b"\xe2\x82"],
                  ["-c", b"failover lockout \xc3"]):
        done = subprocess.run([SHELL, "--run-dir", b.dir, *words], capture_output=True, text=True,
                              timeout=20, check=False)
        one_line(done, 2, "not UTF-8")
    assert b.shell("-c", "compare").stdout == "" and "lockout" not in b.log()
    # a sentence that cites half of what was typed is still a sentence
    one_line(b.shell("reset", "tunnel", "\u20ac" * 60, "\u20ac"), 2, "unknown here")
    one_line(b.shell("set", "system", "x" + "\u20ac" * 60), 1, "is unknown")


def test_comments_are_kept_whole_or_refused(b):
    b.shell("set", "system", "host-name", "a")
    comment = "x" + "\u20ac" * 42                    # 127 bytes
    one_line(b.shell("commit", "comment", comment + "y"), 2, "longer than 127 bytes")
    assert b.shell("commit", "comment", comment).returncode == 0
    assert comment in b.shell("show", "configuration", "revisions").stdout
    with b.connect() as sock:
        b.ask(sock, '{"op":"edit","lines":["set system host-name b"]}')
        b.ask(sock, '{"op":"commit","comment":"%s"}' % ("\u20ac" * 60))
    assert len(json.loads(b.shell("--json", "show", "configuration", "revisions").stdout)[
        "revisions"]) == 2


def test_what_a_script_committed_is_known_however_it_was_written(b):
    done = b.shell("-f", "-", stdin="set system host-name a\ncommit comment check it\nfoo\n")
    assert done.returncode == 2 and b.shell("-c", "compare").stdout == ""
    done = b.shell("-f", "-", stdin="set system host-name b\ncommit ch\nfoo\n")
    assert done.returncode == 2
    assert b.shell("-c", "compare").stdout == "", "a check was taken for a commit"


def test_no_controld_is_one_clear_line(b):
    b.stop()
    done = b.shell("show", "ike")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "spillway-controld does not answer" in done.stderr


def test_script_commits_and_shows_the_difference(b):
    b.load_gateway()
    assert "set vnet prod tunnel azure-a" in b.shell("show", "configuration").stdout
    done = b.shell("-f", "-", stdin="set vnet prod wait-to-restore 5\ncompare\ncommit\n")
    assert done.stdout.count("+ set vnet prod wait-to-restore 5\n") == 2
    assert re.search(r"commit complete: revision 2, 1 changes, [0-9.]+ ms", done.stdout)
    tree = json.loads(b.shell("show", "configuration", "json").stdout)
    assert tree["spillway:vnet"][0]["wait-to-restore"] == 5
    assert len(b.shell("show", "configuration", "revisions").stdout.splitlines()) == 3
    done = b.shell(stdin="configure\nrollback 1\ncommit comment back again\nexit\nexit\n")
    assert "- delete vnet prod wait-to-restore 5" in done.stdout, done.stderr
    assert "back again" in b.shell("show", "configuration", "revisions").stdout


def refused(b, *lines):
    before = b.shell("show", "configuration").stdout
    done = b.shell("-f", b.write("bad.set", "\n".join(["configure", *lines, "commit"]) + "\n"))
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1 and done.stdout == "", done.stderr
    assert b.shell("show", "configuration").stdout == before
    assert b.shell("-c", "compare").stdout == "", "the candidate kept something"
    return done.stderr


def test_refused_script_is_one_line_and_leaves_nothing(b):
    b.load_gateway()
    line = refused(b, "set vnet prod hold-off 5", "set vnet prod wait-to-restore never")
    assert "bad.set:3: vnet prod wait-to-restore: \"never\" is not valid" in line
    assert "keys/none.psk: no such file" in refused(
        b, "set tunnel azure-a pre-shared-key-file none.psk")
    b.write("keys/open.psk", "Key0001\n", 0o644)
    assert "chmod 600" in refused(b, "set tunnel azure-a pre-shared-key-file open.psk")
    assert "spillway-dataplane does not answer" in refused(b, "set system host-name refused")
    assert "there is no \"azure-z\"" in refused(b, "set vnet prod tunnel azure-z")
    assert "result=refused" in b.log()


def test_commit_inside_a_script_stays_when_a_later_line_fails(b):
    done = b.shell("-f", "-", stdin="set system host-name a\ncommit\nset system host-name b\nfoo\n")
    assert done.returncode == 2
    assert b.shell("show", "configuration").stdout == "set system host-name a\n"
    assert b.shell("-c", "compare").stdout == ""


def test_one_shots_share_the_candidate(b):
    assert b.shell("set", "system", "host-name", "gw").returncode == 0
    assert b.shell("-c", "compare").stdout == "+ set system host-name gw\n"
    done = json.loads(b.shell("--json", "-c", "compare").stdout)
    assert done["diff"] == ["+ set system host-name gw"]
    done = json.loads(b.shell("--json", "commit").stdout)
    assert done["changed"] and done["revision"] == 1 and done["warnings"] == []
    assert b.shell("show", "configuration").stdout == "set system host-name gw\n"
    assert b.shell("set", "tunnel", "t", "description", "two words").returncode == 0
    assert 'description "two words"' in b.shell("-c", "compare").stdout
    assert b.shell("exit", "discard").returncode == 0
    assert b.shell("-c", "compare").stdout == "", "nothing was thrown away"


def test_exit_discard_in_a_script_throws_the_changes_away(b):
    for lines in ("%s\nexit discard\nset system host-name late\n", "configure\n%s\nexit discard\n",
                  "%s\nexi disc\n"):
        done = b.shell("-f", b.write("x.set", lines % "set system host-name x"))
        assert done.returncode == 0 and not done.stdout, (lines, done.stderr)
        assert b.shell("-c", "compare").stdout == "", lines
    # exit alone leaves them, with or without configure mode
    assert b.shell("-c", "set system host-name x", "-c", "exit").returncode == 0
    assert b.shell("-c", "compare").stdout == "+ set system host-name x\n"


def test_save_and_load(b):
    b.load_gateway()
    name = b.path("saved.set")
    before = b.shell("show", "configuration").stdout
    assert b.shell("save", name).returncode == 0
    assert os.stat(name).st_mode & 0o777 == 0o600
    assert b.shell("-c", "delete vnet", "-c", "load " + name).returncode == 0
    assert b.shell("-c", "compare").stdout == ""
    assert b.shell("load", b.write("m.set", "set vnet dev prefix 10.9.0.0/16\n"),
                   "merge").returncode == 0
    assert "10.9.0.0" in b.shell("-c", "compare").stdout
    done = b.shell("load", b.write("bad.set", "set vnet a\nset nonsense\n"))
    assert done.returncode == 1 and "bad.set:2" in done.stderr
    assert "10.9.0.0" in b.shell("-c", "compare").stdout, "a refused load changed the candidate"
    assert b.shell("show", "configuration").stdout == before


def test_many_lines_fit_through_small_frames(b):
    lines = ["set routing static 10.%d.%d.0/24 next-hop 192.0.2.1" % (i // 256, i % 256)
             for i in range(3000)]
    done = b.shell("-f", b.write("big.set", "\n".join(lines) + "\ncommit check\n"))
    assert done.returncode == 0 and "3000 changes" in done.stdout, done.stderr
    b.write("big.set", "\n".join(lines + ["set x"]) + "\n")
    done = b.shell("-f", b.path("big.set"))
    assert done.returncode == 1 and "big.set:3001" in done.stderr, done.stderr


def test_key_is_stored_closed_and_never_told(b):
    done = b.shell("-c", "set tunnel azure-a pre-shared-key", stdin="Top.Secret.77\n")
    assert done.returncode == 0, done.stderr
    with open(b.path("keys/azure-a.psk"), encoding="ascii") as key:
        assert key.read() == "Top.Secret.77"
    assert os.stat(b.path("keys/azure-a.psk")).st_mode & 0o777 == 0o600
    assert b.shell("-c", "compare").stdout == \
        "+ set tunnel azure-a pre-shared-key-file azure-a.psk\n"
    done = b.shell("-c", "set tunnel azure-a pre-shared-key", stdin="with-hyphen\n")
    assert done.returncode == 1 and "hyphen" not in done.stderr and "character 5" in done.stderr
    assert b.shell("-c", "set tunnel azure-a pre-shared-key Top.Secret.78").returncode == 2
    assert b.shell("-c", "set tunnel ../x pre-shared-key", stdin="abc\n").returncode == 1
    assert "Secret" not in b.log()


def test_every_key_of_a_tunnel_has_a_place_of_its_own(b):
    for word, leaf, name in (("next-pre-shared-key", "next-pre-shared-key-file", "azure-a.next.psk"),
                             ("ppk", "ppk-file", "azure-a.ppk")):
        done = b.shell("-c", "set tunnel azure-a " + word, stdin="Top.Secret.79\n")
        assert done.returncode == 0, done.stderr
        assert os.stat(b.path("keys/" + name)).st_mode & 0o777 == 0o600
        assert f"+ set tunnel azure-a {leaf} {name}" in b.shell("-c", "compare").stdout
        assert b.shell("-c", f"set tunnel azure-a {word} typed").returncode == 2
        assert b.shell("-c", f'set tunnel azure-a "{word}" typed').returncode == 2
        # behind other leaves, too: the model would take it for the name of the key's file
        done = b.shell("-c", f"set tunnel azure-a mtu 1400 {word} Top.Secret.80")
        assert done.returncode == 2 and f"after {word}" in done.stderr, done.stderr
        assert b.shell("-c", f"set tunnel azure-a description {word}").returncode == 0
    # what Azure takes for a pre-shared key is no rule for a PPK
    assert b.shell("-c", "set tunnel azure-a ppk", stdin="a-b\n").returncode == 0
    done = b.shell("-c", "set tunnel azure-a next-pre-shared-key", stdin="a-b\n")
    assert done.returncode == 1 and "character 2" in done.stderr
    assert "Secret" not in b.log()


def test_restart_finds_the_configuration(b):
    b.load_gateway()
    before = b.shell("show", "configuration").stdout
    b.stop(kill=True)
    b.start()
    assert b.shell("show", "configuration").stdout == before
    b.stop()
    revision = sorted(os.listdir(b.path("revisions")))[-1]
    os.truncate(b.path("revisions/" + revision), 40)
    b.start()
    assert b.shell("show", "configuration").stdout == ""
    assert "error config revision-damaged" in b.log()


def test_controld_says_in_one_line_why_it_does_not_start(b):
    def start(*args):
        done = subprocess.run([CONTROLD, "--run-dir", b.path("r"), *args], capture_output=True,
                              text=True, timeout=10, check=False)
        return done.returncode, done.stderr
    b.write("file", "module x {")
    code, text = start("--state-dir", b.path("file"))
    assert code == 1 and text.count("\n") == 1 and "state directory" in text, text
    code, text = start("--state-dir", b.path("s"), "--yang", b.path("file"))
    assert code == 1 and text.count("\n") == 1 and "reason=" in text, text
    code, text = start("--state-dir", b.path("s"), "--yang", "/nonexistent.yang")
    assert code == 1 and text.count("\n") == 1 and "/nonexistent.yang" in text, text
    assert start("--log-level", "loud")[0] == 2
    assert start("--nonsense")[0] == 2
    assert start("word")[0] == 2


# --- the socket -----------------------------------------------------------------------------------

BAD_REQUESTS = [
    "nonsense", "{", "[]", "1", "null", "\"x\"", "{}", '{"op":1}', '{"op":"nope"}',
    '{"op":"show"}', '{"op":"show","what":"nope"}', '{"op":"show","what":7}',
    '{"op":"edit"}', '{"op":"edit","lines":1}', '{"op":"edit","lines":[1]}',
    '{"op":"edit","lines":["set"]}', '{"op":"edit","lines":["rm -rf /"]}',
    '{"op":"rollback"}', '{"op":"rollback","revision":-1}', '{"op":"rollback","revision":99}',
    '{"op":"rollback","revision":7}', '{"op":"compare","revision":-1}',
    '{"op":"commit","confirmed_min":99999}', '{"op":"commit","confirmed_min":-1}',
    '{"op":"confirm"}', '{"op":"abort"}', '{"op":"complete"}', '{"op":"names"}',
    '{"op":"secret"}', '{"op":"secret","tunnel":"a","key":""}',
    '{"op":"secret","tunnel":"../../etc/x","key":"abc"}',
    '{"op":"secret","tunnel":"a b","key":"abc"}',
    '{"op":"command"}', '{"op":"command","words":[]}', '{"op":"command","words":[1]}',
    '{"op":"command","words":["a","b","c","d","e","f","g","h","i"]}',
    '{"op":"show","what":"a\\n\\u001b[2Jb"}',
    '{"op":"show","op":"show"}', '{"op":"edit","lines":["set vnet \\u0000"]}',
    "[" * 3000, '{"op":"\\ud800"}',
]


def test_bad_requests_get_an_error_and_the_connection_goes_on(b):
    with b.connect() as sock:
        for text in BAD_REQUESTS:
            answer = b.ask(sock, text)
            assert answer["ok"] is False, text
            message = answer["error"]["message"]
            assert message and message.isprintable(), text
            assert answer["error"]["code"].startswith("E"), text
        for junk in (b"\xff\xfe\n", b"\0\0\n", b"\x80{}\n"):
            assert b.ask(sock, junk)["ok"] is False
        sock.sendall(b"\n\n\n")
        answer = b.ask(sock, '{"id":[1,{"a":2}],"op":"status"}')
        assert answer["ok"] and answer["id"] == [1, {"a": 2}]
        assert answer["result"]["changed"] is False, "a refused request changed the candidate"
    assert os.listdir(b.path("keys")) == []


def test_frames_may_come_in_pieces_and_in_bunches(b):
    with b.connect() as sock:
        for byte in b'{"op":"status","id":1}\n':
            sock.sendall(bytes([byte]))
        assert read_answer(sock)["id"] == 1
        sock.sendall(b'{"op":"status","id":2}\n' * 50)
        data = b""
        while data.count(b"\n") < 50:
            data += sock.recv(65536)


def test_too_long_a_frame_is_passed_over(b):
    with b.connect() as sock:
        sock.sendall(b'{"op":"' + b"x" * 300000 + b'"}\n{"op":"status","id":5}\n')
        stream = sock.makefile("rb")
        assert json.loads(stream.readline())["error"]["code"] == "EMSGSIZE"
        assert json.loads(stream.readline())["id"] == 5
        sock.sendall(b" " * 65500 + b'{"op":"status","id":6}\n{"op":"status","id":7}\n')
        assert json.loads(stream.readline())["ok"] is (65500 + 22 <= 65536)
        assert json.loads(stream.readline())["id"] == 7


def test_half_closed_client_gets_its_answers(b):
    with b.connect() as sock:
        sock.sendall(b'{"op":"command","words":["failover","test"],"id":9}\n')
        sock.shutdown(socket.SHUT_WR)
        assert read_answer(sock)["id"] == 9
        assert sock.recv(10) == b""


def test_client_that_leaves_early_does_no_harm(b):
    for _ in range(5):
        sock = b.connect()
        sock.sendall(b'{"op":"command","words":["failover","test"]}\n')
        sock.close()
    time.sleep(0.2)
    assert b.shell("show", "version").returncode == 0


def test_thirty_third_client_is_refused(b):
    b.shell("show", "version")           # by now earlier clients are gone
    socks = []
    for _ in range(32):
        socks.append(b.connect())
        assert b.ask(socks[-1], '{"op":"status"}')["ok"]
    for sock in socks:
        assert b.ask(sock, '{"op":"status"}')["ok"]
    with b.connect() as sock:
        assert read_answer(sock)["error"]["code"] == "EBUSY"
    socks.pop().close()
    time.sleep(0.1)
    assert b.shell("show", "version").returncode == 0
    for sock in socks:
        sock.close()


def test_only_root_and_the_group_may_write(b):
    if os.geteuid() != 0:
        return
    assert os.stat(b.path("control.sock")).st_mode & 0o777 == 0o660
    os.chmod(b.path("control.sock"), 0o666)
    os.chmod(b.dir, 0o755)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with b.connect() as sock:
            says = [b.ask(sock, '{"op":"status"}')["ok"],
                    b.ask(sock, '{"op":"edit","lines":[]}')["error"]["code"],
                    b.ask(sock, '{"op":"command","words":["clear","counters"]}')["error"]["code"]]
        os.write(writer, json.dumps(says).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert json.loads(os.read(reader, 1000)) == [True, "EPERM", "EPERM"]
    os.close(reader)
    assert "uid 65534" in b.log()


def test_writes_are_audited(b):
    b.shell("set", "system", "host-name", "gw")
    b.shell("commit")
    b.shell("clear", "counters")
    log = b.log()
    assert re.search(r'audit edit who="\S+ uid \d+ pid \d+" lines=1 '
                     r'first="set system host-name gw" result=ok', log)
    assert re.search(r'config commit who="\S+ uid \d+ pid \d+" result=ok revision=1', log)
    assert re.search(r'audit command who="[^"]+" what="clear counters" result=ok', log)


# --- a terminal -----------------------------------------------------------------------------------

class Terminal:
    """The shell on a pseudo terminal."""

    def __init__(self, b):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # libedit keeps the names of added functions for ever: no leak of ours
            os.environ.update(TERM="xterm", HOME=b.dir, ASAN_OPTIONS="detect_leaks=0")
            os.environ.pop("NO_COLOR", None)
            os.execv(SHELL, [SHELL, "--run-dir", b.dir])
        self.seen = ""

    def expect(self, text, timeout=10):
        end = time.monotonic() + timeout
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError("waited for %r, saw %r" % (text, self.seen[-800:]))
            try:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError as gone:
                raise AssertionError("the shell ended; saw %r" % self.seen[-800:]) from gone
        before, _, self.seen = self.seen.partition(text)
        return before

    def prompt(self, text):
        """Wait for a prompt, and for libedit to have the terminal in its own mode behind it."""
        self.expect(text)
        for _ in range(500):
            if not termios.tcgetattr(self.fd)[3] & termios.ICANON:
                return
            time.sleep(0.01)
        raise AssertionError("the terminal stays in line mode")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        try:
            while True:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_terminal_session(b):
    b.load_gateway()
    t = Terminal(b)
    t.prompt("gw> ")
    t.type("sh ik\n")
    t.expect("\033[32mestablished\033[0m")
    t.prompt("gw> ")
    t.type("show fail\t\t")
    t.expect("history")
    t.expect("Switches, newest first")
    t.type("\n")
    t.expect("Last:")
    t.prompt("gw> ")
    t.type("show ike az\t\n")
    t.expect("ure-a ")
    t.expect("established")
    t.prompt("gw> ")
    t.type("set system host-name x\n")
    t.expect("type configure first")
    t.type("configure\n")
    t.prompt("gw# ")
    t.type("set interfaces lan0 ?")
    t.expect("Largest IP packet")
    t.expect("mss-clamp")
    t.type("mtu 1400\n")
    t.prompt("gw# ")
    t.type("set vnet prod tunnel \t")
    t.expect("azure-a")
    t.type("\x15")                       # the line is thrown away
    t.type("set system host-name gw2\n")
    t.prompt("gw# ")
    t.type("compare\n")
    t.expect("+ set interfaces lan0 mtu 1400")
    t.type("commit\n")
    t.expect("commit complete: revision 2")
    t.prompt("gw2# ")
    t.type("set tunnel azure-a pre-shared-key\n")
    t.expect("Pre-shared key: ")
    t.type("Hidden.Key.1\n")
    echoed = t.expect("Again: ")
    t.type("Hidden.Key.1\n")
    echoed += t.expect("key stored")
    assert "Hidden" not in echoed
    for word in ("next-pre-shared-key", "ppk"):
        t.type("set tunnel azure-a %s Hidden.Key.2\n" % word)
        t.expect("a key is not typed on the line")
        t.prompt("gw2# ")
    for line in ('set tunnel azure-a "ppk" %s', "set tunnel azure-a ppk %s pre-shared-key"):
        t.type(line % "Hidden.Key.3" + "\n")
        t.expect("a key is not typed on the line")
        t.prompt("gw2# ")
    t.type("set tunnel azure-a pre-shared-k Hidden.Key.4 nonsense\n")
    t.expect("error: ")
    t.prompt("gw2# ")
    t.type("set interfaces lan0 description \"what?\"\n")
    t.prompt("gw2# ")
    t.type("exit\n")
    t.expect("uncommitted changes stay")
    t.prompt("gw2> ")
    t.type("exit\n")
    assert t.end() == 0, t.seen
    with open(b.path(".spillway_history"), encoding="utf-8") as history:
        text = history.read()
    assert "host-name" in text and "Hidden" not in text
    assert os.stat(b.path(".spillway_history")).st_mode & 0o777 == 0o600
    assert 'description what?' in b.shell("-c", "compare").stdout


def test_a_script_that_fails_takes_back_what_short_words_did(b):
    b.load_gateway()
    assert b.shell("-c", "set system host-name other", "-c", "commit").returncode == 0
    saved = b.write("saved.set", "set system host-name third\n")
    for line in ("d vnet prod tunnel azure-a", "ro 1", "l %s merge" % saved,
                 "  dele vnet prod tunnel azure-a", "rollb 1 | count"):
        done = b.shell("-f", b.write("bad.set", line + "\nshow nonsense\n"))
        assert done.returncode != 0 and "nonsense" in done.stderr, (line, done.stderr)
        assert b.shell("compare").stdout == "", (line, b.shell("compare").stdout)
    # what was committed before the failure stays
    done = b.shell("-f", b.write("half.set", "d vnet prod tunnel azure-a\ncommit\nd nonsense\n"))
    assert done.returncode != 0
    assert "azure-a" not in b.shell("show", "configuration", "|", "match", "vnet prod tunnel").stdout
    assert b.shell("compare").stdout == ""


def test_a_confirmed_commit_without_changes_begins_its_time_anew(b):
    b.load_gateway()
    words = ["-c", "set system host-name other", "-c", "commit confirmed 5"]
    assert "rolled back in 5 min" in b.shell(*words).stdout
    assert "rolled back in 20 min" in b.shell("commit", "confirmed", "20").stdout
    sock = b.connect()
    assert 1100 < b.ask(sock, '{"op":"status"}')["result"]["confirm_in_s"] <= 1201
    sock.close()
    assert "stays" in b.shell("commit").stdout
    assert "rolled back" not in b.shell("commit", "confirmed", "20").stdout


def test_links_and_circuits_are_offered_where_a_path_stands(b):
    link = "set interfaces %s device net_null%d role expressroute circuit %s\n"
    b.load_gateway()
    done = b.shell("-f", b.write("links.set", link % ("er0", 2, "london") +
                                 link % ("er1", 3, "london") + link % ("er2", 4, "paris") +
                                 "commit\n"))
    assert done.returncode == 0, done.stderr
    sock = b.connect()
    names = b.ask(sock, '{"op":"names","list":"link"}')["result"]["names"]
    sock.close()
    assert names == ["er0", "er1", "er2", "london", "paris"], names
    t = Terminal(b)
    t.prompt("gw> ")
    t.type("failover switch \t")
    for word in ("expressroute", "azure-a", "er1", "london", "paris"):
        t.expect(word)
    t.type("lo\t")
    t.expect("ndon ")
    t.type("\x15show probes e\t\t")
    t.expect("er2")
    t.type("\x15exit\n")
    assert t.end() == 0, t.seen


def test_monitor_prints_events_until_interrupted(b):
    for options, check in (([], lambda line: "cause=bfd-timeout" in line or "readiness" in line),
                           (["--json"], lambda line: json.loads(line)["number"] > 0)):
        monitor = subprocess.Popen([SHELL, "--run-dir", b.dir] + options + ["monitor", "failover"],
                                   stdout=subprocess.PIPE, text=True)
        lines = [monitor.stdout.readline() for _ in range(3)]
        monitor.send_signal(signal.SIGINT)
        monitor.stdout.read()
        assert monitor.wait(5) == 0, "monitor ended with %d" % monitor.returncode
        assert all(check(line) for line in lines), lines


def test_terminal_survives_ctrl_c(b):
    t = Terminal(b)
    t.prompt("spillway> ")
    t.type("show nonsense\x03")
    t.prompt("spillway> ")
    t.type("monitor failover\n")
    time.sleep(0.3)
    t.type("\x03")
    t.prompt("spillway> ")
    t.type("show version\n")
    t.expect("dataplane")
    t.prompt("spillway> ")
    t.type("quit\n")
    assert t.end() == 0, t.seen


def test_terminal_ends_at_end_of_file(b):
    t = Terminal(b)
    t.prompt("spillway> ")
    t.type("\x04")
    assert t.end() == 0, t.seen


def too_slow(signo, frame):
    raise AssertionError("hangs")


def main():
    signal.signal(signal.SIGALRM, too_slow)
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and callable(f)]
    failed = 0
    for name, test in tests:
        bench = Bench()
        try:
            signal.alarm(60)
            bench.start()
            test(bench)
            signal.alarm(0)
            assert bench.daemon.poll() in (None, 0), "controld died: " + bench.log()[-500:]
            bench.stop()
            assert bench.daemon.returncode in (0, -9), "controld ended badly"
            print("ok      " + name, flush=True)
        except Exception as error:      # every kind of failure counts
            failed += 1
            print("FAILED  %s: %s: %s" % (name, type(error).__name__, error), flush=True)
        finally:
            signal.alarm(0)
            bench.close()
    print("%d passed, %d failed" % (len(tests) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
