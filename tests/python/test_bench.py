"""phial bench with several sequences, and the script that measures beside llama.cpp, whole, on the embedded model."""
import importlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from conftest import BUILD, ROOT, run


def test_sequences_decoded_together(models):
    p = run("bench", "-m", models("q8_0"), "-p", 8, "-n", 6, "-npl", "1,3", "-d", "0,4", "-r", 2, "--no-limits", "-o", "json")
    rows = json.loads(p.stdout)
    assert [(r["n_prompt"], r["n_gen"], r["n_parallel"], r["n_depth"]) for r in rows] == [
        (8, 0, 1, 0), (0, 6, 1, 0), (0, 6, 3, 0), (8, 0, 1, 4), (0, 6, 1, 4), (0, 6, 3, 4)]
    for r in rows:
        assert r["samples_ts"] == pytest.approx([(r["n_prompt"] + r["n_gen"] * r["n_parallel"]) * 1e9 / ns for ns in r["samples_ns"]], rel=1e-3)
    table = run("bench", "-m", models("q8_0"), "-p", 0, "-n", 2, "-npl", 4, "-r", 1, "--no-limits").stdout
    assert re.search(r"\| +tg2 x4 \|", table)


@pytest.mark.parametrize("flags, message", [
    (["-npl", "0"], "nothing to test"), (["-npl", "two"], "is not a number"), (["-npl", "8", "-d", "64"], "do not fit one step of 512; raise --ubatch-size")])
def test_sequences_that_cannot_be(models, flags, message):
    p = run("bench", "-m", models("q8_0"), "-p", 0, "-n", 2, *flags, check=False)
    assert p.returncode == 2 and message in p.stderr


def measure(source, work, *flags):
    command = [sys.executable, ROOT / "bench" / "run.py", "--source", source, "--work", work, "--runs", 1, "--n-prompt", 32, "--n-long", 64, "--n-gen", 4,
               "--together", 2, "--out", work / "report.md", *flags]
    env = {"PHIAL_BUILD": str(BUILD), "PATH": "/usr/bin:/bin"}
    p = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, env=env)
    assert p.returncode == 0, p.stderr
    return p.stdout


def rows_of(text, heading):
    """Cells of the table under a heading, by the first column."""
    lines = text.split(f"## {heading}\n\n")[1].split("\n\n")[0].split("\n")
    return {cells[0]: cells[1:] for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines[2:])}


