"""Whom `-c`, `--container` and `-a` mean: who is in the group now, who joins it, who is forked in it, and nobody else; and
what is said of a process that lives in a container."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import unittest
import uuid

import harness

PROGRAM = harness.PROGRAMS / "connect_error_path"
LEAKED = 5  # by one run of it
USAGE = 2


def mounted(kind, option=""):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for _, place, its_kind, options, *_ in map(str.split, mounts):
            if its_kind == kind and (not option or option in options.split(",")):
                return pathlib.Path(place)
    return None


@contextlib.contextmanager
def cgroup(test, name, hierarchy=None):
    """A group of our own below the root of cgroup2, or of another hierarchy."""
    root = hierarchy or mounted("cgroup2")
    if root is None:
        test.skipTest("cgroup2 is not mounted")
    made = [path for path in reversed([root / name, *(root / name).parents]) if not path.exists()]
    for path in made:
        path.mkdir()
    try:
        yield root / name
    finally:
        for path in reversed(made):
            with contextlib.suppress(FileNotFoundError):  # the test has removed it
                path.rmdir()


def move(pid, group):
    (group / "cgroup.procs").write_text(str(pid), encoding="ascii")


class Waiting:
    """A program that starts when told to; `words` are what the shell runs."""

    def __init__(self, words, group=None):
        self.process = subprocess.Popen(["sh", "-c", f"read line && {words}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=(lambda: move(os.getpid(), group)) if group else None)

    def start(self):
        """Until it has told the truth, and waits for the end of its input."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        harness.read_line(self.process.stdout, "held", "the program")

    def go(self):
        """To its end; its number."""
        if not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write("\n")
                self.process.stdin.close()
        try:
            if self.process.wait(harness.TIMEOUT) != 0:
                raise AssertionError(f"the program ended with {self.process.returncode}")
        finally:
            self.process.stdout.close()
        return self.process.pid


def await_open(process, name):
    """Until the process has a file of this name open."""
    while process.poll() is None:
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{process.pid}/fd/{fd}").endswith(name):
                    return
    raise AssertionError(f"ended with {process.returncode} without opening {name}")


def container_id():
    return uuid.uuid4().hex * 2


@contextlib.contextmanager
def root_directory():
    """What a container has: another root, in which the program is at a path that the host does not have."""
    with harness.scratch() as root:
        shared = ["usr", "bin", "sbin", "lib", "lib64"]
        lines = [f"mount --bind {root} {root}"]
        for name in shared:
            host = pathlib.Path("/") / name
            if host.is_symlink():
                (root / name).symlink_to(os.readlink(host))
            elif host.exists():
                (root / name).mkdir()
                lines.append(f"mount --rbind /{name} {root}/{name}")
        for name in ("app", "proc", "old", "dev"):
            (root / name).mkdir()
        harness.copy_for_everyone(PROGRAM, root / "app")
        lines += [f"cd {root}", "pivot_root . old", "mount -t proc proc /proc", "umount -l /old", "ip link set lo up"]
        yield root, " && ".join(lines)


def children(pid):
    """Of all its threads."""
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()]


def processes(group):
    return [int(pid) for pid in (group / "cgroup.procs").read_text(encoding="ascii").split()]


def in_container(setup, command):
    script = f"{setup} && exec {command}"
    return f"exec unshare --mount --pid --net --cgroup --ipc --uts --fork sh -c {shlex.quote(script)}"


