"""Converts a checkpoint to a folder that transformers, PEFT and vLLM load: `anneal convert` under its older name.

python convert_checkpoint_to_hf.py --base_model path/to/Qwen3-8B [--no_merge]; --help lists the flags.
"""

from anneal_program import become

if __name__ == "__main__":
    become("convert")
