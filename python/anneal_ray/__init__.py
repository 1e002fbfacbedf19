"""Runs `anneal train` as the workers of Ray Train. The driver places and watches them; a worker starts the program as its
child and passes on what that reports. Nothing here imports torch: the workers hold no memory of the GPU."""
