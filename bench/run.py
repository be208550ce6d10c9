#!/usr/bin/env python3
"""Speed and memory beside the peer on the same files in alternating runs; writes docs/benchmarks.md.

The model is a GGUF of Phi-3.5-mini's shape with random weights (speed depends on shapes and types, not on values), made by
the shared tool; --layers makes a smaller one. Each figure is the median of alternating runs; the machine is named, and so is its load.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHIAL = ROOT / os.environ.get("PHIAL_BUILD", "build/release") / "phial"
PEER = [sys.executable, str(ROOT / "bench" / "peer.py")]
SHARED = pathlib.Path(os.environ.get("PHIAL_SHARED", ROOT.parent / "shared"))
FTYPES = {"Q4_0": 2, "Q8_0": 7, "Q2_K": 10, "Q3_K_M": 12, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18, "F16": 1, "BF16": 32}


def output(command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout


def timed(command):
    """Wall seconds and peak resident MiB of one whole process."""
    begin = time.perf_counter()
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(p.pid, 0)
    if status != 0:
        sys.exit(f"failed: {command}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def median(values):
    return statistics.median(values) if values else 0.0


def ours(model, n_prompt, n_gen, threads):
    rows = json.loads(output([PHIAL, "bench", "-m", model, "-p", n_prompt, "-n", n_gen, "-t", threads, "-r", 1, "-o", "json", "--no-limits"]))
    r = {("pp" if row["n_prompt"] else "tg"): row["avg_ts"] for row in rows}
    return r


def theirs(model, n_prompt, n_gen, threads):
    return json.loads(output([*PEER, "bench", model, n_prompt, n_gen, threads]))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", default=str(ROOT / "build" / "bench"), help="folder for the model files (up to 14 GB at 32 layers)")
    ap.add_argument("--layers", type=int, default=32)
    ap.add_argument("--types", default="Q4_K_M", help="comma-separated mixes")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--quantize-runs", type=int, default=1, help="alternating runs of quantizing, which takes minutes at 32 layers")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--n-gen", type=int, default=32)
    ap.add_argument("--out", default=str(ROOT / "docs" / "benchmarks.md"))
    a = ap.parse_args()
    work = pathlib.Path(a.work)
    work.mkdir(parents=True, exist_ok=True)
    f16 = work / f"shape_{a.layers}_f16.gguf"
    if not f16.exists():
        tool = SHARED / "tools" / "make_synthetic_phi35.py"
        if not tool.exists():
            sys.exit(f"error: {tool} not found; set PHIAL_SHARED")
        subprocess.run([sys.executable, tool, f16, "--layers", str(a.layers)], check=True)
    limits = json.loads(output([PHIAL, "bench", "--limits", "-t", a.threads, "-o", "json"]))
    best_read = max(max(r["small_pages"], r["huge_pages"]) for r in limits["read"])
    text = [f"# Benchmarks\n", f"Machine: {limits['machine']}, {a.threads} threads. Model: Phi-3.5-mini's shape, {a.layers} layers, random weights; the peer is llama.cpp "
            f"in llama-cpp-python {__import__('llama_cpp').__version__}, built on this machine. Medians of {a.runs} alternating runs. Load of the machine "
            f"before: {os.getloadavg()[0]:.1f}.\n", "Measured limits: int8 (VNNI) "
            f"{limits['int8_vnni_ops'] / 1e9:.0f} GOP/s, bf16 {limits['bf16_flops'] / 1e9:.0f} GFLOP/s, f32 {limits['f32_flops'] / 1e9:.0f} GFLOP/s, memory read "
            f"{best_read / 1e9:.1f} GB/s, barrier {limits['barrier_ns']:.0f} ns.\n",
            "| type | prefill 512, tokens/s | of int8 peak | llama.cpp | ratio | decode, tokens/s | of read rate | llama.cpp | ratio |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name in a.types.split(","):
        model = work / f"shape_{a.layers}_{name}.gguf"
        if not model.exists():
            output([PHIAL, "quantize", f16, model, name])
        info = json.loads(output([PHIAL, "bench", "-m", model, "-p", 16, "-n", 0, "-t", a.threads, "-r", 1, "-o", "json", "--no-limits"]))[0]
        pairs = []
        for _ in range(a.runs):
            pairs.append((ours(model, 512, a.n_gen, a.threads), theirs(model, 512, a.n_gen, a.threads)))
        pp, tg = (median([p[0][k] for p in pairs]) for k in ("pp", "tg"))
        peer_pp, peer_tg = (median([p[1][k] for p in pairs]) for k in ("pp", "tg"))
        ratio_pp, ratio_tg = (median([p[0][k] / p[1][k] for p in pairs]) for k in ("pp", "tg"))
        peak = limits["int8_vnni_ops"] if name not in ("F16", "BF16", "F32") else limits["f32_flops"]
        share_pp = 2 * pp * info["matrix_values"] / peak
        share_tg = tg * info["matrix_bytes"] / best_read
        text.append(f"| {name} | {pp:.1f} | {share_pp:.0%} | {peer_pp:.1f} | {ratio_pp:.2f} | {tg:.2f} | {share_tg:.0%} | {peer_tg:.2f} | {ratio_tg:.2f} |")
        print(text[-1], flush=True)
    name = a.types.split(",")[0]
    model = work / f"shape_{a.layers}_{name}.gguf"
    seconds, peers, memory, q_ours, q_peer = [], [], [], [], []
    for _ in range(a.runs):
        s, mib = timed([PHIAL, "run", "-m", model, "-no-cnv", "-p", "Hello", "-n", "1", "-c", "2048", "-t", a.threads])
        seconds.append(s)
        memory.append(mib)
        peers.append(json.loads(output([*PEER, "first", model, a.threads]))["seconds"])
    file_mib = model.stat().st_size / 2**20
    kv_mib = 2048 * a.layers * 2 * 3072 * 2 / 2**20
    text += ["", f"## Start and memory ({name})\n", "| | Phial | llama.cpp | bar |", "|---|---:|---:|---:|",
             f"| start to first token, warm page cache, s | {median(seconds):.2f} | {median(peers):.2f} | 2 |",
             f"| peak resident, MiB (file {file_mib:.0f}, KV for 2048 tokens {kv_mib:.0f}) | {median(memory):.0f} | | {file_mib + kv_mib + 400:.0f} |"]
    target = work / "quantized.gguf"
    for _ in range(a.quantize_runs):
        q_ours.append(timed([PHIAL, "quantize", f16, target, name, a.threads])[0])
        q_peer.append(json.loads(output([*PEER, "quantize", f16, target, FTYPES[name], a.threads]))["seconds"])
    target.unlink()
    ratio = median([p / o for o, p in zip(q_ours, q_peer)])
    text += ["", f"## Quantizing F16 ({f16.stat().st_size / 2**30:.2f} GiB) to {name}\n", "| Phial, s | llama.cpp, s | times as fast | bar |", "|---:|---:|---:|---:|",
             f"| {median(q_ours):.1f} | {median(q_peer):.1f} | {ratio:.2f} | 3 |"]
    out = pathlib.Path(a.out)
    extra = ""
    if out.exists() and "<!-- notes -->" in out.read_text():
        extra = "\n<!-- notes -->" + out.read_text().split("<!-- notes -->", 1)[1].rstrip("\n")
    out.write_text("\n".join(text) + "\n" + extra + ("\n" if extra else ""))
    print("\n".join(text))


main()
