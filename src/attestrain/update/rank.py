"""How many components an update needs: DiLoCoX's adaptive compression (arXiv 2506.21263, AdaGradCmp)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def effective_rank(spectrum: Sequence[Fraction], share: Fraction) -> int:
    """Smallest number of leading components that hold ``share`` of the sum of all.

    Args:
        spectrum: squared norms of the components, descending.
        share: above 0, at most 1.

    Returns:
        At least 1, also for no components and for zeros.
    """
    wanted, held = share * sum(spectrum, start=Fraction(0)), Fraction(0)
    for number, squared in enumerate(spectrum, start=1):
        held += squared
        if held >= wanted:
            return number
    return 1


def next_rank(estimates: Sequence[int], current: int, window: int) -> int:
    """Rank of the next round: the mean of the last ``window`` estimates, rounded up, but never more than ``current``.

    With fewer estimates the rank stays.
    """
    if len(estimates) < window:
        return current
    return min(current, -(-sum(estimates[-window:]) // window))
