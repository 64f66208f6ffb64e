"""Reports against the truth: what of a report is right, and the tables."""

import collections
import dataclasses
import statistics

import running

# Ten seconds are too short for more; and of what nobody has seen born and used, nothing tells the idle ones from a pool's.
SUSPICION_IS_ENOUGH = tuple(mode for mode in running.MODES if mode.startswith("10s") or mode.endswith("before"))
ACCUSED = ("leak", "inherited", "ownerless")


@dataclasses.dataclass
class Score:
    job: object
    leaked: int
    outcome: str  # leak: found, suspected, missed, few; innocent: clean, suspect, alarm
    wrong: list  # findings that accuse who has done nothing
    findings: list  # (confidence, true) of everything that is a leak or a suspect
    best: float
    counted: float  # the share of the leaked sockets that the right findings count
    complete: bool


def stacks(finding):
    yield finding.get("created_at") or {}
    yield finding.get("goroutine_created_at") or {}
    for ancestor in finding.get("goroutine_ancestors") or ():
        yield ancestor.get("stack") or {}


def lines_of(finding):
    return {f"{(frame.get('file') or '').rsplit('/', 1)[-1]}:{frame.get('line')}"
            for stack in stacks(finding) for frame in stack.get("frames") or ()}


def is_true(finding, program, opened, leaked):
    """Whether this finding is the program's leak."""
    if program.label != "leak" or leaked == 0:
        return False
    if finding["origin"] == "before-attach":  # no stack: as many as there are, or fewer
        return finding["leaked"] <= leaked * 1.2 + 2
    if lines_of(finding) & opened:
        return True
    # Whether a datagram or unix socket counts as connected is the runtime's business.
    alike = ("accept",) if program.origin == "accept" else ("connect", "socket")
    return not program.names and finding["origin"] in alike


def show(finding):
    frames = (finding.get("created_at") or {}).get("frames") or ()
    place = next((f"{frame['function']} {(frame.get('file') or '').rsplit('/', 1)[-1]}:{frame['line']}" for frame in frames
                  if frame.get("line") and "corpus" in (frame.get("file") or "").lower()), finding["origin"])
    rules = "+".join(rule["rule"] for rule in finding["rules"])
    return f"{finding['verdict']} {finding['confidence']:.2f} {rules} {finding['leaked']}/{finding['created']} {place}"


def score(job, leaked, report, opened):
    judged = [one for one in report["findings"] if one["verdict"] in (*ACCUSED, "suspect")]
    truths = [is_true(one, job.program, opened, leaked) for one in judged]
    right = [one for one, true in zip(judged, truths) if true]
    wrong = [one for one, true in zip(judged, truths) if not true and one["verdict"] in ACCUSED]
    suspects = [one for one, true in zip(judged, truths) if not true and one["verdict"] == "suspect" and one["confidence"] >= 0.5]
    hit = any(one["verdict"] in (*ACCUSED, *job.program.verdicts) for one in right)
    if job.program.label == "innocent":
        outcome = "alarm" if wrong else "suspect" if suspects else "clean"
    elif hit:
        outcome = "found"
    elif leaked < job.program.few:
        outcome = "few"
    else:
        outcome = "suspected" if right else "missed"
    return Score(job, leaked, outcome, [show(one) for one in wrong + suspects],
                 [(one["confidence"], true) for one, true in zip(judged, truths)],
                 max((one["confidence"] for one in right), default=0.0),
                 sum(one["leaked"] for one in right) / leaked if leaked else 0.0, report["completeness"]["complete"])


def ratio(part, whole):
    return f"{part / whole:.2f}" if whole else "-"


def median(shares):
    return f"{statistics.median(shares):.2f}" if shares else "-"


def mode_row(mode, scores):
    count = collections.Counter(one.outcome for one in scores)
    alarms = sum(1 for one in scores if any(not text.startswith("suspect") for text in one.wrong))
    found = count["found"]
    got = found + sum(one.outcome == "suspected" and one.job.mode in SUSPICION_IS_ENOUGH for one in scores)
    leaks = found + count["suspected"] + count["missed"]
    return [mode, len(scores), leaks, sum(count[one] for one in ("alarm", "suspect", "clean")), ratio(found, found + alarms),
            ratio(got, leaks), median([one.counted for one in scores if one.outcome == "found"]), count["suspected"], count["missed"], alarms, count["suspect"], count["few"],
            sum(not one.complete for one in scores)]


HEAD = ["mode", "runs", "leaks", "innocent", "precision", "recall", "counted", "suspected", "missed", "false alarms", "innocent suspects",
        "few", "incomplete"]


def table(head, rows):
    rows = [head, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def by_mode(scores, modes):
    rows = [mode_row(mode, mine) for mode in modes if (mine := [one for one in scores if one.job.mode == mode])]
    if len(rows) > 1:
        rows.append(mode_row("all", scores))
    return table(HEAD, rows)


def calibration(scores):
    bins = collections.defaultdict(list)
    for one in scores:
        for confidence, true in one.findings:
            bins[min(int(confidence * 10 + 1e-9), 9)].append((confidence, true))
    rows = [[f"{low / 10:.1f} .. {(low + 1) / 10:.1f}", len(inside), f"{sum(c for c, _ in inside) / len(inside):.2f}",
             ratio(sum(true for _, true in inside), len(inside))] for low, inside in sorted(bins.items())]
    return table(["confidence", "findings", "mean", "truly leaks"], rows)


def names(scores):
    lines = []
    for outcome, title in (("alarm", "false alarms"), ("suspect", "innocent, but suspected"), ("missed", "missed"),
                           ("suspected", "only suspected")):
        chosen = [one for one in scores if one.outcome == outcome]
        if chosen:
            lines.append(f"{title}:")
        lines += [f"  {one.job.name} ({one.job.shape}, leaked {one.leaked})" + "".join(f"\n      {text}" for text in one.wrong)
                  for one in chosen]
    beside = [one for one in scores if one.job.program.label == "leak" and one.wrong]
    if beside:
        lines.append("accused or suspected beside a leak:")
        lines += [f"  {one.job.name}" + "".join(f"\n      {text}" for text in one.wrong) for one in beside]
    return "\n".join(lines)
