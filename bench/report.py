"""Samples of bench/run.py to docs/benchmarks.md and its plot: medians, shares of the limits, bars met and missed."""
import math
import pathlib
import statistics

import bars
import plot

NOTES = "<!-- notes -->"
FLOATS = ("F16", "BF16")


def best_limits(results):
    """The highest reading of each limit over all entries; of the read rate also the lowest of their bests."""
    readings = [reading for entry in results["entries"].values() for reading in entry["limits"]]
    best = {key: max(r.get(key, 0) for r in readings)
            for key in ("int8_vnni_ops", "int8_amx_ops", "bf16_flops", "bf16_amx_flops", "f16_amx_flops", "f32_flops", "best_read")}
    best["least_read"] = min(best_read(entry) for entry in results["entries"].values())
    best["barrier_ns"] = min(r["barrier_ns"] for r in readings)
    best["machine"] = readings[-1]["machine"]
    best["n_readings"] = len(readings)
    return best


def best_read(entry):
    return max(reading["best_read"] for reading in entry["limits"])


def fewest_layers(results):
    return min(entry["layers"] for entry in results["entries"].values())


def kernels(entry):
    """The instruction set of an entry whose bars differ: the forced one, or AMX where the machine has it."""
    return entry["isa"] or ("amx" if entry["limits"][-1]["int8_amx_ops"] > 0 else "")


def peak(limits, entry):
    """Of the arithmetic that this entry's bar is a share of: (operations per second, its name)."""
    name, on_tiles = entry["type"], kernels(entry) == "amx"
    if name not in FLOATS:
        return (limits["int8_amx_ops"], "int8 AMX") if on_tiles else (limits["int8_vnni_ops"], "int8")
    if name == "BF16" and on_tiles:
        return limits["bf16_amx_flops"], "bf16 AMX"
    if name == "F16" and on_tiles and limits["f16_amx_flops"] > 0:
        return limits["f16_amx_flops"], "f16 AMX"
    return (limits["bf16_flops"], "bf16") if limits["bf16_flops"] > 0 else (limits["f32_flops"], "f32")


def figures(results, entry):
    """The medians of an entry, by the names of bars.NAMES, and the speeds behind them."""
    def median(side, key):
        return statistics.median(sample[key] for sample in entry[side])

    def ratio(key):
        return statistics.median(ours[key] / theirs[key] for ours, theirs in zip(entry["phial"], entry["peer"]))

    limits = best_limits(results)
    ops, unit = peak(limits, entry)
    ours = entry["phial"][-1]
    also = [entry["isa"]] * bool(entry["isa"]) + [f"{entry['layers']} layers"] * (entry["layers"] != fewest_layers(results))
    f = {"name": entry["type"] + (f" ({', '.join(also)})" if also else ""), "unit": unit}
    for key in ("prefill", "decode", "first_token"):
        f[key], f["peer_" + key] = median("phial", key), median("peer", key)
    f["prefill_share"] = 2 * f["prefill"] * ours["matrix_values"] / ops if ops > 0 else 0
    f["peer_prefill_share"] = 2 * f["peer_prefill"] * ours["matrix_values"] / ops if ops > 0 else 0
    f["gb"] = f["decode"] * ours["matrix_bytes"] / 1e9
    f["peer_gb"] = f["peer_decode"] * ours["matrix_bytes"] / 1e9
    f["decode_share"] = f["gb"] * 1e9 / best_read(entry)
    f["prefill_ratio"], f["decode_ratio"] = ratio("prefill"), ratio("decode")
    f["together"] = statistics.median(s["together"] / s["decode"] for s in entry["phial"])
    f["peer_together"] = statistics.median(s["together"] / s["decode"] for s in entry["peer"])
    f["resident_mib"], f["file_mib"] = median("phial", "resident_mib"), entry["file_mib"]
    if entry["long"]:
        f["long"] = statistics.median(entry["long"])
        f["long_share"] = f["long"] / f["prefill"]
    if entry["quantize"]:
        f["quantize"], f["peer_quantize"] = (statistics.median(s[k] for s in entry["quantize"]) for k in ("phial", "peer"))
        f["quantize_ratio"] = f["peer_quantize"] / f["quantize"]
    return f


def disturbed(results, entry):
    """Other programs had a good part of the cores: the entry's own readings of the peak lie far below the best."""
    return max(reading["f32_flops"] for reading in entry["limits"]) < 0.8 * best_limits(results)["f32_flops"]


def summary(results, entry):
    f = figures(results, entry)
    return (("the machine was busy, measure this type again: " if disturbed(results, entry) else "") +
            f"{f['name']}: prefill {f['prefill']:.1f} tokens/s, {f['prefill_share']:.0%} of {f['unit']}, {f['prefill_ratio']:.2f} times; decode "
            f"{f['decode']:.2f}, {f['decode_share']:.0%} of the read rate, {f['decode_ratio']:.2f} times; together {f['together']:.1f}")


def ordered(results):
    order = list(bars.BARS)
    return sorted(results["entries"].values(), key=lambda e: (e["layers"], order.index(e["type"]), e["isa"]))


def table(head, rows, align="---:"):
    return ["| " + " | ".join(head) + " |", "|---|" + f"{align}|" * (len(head) - 1)] + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def shown(entry, f, measure, digits=2):
    """A figure's text; a missed one has as many digits as tell it from its bar."""
    name, isa, value = entry["type"], kernels(entry), f[measure]
    scale, unit, digits = (100, "%", 0) if measure.endswith("_share") else (1, "", digits)
    for n in range(digits, 9):
        text = f"{value * scale:.{n}f}"
        if bars.holds(name, measure, value, isa) or not bars.holds(name, measure, float(text) / scale, isa):
            break
    return text + unit


