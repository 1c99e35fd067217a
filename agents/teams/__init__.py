"""Teams of agents.

default      the default team
toml_file    teams from TOML files
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.teams.default import load_team, team

__all__ = ["load_team", "team"]

__getattr__ = lazily(__name__)
