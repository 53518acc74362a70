#!/usr/bin/env python3
"""Train the default model: a small LLaMA-architecture language model on public-domain novels.

Needs torch, numpy, sentencepiece and safetensors; runs on a CPU in float32.

The work directory receives the tokenizer, the encoded text and a checkpoint; the output directory
receives a Hugging Face model (bf16) and training.json, and only when training has ended.
The result depends on (text, seed, tokens, batch, threads) alone unless --deadline-minutes cut in;
training.json says which of the two ended the run.
"""
import argparse
import io
import json
import lzma
import math
import os
import pathlib
import time

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

EXAMPLE = """example:
  python3 tools/train_default_model.py --text books_train.txt.xz --heldout heldout_novel.txt \\
      --out models/novel-1m --work-dir /tmp/train-work --tokens 40e6 --deadline-minutes 105
  (the same with --resume continues from the last checkpoint)"""

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "bfloat16",
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "LlamaTokenizer",
    "add_bos_token": True,
    "add_eos_token": False,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "legacy": True,
}
HIDDEN, FFN = CONFIG["hidden_size"], CONFIG["intermediate_size"]
LAYERS, HEADS, KV_HEADS = (CONFIG[f"num_{n}"] for n in ("hidden_layers", "attention_heads", "key_value_heads"))
HEAD_DIM, VOCAB, CONTEXT = CONFIG["head_dim"], CONFIG["vocab_size"], CONFIG["max_position_embeddings"]
BOS = CONFIG["bos_token_id"]


# ---- model -----------------------------------------------------------------------------------
# q, k, v are one matrix here, and gate, up another: fewer, larger products. Export splits them.

