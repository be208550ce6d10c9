"""Instructions of the ARM kernels per panel and tile, counted by qemu, as the table in docs/benchmarks.md.
usage: bench/arm_counts.py [build folder, default build/arm64]   (after `make arm64` and building tile_run there)

qemu-aarch64 logs each instruction of the kernels that it executes; what a second run of the same tile adds is counted."""
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

PRODUCT = {"neon": "sdot", "i8mm": "smmla"}
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/arm64")
PROGRAM = BUILD / "tile_run"
FORMATS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
BASE = 0x5500000000  # where qemu loads a position-independent program
VECTOR = re.compile(r"\b[vqds]\d+\b")
MEMORY = re.compile(r"^(ld|st|prfm)")
MOVES = {"mov", "movi", "mvni"}  # renamed away on wide cores


def disassembly():
    text = subprocess.run(["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", PROGRAM], check=True, capture_output=True,
                          text=True).stdout
    return {int(m[1], 16): (m[2], m[3]) for m in re.finditer(r"^\s+([0-9a-f]+):\t(\S+)[ \t]*(.*)$", text, re.M)}


def kernel_range(isa):
    text = subprocess.run(["aarch64-linux-gnu-nm", "-CS", PROGRAM], check=True, capture_output=True, text=True).stdout
    found = [(int(m[1], 16), int(m[2], 16)) for m in re.finditer(r"^(\w+) (\w+) [tTwW] (.*)$", text, re.M)
             if f"phial::cpu::{isa}::" in m[3]]
    return min(a for a, _ in found), max(a + n for a, n in found)


def executed(isa, name, what, tokens, times):
    begin, end = kernel_range(isa)
    with tempfile.NamedTemporaryFile() as log:
        subprocess.run(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "max", "-singlestep", "-d", "exec,nochain",
                        "-dfilter", f"{BASE + begin:#x}..{BASE + end:#x}", "-D", log.name, PROGRAM, isa, name, what, str(tokens),
                        str(times)], check=True)
        addresses = re.findall(r"\[[0-9a-f]+/([0-9a-f]+)/", pathlib.Path(log.name).read_text())
    return collections.Counter(int(a, 16) - BASE for a in addresses)


def count(code, isa, name, what, tokens=6):
    """Instructions by kind: products, vector (other arithmetic), moves (of vector registers), memory, scalar."""
    once, twice = (executed(isa, name, what, tokens, times) for times in (1, 2))
    kinds = collections.Counter()
    for address, n in (twice - once).items():
        op, operands = code[address]
        kind = ("products" if op == PRODUCT[isa] else "memory" if MEMORY.match(op) else
                "scalar" if not VECTOR.search(operands) else "moves" if op in MOVES else "vector")
        kinds[kind] += n
    return kinds


def main():
    code = disassembly()
    print("| format | kernels | products | other arithmetic | moves | loads, stores | scalar | products in arithmetic | unpack |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for isa in PRODUCT:
        for name in FORMATS:
            tile, unpack = (count(code, isa, name, what) for what in ("panel", "unpack"))
            share = 100 * tile["products"] / (tile["products"] + tile["vector"])
            print(f"| {name} | {isa} | {tile['products']} | {tile['vector']} | {tile['moves']} | {tile['memory']} | "
                  f"{tile['scalar']} | {share:.0f} % | {sum(unpack.values())} |", flush=True)


if __name__ == "__main__":
    main()
