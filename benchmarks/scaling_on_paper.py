"""Steps of FULL_SHARD on H100s, on paper: computation, bytes, and what of the bytes hides behind the computation.

Nothing here was measured on a GPU. Bytes are by the formulas that bench_sharding.py holds against the wire; computation is
FLOPs at a stated utilisation. A gathering hides behind the layer before it, a reduction behind the layer after it: the first
gathering and the last reduction of a pass are waited for, and what all of them take longer than the computation.
"""

from dataclasses import dataclass

PEAK, UTILISATION = 989e12, 0.45  # dense bf16 FLOP/s of an H100 SXM, and what good training reaches
NVLINK, NETWORK = 300e9, 320e9  # bytes/s that a gathering gets: in a node; over nodes, 8 x 400 Gb/s each, at 80 %
TOKENS = 8192  # of a micro-batch on each GPU, in samples of 2048
SAMPLE, LORA_RANK = 2048, 32
SHARDED = 4 + 8 + 4  # bytes of a trained weight: master, moments, gradient


@dataclass
class Shape:
    name: str
    hidden: int
    wide: int
    layers: int
    kv: int
    vocab: int

    def layer(self) -> int:
        return 2 * self.hidden**2 + 2 * self.hidden * self.kv + 3 * self.hidden * self.wide

    def lora(self) -> int:
        sums = 4 * self.hidden + 2 * (self.hidden + self.kv) + 3 * (self.hidden + self.wide)
        return LORA_RANK * sums

    def parameters(self) -> int:
        return self.layers * self.layer() + 2 * self.vocab * self.hidden


LLAMA_8B = Shape("8B", 4096, 14336, 32, 1024, 128256)
LLAMA_70B = Shape("70B", 8192, 28672, 80, 1024, 128256)


def line(shape: Shape, full: bool, gpus: int) -> str:
    share = (gpus - 1) / gpus
    bandwidth = NVLINK if gpus <= 8 else NETWORK
    trained = shape.parameters() if full else shape.layers * shape.lora()
    a_layer = share * 2 * (shape.layer() + (0 if full else shape.lora())) / bandwidth
    ends = share * 2 * 2 * shape.vocab * shape.hidden / bandwidth
    gathered = 2 * shape.layers * a_layer + ends
    reduced = share * 4 * trained / bandwidth
    flops = (6 if full else 4) * shape.layers * shape.layer() * TOKENS + 6 * (0 if full else trained) * TOKENS
    flops += (6 if full else 4) * shape.vocab * shape.hidden * TOKENS / 2  # the head, on the half that is trained
    flops += 3 * 4 * shape.hidden * shape.layers * TOKENS * SAMPLE / 2
    compute = flops / (PEAK * UTILISATION)
    last = share * 4 * (shape.vocab * shape.hidden if full else shape.lora()) / bandwidth
    waited = max(0.0, gathered + reduced - compute) + a_layer + ends / 2 + last
    held = (shape.parameters() * SHARDED if full else shape.parameters() * 2 + trained * SHARDED) / gpus
    held += 2 * 2 * shape.layer() + 2 * shape.vocab * shape.hidden + (4 * shape.vocab * shape.hidden if full else 0)
    held += 4 * (shape.layer() if full else shape.lora())  # of the layer at work, while those before it are summed
    kept = TOKENS * shape.layers * shape.hidden * 2
    sent = (gathered + reduced) * bandwidth
    return (f"| {shape.name} {'full' if full else 'LoRA'} | {gpus} | {held / 1e9:.0f} + {kept / 1e9:.0f} GB | {sent / 1e9:.0f} GB | "
            f"{compute:.2f} s | {waited:.2f} s | {gpus * TOKENS / (compute + waited):,.0f} | {100 * compute / (compute + waited):.0f} % |")  # fmt: skip


def main() -> None:
    print("| | GPUs | held + activations | sent | computation | waiting | tokens/s | of what computation alone allows |\n|---|---|---|---|---|---|---|---|")
    for shape, full in ((LLAMA_8B, False), (LLAMA_8B, True), (LLAMA_70B, False)):
        for gpus in (8, 32, 64):
            print(line(shape, full, gpus))


if __name__ == "__main__":
    main()
