#!/usr/bin/env python3
"""Runs the corpus' programs under sockleak and scores what it says of them: precision, recall, calibration.

    tests/corpus/run.py --record DIR            every program in every mode (an hour); the recordings stay in DIR
    tests/corpus/run.py --rejudge DIR           judges those recordings again and scores them: a few seconds
    tests/corpus/run.py --score DIR             only the tables
    tests/corpus/run.py --only 'c/pool' --modes '30s-.*|check'
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import scoring
from programs import PROGRAMS, marked_lines
from running import CHECK_LIFE, HERE, MODES, Job, Run

REPOSITORY = HERE.parents[1]
DEFAULT_MODES = "30s-.*|check"


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="the programs, as a table")
    parser.add_argument("--only", default=".", metavar="REGEX", help="programs whose name (language/scenario) matches")
    parser.add_argument("--modes", metavar="REGEX",
                        help=f"of {' '.join(MODES)} (default: {DEFAULT_MODES}; to judge again: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="so many seeds from --seed on")
    parser.add_argument("--record", type=pathlib.Path, metavar="DIR", help="keep recordings and reports there")
    parser.add_argument("--resume", action="store_true", help="with --record: only what is not there yet")
    parser.add_argument("--rejudge", type=pathlib.Path, metavar="DIR", help="run nothing: judge what --record has kept")
    parser.add_argument("--score", type=pathlib.Path, metavar="DIR", help="only score the reports that are there")
    parser.add_argument("--held-out", choices=("only", "exclude", "all"), default="all", help="the third that no fit has seen")
    parser.add_argument("--name-held-out", action="store_true", help="name the faults of that third too; then draw it anew (HELD_OUT_DRAW)")
    parser.add_argument("--json", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--strict", action="store_true", help="status 1 unless every leak is found and nothing else")
    parser.add_argument("--life", type=int, default=CHECK_LIFE, metavar="S", help="how long a program lives under check (default 30)")
    parser.add_argument("-k", "--at-once", type=int, default=10, metavar="K")
    parser.add_argument("--sockleak", type=pathlib.Path, default=os.environ.get("SOCKLEAK", REPOSITORY / "build/release/sockleak"))
    parser.add_argument("--build", type=pathlib.Path, default=os.environ.get("SOCKLEAK_CORPUS", REPOSITORY / "build/release/tests/corpus"),
                        help="where the compiled programs are")
    options = parser.parse_args(words)
    options.modes = options.modes or (".*" if options.rejudge or options.score else DEFAULT_MODES)
    return options


def jobs_of(options):
    programs = [one for one in PROGRAMS if re.search(options.only, one.name)]
    modes = [mode for mode in MODES if re.fullmatch(options.modes, mode)]
    jobs = [Job(program, mode, options.seed + more) for mode in modes for program in programs
            for more in range(options.seeds) if re.search(program.modes, mode)]
    # Mixed, so that what is there of a round that was ended early says something of all.
    return sorted(jobs, key=lambda job: job.number)


def warn_if_stale(build):
    """The lines that open are read from the sources: programs of other sources would have others."""
    program = build / "corpus_c"
    newest = max(one.stat().st_mtime for one in HERE.glob("*.[ch]*"))
    if program.exists() and program.stat().st_mtime < newest:
        print(f"{program} is older than its sources: build it again, or its lines may be others", file=sys.stderr)


def run_all(jobs, options, directory):
    warn_if_stale(options.build)
    done, lock, failed, opens = 0, threading.Lock(), [], marked_lines(HERE)

    def one(job):
        nonlocal done
        problem = None
        try:
            Run(job, opens.get(job.program.name, ()), options.sockleak, options.build, directory, options.life).run()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            problem = str(error)
        with lock:
            done += 1
            if problem:
                failed.append(f"{job.name}: {problem}")
            print(f"{done}/{len(jobs)} {job.name} {job.shape}{': ' + problem if problem else ''}", file=sys.stderr, flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(one, jobs))
    return failed


def judge_again(directory, sockleak):
    """Replaces the reports with what this sockleak makes of the recordings."""
    def one(meta):
        base = str(meta).removesuffix(".meta.json")
        outcome = subprocess.run([sockleak, "report", f"{base}.slk", "-v", "--json"], stdout=subprocess.PIPE, check=False)
        pathlib.Path(f"{base}.report.json").write_bytes(outcome.stdout)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(one, sorted(directory.glob("*.meta.json"))))


def scores_of(directory, options):
    by_name, scores = {one.name: one for one in PROGRAMS}, []
    for file in sorted(directory.glob("*.meta.json")):
        meta = json.loads(file.read_text())
        program = by_name.get(meta["program"])
        if not program or not re.search(options.only, program.name) or not re.fullmatch(options.modes, meta["mode"]):
            continue
        job = Job(program, meta["mode"], meta["seed"])
        if options.held_out != "all" and job.held_out != (options.held_out == "only"):
            continue
        try:
            report = json.loads(pathlib.Path(str(file).replace(".meta.json", ".report.json")).read_text())
        except ValueError:
            print(f"{job.name}: no report", file=sys.stderr)
            continue
        scores.append(scoring.score(job, meta["leaked"], report, set(meta["opens"])))
    return scores


def print_tables(scores, name_held_out):
    for title, chosen in (("fit part", [one for one in scores if not one.job.held_out]),
                          ("held out", [one for one in scores if one.job.held_out])):
        if chosen:
            print(f"\n{title}\n{scoring.by_mode(chosen, MODES)}\n\n{scoring.calibration(chosen)}")
    # Who reads which of the held-out runs are wrong has looked at them.
    print(f"\n{scoring.names(scores if name_held_out else [one for one in scores if not one.job.held_out])}")


def list_programs(only):
    opened = marked_lines(HERE)
    rows = [[one.name, one.label, one.kind, " ".join(sorted(opened.get(one.name, ())))] for one in PROGRAMS
            if re.search(only, one.name)]
    print(scoring.table(["program", "label", "kind", "opens"], rows))


def write_json(out, scores):
    out.write_text(json.dumps([{"program": one.job.program.name, "mode": one.job.mode, "seed": one.job.seed, "shape": one.job.shape,
                                "label": one.job.program.label, "held_out": one.job.held_out, "leaked": one.leaked,
                                "outcome": one.outcome, "confidence": one.best, "wrong": one.wrong} for one in scores], indent=1))


def main(words):
    options = parse(words)
    if options.list:
        return list_programs(options.only)
    failed, began = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="corpus-") as scratch:
        directory = options.rejudge or options.score or options.record or pathlib.Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        if options.rejudge:
            judge_again(directory, options.sockleak)
        elif not options.score:
            jobs = [one for one in jobs_of(options) if not (options.resume and (directory / f"{one.file_name}.meta.json").exists())]
            failed = run_all(jobs, options, directory)
        scores = scores_of(directory, options)
    print_tables(scores, options.name_held_out)
    print(f"\n{len(scores)} runs in {time.monotonic() - began:.0f} s")
    if failed:
        print("not run:\n  " + "\n  ".join(failed))
    if options.json:
        write_json(options.json, scores)
    good = not failed and scores and all(one.outcome in ("found", "few", "clean") and not one.wrong for one in scores)
    return 1 if failed or (options.strict and not good) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
