from __future__ import annotations

from tests.attacks.full_run import bundle as bundle
from tests.attacks.full_run import finished as finished
from tests.unit.chain_world import anvil as anvil
from tests.unit.chain_world import world as world
