"""The exit codes of the command."""

COMPLETED, FAILED, BAD_USAGE, PARTIAL, NEEDS_INPUT = range(5)
"""An interrupted command is partial at any moment; 130 is left to shells."""

OF_STATUS = {
    "completed": COMPLETED,
    "failed": FAILED,
    "partial": PARTIAL,
    "escalated": PARTIAL,
    "needs_input": NEEDS_INPUT,
}
