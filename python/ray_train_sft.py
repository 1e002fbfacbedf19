"""Fine-tunes a model under Ray Train: `anneal train` on every worker.

python ray_train_sft.py --hf_model_id path/to/Qwen3-8B [--num_workers 8]; --help lists the flags. Every option is also a field
of Config: another default there counts wherever its flag is not given.
"""

import sys
from dataclasses import dataclass, field
from typing import Optional

from anneal_ray.driver import main
from dataset_module import HFDatasetConfig


@dataclass
class Config:
    # begin: made by tools/make_docs from the options of `anneal train`
    hf_dataset_config: HFDatasetConfig = field(
        default_factory=lambda: HFDatasetConfig(
            dataset_name="cognitivecomputations/dolphin",
            dataset_config="flan1m-alpaca-uncensored",
            field_mapping={"instruction": "instruction", "input": "input", "output": "output"},
        )
    )
    # The model: a folder with config.json, safetensors weights and tokenizer.json, or the id of a model on the Hugging Face
    # hub.
    hf_model_id: str = "Qwen/Qwen3-8B"
    # Branch, tag or commit of a model on the hub.
    hf_model_revision: str = "main"
    # What frozen weights are held in; auto: as stored, float16 becoming float32. With --full_ft, what the trained weights
    # are saved in.
    base_dtype: str = "auto"
    # What layers multiply in; auto: bf16 where the device has bf16 instructions.
    compute_dtype: str = "auto"
    # Where to run; auto: on the GPU where there is one, otherwise on the processor.
    device: str = "auto"
    # Train all weights instead of a LoRA adapter.
    full_ft: bool = False
    # Rank of the adapter.
    lora_rank: int = 32
    # The update is scaled by alpha / rank (see --use_rslora).
    lora_alpha: float = 32.0
    # Drop probability on the adapter's input, in training only.
    lora_dropout: float = 0.1
    # Modules to adapt: names or path endings, separated by commas; all-linear takes every linear layer but the output head.
    lora_target_modules: str = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
    # Go on where a target name hits no module.
    allow_missing_targets: bool = False
    # Start from this PEFT adapter folder instead of a fresh adapter; its rank, alpha, targets and kind count.
    init_adapter: Optional[str] = None
    # rsLoRA: the update is scaled by alpha / sqrt(rank).
    use_rslora: bool = False
    # DoRA: the length of each row of an adapted weight is trained apart from its direction. Slower, most of all with
    # --lora_dropout above 0.
    use_dora: bool = False
    # NAME or NAME:WEIGHT, once for each of several datasets, in the place of hfdc_dataset_name; the other flags are for all
    # of them. Weights are shares of the training rows; without any, all rows of all datasets are taken once.
    data: list[str] = field(default_factory=lambda: [])
    # The folder of training.jsonl, validation.jsonl and test.jsonl. Files that lie there are used; default: a folder under
    # datasets/ named after dataset, config and ratios.
    data_dir: str = ""
    # Seed of the split. Default: seed.
    split_seed: Optional[int] = None
    # Backslash sequences in templates: newline reads \n and \\ only, c also \t \r \" \uXXXX and refuses others, none leaves
    # all as they are.
    template_escapes: str = "newline"
    # Build the data again even where it is ready.
    force_data: bool = False
    # How many rows that cannot be read may be left out.
    skip_bad_rows: int = 0
    # Keep rows whose output columns are all empty.
    keep_empty_output: bool = False
    # Never use the network; HF_HUB_OFFLINE=1 says the same.
    offline: bool = False
    # Tokens of prompt, output and end of sequence together. The default clamps to the model's limit; a larger explicit value
    # is an error.
    max_seq_length: int = 2048
    # Append the end-of-sequence token to each output and train it.
    add_eos: bool = True
    # The end-of-sequence token to append. Default: the tokenizer's own.
    eos_token: Optional[str] = None
    # What to do with a prompt that leaves no room for an output.
    long_prompt: str = "drop"
    # What to do where prompt and output together are too long: cut the output, without end of sequence, or drop the sample.
    on_overlong_output: str = "truncate"
    # Text in the data that looks like a special token becomes that token. --no_special_in_text encodes it as plain text.
    special_in_text: bool = True
    # Optimizer steps; 0 evaluates only.
    max_steps: int = 10000
    # Passes over the training data; the other way to give the length.
    num_train_epochs: Optional[str] = None
    # Samples; times gradient_accumulation_steps it is the number of samples of one optimizer step.
    per_device_train_batch_size: int = 2
    # See per_device_train_batch_size. The loss is normalised over the whole step, so only the product counts.
    gradient_accumulation_steps: int = 4
    # Accepted for the sake of other tools' command lines: evaluation is cut by micro_batch_tokens, and its result depends on
    # neither.
    per_device_eval_batch_size: int = 2
    # Peak learning rate.
    learning_rate: float = 5e-05
    # The schedule ends at this learning rate.
    min_learning_rate: float = 1e-06
    # AdamW's decoupled decay; not on biases and norms.
    weight_decay: float = 0.01
    # Share of the steps in which the learning rate rises from 0.
    warmup_ratio: float = 0.03
    # Gradients are scaled down to this norm; 0 turns clipping off.
    max_grad_norm: float = 1.0
    # The schedule after the warm-up.
    lr_scheduler_type: str = "cosine"
    # Log every so many steps, and at the first and the last.
    logging_steps: int = 10
    # Evaluate every so many steps, and at the last.
    eval_steps: int = 100
    # Evaluate on the first so many validation rows.
    max_eval_samples: Optional[int] = None
    # Stop after so many evaluations without an improvement; 0 turns it off.
    early_stopping_patience: int = 3
    # An improvement is larger than this.
    early_stopping_threshold: float = 0.001
    # What a gain is measured against: the best loss so far, or (anchor) the one of the last gain that counted.
    early_stopping_reference: str = "best"
    # Seeds the split, the initial adapter, the order of samples and dropout.
    seed: int = 16257
    # Reckon activations again in the backward pass: on for all layers, off for none, auto for those that do not fit into
    # memory.
    gradient_checkpointing: str = "auto"
    # The samples of a step are cut into padding-free micro-batches of at most so many tokens; auto: what fits. Changes speed
    # and memory, not the result.
    micro_batch_tokens: str = "auto"
    # On a loss or gradient that is not finite: stop, or skip the step (at most 3 in a row).
    nan_policy: str = "stop"
    # Threads that tokenize; 0 is one. The result is the same.
    dataloader_num_workers: int = 4
    # Accepted for the sake of other tools' command lines; no effect.
    remove_unused_columns: bool = False
    # Accepted for the sake of other tools' command lines; no effect.
    use_liger_kernel: bool = False
    # Who computes losses and gradients: native, this program, for the model families it has; transformers, a Python process
    # with transformers and PEFT, for any other causal language model. Slower.
    engine: str = "native"
    # What several processes hold: full, each a part of weights, gradients and optimizer state, gathered layer by layer;
    # none, each all of them; auto, full where all of them do not fit.
    sharding: str = "auto"
    # Processes of this machine that work together.
    num_workers: int = 1
    # Machines that work together; each is given the same command with its own --node_rank.
    num_nodes: int = 1
    # Which of the machines this one is, from 0.
    node_rank: int = 0
    # Name or address of machine 0, as the others reach it.
    master_addr: Optional[str] = None
    # A port of machine 0 at which the processes meet. Default, on one machine: a free one.
    master_port: Optional[int] = None
    # How often all processes are started again, to go on from what is saved, after one of several has died or hung.
    max_failures: int = 2
    # A run lives in <results_dir>/<run_name>.
    results_dir: str = "results"
    # Default: the name of the model's folder, or its id.
    run_name: Optional[str] = None
    # Where a run of this name lies there already, take <run_name>-2.
    new_run: bool = False
    # auto goes on with the run that lies there, from its newest state that holds; none never does; the path of a state
    # (resume/step-<step> or checkpoint-<step>) goes on from that one, also with another recipe.
    resume: str = "auto"
    # Save a state to resume from every so many steps, and at the end; the newest two stay. 0: at the end and on a signal
    # alone.
    save_steps: int = 100
    # How many checkpoints stay; the best always does.
    save_total_limit: int = 2
    # TensorBoard files go to <logging_dir>/<run_name>. Default: <run>/logs.
    logging_dir: Optional[str] = None
    # Who gets the metrics beside log.jsonl: tensorboard, wandb, mlflow, separated by commas, or none.
    report_to: str = "tensorboard"
    # Report to wandb too.
    use_wandb: bool = False
    # Start in spite of what the checks of samples and disk space refuse.
    force: bool = False
    # Do all that comes before the first step (model, data, memory, the plan of a step), say it, and stop. No run is made or
    # changed; prepared data stay.
    dry_run: bool = False
    # Seconds in which all processes have to be there at the start.
    rendezvous_timeout: int = 600
    # A process that has given no sign of life for so many seconds is lost: the others end.
    heartbeat_timeout: int = 15
    # A process that has made no progress for so many seconds ends, and says where it stood; before the first step four times
    # as many.
    collective_timeout: int = 1800
    # Say warnings and errors alone; results are written all the same.
    quiet: bool = False
    # How lines are said; json: one object a line, with "time", "level" and "message", and the figures of log.jsonl as they
    # are.
    log_format: str = "text"
    # end: made by tools/make_docs


if __name__ == "__main__":
    sys.exit(main(Config()))
