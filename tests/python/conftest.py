"""Shared pieces of the black-box tests: where the binary, the shared data and converted models are."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PHIAL_BUILD", "build/release")
PHIAL = BUILD / "phial"
TINY = ROOT / "models" / "phial-tiny"
SHARED = pathlib.Path(os.environ.get("PHIAL_SHARED", ROOT.parent / "shared"))


def run(*args, check=True, **kwargs):
    """Runs phial with arguments; returns the finished process with text output."""
    kwargs.setdefault("timeout", 300)
    kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
    if kwargs["stdin"] is None:
        del kwargs["stdin"]
    p = subprocess.run([str(PHIAL), *map(str, args)], capture_output=True, text=True, **kwargs)
    if check and p.returncode != 0:
        raise AssertionError(f"phial {' '.join(map(str, args))} ended with {p.returncode}:\n{p.stderr}")
    return p


def need_shared(*parts):
    """Path below the shared data folder; the test is skipped when it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared data not found: {path} (set PHIAL_SHARED)")
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Converted forms of the embedded checkpoint, made on first use: models('f16'), models('q4_k_m')..."""
    folder = tmp_path_factory.mktemp("models")

    def get(outtype):
        path = folder / f"tiny_{outtype}.gguf"
        if not path.exists():
            run("convert", TINY, "-o", path, "--outtype", outtype)
        return path

    return get
