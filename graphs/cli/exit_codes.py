"""The exit codes of the command, and the environment variable with which unexpected errors show where they arose."""

TRACEBACK = "PODIUM_TRACEBACK"

COMPLETED, FAILED, BAD_USAGE, PARTIAL, NEEDS_INPUT = range(5)
"""An interrupted command is partial at any moment; 130 is left to shells."""

OF_STATUS = {
    "completed": COMPLETED,
    "failed": FAILED,
    "partial": PARTIAL,
    "escalated": PARTIAL,
    "needs_input": NEEDS_INPUT,
}
