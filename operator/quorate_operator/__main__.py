"""Starts the operator: ``python -m quorate_operator``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from quorate.errors import ConfigurationError
from quorate_operator import logs
from quorate_operator.assembly import operate
from quorate_operator.config import load

EXIT_CONFIGURATION = 2
LOGGER = logging.getLogger("quorate_operator")


def main(arguments: Sequence[str]) -> int:
    """Run the operator; return the exit code: 0 asked to end, 2 configuration, 75 lease lost."""
    logs.configure("info")
    if not __debug__:
        LOGGER.error("refusing to run under `python -O`: it removes checks that protect the data")
        return EXIT_CONFIGURATION
    try:
        config = load(arguments, os.environ)
        logs.configure(config.log_level)
        if config.kubeconfig:
            os.environ["KUBECONFIG"] = config.kubeconfig  # kopf looks nowhere else
        LOGGER.info("settings: %s", config)
        return asyncio.run(operate(config))
    except ConfigurationError as error:
        for problem in error.problems:
            LOGGER.error("%s", problem)  # noqa: TRY400 - the problem is the message
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
