#!/usr/bin/env python3
"""Converts a Hugging Face checkpoint to GGUF: `phial convert` under the name that people know. Needs nothing but Python."""
import os
import sys


def main():
    here = os.path.dirname(os.path.realpath(__file__))
    phial = os.path.join(here, "phial")
    if not os.access(phial, os.X_OK):
        sys.exit(f"{phial} is not there yet; build it with: make -C {here}")
    sys.stdout.flush()
    try:
        os.execv(phial, [phial, "convert", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"cannot start {phial}: {error.strerror}; build it again with: make -C {here}")


if __name__ == "__main__":
    main()
