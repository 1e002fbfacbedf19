"""Losses and gradients of any causal language model by transformers and PEFT, for `anneal train --engine transformers`.

Reads one JSON object a line and answers each with one. The trained weights and their gradients (float32) lie in memory
that both programs share; the optimizer is the other one's.
"""

import json
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Any

TENSOR_ALIGNMENT = 16  # elements
FLOAT_BYTES = 4


class Refusal(Exception):
    """What a user can mend: the problem, where it is, the remedy."""

    def __init__(self, problem: str, where: str, remedy: str, kind: str = "usage") -> None:
        super().__init__(problem)
        self.answer = {"refusal": problem, "where": where, "remedy": remedy, "kind": kind}


def load_base(start: dict[str, Any]) -> "transformers.PreTrainedModel":
    """With float32 weights where they are trained or computed with; float16 has too narrow a range to compute in."""
    config = transformers.AutoConfig.from_pretrained(start["model"])
    stored = config.get_text_config().dtype
    wanted = {"fp32": torch.float32, "bf16": torch.bfloat16, None: stored}[start["base_dtype"]]
    whole = start["compute_dtype"] == "fp32" or start["lora"] is None or wanted != torch.bfloat16
    # The fused kernels of attention leave a cap of the scores out.
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None
    try:
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            start["model"],
            config=config,
            dtype=torch.float32 if whole else torch.bfloat16,
            attn_implementation="eager" if capped else None,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise Refusal(one_line(error), start["model"], "take a model that AutoModelForCausalLM loads", "model") from error
    if found["missing_keys"]:
        names = ", ".join(sorted(found["missing_keys"])[:3])
        raise Refusal(f"tensors are missing: {names}", start["model"], "take a complete model", "model")
    model.config.use_cache = False
    return model.to(start["device"])


def all_linear(model: "torch.nn.Module") -> dict[str, "torch.nn.Module"]:
    kinds = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def shape_of(linear: "torch.nn.Module") -> tuple[int, int]:
    """[out, in]."""
    out, into = linear.weight.shape
    return (out, into) if isinstance(linear, torch.nn.Linear) else (into, out)


def hits_of(targets: list[str], modules: list[str]) -> dict[str, int]:
    """PEFT's rule: the whole name, or its ending after a dot."""
    return {target: sum(name == target or name.endswith("." + target) for name in modules) for target in targets}


def add_adapter(model: "transformers.PreTrainedModel", start: dict[str, Any]) -> tuple["peft.PeftModel", dict[str, int]]:
    lora = start["lora"]
    if start["adapter"]:
        config = peft.PeftConfig.from_pretrained(start["adapter"])
        config.lora_dropout, config.inference_mode = lora["dropout"], False
        return peft.PeftModel.from_pretrained(model, start["adapter"], is_trainable=True, config=config), {}
    head = model.get_output_embeddings()
    modules = [name for name, module in all_linear(model).items() if module is not head]
    targets = lora["targets"]
    hits = {"all-linear": len(modules)} if targets == ["all-linear"] else hits_of(targets, modules)
    missing = [target for target, count in hits.items() if count == 0]
    if (missing and not lora["allow_missing_targets"]) or not any(hits.values()):
        endings = sorted({name.rsplit(".", 1)[-1] for name in modules})
        raise Refusal(
            f"no module of the model is named {', '.join(missing)}; it has {', '.join(endings)}",
            "--lora_target_modules",
            f"--lora_target_modules all-linear, or {','.join(endings)}",
        )
    torch.manual_seed(start["seed"])
    config = peft.LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules="all-linear" if targets == ["all-linear"] else targets,
        use_rslora=lora["use_rslora"],
        use_dora=lora["use_dora"],
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, config), hits


def as_stored(model: "transformers.PreTrainedModel") -> dict[str, "torch.Tensor"]:
    """By the names that files have, where they are not the model's own; of one that transformers 5 has cut or joined,
    another tensor."""
    if not hasattr(transformers, "core_model_loading"):
        return model.state_dict()
    return transformers.core_model_loading.revert_weight_conversion(model, model.state_dict())


def stored_names(folder: str) -> set[str]:
    names: set[str] = set()
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safetensors.safe_open(path, "pt") as file:
            names.update(file.keys())
    return names