def test_peers_side_by_side(models, tmp_path):
    """Types measured in two pieces come out in one report, whose notes stay; the plot names them."""
    pytest.importorskip("llama_cpp")
    pytest.importorskip("matplotlib")
    (tmp_path / "report.md").write_text("earlier text\n<!-- notes -->\nkept\n")
    assert measure(models("f16"), tmp_path, "--types", "Q4_K_M", "--quantize-runs", 1).startswith("Q4_K_M: prefill ")
    measure(models("f16"), tmp_path, "--types", "F16", "--isa", "avx2")
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# Benchmarks\n\n![") and "(report.svg)" in text and text.endswith("<!-- notes -->\nkept\n") and "earlier text" not in text
    prefill, decode = rows_of(text, "Prefill of 32 tokens"), rows_of(text, "Decode")
    assert list(prefill) == list(decode) == ["Q4_K_M", "F16 (avx2)"]
    assert all(float(row[0]) > 0 and float(row[3]) > 0 for row in prefill.values())
    on_tiles = "int8 (AMX)" in text  # whose peak no bar is a share of
    assert prefill["Q4_K_M"][2] == ("" if on_tiles else "75%") and decode["F16 (avx2)"][3] == "92%"
    assert list(rows_of(text, "Quantizing F16")) == ["Q4_K_M"]
    plot = xml.etree.ElementTree.parse(tmp_path / "report.svg").getroot()
    words = {"".join(e.itertext()) for e in plot.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Q4_K_M", "Phial", "llama.cpp", "bar", "machine's limit"} <= words


@pytest.fixture
def bench_module(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    pytest.importorskip("matplotlib")
    return importlib.import_module("report")


def entry(name, isa="", **ours):
    sample = {"prefill": 100.0, "decode": 10.0, "together": 50.0, "first_token": 1.0, "matrix_values": 1e9, "matrix_bytes": 1e9, "resident_mib": 10.0}
    limits = {"int8_vnni_ops": 1e12, "int8_amx_ops": 0, "bf16_amx_flops": 0, "bf16_flops": 5e11, "f32_flops": 2e11, "best_read": 2e10, "barrier_ns": 100, "machine": "M"}
    return {"type": name, "isa": isa, "layers": 4, "limits": [limits], "load": 0.5, "file_mib": 9.0, "phial": [{**sample, **ours}],
            "peer": [{"prefill": 20.0, "decode": 8.0, "together": 24.0, "first_token": 2.0}], "long": [65.0], "quantize": []}


def test_figures_and_missed_bars(bench_module):
    """Shares are taken of the best peak over all types and of the best read rate during the type; a figure under its bar is bold and named with its reason."""
    import bars

    results = {"entries": {"a": entry("Q4_0"), "b": entry("BF16", first_token=2.5)}, "model": "m", "peer": "0", "threads": 2, "runs": 1, "n_prompt": 512,
               "n_long": 8192, "n_together": 8}
    results["entries"]["a"]["limits"].insert(0, {**results["entries"]["b"]["limits"][0], "best_read": 1e10, "int8_vnni_ops": 9e11})
    results["entries"]["b"]["limits"][0]["best_read"] = 4e10
    f = bench_module.figures(results, results["entries"]["a"])
    assert f["prefill_share"] == pytest.approx(0.2) and f["decode_share"] == pytest.approx(0.5) and f["gb"] == 10
    assert f["prefill_ratio"] == 5 and f["decode_ratio"] == 1.25 and f["together"] == 5 and f["peer_together"] == 3 and f["long_share"] == 0.65
    assert bench_module.figures(results, results["entries"]["b"])["prefill_share"] == pytest.approx(0.4)  # of bf16
    text, _ = bench_module.render(results, "p.svg")
    assert rows_of(text, "Prefill of 512 tokens")["Q4_0"] == ["100.0", "**20% int8**", "75%", "20.0", "4%", "5.00", "2.4", "65.0", "**65%**", "70%"]
    missed = text.split("## Missed bars")[1].split("## Start")[0]
    for name, measure, value in [("Q4_0", "prefill_share", "20%"), ("BF16", "prefill_share", "40%"), ("BF16", "first_token", "2.50")]:
        assert f"| {bars.NAMES[measure]} | {name} {value} | {bars.reason(name, measure)} |" in missed
    assert bars.NAMES["prefill_ratio"] not in missed
    results["entries"]["c"] = entry("Q4_0", isa="avx2", prefill=30.0)  # a forced instruction set has bars of its own
    text, _ = bench_module.render(results, "p.svg")
    assert rows_of(text, "Prefill of 512 tokens")["Q4_0 (avx2)"] == ["30.0", "6% int8", "", "20.0", "4%", "**1.50**", "1.8", "65.0", "217%", "70%"]
    assert f"| {bars.NAMES['prefill_ratio']} | Q4_0 (avx2) 1.50 | {bars.reason('Q4_0', 'prefill_ratio', 'avx2')} |" in text
    del results["entries"]["b"]
    for e in results["entries"].values():  # on AMX tiles the share is of their peak, and has no bar
        e["limits"][-1].update(int8_amx_ops=8e12, bf16_amx_flops=4e12)
    text, _ = bench_module.render(results, "p.svg")
    assert rows_of(text, "Prefill of 512 tokens")["Q4_0"][1:3] == ["2% int8 AMX", ""]
    assert rows_of(text, "Prefill of 512 tokens")["Q4_0 (avx2)"][1:3] == ["6% int8", ""]
    f16 = entry("F16")
    f16["limits"][-1].update(int8_amx_ops=8e12, f16_amx_flops=4e12)
    assert bench_module.figures({"entries": {"a": f16}}, f16)["prefill_share"] == pytest.approx(0.05)  # of f16 tiles
    for value, text in [(0.696, "69.6%"), (0.69999, "69.999%"), (0.7, "70%"), (0.704, "70%"), (0.66, "66%")]:  # never rounded up to the bar
        assert bench_module.shown(f16, {"long_share": value}, "long_share") == text
    assert bench_module.shown(entry("Q4_0"), {"first_token": 1.504}, "first_token") == "1.504"
    assert bars.bar("Q4_K_M", "prefill_ratio", "amx") == 5 and bars.bar("Q6_K", "prefill_ratio", "amx") == bars.bar("Q6_K", "prefill_ratio")
    for e in results["entries"].values():
        e["limits"][-1].update(int8_amx_ops=0)
    results["entries"]["a"]["phial"][0].update(prefill=400.0)
    assert "Q4_0 80%" not in bench_module.render(results, "p.svg")[0].split("## Missed bars")[1].split("## Start")[0]


def test_lengths_of_groups_are_edited_where_kernels_take_them(bench_module):
    """What bench/activation_groups.py builds: formats.def with another length for some formats, everything else as it was."""
    script = importlib.import_module("activation_groups")
    text = (ROOT / "src" / "tensor" / "formats.def").read_text()
    shorter = script.with_length(text, 128)
    changed = [(a, b) for a, b in zip(text.splitlines(), shorter.splitlines()) if a != b]
    assert [re.search(r'"(\w+)"', a).group(1) for a, _ in changed] == ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
    assert all(b == re.sub(r"\d+\)$", "128)", a) for a, b in changed)
    assert script.chosen()["Q8_0"] == 32 and script.with_length(text, 32) == text
