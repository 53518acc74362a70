"""Makes tiny random checkpoints with `transformers` and records the logits and greedy continuations it computes.

Writes tests/golden/models/<case>/: config.json, model.safetensors (or shards with their index), expected.safetensors.
"""
import argparse
import copy
import dataclasses
import json
import math
import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

VOCAB = 96
PROMPT_TOKENS = 40
GREEDY_PREFIX = 8
GREEDY_TOKENS = 64
MIN_MARGIN = 2e-3    # top-1 minus top-2 over the largest |logit|: far above f32 rounding, so greedy ids agree exactly
MIN_DISTINCT = 16    # a greedy path with fewer different tokens is a loop and pins little
MIN_EFFECT = 1e-2    # how much, relative to the largest |logit|, a setting under test has to move the logits


@dataclasses.dataclass
class Case:
    architecture: str                      # prefix of the transformers class names
    config: dict
    old_config: dict | None = None         # the same settings as published checkpoints of transformers 4 spell them
    drop: tuple = ()                       # keys left out of config.json, so that a reader's defaults are tested
    dtype: torch.dtype = torch.float32     # of the saved weights
    shard_size: str | None = None
    # Settings that must matter: with these changed the logits have to move.
    without: tuple = ()
    min_effect: float = MIN_EFFECT


def llama(**overrides):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
    base.update(overrides)
    return base


def opt(**overrides):
    base = dict(hidden_size=32, ffn_dim=40, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=96)
    base.update(overrides)
    return base


def rope(rope_type, theta=10000.0, **settings):
    return {"rope_type": rope_type, "rope_theta": theta, **settings}


DEFAULT_ROPE = dict(rope_parameters=rope("default"))
LINEAR = dict(factor=4.0)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(factor=4.0, original_max_position_embeddings=64)
# Two heads of 16 give eight frequencies: enough for kept, blended and stretched ones to occur together.
ROPE_HEADS = dict(num_attention_heads=2, num_key_value_heads=1)

