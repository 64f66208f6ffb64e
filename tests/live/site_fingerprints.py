"""A site's fingerprint is that of its lines: the same in every run, wherever the loader put things, after a rebuild that
keeps the lines, in a replay, and on the machine where the recordings in tests/replay were made."""

import json
import shutil
import unittest

import harness

SOURCES = harness.REPOSITORY / "tests/programs"
REPLAY = harness.REPOSITORY / "tests/replay"
COMPILER = shutil.which("cc"), shutil.which("c++")
FLAGS = ("-g", "-fomit-frame-pointer", "-pthread")
BELOW = "\n__attribute__((used)) int added_below(int x) {{ return x * {number}; }}\n"


def findings(command, *options):
    outcome = harness.run(harness.SOCKLEAK, "check", "--json", *options, "--", *command, "--truth", "/dev/null")
    return harness.parse_report(outcome)["findings"]


def sites(command, *options):
    return [finding["site"] for finding in findings(command, *options)]


def own_lines(finding, program):
    return [harness.place(frame) for frame in finding["created_at"]["frames"]
            if harness.base_name(frame["module"]) == program and frame["line"]]


class SiteFingerprints(unittest.TestCase):
    def test_runs_and_the_loaders_choices_make_no_difference(self):
        for program in harness.LEAKY_PROGRAMS:
            with self.subTest(program=program):
                command = [harness.PROGRAMS / program]
                first = sites(command)
                self.assertEqual(1, len(first))
                self.assertEqual(first, sites(command))
                self.assertEqual(first, sites(["setarch", "-R", *command]), "without address space randomization")

    @unittest.skipUnless(all(COMPILER), "there are no compilers")
    def test_rebuilds_that_keep_the_lines_make_no_difference(self):
        """In another directory, by another level of optimization, linked otherwise, with other code below."""
        for program in harness.LEAKY_PROGRAMS:
            suffix = ".cpp" if (SOURCES / f"{program}.cpp").exists() else ".c"
            compiler = COMPILER[suffix == ".cpp"]
            known = sites([harness.PROGRAMS / program])
            with harness.scratch() as directory:
                for number, options in enumerate((("-O1",), ("-O2", "-no-pie"), ("-O3", "-static"))):
                    with self.subTest(program=program, options=options):
                        elsewhere = directory / f"build-{number}"
                        elsewhere.mkdir()
                        source = elsewhere / f"{program}{suffix}"
                        source.write_text((SOURCES / source.name).read_text() + BELOW.format(number=number))
                        made = harness.run(compiler, *FLAGS, *(["-std=c++20"] if suffix == ".cpp" else []), *options,
                                           source, "-o", elsewhere / program)
                        self.assertEqual(0, made.returncode, made.stderr.decode())
                        self.assertEqual(known, sites([elsewhere / program]))

    def test_a_replay_makes_no_difference(self):
        with harness.scratch() as directory:
            live = sites([harness.PROGRAMS / "destructor"], "--record", directory / "run.slk")
            replay = harness.run(harness.SOCKLEAK, "report", directory / "run.slk", "--json")
            self.assertEqual(live, [finding["site"] for finding in json.loads(replay.stdout)["findings"]])

    def test_another_machine_makes_no_difference(self):
        compared = 0
        for program in harness.LEAKY_PROGRAMS:
            with self.subTest(program=program):
                there, = json.loads((REPLAY / f"{program}.json").read_text())["findings"]
                here, = findings([harness.PROGRAMS / program])
                if own_lines(there, program) != own_lines(here, program):
                    print(f"{program}: not compared: its lines have changed since it was recorded")
                    continue
                compared += 1
                self.assertEqual(there["site"], here["site"])
        self.assertGreater(compared, 0)


if __name__ == "__main__":
    harness.main()
