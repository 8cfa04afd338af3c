"""Deploying constants that lie in a repository, or that a list of numbers says.

Each module finds constants, and says what is missing: `constants` and `geometries` in LCLS-I's
repositories, `jungfrau_gains` by panel, `common_modes` from parameters. What they find is
`Ready`; a `Plan` says where it goes, what changes by it, and does it.
"""

from cdb.deploy.detectors import Asked
from cdb.deploy.plan import Change, Plan
from cdb.deploy.ready import Ready

__all__ = ["Asked", "Change", "Plan", "Ready"]
