#!/usr/bin/env python3
"""Speed beside llama.cpp on the same files in alternating runs; writes docs/benchmarks.md and docs/benchmarks.svg (make bench-peers).

The model is a GGUF of Phi-3.5-mini's shape with random weights (speed depends on shapes and types, not on values), made by
the shared tool; --layers makes a smaller one, --source takes another F16 file. Samples are kept in --results, one entry per type, number of layers
and forced instruction set, so that they may be measured in pieces; the report is made of all of this machine. The machine's limits are measured again before each pair of runs. Neighbours
disturb a reading downwards only, so a share is taken of the best one: of the peaks over all types, of the read rate, which changes with
the hour, over the type's own.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHIAL = ROOT / os.environ.get("PHIAL_BUILD", "build/release") / "phial"
SHARED = pathlib.Path(os.environ.get("PHIAL_SHARED", ROOT.parent / "shared"))
FTYPES = {"Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18, "Q3_K_M": 12, "Q2_K": 10, "F16": 1, "BF16": 32}


def output(command):
    p = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if p.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{p.stderr[-2000:]}")
    return p.stdout


def timed(command):
    """Wall seconds and peak resident MiB of one whole process."""
    begin = time.perf_counter()
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(p.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


class Bench:
    def __init__(self, a):
        self.a = a
        self.work = pathlib.Path(a.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.source = pathlib.Path(a.source) if a.source else self.work / f"shape_{a.layers}_f16.gguf"
        self.isa = ["--isa", a.isa] if a.isa else []
        self.peer = [a.peer_python, ROOT / "bench" / "peer.py"]

    def make_source(self):
        if self.source.exists():
            return
        tool = SHARED / "tools" / "make_synthetic_phi35.py"
        if not tool.exists():
            sys.exit(f"error: {tool} not found; set PHIAL_SHARED or give an F16 file with --source")
        output([sys.executable, tool, self.source, "--layers", self.a.layers])

    def model(self, name):
        if name == "F16":
            return self.source
        path = self.work / f"{self.source.stem.removesuffix('_f16')}_{name}.gguf"
        if not path.exists():
            output([PHIAL, "quantize", self.source, path, name, self.a.threads])
        return path

    def phial_bench(self, *flags):
        return json.loads(output([PHIAL, "bench", "-t", self.a.threads, "-r", 1, "-o", "json", "--no-limits", *self.isa, *flags]))

    def limits(self):
        got = json.loads(output([PHIAL, "bench", "--limits", "-t", self.a.threads, "-o", "json"]))
        got["best_read"] = max(max(r["small_pages"], r["huge_pages"]) for r in got["read"])
        return got

    def ours(self, model):
        a = self.a
        row = {}
        for r in self.phial_bench("-m", model, "-p", a.n_prompt, "-n", a.n_gen, "-npl", f"1,{a.together}"):
            row["prefill" if r["n_prompt"] else "decode" if r["n_parallel"] == 1 else "together"] = r["avg_ts"]
            row["matrix_values"], row["matrix_bytes"] = r["matrix_values"], r["matrix_bytes"]
        row["first_token"], row["resident_mib"] = timed(
            [PHIAL, "run", "-m", model, "-no-cnv", "-p", "Hello", "-n", 1, "-c", 512, "-t", a.threads, *self.isa])
        return row

    def theirs(self, model):
        a = self.a
        row = json.loads(output([*self.peer, "bench", model, a.n_prompt, a.n_gen, a.together, a.threads]))
        row["first_token"] = json.loads(output([*self.peer, "first", model, a.threads]))["seconds"]
        return row

    def quantizing(self, name):
        target = self.work / "quantized.gguf"
        seconds = timed([PHIAL, "quantize", self.source, target, name, self.a.threads])[0]
        peer = json.loads(output([*self.peer, "quantize", self.source, target, FTYPES[name], self.a.threads]))["seconds"]
        target.unlink()
        return {"phial": seconds, "peer": peer}

    def measure(self, name):
        a = self.a
        model = self.model(name)
        entry = {"type": name, "isa": a.isa, "layers": a.layers, "limits": [], "load": os.getloadavg()[0], "file_mib": model.stat().st_size / 2**20,
                 "phial": [], "peer": [], "long": [], "quantize": []}
        for _ in range(a.runs):
            entry["limits"].append(self.limits())
            entry["phial"].append(self.ours(model))
            entry["peer"].append(self.theirs(model))
        for _ in range(a.long_runs):
            entry["long"].append(self.phial_bench("-m", model, "-p", a.n_long, "-n", 0)[0]["avg_ts"])
        for _ in range(a.quantize_runs if name != "F16" else 0):
            entry["quantize"].append(self.quantizing(name))
        return entry


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", default=str(ROOT / "build" / "bench"), help="folder for the model files (up to 30 GB at 32 layers)")
    ap.add_argument("--layers", type=int, default=32)
    ap.add_argument("--source", default="", help="an F16 GGUF to measure instead")
    ap.add_argument("--types", default=",".join(FTYPES), help="comma-separated; empty = only write the report of --results")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--long-runs", type=int, default=1, help="runs of the long prompt, each after one that is not counted, as the others")
    ap.add_argument("--quantize-runs", type=int, default=0, help="alternating runs of quantizing, which takes minutes at 32 layers")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--n-prompt", type=int, default=512)
    ap.add_argument("--n-long", type=int, default=8192)
    ap.add_argument("--n-gen", type=int, default=32)
    ap.add_argument("--together", type=int, default=8, help="sequences decoded together")
    ap.add_argument("--isa", default="", help="instruction set forced in Phial; the row says so")
    ap.add_argument("--peer-python", default=sys.executable, help="Python whose llama-cpp-python is the peer, for example one built for AVX2 alone")
    ap.add_argument("--results", default="", help="JSON file of all samples [beside --out]")
    ap.add_argument("--out", default=str(ROOT / "docs" / "benchmarks.md"))
    a = ap.parse_args()
    unknown = [t for t in a.types.split(",") if t and t not in FTYPES]
    if unknown:
        sys.exit(f"error: --types: {unknown[0]} is not one of {', '.join(FTYPES)}")

    bench = Bench(a)
    kept = pathlib.Path(a.results or pathlib.Path(a.out).with_suffix(".json"))
    results = json.loads(kept.read_text()) if kept.exists() else {"entries": {}}
    if a.types:
        bench.make_source()
        version = output([a.peer_python, "-c", "import llama_cpp; print(llama_cpp.__version__)"]).strip()
        model = bench.source.name if a.source else "Phi-3.5-mini's shape with random weights"
        results.update(model=model, peer=version, threads=a.threads, runs=a.runs, n_prompt=a.n_prompt, n_long=a.n_long, n_together=a.together)
    for name in filter(None, a.types.split(",")):
        entry = bench.measure(name)
        results["entries"] = {key: e for key, e in results["entries"].items() if e["limits"][-1]["machine"] == entry["limits"][-1]["machine"]}
        results["entries"][f"{name} {a.layers} {a.isa}".strip()] = entry
        kept.write_text(json.dumps(results, indent=1))
        print(report.summary(results, entry), flush=True)
    report.write(results, pathlib.Path(a.out))


if __name__ == "__main__":
    main()
