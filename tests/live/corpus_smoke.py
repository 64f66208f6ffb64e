#!/usr/bin/env python3
"""A few programs of tests/corpus for some seconds each: every leak is found, nobody else accused. The whole corpus takes half
an hour and is run by hand (tests/corpus/README.md)."""

import sys
import unittest

import harness

PROGRAMS = ("c/refused", "c/close_wait", "c/accept_thread", "c/unix_sometimes", "py/unread_body", "c/retry_backoff", "cpp/raii",
            "c/fork_child_serves")
SECONDS = 5


class CorpusSmoke(unittest.TestCase):
    def test_a_few_programs_under_check(self):
        corpus = harness.PROGRAMS.parent / "corpus"
        outcome = harness.run(sys.executable, "-B", harness.REPOSITORY / "tests/corpus/run.py", "--strict", "--modes", "check",
                              "--life", SECONDS, "--sockleak", harness.SOCKLEAK, "--build", corpus, "-k", 4,
                              "--only", f"^({'|'.join(PROGRAMS)})$")
        said = outcome.stdout.decode()
        self.assertEqual(0, outcome.returncode, f"{said}\n{outcome.stderr.decode()}")
        self.assertIn(f"{len(PROGRAMS)} runs", said)


if __name__ == "__main__":
    harness.main()
