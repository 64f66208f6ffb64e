"""A recording gives the live report again, byte for byte, to an ordinary user on a machine without the program."""

import unittest

import harness

FORMATS = {"json": ["--json"], "text": [], "verbose text": ["-v"]}


class ReplayEqual(unittest.TestCase):
    maxDiff = 4000

    def test_a_replay_equals_the_live_report(self):
        for program in harness.LEAKY_PROGRAMS:
            for mode in ("--leaking", "--repaired"):
                for name, options in FORMATS.items():
                    with self.subTest(program=program, mode=mode, format=name):
                        self.compare(program, mode, options)

    def compare(self, program, mode, options):
        with harness.scratch() as directory:
            sockleak = harness.copy_for_everyone(harness.SOCKLEAK, directory)
            executable = harness.copy_for_everyone(harness.PROGRAMS / program, directory)
            recording = directory / "run.slk"
            live = harness.run(sockleak, "check", *options, "--record", recording, "--", executable, mode, "--truth",
                               "/dev/null")
            self.assertEqual(1 if mode == "--leaking" else 0, live.returncode, live.stderr.decode())
            self.assertEqual(0o600, recording.stat().st_mode & 0o777)

            executable.unlink()  # what the replay says must come from the recording alone
            recording.chmod(0o644)
            replay = harness.run(*harness.as_nobody(sockleak, "report", recording, *options), cwd=directory)
            self.assertEqual(live.stdout.decode(), replay.stdout.decode(), replay.stderr.decode())
            self.assertEqual(live.returncode, replay.returncode)


if __name__ == "__main__":
    harness.main()
