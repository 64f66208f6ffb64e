"""Every recording here gives the reports that stand beside it, byte for byte. `record` makes them anew."""

import os
import pathlib
import subprocess
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOCKLEAK = os.environ.get("SOCKLEAK", str(HERE.parents[1] / "build/release/sockleak"))
LEAKS_FOUND = 1


class Replay(unittest.TestCase):
    maxDiff = 4000

    def test_every_recording_gives_its_reports(self):
        recordings = sorted(HERE.glob("*.slk"))
        self.assertTrue(recordings)
        for recording in recordings:
            for suffix, options in ((".json", ["--json"]), (".txt", [])):
                with self.subTest(recording=recording.name, format=suffix):
                    outcome = subprocess.run([SOCKLEAK, "report", recording, *options], stdin=subprocess.DEVNULL,
                                             capture_output=True, timeout=60, check=False)
                    self.assertEqual(b"", outcome.stderr)
                    self.assertEqual(recording.with_suffix(suffix).read_text(encoding="utf-8"),
                                     outcome.stdout.decode())
                    leaks = "-repaired" not in recording.stem
                    self.assertEqual(LEAKS_FOUND if leaks else 0, outcome.returncode)


if __name__ == "__main__":
    unittest.main()