CASES = {
    "llama1-mha": Case("Llama", llama(num_key_value_heads=4, rms_norm_eps=1e-6), old_config={},
                       drop=("num_key_value_heads", "attention_bias", "mlp_bias", "rope_theta",
                             "rope_scaling", "pretraining_tp", "attention_dropout")),
    # Sizes that are no power of two: head_dim 12, hidden 48.
    "llama2-gqa-untied": Case("Llama", llama(hidden_size=48, intermediate_size=56)),
    "llama-tied": Case("Llama", llama(tie_word_embeddings=True)),
    "llama-bias": Case("Llama", llama(attention_bias=True, mlp_bias=True, rms_norm_eps=0.02),
                       without=(dict(rms_norm_eps=1e-5),)),
    "llama-rope-linear": Case("Llama", llama(**ROPE_HEADS, rope_parameters=rope("linear", **LINEAR)),
                              old_config=dict(rope_theta=10000.0, rope_scaling=dict(type="linear", **LINEAR)),
                              without=(DEFAULT_ROPE,)),
    "llama-rope-llama3": Case("Llama", llama(**ROPE_HEADS, rope_parameters=rope("llama3", 5000.0, **LLAMA3)),
                              old_config=dict(rope_theta=5000.0, rope_scaling=dict(LLAMA3, rope_type="llama3")),
                              without=(dict(rope_parameters=rope("default", 5000.0)),
                                       dict(rope_parameters=rope("llama3", **LLAMA3)),
                                       dict(rope_parameters=rope("linear", 5000.0, factor=8.0)))),
    "llama-rope-yarn": Case("Llama", llama(**ROPE_HEADS, rope_parameters=rope("yarn", **YARN)),
                            old_config=dict(rope_theta=10000.0, rope_scaling=dict(YARN, type="yarn")),
                            without=(DEFAULT_ROPE, dict(rope_parameters=rope("yarn", attention_factor=1.0, **YARN)),
                                     dict(rope_parameters=rope("linear", factor=4.0)))),
    "llama-rope-yarn-mscale": Case("Llama", llama(**ROPE_HEADS, rope_parameters=rope("yarn", mscale=1.5,
                                                                                     mscale_all_dim=0.5, **YARN)),
                                   without=(dict(rope_parameters=rope("yarn", **YARN)),)),
    "llama-rope-yarn-factor": Case("Llama", llama(**ROPE_HEADS,
                                                  rope_parameters=rope("yarn", 1000.0, attention_factor=1.3,
                                                                       beta_fast=4, beta_slow=0.5, **YARN)),
                                   without=(dict(rope_parameters=rope("yarn", 1000.0, **YARN)),
                                            dict(rope_parameters=rope("yarn", 1000.0, attention_factor=1.3, **YARN)))),
    "llama-headdim": Case("Llama", llama(head_dim=12)),
    "mistral-full": Case("Mistral", llama(sliding_window=None, rope_parameters=rope("default", 1e6)),
                         old_config=dict(rope_theta=1e6), without=(DEFAULT_ROPE,)),
    "mistral-sliding": Case("Mistral", llama(sliding_window=8),
                            without=(dict(sliding_window=None), dict(sliding_window=9), dict(sliding_window=7))),
    "qwen2": Case("Qwen2", llama()),
    # Layer 0 attends to everything, layers 1 and 2 slide. The old spelling has no layer_types to read this from.
    "qwen2-sliding": Case("Qwen2", llama(num_hidden_layers=3, use_sliding_window=True, sliding_window=8,
                                         max_window_layers=1),
                          old_config=dict(rope_theta=10000.0),
                          without=(dict(use_sliding_window=False), dict(max_window_layers=0),
                                   dict(max_window_layers=2))),
    "qwen3": Case("Qwen3", llama(head_dim=16, tie_word_embeddings=True, rope_parameters=rope("default", 1e6)),
                  without=(DEFAULT_ROPE,)),
    "seed-oss": Case("SeedOss", llama(head_dim=12, pad_token_id=1, bos_token_id=0, attention_dropout=0.1,
                                      residual_dropout=0.1)),
    "opt-prenorm": Case("OPT", opt()),
    "opt-postnorm": Case("OPT", opt(do_layer_norm_before=False), old_config={}, drop=("tie_word_embeddings",)),
    "opt-proj": Case("OPT", opt(word_embed_proj_dim=16, do_layer_norm_before=False)),
    # The exact gelu and its tanh form differ little, but by far more than rounding.
    "opt-gelu": Case("OPT", opt(activation_function="gelu"),
                     without=(dict(activation_function="gelu_new"),), min_effect=1e-4),
    "llama-bf16": Case("Llama", llama(), old_config=dict(rope_theta=10000.0, rope_scaling=None), dtype=torch.bfloat16),
    "llama-f16": Case("Llama", llama(), dtype=torch.float16),
    "llama-sharded": Case("Llama", llama(), shard_size="30KB"),
}


# ---- model ----

def make_config(case, **overrides):
    settings = copy.deepcopy({"vocab_size": VOCAB, **case.config, **overrides})
    return getattr(transformers, case.architecture + "Config")(**settings)


def make_model(case, **overrides):
    config = make_config(case, **overrides)
    config._attn_implementation = "eager"
    return getattr(transformers, case.architecture + "ForCausalLM")(config).eval()


