"""A run that starts again from a point: what runs again, and what is kept."""

import json
import signal

import pytest

from graphs.cli.exit_codes import BAD_USAGE, COMPLETED
from tests.office import Office, clean, latest, listed
from tests.processes import Processes


@pytest.mark.parametrize("pattern", ["planner", "orchestrator"])
def test_a_fork_runs_a_step_and_what_needs_it_again(processes: Processes, pattern: str) -> None:
    with Office() as office:
        processes.podium("Do it", "--pattern", pattern, **office.environment)
        run = latest(processes)
        points = processes.podium("fork", run).out
        office.asked.clear()
        done = clean(processes.podium("fork", run, "--at", "one", **office.environment))
        asked = sorted(office.asked)
        spent = json.loads(processes.podium("show", latest(processes), "--json").out)["usage"]["calls"]
        whole = json.loads(processes.podium("show", run, "--json").out)["usage"]["calls"]
    assert "one, two, and the answer" in points
    assert (done.code, done.out) == (COMPLETED, "The *final* answer\n")
    assert "kept: three" in done.told
    assert [name for name in asked if name != "reviewer"] == ["one", "synthesizer", "two"]
    assert len(listed(processes)) == 2
    assert spent == whole
    assert f"copy of {run} from one on" in processes.podium("show", latest(processes)).out


def test_a_fork_at_a_node_runs_it_and_what_came_after(processes: Processes) -> None:
    with Office() as office:
        processes.podium("Do it", "--pattern", "planner", **office.environment)
        run = latest(processes)
        office.asked.clear()
        done = clean(processes.podium("fork", run, "--at", "synthesize", "--quiet", **office.environment))
        assert (done.code, done.out, done.told) == (COMPLETED, "The *final* answer\n", "")
        assert office.asked == ["synthesizer"]
        unknown = processes.podium("fork", run, "--at", "nowhere", **office.environment)
    assert (unknown.code, "it can at: plan, check, approve, execute" in unknown.told) == (BAD_USAGE, True)


def test_a_stopped_run_is_forked_with_what_it_had_finished(processes: Processes) -> None:
    with Office(slow="two") as office:
        one = processes.start("Do it", "--pattern", "planner", **office.environment)
        one.until("two: running")
        one.until("three: completed")
        one.send(signal.SIGKILL)
        one.wait()
        run = latest(processes)
    with Office() as office:
        done = clean(processes.podium("fork", run, "--at", "three", **office.environment))
        assert (done.code, sorted(office.asked)) == (COMPLETED, ["synthesizer", "three", "two"])
