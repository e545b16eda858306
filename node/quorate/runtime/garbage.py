"""How often the interpreter looks through all objects for cycles that nobody reaches any more.

A look at everything stops the loop for 0.1 to 0.4 us an object, and the interpreter takes one
whenever a quarter has been added to what it knew. A member begins with little, so ten thousand
clients that come at once cost it a handful of such looks of 10 to 80 ms, which find nothing:
members make no cycles as they work. A service may, so the looks stay, for every so many new
objects; those at young objects only, in which most cycles end, are as frequent as ever.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 700
"""More objects than before: the interpreter looks at these. CPython 3.12 has 700, 3.13 2,000."""
YOUNG_LOOKS: Final = 10
"""... and after so many looks also at what the last ones have kept. As there."""
LOOKS_AT_MIDDLE: Final = 100
"""... and after so many of those, 700,000 objects, at everything. It has 10 there."""


def settle() -> None:
    """Leave out of all further looks what is there now, and look at everything less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, LOOKS_AT_MIDDLE)
