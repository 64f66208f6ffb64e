"""Prints what each kernel's verifier made of each program, by compiler, from the logs of scripts/kernels: instructions
processed, or that it was refused. verifier_table.py NAME.log... Exits 1 if a kernel takes what one compiler made of a program
and not what the other one made of it."""

import pathlib
import re
import sys

LINE = re.compile(r"@ verifier (\w+) +(refused|[\d+]+|unknown)")
OBJECT = re.compile(r"@ verifier, object (\w+)\.(clang-\d+)\.bpf\.o")


def read(path):
    """(object, program, compiler) -> instructions, or "refused" """
    found, where = {}, None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if named := OBJECT.match(line):
            where = named[1], named[2]
        elif (told := LINE.match(line)) and where:
            count = told[2]
            # Newer kernels tell the parts' share one by one.
            found[where[0], told[1], where[1]] = str(sum(map(int, count.split("+")))) if count[0].isdigit() else count
    return found


def main():
    kernels = {path.stem: read(path) for path in map(pathlib.Path, sys.argv[1:])}
    kernels = {name: found for name, found in kernels.items() if found}
    if not kernels:
        return 0
    compilers = sorted({compiler for found in kernels.values() for _, _, compiler in found})
    columns = [(kernel, compiler) for kernel in kernels for compiler in compilers]
    programs = sorted({key[:2] for found in kernels.values() for key in found})
    print("Instructions that the verifier processed, by kernel and clang:")
    print(f"{'':38}" + "".join(f"{kernel + '/' + compiler.removeprefix('clang-'):>12}" for kernel, compiler in columns))
    disagree, last = [], None
    for where, program in programs:
        if where != last:
            print(where)
            last = where
        row = [kernels[kernel].get((where, program, compiler), "-") for kernel, compiler in columns]
        print(f"  {program:36}" + "".join(f"{cell:>12}" for cell in row))
        for kernel, found in kernels.items():
            verdicts = {found[key] == "refused" for key in found if key[:2] == (where, program)}
            if len(verdicts) > 1:
                disagree.append(f"{kernel}: {program} of {where}")
    for words in disagree:
        print(f"FAIL {words}: what one compiler made is refused, what the other made is not")
    return 1 if disagree else 0


if __name__ == "__main__":
    sys.exit(main())
