"""Reference implementations on transformers and PEFT: what anneal is compared with. Used by tests, demo and benchmark."""
