"""The options of the driver: its own, those of the program, and the edited defaults of the dataclasses."""

import json
import typing
from dataclasses import dataclass, field, fields
from typing import Any

from anneal_ray.failure import DriverError

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


def _option(help: str, default: Any = None) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class RayOptions:
    num_workers: int | None = _option("Workers, one process each. Default: one for each GPU of the cluster; without GPUs, one.")
    cpus_per_worker: int | None = _option(
        "CPUs that Ray sets aside for a worker. Default: 1 with a GPU, else as many as all workers can have."
    )
    placement_strategy: str = _option(f"How Ray places the workers on nodes: {', '.join(STRATEGIES)}.", "PACK")
    num_cpus: int | None = _option("CPUs of the local Ray that is started where no cluster runs. Default: this machine's.")
    start_timeout: int = _option("Seconds in which Ray must have started the workers; tried twice.", 120)
    health_timeout: int = _option("Seconds without an answer after which a worker counts as lost.", 600)
    shared_folder_timeout: int = _option("Seconds in which each worker must find the driver's file in --results_dir.", 60)


def help_text() -> str:
    lines = []
    for option in fields(RayOptions):
        default = "" if option.default is None else f"  [{option.default}]"
        lines.append(f"  --{option.name}{default}\n      {option.metadata['help']}")
    return "\n".join(lines)


def flag_name(argument: str) -> str | None:
    """The name that an argument of the form --name or --name=value gives."""
    return argument[2:].split("=", 1)[0].replace("-", "_") if argument.startswith("--") else None


def take_ray_options(arguments: list[str]) -> tuple[RayOptions, list[str]]:
    """The driver's own options, and the arguments of the program, in their order."""
    options, rest = RayOptions(), []
    kinds = typing.get_type_hints(RayOptions)
    remaining = iter(arguments)
    for argument in remaining:
        name = flag_name(argument)
        if name not in kinds:
            rest.append(argument)
            continue
        text = argument.split("=", 1)[1] if "=" in argument else next(remaining, None)
        setattr(options, name, _value(name, text))
    return options, rest


def _value(name: str, text: str | None) -> int | str:
    if text is None:
        raise DriverError(f"--{name}: a value is missing", f"give --{name} VALUE")
    if name == "placement_strategy":
        if text.upper() not in STRATEGIES:
            raise DriverError(f'--{name}: "{text}" is not one of {", ".join(STRATEGIES)}', "give one of them")
        return text.upper()
    if not text.isdecimal() or int(text) < 1:
        raise DriverError(f'--{name}: "{text}" is not a whole number of at least 1', "give a number")
    return int(text)


def _as_option(name: str, value: Any) -> Any:
    """A value of HFDatasetConfig as the program's options hold it: None is the text that stands for nothing."""
    if value is None:
        return "{}" if name == "hfdc_field_mapping" else ""
    return json.dumps(value) if name == "hfdc_field_mapping" else value


def _dataset_options(dataset: Any) -> dict[str, Any]:
    names = {f"hfdc_{option.name}": getattr(dataset, option.name) for option in fields(dataset)}
    return {name: _as_option(name, value) for name, value in names.items()}


def _is_same(name: str, value: Any, default: Any) -> bool:
    if name == "hfdc_field_mapping":
        return json.loads(value) == json.loads(default)
    return type(value) is type(default) and value == default


def edited_options(config: Any, defaults: dict[str, Any], arguments: list[str]) -> dict[str, Any]:
    """What the user has changed in the dataclasses, as a --config of the program. The rest is left to the program, for which
    an option that is given is not the same as one that is not."""
    dataset = _dataset_options(config.hf_dataset_config)
    edited = {name: value for name, value in dataset.items() if not _is_same(name, value, defaults.get(name))}
    if edited.keys() - {"hfdc_num_proc"}:
        edited = dataset  # one description of one dataset
        if any(flag_name(argument) == "hfdc_dataset_name" for argument in arguments):
            del edited["hfdc_dataset_config"], edited["hfdc_field_mapping"]  # they belong to the dataset that is not taken
    for option in fields(config):
        value = getattr(config, option.name)
        if option.name != "hf_dataset_config" and (option.name not in defaults or value != defaults[option.name]):
            edited[option.name] = value
    return edited
