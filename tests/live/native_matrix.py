"""`sockleak check` and `trace` on one native program in every form that decides how its stacks are walked and named: how
it was linked, where its debug information is, over what kind of frames the call goes, and what became of its file. The
leaking call, the siblings' close and the last touch are the program's truth to the line, or the report says why not."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import unittest

import harness

NATIVE = harness.PROGRAMS / "native"

# build -> the Debian packages without which it is not there
LINKED = {"lambda": None, "static": None, "static_pie": None, "musl": "musl-tools", "rust": "rustc",
          "rust_abort": "rustc", "rust_legacy": "rustc"}
DEBUG = {"split": None, "plain.link": None, "rust.dwz": "dwz rustc", "plain.dwz-common": "dwz", "packaged": "binutils"}
# Functions and no lines.
LINELESS = {"rust.symbols": "rustc", "rust_legacy.symbols": "rustc", "no_tables": None, "plain.mini": "xz-utils"}
PATHS = ("realigned", "forced", "variable", "misleading", "signal")
PARTLY = ("deep", "sigaltstack")

IN_MEMORY = """
import os, sys
memory = os.memfd_create("hidden")
os.write(memory, open(sys.argv[1], "rb").read())
os.execve(memory, ["hidden", *sys.argv[2:]], os.environ)
"""
IN_OTHER_MOUNTS = 'mount -t tmpfs none "$1" && cp "$2" "$1/hidden" && file=$1/hidden && shift 2 && exec "$file" "$@"'


class Case:
    """One start of the program: by what command, and the name of the module that its places are in."""

    def __init__(self, name, command, module, has_lines=True):
        self.name, self.command, self.module, self.has_lines = name, command, module, has_lines


def built(builds, **options):
    cases = []
    for build, packages in builds.items():
        if (NATIVE / build).exists():
            cases.append(Case(build, [NATIVE / build], build, **options))
        else:
            print(f"skipped: {build} is not there: install {packages}")
    return cases


WITH_DEBUG_TREE = 'mount -t tmpfs none /usr/lib/debug && cp -r "$1" /usr/lib/debug/ && shift && exec "$@"'


def check_all(cases, *options, launcher=()):
    """All cases under one sockleak, one after the other. -> outcome, report, truths in the order of the cases"""
    with harness.scratch() as directory:
        script = ""
        for number, case in enumerate(cases):
            command = [*case.command, *options, "--truth", directory / f"{number}.json"]
            script += shlex.join(map(str, command)) + f" || echo {shlex.quote(case.name)} failed >&2\n"
        (directory / "all.sh").write_text(script)
        outcome = harness.run(*launcher, harness.SOCKLEAK, "check", "--json", "-v", "--", "/bin/sh", directory / "all.sh")
        try:
            truths = [json.loads((directory / f"{number}.json").read_text()) for number in range(len(cases))]
        except FileNotFoundError as error:
            raise AssertionError(f"no truth: {error}\n{outcome.stderr.decode()}") from None
        return outcome, harness.parse_report(outcome), truths


def without_lines(truth):
    """The truth as far as a program without line numbers can be asked for it."""
    if isinstance(truth, dict):
        return {key: without_lines(value) for key, value in truth.items() if key not in ("line", "file")} | (
            {"file": "", "line": None} if "line" in truth else {})
    return [without_lines(value) for value in truth] if isinstance(truth, list) else truth


def made_by(report, pid):
    return [finding for finding in report["findings"] if pid in [creator["pid"] for creator in finding["creators"]]]


class NativeMatrix(harness.TruthTest):
    def assert_all(self, cases):
        """Every leaking variant is named as its truth says, every repaired one is clean."""
        outcome, report, truths = check_all(cases)
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        for case, truth in zip(cases, truths):
            with self.subTest(case=case.name):
                findings = made_by(report, truth["pid"])
                self.assertEqual(1, len(findings), "\n\n".join(harness.show(f["created_at"]) for f in findings))
                self.assert_finding_is_the_truth(findings[0], truth if case.has_lines else without_lines(truth),
                                                 case.module)
        self.assert_complete(report)
        self.assertEqual(sum(truth["leaked"] for truth in truths), report["totals"]["leaked"])
        self.assert_clean(cases)

    def assert_clean(self, cases):
        outcome, report, _ = check_all(cases, "--repaired")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assertEqual([], report["findings"])

    def test_however_it_was_made_and_started(self):
        self.assert_all([*built(LINKED), *built(DEBUG), *built(LINELESS, has_lines=False),
                         *(Case(path, [NATIVE / "plain", "--through", path], "plain") for path in PATHS)])

    def test_inlined_functions_and_lambdas_are_frames(self):
        case = Case("lambda", [NATIVE / "lambda"], "lambda")
        outcome, report, (truth,) = check_all([case])
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        (finding,) = report["findings"]
        self.assert_finding_is_the_truth(finding, truth)
        frames = [(harness.bare(frame["function"]), frame["inlined"]) for frame in finding["created_at"]["frames"]
                  if harness.base_name(frame["module"]) == "lambda"]
        self.assertEqual(("orders::open_stream", True), frames[0], frames)
        self.assertIn("orders::Orders::place", [name for name, _ in frames])
        self.assertTrue(any("{lambda" in (frame["function"] or "") for frame in finding["created_at"]["frames"]),
                        harness.show(finding["created_at"]))
        self.assertIn("with_connection", " ".join(frame["function"] or "" for frame in finding["created_at"]["frames"]))

    @unittest.skipUnless(os.path.isdir("/usr/lib/debug"), "there is no /usr/lib/debug to put a file below")
    def test_debug_information_is_found_by_build_id(self):
        case = Case("build-id", [NATIVE / "plain.build-id"], "plain.build-id")
        in_tree = ("unshare", "-m", "sh", "-c", WITH_DEBUG_TREE, "sh", NATIVE / "debug-tree/.build-id")
        for launcher in (in_tree, ()):  # there, and not there: then there is no name at all, but where it is
            outcome, report, (truth,) = check_all([case], launcher=launcher)
            self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
            (finding,) = report["findings"]
            if launcher:
                self.assert_finding_is_the_truth(finding, truth, case.module)
            else:
                self.assertEqual(truth["leaked"], finding["leaked"])
                self.assertTrue(harness.is_whole(finding["created_at"]), harness.show(finding["created_at"]))
                own = next(f for f in finding["created_at"]["frames"] if harness.base_name(f["module"]) == case.module)
                self.assertEqual((None, None), (own["function"], own["line"]))
                self.assertTrue(own["build_id"] and own["offset"], own)

    @contextlib.contextmanager
    def waiting(self, command, truth, *options):
        """The program, which waits for a line before it does anything, and then for the end of its input."""
        program = subprocess.Popen([str(word) for word in (*command, "--wait", *options, "--truth", truth)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            harness.read_line(program.stdout, "ready", str(command[0]))
            yield program
        finally:
            program.stdin.close()
            program.wait(harness.TIMEOUT)
            program.stdout.close()

    def test_whatever_became_of_its_file(self):
        for options in ((), ("--repaired",)):
            with harness.scratch() as directory, contextlib.ExitStack() as stack:
                plain, files = NATIVE / "plain", {name: directory / name for name in ("deleted", "replaced")}
                (directory / "mounts").mkdir()
                for file in files.values():
                    harness.copy_for_everyone(plain, directory).rename(file)
                commands = {"memfd:hidden": [sys.executable, "-c", IN_MEMORY, plain],
                            "hidden": ["unshare", "-m", "sh", "-c", IN_OTHER_MOUNTS, "sh", directory / "mounts", plain],
                            "deleted": [files["deleted"]], "replaced": [files["replaced"]]}
                programs = [stack.enter_context(self.waiting(command, directory / f"{module}.json", *options))
                            for module, command in commands.items()]
                files["deleted"].unlink()
                shutil.copyfile("/bin/true", directory / "true")
                os.replace(directory / "true", files["replaced"])
                tracer = harness.Tracer("-p", ",".join(str(program.pid) for program in programs), "--older", "0s",
                                        "--json", "-v")
                for program in programs:
                    program.stdin.write("\n")
                    program.stdin.flush()
                    harness.read_line(program.stdout, "done", str(program.args))
                report = harness.parse_report(tracer.result(interrupt=True))
                self.assert_complete(report)
                truths = {module: json.loads((directory / f"{module}.json").read_text()) for module in commands}
                self.assertEqual(sum(truth["leaked"] for truth in truths.values()),
                                 sum(finding["leaked"] for finding in report["findings"]))
                for module, truth in truths.items():
                    with self.subTest(case=module, options=options):
                        findings = made_by(report, truth["pid"])
                        self.assertEqual(0 if options else 1, len(findings))
                        del truth["touched_at"]  # looked for only once a site is suspected
                        for finding in findings:
                            self.assert_finding_is_the_truth(finding, truth, module, "close-wait")

    def test_what_is_not_seen_to_the_end_is_marked(self):
        """The first stack on each path is told from a copy of a part of it, or is longer than is ever walked."""
        cases = [Case(path, [NATIVE / "plain", "--through", path], "plain") for path in PARTLY]
        outcome, report, truths = check_all(cases)
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        for case, truth in zip(cases, truths):
            with self.subTest(case=case.name):
                findings = made_by(report, truth["pid"])
                self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in findings))
                for finding in findings:
                    stack = finding["created_at"]
                    self.assertEqual(harness.true_place(truth["created_at"]), harness.own_place(stack, "plain"))
                    self.assertTrue(harness.is_whole(stack) or (stack["truncated"] and stack["why"]), harness.show(stack))
                    if case.name == "deep":
                        self.assertTrue(stack["truncated"])
        self.assertIn("the depth limit was reached", [f["created_at"]["why"] for f in made_by(report, truths[0]["pid"])])
        self.assert_clean(cases)

    def test_libraries_at_one_address_are_told_apart(self):
        """One call path by its addresses, and another library each time: two of the same frames, one of a larger one."""
        libraries = [NATIVE / f"plugin_{name}.so" for name in ("left", "right", "wide")]
        for repaired in (False, True):
            with self.subTest(repaired=repaired):
                case = Case("plugins", [NATIVE / "plugins", *libraries], "plugins")
                outcome, report, (truth,) = check_all([case], *(["--repaired"] if repaired else []))
                self.assertTrue(truth["same_place"], "the loader has put them apart")
                self.assertEqual(0 if repaired else 1, outcome.returncode, outcome.stderr.decode())
                harness.assert_promise_kept(self, report)
                found = {}
                for site in report["sites"]:
                    stack = site["created_at"]
                    own = next(frame for frame in stack["frames"] if "plugin_" in (frame["module"] or ""))
                    library = harness.base_name(own["module"])
                    self.assertEqual(f"plugin_{own['function'].removeprefix('open_')}.so", library, harness.show(stack))
                    self.assertTrue(harness.is_whole(stack) or stack["why"], harness.show(stack))
                    entry = found.setdefault(library, {"library": library, "created": 0, "leaked": 0})
                    entry["created"] += site["created"]
                    entry["leaked"] += sum(finding["leaked"] for finding in report["findings"]
                                           if finding["created_at"] == stack)
                self.assertCountEqual([{key: entry[key] for key in ("library", "created", "leaked")}
                                       for entry in truth["libraries"]], found.values())
                print("cut where the rules may have been another library's:", harness.counter(report, "stacks_insane"))


if __name__ == "__main__":
    harness.main()
