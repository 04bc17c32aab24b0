"""``python -m tests.fuzz [--inputs 10000] [--seed 1]``: attack a receiver, print the counts; status 1 if it suffers."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import run


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), chosen.inputs, chosen.seed)
    print(report.text)
    return 0 if report.unharmed else 1


if __name__ == "__main__":
    sys.exit(main())
