"""The benchmark works: all of it, with tiny sizes. What it measures is not looked at."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _smoke(output: Path) -> subprocess.CompletedProcess[str]:
    # A folder of its own, so that what is left behind is seen; sockets in it need short paths.
    with tempfile.TemporaryDirectory(prefix="okr-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--smoke", "--output", str(output)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, "TMPDIR": folder},
        )
        assert not list(Path(folder).glob("okr-bench-*")), "what was started is removed"
    return done


def test_the_benchmark_measures_every_figure_and_finds_all_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    output = tmp_path / "page"
    done = _smoke(output)
    assert done.returncode == 0, done.stderr

    page = (output / "README.md").read_text()
    verdicts = re.findall(r"^\| (.+?) \| .+ \| (?:passes|falls short) \| \*\*", page, re.MULTILINE)
    assert [re.sub(r"[0-9][0-9,]*", "N", what) for what in verdicts] == [
        "check-ins over HTTP, N ledgers, N clients",
        "check-ins over HTTP, N ledgers, N clients",
        "check-ins over HTTP, one ledger, N clients",
        "check-ins over HTTP, one ledger, N clients",
        "check-ins over HTTP, per process",
        "pN of a check-in at half of the top rate",
        "memory of the server, last fifth of its load",
        "check-ins by `:batch` of N",
        "tree of N objectives",
        "tree of N objectives, N",
        "tree `as_of`, cycle with N events",
        "rebuild",
        "append at N events",
    ]
    assert re.search(r"ends? where the [0-9,]+ acknowledged check-ins say", page)
    assert page.count("live == rebuilt") == 4

    pictures = re.findall(r"\]\(([a-z-]+\.svg)\)", page)
    assert sorted(pictures) == ["check-ins.svg", "growth.svg", "memory.svg", "overview.svg"]
    assert all((output / name).read_text().rstrip().endswith("</svg>") for name in pictures)
    for link in re.findall(r"\]\(([^)]*benchmarks/[^)]*)\)", page):
        assert (output / link).exists(), link


def test_figures_of_tiny_sizes_are_not_put_where_the_page_is() -> None:
    done = _smoke(ROOT / "docs" / "benchmarks")
    assert done.returncode == 2
    assert "another folder" in done.stderr
