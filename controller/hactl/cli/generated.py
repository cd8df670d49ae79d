"""Files that are generated and committed, all of them: `make gen` writes them, `make check` finds what is stale.

python -m hactl.cli.generated [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from hactl.adapters.generated import GENERATORS, main
from hactl.cli.reference import reference

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {**GENERATORS, "crds/REFERENCE.md": reference}, Path.cwd()))