class Targets(unittest.TestCase):
    maxDiff = None

    def watch(self, *arguments, command="check"):
        tracer = harness.Tracer(*arguments, command=command)
        self.addCleanup(harness.end, tracer.process)
        return tracer

    def assert_named(self, finding, truth):
        self.assertEqual(harness.true_place(truth["created_at"]),
                         harness.own_place(finding["created_at"], truth["program"]),
                         harness.show(finding["created_at"]))
        self.assertTrue(harness.is_whole(finding["created_at"]), harness.show(finding["created_at"]))
        for creator in finding["creators"]:
            self.assertEqual(PROGRAM.name[:15], creator["comm"])

    def test_a_group_is_whoever_is_in_it_and_nobody_else(self):
        name = f"sockleak-test-{os.getpid()}"
        with harness.scratch() as directory, cgroup(self, name) as group, cgroup(self, f"{name}/below") as below:
            truth, recording = directory / "truth.json", directory / "a.slk"
            run = f"{PROGRAM} --truth {truth}"
            inside, forking = Waiting(f"exec {run}", group), Waiting(f"{run} && true", below)
            mover, outside, leaver = Waiting(f"exec {run} --hold"), Waiting(f"exec {run}"), Waiting(f"exec {run}", group)
            tracer = self.watch("-c", name, "--older", "1ms", "--json", "--record", recording)
            seen = {inside.go()}
            forking.go()
            outside.go()
            move(mover.process.pid, group)
            mover.start()
            move(leaver.process.pid, group.parent)
            leaver.go()
            outcome = tracer.result(interrupt=True)
            seen.add(mover.go())
            self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
            report = harness.parse_report(outcome)
            again = harness.run(harness.SOCKLEAK, "report", recording, "--json")
            told = json.loads(truth.read_text())
        self.assertEqual(outcome.stdout, again.stdout)
        self.assertEqual(("cgroup", f"/{name}"), (report["target"]["kind"], report["target"]["path"]))
        self.assertTrue({inside.process.pid, forking.process.pid, leaver.process.pid} <= set(report["target"]["pids"]))
        harness.assert_promise_kept(self, report)
        self.assertEqual((3 * told["sockets_created"], 3 * LEAKED),
                         (report["totals"]["created"], report["totals"]["leaked"]))
        (finding,) = report["findings"]
        self.assert_named(finding, told)
        creators = {creator["pid"]: creator for creator in finding["creators"]}
        self.assertTrue(seen <= set(creators))
        (child,) = set(creators) - seen
        self.assertEqual({f"/{name}", f"/{name}/below"}, {creator["cgroup"] for creator in creators.values()})
        self.assertEqual(f"/{name}/below", creators[child]["cgroup"])
        self.assertEqual({None}, {creator["container"] for creator in creators.values()})

    def test_programs_of_a_few_milliseconds_right_after_a_move(self):
        runs = 20
        with cgroup(self, f"sockleak-test-{os.getpid()}") as group:
            loop = Waiting(f"for i in {' '.join(map(str, range(runs)))}; do {PROGRAM} --truth /dev/null; done")
            tracer = self.watch("-c", group, "--json")
            move(loop.process.pid, group)
            loop.go()
            report = harness.parse_report(tracer.result(interrupt=True))
        (finding,) = report["findings"]
        self.assertEqual((runs * 4 * LEAKED, runs * LEAKED, runs),
                         (finding["created"], finding["leaked"], len(finding["creators"])))
        self.assertEqual(runs * (2 * 4 * LEAKED + 1), report["totals"]["created"], "connected, accepted and listening")
        for name in harness.STACK_LOSSES:
            self.assertEqual(0, harness.counter(report, name), name)

    def test_the_session_ends_with_the_group(self):
        with cgroup(self, f"sockleak-test-{os.getpid()}") as group:
            tracer = self.watch("-c", group, "--json", command="trace")
            group.rmdir()
            report = harness.parse_report(tracer.result())
        self.assertEqual(([], []), (report["findings"], report["target"]["pids"]))

    def check_container(self, name, ident, hierarchy=None):
        with cgroup(self, name, hierarchy) as group, root_directory() as (root, setup):
            run = in_container(setup, "/app/connect_error_path --hold --truth /app/truth.json")
            child, outside = Waiting(run, group), Waiting(f"exec {PROGRAM} --truth /dev/null")
            tracer = self.watch("--container", ident[:12], "--older", "1ms", "--format", "json", "--format",
                                f"text={root}/report.txt", command="trace")
            outside.go()
            child.start()
            (inside,) = children(child.process.pid)
            await_open(tracer.process, "/app/connect_error_path")
            report = harness.parse_report(tracer.result(interrupt=True))
            child.go()
            told = json.loads((root / "app/truth.json").read_text())
            text = (root / "report.txt").read_text()
        self.assertEqual(("container", ident, f"/{name}"), tuple(report["target"][key] for key in ("kind", "id", "path")))
        self.assertEqual((told["sockets_created"], LEAKED), (report["totals"]["created"], report["totals"]["leaked"]))
        (finding,) = report["findings"]
        self.assert_named(finding, told)
        (creator,) = finding["creators"]
        self.assertEqual((inside, f"/{name}", ident, "/app/connect_error_path"),
                         tuple(creator[key] for key in ("pid", "cgroup", "container", "exe")))
        self.assertEqual({(inside, PROGRAM.name[:15], "fd")}, {(holder["pid"], holder["comm"], holder["via"])
                                                               for sock in finding["sockets"] for holder in sock["holders"]})
        self.assertIn(f"in container {ident[:12]}", text)
        self.assertEqual(0, harness.counter(report, "modules_unreadable"))

    def test_a_container_is_found_by_its_id(self):
        for name in ("sockleak-test/docker-{}.scope", "sockleak-test/docker/{}", "sockleak-test/libpod-{}.scope",
                     "sockleak-test/kubepods/besteffort/pod7/{}", "sockleak-test/cri-containerd-{}.scope"):
            ident = container_id()
            with self.subTest(name):
                self.check_container(name.format(ident), ident)

    def test_a_container_of_a_hybrid_host(self):
        systemd = mounted("cgroup", "name=systemd")
        if systemd is None:
            self.skipTest("there is no name=systemd hierarchy of cgroup v1")
        ident = container_id()
        self.check_container(f"sockleak-test/docker/{ident}", ident, systemd)

    def test_everybody_but_sockleak(self):
        with harness.scratch() as directory:
            truth = directory / "truth.json"
            waiting = [Waiting(f"exec {PROGRAM} --truth {truth}") for _ in range(2)]
            tracer = self.watch("-a", "--json", "-v")
            pids = {process.go() for process in waiting}
            started = Waiting(f"exec {PROGRAM} --truth {truth}")
            pids.add(started.go())
            report = harness.parse_report(tracer.result(interrupt=True))
            told = json.loads(truth.read_text())
        self.assertEqual({"kind": "all", "pids": []}, report["target"])
        ours = [finding for finding in report["findings"]
                if pids & {creator["pid"] for creator in finding["creators"]}]
        (finding,) = ours
        self.assertEqual(3 * LEAKED, finding["leaked"])
        self.assertEqual(pids, {creator["pid"] for creator in finding["creators"]})
        self.assert_named(finding, told)
        self.assertNotIn(tracer.process.pid, [creator["pid"] for site in report["sites"] for creator in site["creators"]])

    def refused(self, *arguments):
        outcome = harness.run(harness.SOCKLEAK, "trace", *arguments, "-d", "1s")
        self.assertEqual((USAGE, b""), (outcome.returncode, outcome.stdout))
        self.assertRegex(outcome.stderr.decode(), r"\Asockleak: [^\n]+; [^\n]+\n\Z")
        return outcome.stderr.decode()

    def test_what_cannot_be_meant(self):
        self.assertIn("no cgroup2 group no/such", self.refused("-c", "no/such"))
        self.assertIn("not in the cgroup2 hierarchy: /etc", self.refused("-c", "/etc"))
        self.assertIn("no container", self.refused("--container", "0" * 64))
        self.assertIn("docker inspect", self.refused("--container", "my-web-server"))
        one, two = "deadbeef" * 8, "deadbee0" * 8
        with cgroup(self, f"sockleak-test/docker/{one}"), cgroup(self, f"sockleak-test/docker/{two}"):
            said = self.refused("--container", "deadbee")
            self.assertTrue(re.search(f"more than one.*{two[:16]}.*{one[:16]}", said), said)


if __name__ == "__main__":
    harness.main()
