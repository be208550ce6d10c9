"""The plot of docs/benchmarks.md: prefill and decode per weight type, both programs as bars, the machine's limit and the bar as lines."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

matplotlib.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "phial", "axes.spines.top": False,
                            "axes.spines.right": False})
OURS, PEER, LIMIT, BAR = "#1f6f8b", "#c9ced6", "#b23a48", "#e0a030"
WIDTH = 0.38


def panel(axes, names, ours, peer, limits, wanted, labels, title, unit):
    """One group per type. limits and wanted are heights per type, in the unit of the bars."""
    for i in range(len(names)):
        left, right = i - 0.46, i + 0.46
        axes.bar(i - WIDTH / 2, ours[i], WIDTH, color=OURS, label="Phial" if i == 0 else None)
        axes.bar(i + WIDTH / 2, peer[i], WIDTH, color=PEER, label="llama.cpp" if i == 0 else None)
        axes.hlines(limits[i], left, right, color=LIMIT, linewidth=1.6, label="machine's limit" if i == 0 else None)
        axes.hlines(wanted[i], left, right, color=BAR, linewidth=1.6, linestyles=(0, (4, 2)), label="bar" if i == 0 else None)
        for at, text, color in ((i - WIDTH / 2, labels[i][0], "white"), (i + WIDTH / 2, labels[i][1], "#333333")):
            axes.annotate(text, (at, 0), ha="center", va="bottom", fontsize=8, color=color, xytext=(0, 3), textcoords="offset points")
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylim(0, 1.12 * max(*limits, *ours, *peer))


def draw(figures, wanted, results, out):
    """figures: report.figures of each row; wanted: its bars. Prefill in tokens/s, decode in GB/s of weights read."""
    names = [f["name"].replace(" (", "\n(") for f in figures]
    picture, (top, bottom) = plt.subplots(2, 1, figsize=(max(6.0, 1.15 * len(names) + 1.5), 7.2), layout="constrained")
    limit = [f["prefill"] / f["prefill_share"] for f in figures]
    panel(top, names, [f["prefill"] for f in figures], [f["peer_prefill"] for f in figures], limit,
          [w[0] * tokens for w, tokens in zip(wanted, limit)], [(f"{f['prefill_share']:.0%}", f"{f['peer_prefill_share']:.0%}") for f in figures],
          f"Prefill of {results['n_prompt']} tokens, with shares of the arithmetic peak", "tokens/s")
    limit = [f["gb"] / f["decode_share"] for f in figures]
    panel(bottom, names, [f["gb"] for f in figures], [f["peer_gb"] for f in figures], limit, [w[2] * gb for w, gb in zip(wanted, limit)],
          [(f"{f['decode_share']:.0%}", f"{f['peer_gb'] / gb:.0%}") for f, gb in zip(figures, limit)],
          "Decode, with shares of the memory's read rate", "GB/s of weights")
    picture.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    picture.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None, dpi=110)
    plt.close(picture)
