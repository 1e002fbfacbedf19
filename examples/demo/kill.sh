#!/usr/bin/env bash
# Kills the demo's training with SIGKILL while it saves, starts it again with the same command, and holds its adapter
# against that of a run which nothing disturbed. About 2 minutes. DEMO_STEPS=N changes the length.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore
python=.venv/bin/python
out=demo-run
model=$out/models/SmolLM2-135M-Instruct
steps=${DEMO_STEPS:-24}
every=$((steps / 4))

title() { printf '\n== %s\n' "$*"; }

train() { # train NAME
  exec build/release/anneal train --hf_model_id "$model" --data_dir "$out/data" --results_dir "$out/results" \
    --run_name "$1" --config configs/demo_lora.json --max_steps "$steps" --save_steps "$every" \
    --eval_steps "$((2 * every))" --max_eval_samples 20
}

kill_while_saving() { # kill_while_saving STEP
  local run=$out/results/killed partial
  train killed &
  local pid=$!
  until partial=$(compgen -G "$run/resume/step-$1.tmp-*" | head -n 1) && [ -n "$partial" ]; do
    kill -0 "$pid" 2>/dev/null || { echo "the run ended before it saved step $1" >&2; return 1; }
    sleep 0.001
  done
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
  printf -- '-- killed while it wrote %s\n' "${partial#"$run"/}"
  printf -- '-- on the disk: %s\n' "$(cd "$run" && echo resume/*)"
}

mkdir -p "$out"
title "A model and some data"
$python examples/demo/make_model.py "$model"
$python examples/demo/make_data.py "$out/data"
rm -rf "$out/results/undisturbed" "$out/results/killed"

title "A run of $steps steps that nothing disturbs"
(train undisturbed)

title "The same run, killed while it saves step $every"
kill_while_saving "$every"
title "The same command again; killed while it saves step $((3 * every))"
kill_while_saving $((3 * every))
title "The same command again"
(train killed)

title "SHA-256 of both adapters"
adapter() { printf '%s/%s/%s/adapter_model.safetensors' "$out/results" "$1" "$(cat "$out/results/$1/best")"; }
sha256sum "$(adapter undisturbed)" "$(adapter killed)"
cmp "$(adapter undisturbed)" "$(adapter killed)" && echo "equal"
