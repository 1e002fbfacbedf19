"""python tether.py PARENT PROGRAM ARGUMENT...: becomes PROGRAM, which the system kills when PARENT ends.

A script of its own, since a process with threads, as Ray's are, may run nothing between fork and exec. Ray's processes keep
SIGINT from themselves, and Python ignores two signals: the program gets all as a shell would give them.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the line above
        sys.exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execv(program, sys.argv[2:])
    except OSError as error:
        sys.exit(f"{program} cannot be started: {error.strerror}\n  try: the same path on every node, as `make build` leaves it")
