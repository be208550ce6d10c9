#!/usr/bin/env python3
"""Compares token ids with Hugging Face's `tokenizers` on generated texts, family by family, until the number is reached.

usage: fuzz_tokenizer.py [--texts 1000000] [--seed 1] [--length 20] [family ...]
Needs the test tools (cmake --build build/release --target test_tools) and the Python packages of tests/requirements.txt.
Ends with 1 when any text differs, printing the first ones.
"""
import argparse
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "python"))
import tokenizer_reference as reference  # noqa: E402

BATCH = 20000


def main():
    families = list(reference.BYTE_LEVEL) + reference.SPM
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000_000, help="texts for each family")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--length", type=int, default=20, help="most snippets in a text")
    parser.add_argument("families", nargs="*", default=families, metavar="family", help=", ".join(families))
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for family in args.families:
            start, n_different, done, n_bytes = time.time(), 0, 0, 0
            path = pathlib.Path(folder) / family
            tokenizer = reference.make(family, path)
            rng = random.Random(f"{args.seed} {family}")
            while done < args.texts:
                # Texts are put together from parts made for this batch: making each anew takes longer than tokenizing it.
                parts = [reference.random_text(rng, max(args.length // 4, 1)) for _ in range(BATCH // 8)]
                texts = ["".join(rng.choices(parts, k=rng.randint(1, 4))) for _ in range(min(BATCH, args.texts - done))]
                n, shown = reference.differences(tokenizer, path, texts)
                for text, plain, want, got in shown if n_different == 0 else []:
                    print(f"{family}: {text!r} special tokens as text: {plain}\n  wanted {want}\n  got    {got}")
                n_different += n
                done += len(texts)
                n_bytes += sum(len(t.encode()) for t in texts)
            bad += n_different
            print(f"{family}: {n_different} of {2 * done} differ ({n_bytes / 1e6:.0f} MB, {time.time() - start:.0f} s)", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
