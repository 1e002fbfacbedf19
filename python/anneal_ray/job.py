"""What the driver tells its workers, and the folder that they share."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    program: str
    arguments: tuple[str, ...]  # of `anneal train`
    working_folder: str  # the driver's, so that relative paths mean the same
    folder: Path  # on every node the same: logs, token, the request to stop
    token: str  # what a worker must find there
    launch_id: str  # equal in all attempts
    environment: dict[str, str]  # the driver's, as far as it is for the program
    cpus_per_worker: int
    use_gpu: bool
    master_addr: str | None
    master_port: int | None
    shared_folder_timeout: int

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def stop_file(self) -> Path:
        """Holds the number of the signal that the program is to get."""
        return self.folder / "stop"

    def output_file(self, rank: int) -> Path:
        return self.folder / f"rank-{rank}.log"

    def error_file(self, rank: int) -> Path:
        return self.folder / f"rank-{rank}.err"
