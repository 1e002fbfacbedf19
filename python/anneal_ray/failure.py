"""How a worker's program ended, whether Ray may start the workers again, and what the driver's exit code is."""

from typing import Any

from ray.train import UserCallback
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError

# The program's exit codes, as its README lists them.
USAGE, DATA, MODEL, NUMERICAL, RESOURCES, PEERS, INTERRUPTED, TERMINATED = 2, 3, 4, 5, 6, 7, 130, 143
# Wrong options, data, models and numbers are so again the next time; who was asked to end shall not start again.
FINAL = (USAGE, DATA, MODEL, NUMERICAL, INTERRUPTED, TERMINATED)


class DriverError(Exception):
    """Ends the driver with a message."""

    def __init__(self, problem: str, remedy: str, code: int = USAGE):
        super().__init__(problem, remedy, code)
        self.code = code

    def __str__(self) -> str:
        return f"{self.args[0]}\n  try: {self.args[1]}"


class WorkerFailed(Exception):
    """Raised by a worker, and sent to the driver."""

    def __init__(self, rank: int, node: str, code: int, problem: str, last_lines: str = ""):
        super().__init__(rank, node, code, problem, last_lines)
        self.rank, self.code, self.last_lines = rank, code, last_lines

    def __str__(self) -> str:
        rank, node, _, problem, last_lines = self.args
        return f"rank {rank} on {node} {problem}" + (f":\n{last_lines}" if last_lines else "")


def end_text(return_code: int) -> str:
    return f"was killed by signal {-return_code}" if return_code < 0 else f"ended with exit code {return_code}"


def exit_code(return_code: int) -> int:
    """As a shell says it."""
    return 128 - return_code if return_code < 0 else return_code


def _raised(error: Any) -> BaseException:
    """What the worker's function raised; Ray wraps it."""
    return getattr(error, "_base_exc", error)


def root_cause(failures: list[BaseException]) -> BaseException:
    """The failure that the others followed: who lost its peers has not caused it."""
    own = [failure for failure in failures if isinstance(failure, WorkerFailed)]
    return next((failure for failure in own if failure.code != PEERS), (own or failures)[0])


class StopsWhatARestartDoesNotMend(UserCallback):
    """Runs in Ray's controller, which tries again after a worker's error, but not after one of a callback."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        cause = root_cause([_raised(error) for error in worker_exceptions.values()])
        if isinstance(cause, WorkerFailed) and cause.code in FINAL:
            raise cause


def cause_of(error: TrainingFailedError) -> BaseException:
    if isinstance(error, WorkerGroupError):
        return root_cause([_raised(failure) for failure in error.worker_failures.values()])
    return error.controller_failure if isinstance(error, ControllerError) else error
