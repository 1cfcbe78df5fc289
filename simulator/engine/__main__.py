"""`python -m simulator.engine`: print the path of a usable engine; progress goes to stderr."""

import sys

from simulator.engine.install import engine
from simulator.processes import guarded

if __name__ == "__main__":
    sys.exit(guarded("engine", lambda: print(engine())))
