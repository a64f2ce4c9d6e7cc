#!/usr/bin/env python3
"""Checks how the kernels of a built program address the operands of their products.

    tools/check_kernels.py target/debug/banter

An instruction that multiplies and adds from memory is one operation if the operand's address is a
register and a constant. With an index register, Intel cores split it in two, which made prompts 17 to
19 % slower. So an AVX-512 kernel must not have such an operand (crates/kernels/src/address.rs).
Prints the functions that have one, and exits with 1 if there are any.
"""
import collections
import platform
import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
# AT&T syntax: the operand in memory comes first, as displacement(base,index,scale).
MULTIPLIES = re.compile(r"\s(vpdpbusd|vdpbf16ps|vf(?:n)?m(?:add|sub)\d+ps)\s+(\S*\(\S*\)\S*?),")
KERNELS = re.compile(r"banter_kernels.*avx512")


def instructions(program):
    """Yields every function of a program with each of its instructions that multiplies from memory."""
    command = ["objdump", "-d", "--no-show-raw-insn", program]
    listing = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    function = ""
    for line in listing.stdout:
        named = FUNCTION.match(line)
        if named:
            function = named[1]
        elif KERNELS.search(function):
            multiplies = MULTIPLIES.search(line)
            if multiplies:
                yield function, multiplies[2], line.strip()
    if listing.wait() != 0:
        sys.exit(f"objdump {program}: expected status 0, found {listing.returncode}")


def demangled(name):
    return subprocess.run(["c++filt", name], capture_output=True, text=True, check=True).stdout.strip()


def main():
    if platform.machine() != "x86_64":
        print(f"check_kernels: nothing to check on {platform.machine()}")
        return 0
    from_memory, indexed = 0, collections.defaultdict(list)
    for function, operand, line in instructions(sys.argv[1]):
        from_memory += 1
        if "," in operand[operand.index("("):]:
            indexed[function].append(line)
    if from_memory == 0:
        sys.exit(f"{sys.argv[1]}: expected AVX-512 kernels that multiply from memory, found none")
    for function, lines in indexed.items():
        print(f"{demangled(function)}: {len(lines)} operands with an index register, such as\n    {lines[0]}")
    print(f"check_kernels: {from_memory} products from memory, {sum(map(len, indexed.values()))} of them indexed")
    return 1 if indexed else 0


if __name__ == "__main__":
    sys.exit(main())
