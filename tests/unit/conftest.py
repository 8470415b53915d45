from __future__ import annotations

from tests.unit.chain_world import anvil as anvil
from tests.unit.chain_world import world as world
