#!/usr/bin/env python3
"""Enforces the house: include arrows, file budget, and what library code must not do. docs/architecture.md says why."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# folder -> folders it may include besides itself; "phial" is the public API.
ARROWS = {
    "base": set(),
    "tensor": {"base"},
    "quant": {"base", "tensor"},
    "ops": {"base", "tensor"},
    "formats": {"base", "tensor"},
    "tokenizer": {"base", "formats"},
    "nn": {"base", "tensor", "ops"},
    "model": {"base", "tensor", "quant", "ops", "formats", "nn"},
    "convert": {"base", "tensor", "quant", "formats", "tokenizer", "nn", "model"},
    "engine": {"base", "tensor", "quant", "formats", "tokenizer", "ops", "nn", "model"},
    "backends": {"base", "tensor", "quant", "ops"},
    "cli": set(),
}
# Pairs that the plan of a folder adds, each with its reason in docs/architecture.md.
EXTRA = {("quant", "formats")}
BUDGET = 800
TABLES = re.compile(r"(table|generated|\.def$)")
FORBIDDEN = [
    (re.compile(r"\bstd::regex\b"), "std::regex recurses on input; use Oniguruma"),
    (re.compile(r"\b(printf|fprintf|puts|fputs|putchar|std::cout|std::cerr|fmt::print)\b"), "library code never prints"),
    (re.compile(r"(?<![\w.>:])(abort|exit|_exit|quick_exit|terminate)\s*\("), "library code never ends the process"),
    (re.compile(r"\bstd::(abort|exit|terminate)\b"), "library code never ends the process"),
    (re.compile(r"(?<![\w_])assert\s*\("), "use PHIAL_CHECK, which throws"),
    (re.compile(r"\b(std::)?getenv\s*\("), "library code never reads the environment"),
]
SIZE_WORD = r"\b\w*(?:_size|_count|_length|_bytes|n_values|n_tensors|n_kv|n_dims|offset)\b(?:\(\))?"
RAW_SIZE = re.compile(SIZE_WORD + r"\s*[*+]\s*[\w(]")
MODEL_NAME = re.compile(r"(?i)\b(phi\d|phi3|phimoe|llama(?!\.cpp)|mistral|qwen\d?|gemma\d?)\b")
errors = []


def report(path, line, text):
    errors.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def check(path):
    rel = path.relative_to(ROOT)
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    if len(lines) > BUDGET and not TABLES.search(rel.name):
        report(path, len(lines), f"{len(lines)} lines; the budget is {BUDGET}: split the file")
    for i, line in enumerate(lines, 1):
        if not line.isascii():
            report(path, i, "not ASCII")
    folder = rel.parts[1] if rel.parts[0] == "src" and len(rel.parts) > 2 else None
    if path.suffix in (".h", ".cpp") and not re.match(r"\s*//", text):
        report(path, 1, "the file does not begin with a comment that says what it owns")
    code = strip_comments(text).split("\n")
    for i, line in enumerate(code, 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if m and folder:
            target = m.group(1).split("/")[0] if "/" in m.group(1) else folder
            allowed = ARROWS[folder] | {folder, "phial"} | {b for a, b in EXTRA if a == folder}
            if target not in allowed:
                report(path, i, f"src/{folder} must not include {m.group(1)} (docs/architecture.md)")
        if not folder:
            continue
        if re.search(r"switch\s*\(.*dtype", line) and rel.name != "dtype.h" and "cache formats" not in lines[i - 1]:
            report(path, i, "no switch over formats outside tensor/dtype.h; use visit_dtype or a table")
        if folder != "cli":
            for pattern, why in FORBIDDEN:
                if pattern.search(line):
                    report(path, i, why)
        if folder == "formats" and RAW_SIZE.search(line) and "Checked" not in line and "checked:" not in lines[i - 1]:
            report(path, i, "raw arithmetic on a size from a file; use CheckedSize, or say '// checked: why' on the line")
        if folder not in ("cli", "tokenizer") and not str(rel).startswith("src/model/arch/") and rel.name != "registry.cpp":
            if MODEL_NAME.search(line) and "#include" not in line:
                report(path, i, "a model's name outside src/model/arch: shared code knows properties")


files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "src", "include", "tests", "bench"], cwd=ROOT,
                       capture_output=True, text=True, check=True).stdout.split()
for name in files:
    path = ROOT / name
    if path.suffix in (".h", ".cpp", ".def") and path.exists() and "fixtures" not in path.parts:
        check(path)
print("\n".join(errors))
print(f"lint: {len(files)} files, {len(errors)} findings")
sys.exit(1 if errors else 0)
