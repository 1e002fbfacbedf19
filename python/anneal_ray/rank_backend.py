"""What Ray sets up beside the workers: nothing but the view of the GPUs that torchrun gives."""

from ray.train.backend import Backend, BackendConfig


class RankBackend(Backend):
    share_cuda_visible_devices = True  # LOCAL_RANK counts among the GPUs of all workers of a node


class RankBackendConfig(BackendConfig):
    @property
    def backend_cls(self) -> type[Backend]:
        return RankBackend