def rope_tables():
    frequencies = CONFIG["rope_theta"] ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = torch.outer(torch.arange(CONTEXT).float(), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotary embedding in the Hugging Face layout: pairs are (i, i + head_dim / 2)."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]) * self.weight


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_norm, self.post_norm = RMSNorm(), RMSNorm()
        self.qkv = nn.Linear(HIDDEN, (HEADS + 2 * KV_HEADS) * HEAD_DIM, bias=False)
        self.o = nn.Linear(HEADS * HEAD_DIM, HIDDEN, bias=False)
        self.gate_up = nn.Linear(HIDDEN, 2 * FFN, bias=False)
        self.down = nn.Linear(FFN, HIDDEN, bias=False)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        qkv = self.qkv(self.input_norm(x)).view(batch, length, -1, HEAD_DIM).transpose(1, 2)
        qk, v = qkv.split([HEADS + KV_HEADS, KV_HEADS], dim=1)
        q, k = rotate(qk, cos, sin).split([HEADS, KV_HEADS], dim=1)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(attended.transpose(1, 2).reshape(batch, length, -1))
        gate, up = self.gate_up(self.post_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN)  # also the output layer
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = RMSNorm()
        for name, table in zip(("cos", "sin"), rope_tables()):
            self.register_buffer(name, table, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                into_residual = name.endswith(("o.weight", "down.weight"))
                std = p.shape[1] ** -0.5 / (math.sqrt(2 * LAYERS) if into_residual else 1)
                nn.init.normal_(p, std=0.02 if "embedding" in name else std)

    def forward(self, tokens):
        x = self.embedding(tokens)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.linear(self.norm(x), self.embedding.weight)

    def loss(self, inputs, targets, reduction="mean"):
        return F.cross_entropy(self(inputs).view(-1, VOCAB), targets.reshape(-1), reduction=reduction)


# ---- text ------------------------------------------------------------------------------------

def read_text(path):
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as f:
        return f.read()


def train_tokenizer(books, path):
    # A tenth of the text, spread evenly. No newline in the sample, so that "\n" stays out of the
    # pieces and is one byte token, <0x0A>, as in Llama.
    def sample():
        for book in books:
            for start in range(0, len(book), 20000):
                for line in book[start : start + 2000].split("\n"):
                    if line:
                        yield line

    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=sample(), model_writer=model, model_type="bpe", vocab_size=VOCAB,
        byte_fallback=True, split_digits=True, character_coverage=0.9995,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=True, allow_whitespace_only_pieces=True,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2)
    write_atomically(path, lambda f: f.write(model.getvalue()))


def write_atomically(path, write):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as f:
        write(f)
    os.replace(temporary, path)


def prepare(args):
    """Tokenizer and encoded training text, made once and kept in the work directory."""
    tokenizer_path, tokens_path = args.work_dir / "tokenizer.model", args.work_dir / "tokens.u16"
    if not tokens_path.exists():
        books = read_text(args.text).strip("\n").split("\n\n\n")
        if not tokenizer_path.exists():
            train_tokenizer(books, tokenizer_path)
        tokenizer = spm.SentencePieceProcessor(model_file=str(tokenizer_path))
        encoded = [np.array([BOS] + tokenizer.encode(book), dtype=np.uint16) for book in books]
        write_atomically(tokens_path, lambda f: f.write(np.concatenate(encoded).tobytes()))
    tokenizer = spm.SentencePieceProcessor(model_file=str(tokenizer_path))
    return tokenizer, np.memmap(tokens_path, dtype=np.uint16, mode="r")


class Windows:
    """Batches of contiguous windows; batch number -> content is a pure function of the seed."""

    def __init__(self, tokens, batch, seed):
        self.tokens, self.batch, self.seed, self.epoch = tokens, batch, seed, -1
        self.count = (len(tokens) - 1) // CONTEXT - 1  # leaves room for the epoch's offset

    def __call__(self, step):
        rows = []
        for index in range(step * self.batch, (step + 1) * self.batch):
            epoch, position = divmod(index, self.count)
            if epoch != self.epoch:
                rng = np.random.default_rng([self.seed, epoch])
                self.epoch, self.offset, self.order = epoch, rng.integers(CONTEXT), rng.permutation(self.count)
            start = self.offset + int(self.order[position]) * CONTEXT
            row = self.tokens[start : start + CONTEXT + 1].astype(np.int64)
            if index % 2 == 0:  # contexts that begin with <s> and contexts cut from the middle
                row[0] = BOS
            rows.append(row)
        rows = torch.from_numpy(np.stack(rows))
        return rows[:, :-1], rows[:, 1:]


# ---- evaluation ------------------------------------------------------------------------------

@torch.no_grad()
def heldout_loss(model, tokens, max_windows=None):
    """Nats per token over non-overlapping windows; every token but the first is predicted once."""
    total, count = 0.0, 0
    for start in range(0, len(tokens) - 1, CONTEXT)[:max_windows]:
        window = tokens[start : start + CONTEXT + 1]
        total += model.loss(window[None, :-1], window[None, 1:], reduction="sum").item()
        count += len(window) - 1
    return total / count, count


@torch.no_grad()
def prune_2_of_4(weight):
    """Keep the two largest magnitudes of every four consecutive inputs; ties keep the first."""
    groups = weight.view(weight.shape[0], -1, 4)
    kept = groups.abs().argsort(dim=-1, descending=True, stable=True)[..., :2]
    weight.mul_(torch.zeros_like(groups).scatter_(-1, kept, 1).view_as(weight))


def export(model, args, tokenizer, heldout, facts):
    """Write the Hugging Face directory and training.json, both about the bf16-rounded weights."""
    rounded = Llama()
    rounded.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    tensors = {"model.embed_tokens.weight": rounded.embedding.weight, "model.norm.weight": rounded.norm.weight}
    for i, block in enumerate(rounded.blocks):
        q, k, v = block.qkv.weight.split([HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM])
        gate, up = block.gate_up.weight.chunk(2)
        parts = {"input_layernorm": block.input_norm.weight, "post_attention_layernorm": block.post_norm.weight,
                 "self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v,
                 "self_attn.o_proj": block.o.weight,
                 "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": block.down.weight}
        tensors.update({f"model.layers.{i}.{name}.weight": t for name, t in parts.items()})
    tensors = {name: t.detach().bfloat16().contiguous() for name, t in tensors.items()}

    dense, predicted = heldout_loss(rounded, heldout)
    for block in rounded.blocks:
        for linear in (block.qkv, block.o, block.gate_up, block.down):
            prune_2_of_4(linear.weight)
    pruned, _ = heldout_loss(rounded, heldout)
    facts = facts | {
        "parameters": sum(p.numel() for p in model.parameters()),
        "heldout": args.heldout.name,
        "heldout_context": CONTEXT,
        "heldout_tokens": predicted,
        "heldout_nats_per_token": round(dense, 4),
        "heldout_perplexity": round(math.exp(dense), 3),
        "heldout_bits_per_byte": round(dense * predicted / math.log(2) / args.heldout.stat().st_size, 4),
        "magnitude_2_4_nats_per_token": round(pruned, 4),
        "magnitude_2_4_cost_nats": round(pruned - dense, 4),
    }

    args.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out / "model.safetensors", metadata={"format": "pt"})
    (args.out / "tokenizer.model").write_bytes(tokenizer.serialized_model_proto())
    for name, content in (("config", CONFIG), ("tokenizer_config", TOKENIZER_CONFIG), ("training", facts)):
        (args.out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(facts, indent=2), flush=True)


# ---- training --------------------------------------------------------------------------------

def learning_rate(progress, peak):
    """Linear warmup over 2 %, then cosine to a tenth of the peak."""
    if progress < 0.02:
        return peak * (progress + 1e-4) / (0.02 + 1e-4)
    return peak * (0.55 + 0.45 * math.cos(math.pi * (progress - 0.02) / 0.98))


