"""Holds reports against the schema: check_schema.py SCHEMA REPORT...

Also breaks each report in every required place and expects the schema to notice, so that a schema that accepts
everything fails the test. Exit status 77: python3-jsonschema is not installed.
"""
import copy
import json
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError as error:
    print(f"cannot check the schema: {error} (Debian: python3-jsonschema)")
    sys.exit(77)

# Marked optional in the contract.
OPTIONAL = {"caller_why", "goroutine_ancestors", "goroutine_ancestors_why", "goroutine_created_at", "goroutines", "listener_created_at", "sites", "open_sockets", "actions"}


def without(document, path):
    broken = copy.deepcopy(document)
    node = broken
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    return broken


def keys(node, path=()):
    """The path of every key of the contract; what is below states, hooks and counters is data, not contract."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield path + (name,)
            if name not in ("states", "hooks", "counters"):
                yield from keys(value, path + (name,))
    elif isinstance(node, list) and node:
        yield from keys(node[0], path + (0,))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    failures = 0
    for name in sys.argv[2:]:
        with open(name, encoding="utf-8") as file:
            report = json.load(file)
        for error in validator.iter_errors(report):
            print(f"{name}: {error.json_path}: {error.message}")
            failures += 1
        for path in keys(report):
            if path[-1] not in OPTIONAL and validator.is_valid(without(report, path)):
                print(f"{name}: the schema does not require {'.'.join(map(str, path))}")
                failures += 1
    return 1 if failures else 0


sys.exit(main())
