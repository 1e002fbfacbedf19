"""Tests a checkpoint on the rows of a test file: `anneal test` under its older name.

python test_checkpoint.py --base_model path/to/Qwen3-8B [--max_samples 1024]; --help lists the flags.
"""

from anneal_program import become

if __name__ == "__main__":
    become("test")
