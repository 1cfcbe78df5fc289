"""`python -m simulator.programs <name>`: print the path of a program; progress goes to stderr."""

import argparse
import sys

from simulator.golang.install import installed
from simulator.processes import guarded
from simulator.programs.registry import PROGRAMS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m simulator.programs", description=__doc__)
    parser.add_argument("name", choices=[*PROGRAMS])
    program = PROGRAMS[parser.parse_args().name]
    sys.exit(guarded(program.subject, lambda: print(installed(program))))
