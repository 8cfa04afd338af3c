"""How a service is to run: from a TOML file, then the environment, then the command line."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a service is to run.

    Attributes
    ----------
    url : str
        The store.
    anonymous_read : bool
        Whether one may read without a token.
    """

    url: str = "memory://"
    anonymous_read: bool = False