def against_bar(entry, f, measure, digits=2, note=""):
    """The figure and its bar; a missed one is bold."""
    text = shown(entry, f, measure, digits) + note
    limit = bars.bar(entry["type"], measure, kernels(entry))
    bar_text = "" if limit is None else f"{limit:.0%}" if measure.endswith("_share") else f"{limit:g}"
    return [text if bars.holds(entry["type"], measure, f[measure], kernels(entry)) else f"**{text}**", bar_text]


def speed_tables(results, rows):
    n_prompt, n_long, n_together = results["n_prompt"], results["n_long"], results["n_together"]
    text = [f"## Prefill of {n_prompt} tokens", ""]
    lines = []
    for entry, f in rows:
        line = [f["name"], f"{f['prefill']:.1f}", *against_bar(entry, f, "prefill_share", note=f" {f['unit']}"), f"{f['peer_prefill']:.1f}",
                f"{f['peer_prefill_share']:.0%}", *against_bar(entry, f, "prefill_ratio")]
        line += [f"{f['long']:.1f}", *against_bar(entry, f, "long_share")] if "long" in f else ["", "", ""]
        lines.append(line)
    text += table(["type", "tokens/s", "of peak", "bar", "llama.cpp", "of peak", "times as fast", "bar", f"{n_long} tokens, tokens/s", f"of {n_prompt}", "bar"], lines)
    text += ["## Decode", ""]
    lines = []
    for entry, f in rows:
        lines.append([f["name"], f"{f['decode']:.2f}", f"{f['gb']:.1f}", *against_bar(entry, f, "decode_share"), f"{f['peer_decode']:.2f}",
                      *against_bar(entry, f, "decode_ratio"), *against_bar(entry, f, "together", digits=1), f"{f['peer_together']:.1f}"])
    text += table(["type", "tokens/s", "GB/s", "of read rate", "bar", "llama.cpp", "times as fast", "bar", f"{n_together} together, times one", "bar", "llama.cpp's"], lines)
    return text


def start_tables(rows):
    text = ["## Start: warm page cache to the first token", ""]
    text += table(["type", "file, MiB", "seconds", "bar", "llama.cpp", "peak resident, MiB"],
                  [[f["name"], f"{f['file_mib']:.0f}", *against_bar(entry, f, "first_token"), f"{f['peer_first_token']:.2f}",
                    f"{f['resident_mib']:.0f}"] for entry, f in rows])
    quantized = [(entry, f) for entry, f in rows if "quantize" in f]
    if quantized:
        text += ["## Quantizing F16", ""]
        text += table(["to", "Phial, s", "llama.cpp, s", "times as fast", "bar"],
                      [[f["name"], f"{f['quantize']:.1f}", f"{f['peer_quantize']:.1f}", *against_bar(entry, f, "quantize_ratio")]
                       for entry, f in quantized])
    return text


def missed(rows):
    """Every figure under its bar, those of one reason together."""
    found = {}
    for entry, f in rows:
        for measure in bars.NAMES:
            if measure in f and not bars.holds(entry["type"], measure, f[measure], kernels(entry)):
                found.setdefault((bars.NAMES[measure], bars.reason(entry["type"], measure, kernels(entry))), []).append(f"{f['name']} {shown(entry, f, measure)}")
    if not found:
        return []
    return ["## Missed bars", ""] + table(["figure", "types", "why"], [[name, ", ".join(types), why] for (name, why), types in sorted(found.items())], "---")


def render(results, plot_name):
    limits = best_limits(results)
    rows = [(entry, figures(results, entry)) for entry in ordered(results)]
    peaks = [f"{name} {limits[key] / 1e9:.0f} {unit}" for name, key, unit in (
        ("int8 (VNNI)", "int8_vnni_ops", "GOP/s"), ("int8 (AMX)", "int8_amx_ops", "GOP/s"), ("bf16", "bf16_flops", "GFLOP/s"), ("bf16 (AMX)", "bf16_amx_flops", "GFLOP/s"), ("f16 (AMX)", "f16_amx_flops", "GFLOP/s"), ("f32", "f32_flops", "GFLOP/s"))
        if limits[key] > 0]
    loads = [entry["load"] for entry, _ in rows]
    text = ["# Benchmarks", "", f"![Prefill and decode per type beside llama.cpp]({plot_name})", "",
            f"Machine: {limits['machine']}, {results['threads']} threads, load before the runs {min(loads):.1f} to {max(loads):.1f}. Model: {results['model']}, "
            f"{fewest_layers(results)} layers where no other number stands. The peer is "
            f"llama.cpp in llama-cpp-python {results['peer']}, built on this machine, on the same files. Medians of {results['runs']} alternating runs. "
            "Figures under their bar are bold.", "",
            f"Measured limits (best of {limits['n_readings']} readings, one before each pair of runs): {', '.join(peaks)}, memory read {limits['least_read'] / 1e9:.1f} to "
            f"{limits['best_read'] / 1e9:.1f} GB/s (the best during each type, which is what its share is of), "
            f"barrier {limits['barrier_ns']:.0f} ns.", ""]
    return "\n".join(text + speed_tables(results, rows) + missed(rows) + start_tables(rows)), rows


def write(results, out):
    """The page, with what stood behind the notes mark, and the plot beside it."""
    picture = out.with_suffix(".svg")
    text, rows = render(results, picture.name)
    notes = out.read_text().partition(NOTES) if out.exists() else ("", "", "")
    out.write_text(text + ("\n" + NOTES + notes[2] if notes[1] else ""))
    limits = [[bars.bar(entry["type"], measure, kernels(entry)) for measure in bars.COLUMNS] for entry, _ in rows]
    plot.draw([f for _, f in rows], [[math.nan if limit is None else limit for limit in row] for row in limits], results, picture)
