"""How much stack the functions of a BPF object need that call one another: stack_depth.py OBJECT... Kernels allow 512 bytes,
each function's rounded up to 32 (check_max_stack_depth(), kernel/bpf/verifier.c); those that give programs a stack of their
own (6.13, x86) no longer notice, the older ones refuse. Exits 1 if there is more."""

import pathlib
import struct
import sys

LIMIT, ROUND = 512, 32
FRAME = 10  # the register that points to a function's frame


def sections(data):
    (offset,) = struct.unpack_from("<Q", data, 40)
    size, count, names_at = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
    return headers, names_at


def functions(data, headers):
    """(section, offset) -> (name, size), and what each symbol stands for."""
    symbols, found = [], {}
    for header in headers:
        if header[1] != 2:  # SHT_SYMTAB
            continue
        strings = headers[header[6]][4]
        for at in range(header[4], header[4] + header[5], 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", data, at)
            end = data.index(b"\0", strings + name)
            symbols.append((section, value))
            if info & 15 == 2:  # STT_FUNC
                found[section, value] = (data[strings + name:end].decode(), size)
    return found, symbols


def relocations(data, headers, symbols):
    """(section, offset of an instruction) -> the place it refers to."""
    found = {}
    for header in headers:
        if header[1] != 9:  # SHT_REL
            continue
        for at in range(header[4], header[4] + header[5], 16):
            offset, info = struct.unpack_from("<QQ", data, at)
            found[header[7], offset] = symbols[info >> 32]
    return found


def look(code, section, begin, moved):
    """The depth of one function's frame, and the places that it calls."""
    depth, calls, copies = 0, set(), set()
    at = 0
    while at < len(code):
        opcode, registers, offset, immediate = struct.unpack_from("<BBhi", code, at)
        target, source = registers & 15, registers >> 4
        kind = opcode & 7
        if (kind in (2, 3) and target == FRAME) or (kind == 1 and source == FRAME):  # ST, STX; LDX
            depth = max(depth, -offset)
        elif opcode == 0xbf:  # mov
            copies.discard(target)
            if source == FRAME:
                copies.add(target)
        elif opcode == 0x07 and target in copies:  # add
            depth = max(depth, -immediate)
            copies.discard(target)
        elif opcode == 0x85 and source == 1:  # a call of a function of the object
            place = moved.get((section, begin + at))
            if place is None:
                calls.add((section, begin + at + 8 * (immediate + 1)))
            else:
                calls.add((place[0], place[1] + 8 * (immediate + 1)) if place[1] == 0 and immediate != -1 else place)
        at += 16 if opcode == 0x18 else 8  # ld_imm64 has two
    return depth, calls


def deepest(place, looked, names):
    depth, calls = looked[place]
    below = max((deepest(call, looked, names) for call in calls if call in looked), default=(0, []))
    return -(-max(depth, 1) // ROUND) * ROUND + below[0], [f"{names[place][0]} {depth}", *below[1]]


def main():
    failed = False
    for path in map(pathlib.Path, sys.argv[1:]):
        data = path.read_bytes()
        headers, _ = sections(data)
        names, symbols = functions(data, headers)
        moved = relocations(data, headers, symbols)
        looked = {(section, begin): look(data[headers[section][4] + begin:headers[section][4] + begin + size], section, begin, moved)
                  for (section, begin), (_, size) in names.items()}
        called = {call for _, calls in looked.values() for call in calls}
        roots = sorted((deepest(place, looked, names) for place in looked if place not in called), reverse=True)
        print(f"{path.name}: {len(looked)} functions, at most {roots[0][0]} of {LIMIT} bytes: {', '.join(roots[0][1])}")
        for depth, chain in roots:
            if depth > LIMIT:
                print(f"FAIL {depth} bytes: {', '.join(chain)}")
                failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
