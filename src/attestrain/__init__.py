"""Training on machines nobody has to trust, with a bundle that anyone can check offline.

The packages, from the bottom up: ``record`` (what is claimed), ``rules`` and ``update`` (what follows from it),
``appraise`` and ``verify`` (whether it holds), then the engines ``corpus``, ``train``, ``store`` and ``replay``, and on
top ``run``, ``report`` and ``cli``. Imports only point down.
"""

from __future__ import annotations

__version__ = "0.1.0"
