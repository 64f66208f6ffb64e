"""LEAK under check that the end of the interpreter hides: 15 sockets that nobody closes before it does (python3 -X dev prints a
ResourceWarning for each). As in a test suite that never closes its sessions.

    sockleak check -- python3 python_check.py    SUSPECT of 0.50 or more, or LEAK: 15 of 15 sockets, opened by open_probe(), reclaimed-late
"""

import socket

kept = []


def open_probe():
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # opened here
    probe.connect(("127.0.0.1", 9))
    kept.append(probe)


for _ in range(15):
    open_probe()
