#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turn the YANG module into a C string: yang_embed.py INPUT OUTPUT."""
import sys


def main():
    with open(sys.argv[1], encoding="ascii") as source:
        lines = source.read().splitlines()
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("/* Made from conf/spillway.yang. */\n")
        out.write('#include "control/yang_text.h"\n\nconst char spillway_yang[] =\n')
        for line in lines:
            out.write('\t"%s\\n"\n' % line.replace("\\", "\\\\").replace('"', '\\"'))
        out.write("\t;\n")


if __name__ == "__main__":
    main()