def trained_parameters(model: "torch.nn.Module", start: dict[str, Any]) -> dict[str, "torch.nn.Parameter"]:
    """By the names that files have: PEFT's, or those of the model's own folder."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    saved = peft.get_peft_model_state_dict(model) if start["lora"] else as_stored(model)
    known = set(saved) if start["lora"] else stored_names(start["model"])
    names = {tensor.data_ptr(): name for name, tensor in saved.items() if name in known}
    odd = [name for name, parameter in trained.items() if parameter.data_ptr() not in names]
    if odd:
        raise Refusal(
            f"transformers trains tensors that its files hold otherwise, such as {odd[0]}",
            start["model"],
            "train an adapter: leave out --full_ft",
            "model",
        )
    return {names[parameter.data_ptr()]: parameter for parameter in trained.values()}


class Engine:
    def __init__(self, start: dict[str, Any]) -> None:
        torch.set_num_threads(start["threads"])
        self.device = start["device"]
        self.autocasts = start["compute_dtype"] == "bf16"
        base = load_base(start)
        head = base.get_output_embeddings()
        self.router_weight = getattr(base.config, "router_aux_loss_coef", 0)
        self.answer = {
            "num_parameters": base.num_parameters(),
            "num_layers": base.config.get_text_config().num_hidden_layers,
            "linear_shapes": [shape_of(module) for module in all_linear(base).values() if module is not head],
            "head_parameters": head.weight.numel(),
            "version": transformers.__version__,
            "hits": {},
        }
        self.model, self.recomputes = base, False
        self.base = base
        if start["lora"]:
            self.model, self.answer["hits"] = add_adapter(base, start)
        self.share(trained_parameters(self.model, start), start["memory"])

    def share(self, parameters: dict[str, "torch.nn.Parameter"], path: str) -> None:
        """Moves them into the shared memory: values, then gradients. A GPU gets copies of them."""
        self.parameters, self.values, self.gradients = list(parameters.values()), [], []
        places, total = [], 0
        for name, parameter in parameters.items():
            places.append({"name": name, "shape": list(parameter.shape), "first_element": total})
            total += math.ceil(parameter.numel() / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT
        os.truncate(path, 2 * total * FLOAT_BYTES)
        memory = torch.from_file(path, shared=True, size=2 * total, dtype=torch.float32)
        for place, parameter in zip(places, self.parameters, strict=True):
            first, count = place["first_element"], parameter.numel()
            value = memory[first : first + count].view_as(parameter)
            gradient = memory[total + first : total + first + count].view_as(parameter)
            value.copy_(parameter.detach())
            self.values.append(value)
            self.gradients.append(gradient)
            if self.device == "cpu":
                parameter.data, parameter.grad = value, gradient
        self.answer |= {"parameters": places, "gradients_at": total}

    def losses(self, sample: dict[str, Any]) -> tuple["torch.Tensor", "torch.Tensor", Any]:
        """The NLL of each trained token, whether it is the likeliest one, and the loss of routers or None."""
        ids = torch.tensor([sample["ids"]], device=self.device)
        rows = torch.tensor(sample["rows"], device=self.device)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.autocasts):
            output = self.model(input_ids=ids)
        logits, targets = output.logits[0, rows].float(), ids[0, rows + 1]
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        return losses, logits.argmax(dim=1) == targets, getattr(output, "aux_loss", None)

    def score(self, sample: dict[str, Any]) -> dict[str, Any]:
        self.take_values()
        self.model.eval()
        with torch.no_grad():
            losses, is_likeliest, _ = self.losses(sample)
        return {"nll": finite(losses.double().sum()), "exact": bool(is_likeliest.all())}

    def gradient(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Adds to the gradients those of the sample's loss times `scale`."""
        self.recompute(sample["recomputes"])
        self.take_values()
        self.model.train()
        if self.device != "cpu":  # what a sample that ran out of memory has left
            self.model.zero_grad(set_to_none=True)
        torch.manual_seed(sample["seed"])
        losses, _, of_routers = self.losses(sample)
        total = losses.sum()
        if of_routers is not None:
            total = total + self.router_weight * len(losses) * of_routers
        (total * sample["scale"]).backward()
        self.give_gradients()
        return {"nll": finite(total.double())}

    def recompute(self, wanted: bool) -> None:
        if wanted and not self.recomputes:
            self.base.gradient_checkpointing_enable({"use_reentrant": False})
        if self.recomputes and not wanted:
            self.base.gradient_checkpointing_disable()
        self.recomputes = wanted

    def take_values(self) -> None:
        if self.device == "cpu":
            return
        for parameter, value in zip(self.parameters, self.values, strict=True):
            parameter.data.copy_(value)

    def give_gradients(self) -> None:
        if self.device == "cpu":
            return
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is not None:
                gradient.add_(parameter.grad.to("cpu"))


def finite(number: "torch.Tensor") -> float | None:
    """JSON has no other numbers."""
    return number.item() if number.isfinite() else None


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)


def main() -> None:
    # What the libraries print must not get between the answers.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=output, flush=True)

    start = json.loads(sys.stdin.readline())
    global torch, transformers, peft, safetensors
    try:
        import peft
        import safetensors
        import torch
        import transformers
    except ImportError as error:
        return say({"missing": one_line(error)})
    warnings.simplefilter("ignore", FutureWarning)  # not a user's business
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        engine = Engine(start)
    except Refusal as refusal:
        return say(refusal.answer)
    say(engine.answer)
    for line in sys.stdin:
        sample = json.loads(line)
        try:
            say((engine.gradient if sample["wants_gradient"] else engine.score)(sample))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            say({"out_of_memory": one_line(error)})


if __name__ == "__main__":
    main()
