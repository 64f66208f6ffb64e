"""Walks that the kernel side remembers: most stacks of a loop are recalled, and none is taken for another one."""

import json
import re
import unittest

import harness

LEAVES = ("left", "right", "framed")


class RecalledWalks(unittest.TestCase):
    def test_children_need_no_rules_of_their_own(self):
        rules = {}
        for children in (1, 200):
            outcome = harness.run(harness.SOCKLEAK, "check", "-o", "/dev/fd/2", "--json", "-v", "--",
                                  harness.PROGRAMS / "fork_server", "--children", str(children))
            truth, said = json.loads(outcome.stdout), outcome.stderr.decode()
            report = json.loads(said[said.index("{"):said.rindex("}") + 1])
            self.assertEqual((truth["created"], truth["leaked"]), (report["totals"]["created"], report["totals"]["leaked"]))
            rules[children] = int(re.search(r"; (\d+) rules", said).group(1))
        print(f"\nrules by number of children: {rules}", flush=True)
        self.assertGreater(rules[1], 0)
        self.assertEqual(rules[1], rules[200])

    def test_stacks_that_differ_only_in_return_addresses_are_told_apart(self):
        outcome = harness.run(harness.SOCKLEAK, "check", "-o", "/dev/fd/2", "--json", "-v", "--",
                              harness.PROGRAMS / "same_depth", "--count", "1000")
        truth = json.loads(outcome.stdout)
        said = outcome.stderr.decode()
        report = json.loads(said[said.index("{"):said.rindex("}") + 1])
        paths = {name: {"created": 0, "leaked": 0} for name in LEAVES}
        for site in report["sites"]:
            self.assertTrue(harness.is_whole(site["created_at"]), harness.show(site["created_at"]))
            functions = [harness.bare(frame["function"]) for frame in site["created_at"]["frames"]]
            self.assertEqual("dial", functions[functions.index("dial")])
            self.assertEqual("main", functions[functions.index("dial") + 2])
            paths[functions[functions.index("dial") + 1]]["created"] += site["created"]
        for finding in report["findings"]:
            functions = [harness.bare(frame["function"]) for frame in finding["created_at"]["frames"]]
            paths[functions[functions.index("dial") + 1]]["leaked"] += finding["leaked"]
        self.assertEqual(truth["paths"], paths)

        found, recalled = map(int, re.search(r"stacks: (\d+) found, (\d+) recalled", said).groups())
        print(f"\n{found} stacks, {recalled} recalled", flush=True)
        self.assertEqual(sum(path["created"] * 2 - path["leaked"] for path in truth["paths"].values()), found)
        # All but the first few of each path: those that lacked rules, and the first walk on each CPU.
        self.assertGreater(recalled, 0.8 * found)


if __name__ == "__main__":
    harness.main()
