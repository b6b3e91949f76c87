#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""House rules that a program can check: who may include what, SPDX lines, forbidden calls.

The project root is the only include path, so each #include shows the layer that it crosses. Prints
one TAP line a rule.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)

# folder: (own project folders it may include, system headers it may not include)
DPDK, YANG = r"rte_", r"libyang/"
OPENSSL = r"openssl/|nettle/|gmp\.h"     # and what else IKE computes with
EVENT, MNL, JANSSON, EDIT, MB = r"event2?/|event\.h", r"libmnl/", r"jansson", r"histedit|editline", r"intel-ipsec-mb"
LAYERS = {
    "lib": (["lib"], [DPDK, OPENSSL, YANG, EVENT, MNL, JANSSON, EDIT, MB]),
    "dataplane": (["lib", "dataplane"], [OPENSSL, YANG, EVENT, MNL, JANSSON, EDIT]),
    "ike/iked": (["lib", "ike", "ike/iked"], [DPDK, YANG, MNL, JANSSON, EDIT, MB]),
    "ike": (["lib", "ike"], [DPDK, YANG, MNL, JANSSON, EDIT, MB, EVENT]),
    "control/cli": (["lib", "control", "control/cli"], [DPDK, OPENSSL, MNL, MB]),
    "control": (["lib", "control"], [DPDK, OPENSSL, EDIT, MB]),
}
JSON_CALL = re.compile(r"\bjson_(pack|unpack)(_ex)?\s*\(")
JSON_TAKES = {"pack": "[siIbfoO#%]", "unpack": "[siIbfFoO%]"}     # format characters with an argument
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
# C's own headers, and those of POSIX that others include
STANDARD = set("""assert complex ctype dirent errno fcntl fenv float inttypes iso646 limits locale math netdb poll pthread
    pwd sched semaphore setjmp signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn
    string strings syslog termios tgmath threads time uchar unistd wchar wctype""".split())
FORBIDDEN = re.compile(r"(?<![A-Za-z0-9_.>])(system|popen|strcpy|strcat|sprintf|gets|alloca|vsprintf)\s*\(")


def tracked(*endings):
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return [f for f in out.split("\n") if f.endswith(endings) and os.path.exists(os.path.join(ROOT, f))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def layer_of(path):
    folder = os.path.dirname(path)
    while folder and folder not in LAYERS:
        folder = os.path.dirname(folder)
    return folder


def include_faults(path):
    layer = layer_of(path)
    if not layer:
        return []
    own, banned = LAYERS[layer]
    faults = []
    for kind, name in INCLUDE.findall(read(path)):
        if kind == '"':
            target = os.path.dirname(name)
            inside = any(target == o or target.startswith(o + "/") for o in own)
            if target.startswith("ike/iked") and not layer.startswith("ike/iked"):
                inside = False
            if target.startswith("control/cli") and layer != "control/cli":
                inside = False
            if not inside:
                faults.append(f"{path}: includes \"{name}\", which {layer}/ may not")
        elif any(re.match(b, name) for b in banned):
            faults.append(f"{path}: includes <{name}>, which {layer}/ may not")
    return faults


def check_includes():
    return [fault for path in tracked(".c", ".h") for fault in include_faults(path)]


def check_spdx():
    files = tracked(".c", ".h", ".def", ".py", ".sh", "meson.build", ".yang", "Makefile", ".service")
    return [f"{p}: no SPDX line" for p in files if "SPDX-License-Identifier: BSD-3-Clause" not in read(p)[:400]]


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"//[^\n]*", " ", text)


def check_calls():
    faults = []
    for path in tracked(".c", ".h"):
        if path.startswith(("tests/", "bench/")):
            continue
        for match in FORBIDDEN.finditer(strip_comments(read(path))):
            faults.append(f"{path}: calls {match.group(1)}()")
    return faults


def arguments(text, start):
    """The arguments of a call, from its opening parenthesis on; none are split within strings or brackets."""
    found, depth, begin = [], 0, start + 1
    for token in re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[(\[{]|[)\]}]|,').finditer(text, start):
        depth += (token[0] in "([{") - (token[0] in ")]}")
        if depth == 0 or (depth == 1 and token[0] == ","):
            found.append(text[begin:token.start()].strip())
            begin = token.end()
        if depth == 0:
            break
    return found


def json_call_fault(call, text):
    """How many arguments a call of json_pack() or json_unpack() lacks or has too many; 0 is right."""
    given = arguments(text, call.end() - 1)[(call[1] == "unpack") + (2 if call[2] else 0):]
    words = "".join(STRING.findall(given[0]))
    return len(re.findall(JSON_TAKES[call[1]], words)) - len(given[1:])


def check_json_calls():
    """The compiler cannot count the arguments that a format of jansson wants."""
    faults = []
    for path in tracked(".c", ".h"):
        text = read(path)
        for call in JSON_CALL.finditer(text):
            lacking = json_call_fault(call, text)
            if lacking:
                line = text.count("\n", 0, call.start()) + 1
                faults.append(f"{path}:{line}: the format wants {abs(lacking)} argument(s) "
                              f"{'more' if lacking > 0 else 'less'}")
    return faults


def check_product_names():
    """Product code includes nothing from tests/ or bench/."""
    return [f"{p}: includes a test header" for p in tracked(".c", ".h") if layer_of(p)
            and re.search(r'#include "(tests|bench)/', read(p))]


def check_header_names():
    """The folder of a target is on the compiler's path: a header there would hide the system's of its name."""
    return [f"{p}: hides <{os.path.basename(p)}> of the system" for p in tracked(".h")
            if os.path.basename(p)[:-2] in STANDARD]


def main():
    checks = [("includes_follow_the_layers", check_includes), ("every_file_has_its_spdx_line", check_spdx),
              ("no_forbidden_calls", check_calls), ("formats_of_json_have_their_arguments", check_json_calls),
              ("product_includes_no_test_code", check_product_names),
              ("no_header_hides_one_of_the_system", check_header_names)]
    bad = 0
    for number, (name, check) in enumerate(checks, 1):
        faults = check()
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
        bad += bool(faults)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
