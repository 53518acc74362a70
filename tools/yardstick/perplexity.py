#!/usr/bin/env python3
"""Perplexity by PyTorch and transformers, to compare `esparse eval` with. Needs torch and transformers; never part of
the build. The windows are those of the Wanda and SparseGPT scripts: the text tokenised once, cut side by side, every
token of a window but its first predicted, an incomplete last one dropped.

    perplexity.py MODEL TEXT [--context 512] [--dtype float32|bfloat16] [--esparse build/release/bin/esparse]

--dtype says in which type the model computes; "upcast" keeps the weights as they are stored and computes in float32.
With --esparse the tool measures the same and the difference is printed.
"""
import argparse
import json
import math
import os
import subprocess
import sys

import sentencepiece
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM


def window_nll(model, window):
    logits = model(window[None]).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()


def load_tokenizer(path):
    """tokenizer.json by its own library: transformers rebuilds some tokenizers from their vocabulary instead, and then
    drops what is unknown to them."""
    if os.path.exists(f"{path}/tokenizer.json"):
        tokenizer = Tokenizer.from_file(f"{path}/tokenizer.json")
        return lambda text: tokenizer.encode(text).ids
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{path}/tokenizer.model")
    return lambda text: [pieces.bos_id()] + pieces.encode(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--context", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "upcast"], default="upcast")
    parser.add_argument("--max-windows", type=int, default=0)
    parser.add_argument("--esparse")
    options = parser.parse_args()

    context = options.context or min(2048, AutoConfig.from_pretrained(options.model).max_position_embeddings)
    stored = torch.bfloat16 if options.dtype == "bfloat16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=stored).eval()
    with open(options.text, encoding="utf-8", errors="replace", newline="") as file:
        ids = torch.tensor(load_tokenizer(options.model)(file.read()))
    windows = len(ids) // context
    if options.max_windows:
        windows = min(windows, options.max_windows)
    total = 0.0
    with torch.no_grad():
        for i in range(windows):
            total += window_nll(model, ids[i * context:(i + 1) * context])
    nll = total / (windows * (context - 1))
    print(f"torch {options.dtype}: perplexity {math.exp(nll):.6f}, {nll:.7f} nats per token, {windows} windows of {context}")
    if not options.esparse:
        return 0
    command = [options.esparse, "eval", options.model, "--text", options.text, "--context", str(context), "--json"]
    if options.max_windows:
        command += ["--max-windows", str(options.max_windows)]
    ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert ours["windows"] == windows, f"esparse has {ours['windows']} windows: another tokenisation"
    ratio = ours["perplexity"] / math.exp(nll) - 1
    print(f"esparse: perplexity {ours['perplexity']:.6f}, relative difference {ratio:+.2e}")
    return 0 if abs(ratio) < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