def randomise(model, seed):
    """Weights large enough that every part shows in the logits: gains around 1, biases off zero, scores spread out."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if name.endswith("bias"):
                parameter.copy_(0.15 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(1 + 0.25 * noise)
            elif "embed_positions" in name:
                parameter.copy_(2.0 * noise)  # weaker positions let OPT's tied head repeat one token
            elif "embed_tokens" in name:
                parameter.copy_(0.6 * noise)
            elif name.startswith("lm_head"):
                parameter.copy_(3.0 * noise / math.sqrt(parameter.shape[1]))
            else:
                parameter.copy_(1.6 * noise / math.sqrt(parameter.shape[1]))


@torch.no_grad()
def logits_of(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, prefix):
    """Continuation by full recomputation, and the smallest relative top-1/top-2 margin on the way. EOS is a token."""
    ids, margin = list(prefix), math.inf
    for _ in range(GREEDY_TOKENS):
        last = logits_of(model, ids)[-1]
        top = torch.topk(last, 2)
        margin = min(margin, ((top.values[0] - top.values[1]) / last.abs().max()).item())
        ids.append(int(top.indices[0]))
    return ids[len(prefix):], margin


def distance(a, b):
    return ((a - b).abs().max() / a.abs().max()).item()


def find_seed(case):
    """First seed whose greedy path is decided by wide margins and does not loop."""
    for seed in range(1, 500):
        model = make_model(case)
        randomise(model, seed)
        with torch.no_grad():
            for parameter in model.parameters():  # what the file will hold; the rotary frequencies stay as they are
                parameter.copy_(parameter.to(case.dtype))
        generator = torch.Generator().manual_seed(1000 + seed)
        ids = torch.randint(0, VOCAB, (PROMPT_TOKENS,), generator=generator).tolist()
        continuation, margin = greedy(model, ids[:GREEDY_PREFIX])
        if margin > MIN_MARGIN and len(set(continuation)) >= MIN_DISTINCT:
            return model, ids, continuation, margin, seed
    raise RuntimeError("no seed gives wide margins")


# ---- files ----

def respell(config, case):
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling, torch_dtype, no layer_types."""
    old = {key: value for key, value in config.items()
           if key not in ("rope_parameters", "dtype", "layer_types", "transformers_version", *case.drop)}
    if old.get("head_dim") == old["hidden_size"] // old["num_attention_heads"]:
        del old["head_dim"]  # transformers 4 wrote it only where it says something new
    old["torch_dtype"] = config["dtype"]
    old.update(case.old_config)
    return dict(sorted(old.items()))


def write_checkpoint(case, model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        options = {} if case.shard_size is None else {"max_shard_size": case.shard_size}
        copy.deepcopy(model).to(case.dtype).save_pretrained(scratch, **options)
        for path in Path(scratch).iterdir():
            if path.name == "config.json" or path.name.startswith("model"):
                shutil.copyfile(path, folder / path.name)
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text())
    config = respell(config, case) if case.old_config is not None else {k: v for k, v in config.items()
                                                                       if k not in case.drop}
    config_path.write_text(json.dumps(config, indent=2) + "\n")


def check_setting_matters(case, model, ids, reference):
    for overrides in case.without:
        other = make_model(case, **overrides)
        other.load_state_dict(model.state_dict())
        effect = distance(reference, logits_of(other, ids))
        assert effect > case.min_effect, (overrides, effect)


def check_reload(case, folder, ids, reference):
    """What was written must load, as it stands, to the same logits."""
    reloaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                                 attn_implementation="eager").eval()
    assert type(reloaded).__name__ == case.architecture + "ForCausalLM"
    assert torch.equal(logits_of(reloaded, ids), reference)


def make_case(name, case, folder):
    model, ids, continuation, margin, seed = find_seed(case)
    logits = logits_of(model, ids)
    check_setting_matters(case, model, ids, logits)
    rounding = distance(logits_of(copy.deepcopy(model).double(), ids), logits.double())
    assert rounding < MIN_MARGIN / 50, rounding
    write_checkpoint(case, model, folder)
    shards = len(list(folder.glob("model*.safetensors")))
    assert shards == 1 if case.shard_size is None else shards >= 3
    check_reload(case, folder, ids, logits)
    expected = folder / "expected.safetensors"
    save_file({"input_ids": torch.tensor(ids, dtype=torch.int32), "logits": logits.contiguous(),
               "greedy": torch.tensor(continuation, dtype=torch.int32)}, expected)
    expected.chmod(0o644)  # save_file leaves it readable by its owner only
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{name}: seed {seed}, margin {margin:.1e}, logits std {logits.std():.2f}, f32 against f64 {rounding:.1e}, "
          f"{len(set(continuation))} distinct, {size} bytes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--out", type=Path, default=root / "tests/golden/models")
    parser.add_argument("--only", nargs="*", choices=sorted(CASES), help="make these cases only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # one thread: one order of summation
    transformers.logging.set_verbosity_error()
    for name, case in CASES.items():
        if not arguments.only or name in arguments.only:
            make_case(name, case, arguments.out / name)


if __name__ == "__main__":
    main()
