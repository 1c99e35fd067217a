"""The graphs that langgraph.json exports: built with the default team, without a checkpointer and without a key."""

from agents import team
from graphs.planner import Planner

planner = Planner(team()).compile()