def train(model, optimizer, state, windows, heldout, args):
    loss_of = torch.compile(model.loss) if args.compile else model.loss
    tokens_per_step = args.batch * CONTEXT
    deadline = args.deadline_minutes * 60 if args.deadline_minutes else math.inf
    began = time.monotonic() - state["seconds"]
    saved, logged, logged_step, loss_sum = time.monotonic(), time.monotonic(), state["step"], 0.0

    while True:
        state["seconds"] = time.monotonic() - began
        by_tokens = state["step"] * tokens_per_step / args.tokens
        by_time = 1.25 * state["seconds"] / deadline - 0.25  # lets a run that starts slowly catch up
        progress = max(by_tokens, by_time)
        done = progress >= 1
        if done or time.monotonic() - saved > args.checkpoint_minutes * 60:
            saved = time.monotonic()
            content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}
            write_atomically(args.work_dir / "checkpoint.pt", lambda f: torch.save(content, f))
        if done:
            return
        state["steps_set_by_deadline"] += by_time > by_tokens

        lr = learning_rate(progress, args.lr)
        for group in optimizer.param_groups:
            group["lr"] = lr
        inputs, targets = windows(state["step"])
        for part in range(0, args.batch, args.micro_batch):
            rows = slice(part, part + args.micro_batch)
            loss = loss_of(inputs[rows], targets[rows]) * (args.micro_batch / args.batch)
            loss.backward()
            loss_sum += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        state["step"] += 1

        if state["step"] % args.log_steps == 0:
            steps, seconds = state["step"] - logged_step, time.monotonic() - logged
            line = (f"step {state['step']} tokens {state['step'] * tokens_per_step / 1e6:.2f}M progress {progress:.4f} "
                    f"lr {lr:.2e} train {loss_sum / steps:.4f} {steps * tokens_per_step / seconds:.0f} tokens/s")
            if state["step"] % (5 * args.log_steps) == 0:
                line += f" heldout {heldout_loss(model, heldout, 48)[0]:.4f}"
            print(f"{line} at {(time.monotonic() - began) / 60:.1f} min", flush=True)
            logged, logged_step, loss_sum = time.monotonic(), state["step"], 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    path, count = pathlib.Path, lambda s: int(float(s))
    parser.add_argument("--text", type=path, required=True, help="training text, .txt or .txt.xz; two blank lines between books")
    parser.add_argument("--heldout", type=path, required=True, help="text that is never trained on")
    parser.add_argument("--out", type=path, required=True, help="model directory to write")
    parser.add_argument("--work-dir", type=path, required=True, help="tokenizer, encoded text and checkpoint")
    parser.add_argument("--tokens", type=count, default=40_000_000, help="tokens to train on (default 40e6)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=4e-3, help="peak learning rate (default 4e-3)")
    parser.add_argument("--batch", type=int, default=16, help="sequences per step (default 16)")
    parser.add_argument("--micro-batch", type=int, default=4, help="sequences per forward pass (default 4)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--deadline-minutes", type=float, help="decay the learning rate so as to end by then at the latest")
    parser.add_argument("--checkpoint-minutes", type=float, default=5)
    parser.add_argument("--log-steps", type=int, default=50)
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in the work directory")
    parser.add_argument("--export-only", action="store_true", help="export the checkpoint as it is and stop")
    args = parser.parse_args()
    if args.batch % args.micro_batch:
        parser.error("--batch must be a multiple of --micro-batch")

    torch.set_flush_denormal(True)  # before any worker thread exists: they inherit the mode
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    tokenizer, tokens = prepare(args)
    heldout = torch.tensor([BOS] + tokenizer.encode(read_text(args.heldout)))
    print(f"{len(tokens)} training tokens, {len(heldout)} held-out tokens", flush=True)

    model = Llama()
    matrices = [p for p in model.parameters() if p.dim() == 2]
    gains = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.95), fused=True)
    state = {"step": 0, "seconds": 0.0, "steps_set_by_deadline": 0}
    if args.resume or args.export_only:
        checkpoint = torch.load(args.work_dir / "checkpoint.pt", weights_only=True)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        state = checkpoint["state"]
    if not args.export_only:
        train(model, optimizer, state, Windows(tokens, args.batch, args.seed), heldout, args)

    seen = state["step"] * args.batch * CONTEXT
    export(model, args, tokenizer, heldout, {
        "text": args.text.name, "seed": args.seed, "tokens": seen, "target_tokens": args.tokens,
        "steps": state["step"], "batch": args.batch, "context": CONTEXT, "peak_learning_rate": args.lr,
        "threads": args.threads, "minutes": round(state["seconds"] / 60, 1),
        "ended_by": "tokens" if seen >= args.tokens else "export-only" if args.export_only else "deadline",
        "steps_set_by_deadline": state["steps_set_by_deadline"],
        "torch": torch.__version__, "sentencepiece": spm.__version__,
    })


if __name__ == "__main__":
    main()
