"""``python -m bench NAME [--quick] [--rounds N]``: run one benchmark, or all, and print what they show."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.answers import run_answers
from bench.archive import run_archive
from bench.change import run_change
from bench.cold import run_cold
from bench.compare import run_table
from bench.crowd import run_crowd
from bench.latency import run_latency
from bench.linear import run_linear
from bench.load import run_load
from bench.memory import run_memory
from bench.multiframe import run_multiframe
from bench.options import Options
from bench.pool import run_pool
from bench.processes import CHECKOUT, BenchError, raise_file_limit
from bench.profile import LOADS, profile
from bench.retrieve import run_retrieve
from bench.speed import run_stock
from bench.stalled import run_limit, run_stalled
from bench.startup import run_startup
from bench.table import Report
from bench.workers import run_workers

BENCHMARKS: dict[str, Callable[[Options, Path], list[Report]]] = {
    "table": run_table,
    "stock": run_stock,
    "load": run_load,
    "crowd": run_crowd,
    "workers": run_workers,
    "linear": run_linear,
    "memory": run_memory,
    "pool": run_pool,
    "stalled": run_stalled,
    "limit": run_limit,
    "latency": run_latency,
    "startup": run_startup,
    "cold": run_cold,
    "answers": run_answers,
    "retrieve": run_retrieve,
    "multiframe": run_multiframe,
    "archive": run_archive,
}

ON_REQUEST = {"change": run_change}
"""What is not part of all, because it has to be told what with."""
DOCS = CHECKOUT / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names.

    Returns 0 when every claim held, 1 when one did not, 2 when it could not be measured.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks side by side.")
    parser.add_argument("name", choices=[*BENCHMARKS, "all", *ON_REQUEST, "profile"])
    parser.add_argument("load", nargs="?", help=f"profile: what to do to the proxy: {', '.join(LOADS)}")
    parser.add_argument("--quick", action="store_true", help="a brief run; its figures are not to be quoted")
    parser.add_argument("--rounds", type=int, help="how often each subject is measured")
    parser.add_argument("--workload", default="", help="table: only workloads with this in their name")
    parser.add_argument("--only", action="append", default=[], metavar="SUBJECT", help="leave others out")
    parser.add_argument(
        "--other", action="append", default=[], metavar="NAME=COMMAND", help="a further proxy: {port}, {sink}"
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="keep plots there; docs, unless it is a quick run")
    parser.add_argument(
        "--base", default="HEAD", metavar="COMMIT", help="change: what is compared with, or the folder of a checkout"
    )
    parsed = parser.parse_args(arguments)
    others = dict(entry.split("=", 1) for entry in parsed.other)
    plots = parsed.plots or (None if parsed.quick else DOCS)
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)  # now, not after minutes of measuring
    options = Options(parsed.quick, parsed.rounds, parsed.workload, tuple(parsed.only), others, plots, parsed.base)
    if parsed.name == "profile":
        with tempfile.TemporaryDirectory(prefix="bench-profile-") as directory:
            print(profile(parsed.load or "ct", Path(directory)))
        return 0
    names = list(BENCHMARKS) if parsed.name == "all" else [parsed.name]
    raise_file_limit()
    holds = True
    for name in names:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as directory:
            try:
                for report in (BENCHMARKS | ON_REQUEST)[name](options, Path(directory)):
                    print(report.text(brief=options.quick), flush=True)
                    holds = holds and report.holds(brief=options.quick)
            except BenchError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 2
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
