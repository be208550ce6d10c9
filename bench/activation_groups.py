#!/usr/bin/env python3
"""What the length of the activation group costs and gives, per weight format; writes the table into docs/numerics.md.

For each length this source is built in a scratch folder with formats.def edited. The embedded model is quantized to each
format; its base is the same file decoded to F32, so that weights are equal and activations are floats: the divergence between the two is
what quantized activations cost. llama.cpp is measured the same way, against its own run of the F32 file. Speed is linear_bench's, one
thread, lengths in turn. Parts may be run apart; results are kept in --work.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("PHIAL_SHARED", ROOT.parent / "shared"))
PEER = [sys.executable, str(ROOT / "bench" / "peer.py")]
# What the kernels take: blocks of 32 have one scale of activations each; those of 256 sum minimums over 128 values at least.
LENGTHS = {"Q4_0": (32,), "Q4_1": (32,), "Q5_0": (32,), "Q5_1": (32,), "Q8_0": (32,),
           "Q2_K": (128, 256), "Q3_K": (128, 256), "Q4_K": (128, 256), "Q5_K": (128, 256), "Q6_K": (128, 256)}
ALL_LENGTHS = sorted({n for lengths in LENGTHS.values() for n in lengths})
PURE_MIX = {"Q3_K": "Q3_K_S", "Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S"}
N_CTX = 512
CACHE = ["-ctk", "f32", "-ctv", "f32"]  # so that the activations are all that differs
BEGIN, END = "<!-- activation groups: bench/activation_groups.py -->", "<!-- end of activation groups -->"


def output(command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True, **more).stdout


def with_length(table, length):
    """formats.def with the group replaced where the format takes this length."""
    names = "|".join(name.lower() for name, lengths in LENGTHS.items() if length in lengths)
    return re.sub(rf"^(X\((?:{names}),.*, *)\d+\)", rf"\g<1>{length})", table, flags=re.M)


def build(work, length):
    """One tree for all lengths, so that the compiler's cache finds what does not depend on them."""
    tree = work / "tree"
    for name in output(["git", "-C", ROOT, "ls-files", "src", "include", "bench", "tests", "CMakeLists.txt", "CMakePresets.json"]).split():
        source, target = ROOT / name, tree / name
        if target.suffix not in (".cpp", ".h", ".def", ".inc", ".txt", ".json") or not source.exists():
            continue
        text = source.read_text()
        if name == "src/tensor/formats.def":
            text = with_length(text, length)
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    environment = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    output(["cmake", "--preset", "release"], cwd=tree, env=environment)
    output(["cmake", "--build", "build/release", "-j", os.cpu_count(), "--target", "phial", "linear_bench"], cwd=tree, env=environment)
    program(work, length).parent.mkdir(exist_ok=True)
    for name in ("phial", "linear_bench"):
        shutil.copy(tree / "build" / "release" / name, program(work, length, name))


def program(work, length, name="phial"):
    return work / f"group_{length}" / name


def files(work, name):
    """The model in this format, and the same weights as F32."""
    phial = program(work, ALL_LENGTHS[0])
    f16, quantized, floats = work / "f16.gguf", work / f"{name}.gguf", work / f"{name}_f32.gguf"
    if not f16.exists():
        output([phial, "convert", ROOT / "models" / "phial-tiny", "-o", f16, "--outtype", "f16"])
    if not quantized.exists():
        output([phial, "quantize", "--pure", f16, quantized, PURE_MIX.get(name, name)])
    if not floats.exists():
        output([phial, "quantize", "--allow-requantize", quantized, floats, "F32"])
    return quantized, floats


def divergence(work, name, text, chunks, threads):
    quantized, floats = files(work, name)
    base = work / "base.kld"
    phial = program(work, ALL_LENGTHS[0])
    output([phial, "perplexity", "-m", floats, "-f", text, "-c", N_CTX, "--chunks", chunks, "-t", threads, *CACHE, "--kl-divergence-base", base])
    found = {}
    for length in LENGTHS[name]:
        run = [program(work, length), "perplexity", "-m", quantized, "-t", threads, *CACHE, "--kl-divergence-base", base, "--kl-divergence", "--json"]
        found[length] = json.loads(output(run))["kld"]
    found["peer"] = json.loads(output([*PEER, "divergence", floats, quantized, text, N_CTX, chunks, threads]))["kld"]
    base.unlink()
    return found


def speed(work, name):
    """GOP/s of the four products of a layer together, prefill of 512 tokens, one thread; best of two turns."""
    found = {}
    for _ in range(2):
        for length in LENGTHS[name]:
            rows = re.findall(rf"^{name} +(\w+) +(\d+) G/s", output([program(work, length, "linear_bench"), 1, "best", name]), re.M)
            values = {"qkv": 9216 * 3072, "output": 3072 * 3072, "gate_up": 16384 * 3072, "down": 3072 * 8192}
            seconds = sum(values[shape] / float(rate) for shape, rate in rows if shape in values)
            found[length] = max(found.get(length, 0), sum(values.values()) / seconds)
    return found


def chosen():
    text = (ROOT / "src" / "tensor" / "formats.def").read_text()
    return {m[0]: int(m[1]) for m in re.findall(r'^X\(\w+, *"(\w+)",.*, *(\d+)\)', text, re.M)}


def table(results):
    groups = chosen()
    lines = ["| format | " + " | ".join(f"KLD {n}" for n in ALL_LENGTHS) + " | llama.cpp | " + " | ".join(f"GOP/s {n}" for n in ALL_LENGTHS) + " | chosen |",
             "|---|" + "---:|" * (2 * len(ALL_LENGTHS) + 2)]
    for name, result in results.items():
        cells = [f"{result['kld'][str(n)] * 1e4:.2f}" if str(n) in result["kld"] else "" for n in ALL_LENGTHS]
        speeds = [f"{result['speed'][str(n)]:.0f}" if str(n) in result.get("speed", {}) else "" for n in ALL_LENGTHS]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {result['kld']['peer'] * 1e4:.2f} | " + " | ".join(speeds) + f" | {groups[name]} |")
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", default=str(ROOT / "build" / "activation_groups"))
    ap.add_argument("--part", choices=["all", "build", "divergence", "speed", "table"], default="all")
    ap.add_argument("--formats", default=",".join(LENGTHS))
    ap.add_argument("--text", default=str(SHARED / "data" / "text" / "phial-tiny-eval.txt"))
    ap.add_argument("--chunks", type=int, default=48)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--out", default=str(ROOT / "docs" / "numerics.md"))
    a = ap.parse_args()
    work = pathlib.Path(a.work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    if a.part in ("all", "build"):
        for length in ALL_LENGTHS:
            build(work, length)
            print(f"built for groups of {length}", flush=True)
    kept = work / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name in a.formats.split(","):
        result = results.setdefault(name, {})
        if a.part in ("all", "divergence"):
            result["kld"] = divergence(work, name, a.text, a.chunks, a.threads)
        if a.part in ("all", "speed"):
            result["speed"] = speed(work, name)
        print(name, result, flush=True)
        kept.write_text(json.dumps(results, indent=1))
    if a.part in ("all", "table"):
        results = json.loads(kept.read_text())
        out = pathlib.Path(a.out)
        before, _, rest = out.read_text().partition(BEGIN)
        out.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
