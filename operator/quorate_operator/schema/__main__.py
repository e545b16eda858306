"""``python -m quorate_operator.schema``: are the rendered files what the schema says?

With ``--write`` they are made so. Given in the root of the repository.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from quorate_operator.schema.definition import definition
from quorate_operator.schema.page import page
from quorate_operator.schema.reasons_page import page as reasons_page

_NOTE = "# Rendered by `python -m quorate_operator.schema --write` from operator/; do not edit.\n"


def rendered() -> dict[str, str]:
    """Return the text of each file, by its path in the repository."""
    crd = _NOTE + yaml.safe_dump(definition(), sort_keys=False, width=96, allow_unicode=True)
    return {
        "crds/quorate.io_clusterservices.yaml": crd,
        # Helm never upgrades a chart's folder crds/, so its template reads a copy.
        "charts/quorate/files/crds/quorate.io_clusterservices.yaml": crd,
        "docs/reference/clusterservice.md": page(),
        "docs/reference/reasons.md": reasons_page(),
    }


def main() -> int:
    """Compare or write; return the exit code, 1 if a file is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m quorate_operator.schema")
    parser.add_argument("--write", action="store_true", help="write the files that differ")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository")
    options = parser.parse_args()
    stale = [
        options.root / name
        for name, text in rendered().items()
        if not (options.root / name).is_file() or (options.root / name).read_text() != text
    ]
    for path in stale:
        if options.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rendered()[str(path.relative_to(options.root))])
        sys.stdout.write(f"{path}{' written' if options.write else ' is stale: --write'}\n")
    return 1 if stale and not options.write else 0


if __name__ == "__main__":
    sys.exit(main())
