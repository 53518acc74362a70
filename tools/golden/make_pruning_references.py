"""Works the pruning methods on real layers with PyTorch in float64: inputs and weights of models/novel-1m.

Writes tests/golden/prune_methods/: four linears of block 1 with their inputs, masks, SparseGPT's weights and some of
the pruned outputs, and OWL's allocation for the whole model. Written from the equations (docs/methods/).
"""
import argparse
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
WINDOWS, WINDOW_TOKENS = 4, 128
OUTPUT_STEP = 64  # pruned outputs are stored for every 64th token
BINS = 100
DAMPING, BLOCK_COLUMNS = 0.01, 128
PATTERNS = {"2of4": (2, 4), "4of8": (4, 8)}  # kept, of a group of so many consecutive inputs
BLOCK = 1
# Linears and how many of their first rows; few, so that the files stay small. The site is where the input comes from.
CASES = {"k": ("self_attn.k_proj", "attention", 64), "o": ("self_attn.o_proj", "output", 64),
         "gate": ("mlp.gate_proj", "mlp", 64), "down": ("mlp.down_proj", "down", 48)}
SITES = {"attention": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "output": ("self_attn.o_proj",),
         "mlp": ("mlp.gate_proj", "mlp.up_proj"), "down": ("mlp.down_proj",)}


# ---- real inputs ----

def window_ids():
    """[WINDOWS, WINDOW_TOKENS] token ids, evenly spread over the calibration text."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/novel-1m/tokenizer.model"))
    ids = tokenizer.encode((ROOT / "models/text/calibration.txt").read_text())
    starts = [k * (len(ids) - WINDOW_TOKENS) // WINDOWS for k in range(WINDOWS)]
    return torch.tensor([ids[start:start + WINDOW_TOKENS] for start in starts])


def record_inputs(model, ids):
    """Runs the windows; {(block, linear name): inputs [tokens, in]} of the dense model."""
    inputs, hooks = {}, []
    for block, layer in enumerate(model.model.layers):
        for name, module in layer.named_modules():
            if isinstance(module, torch.nn.Linear):
                def hook(_, args, key=(block, name)):
                    inputs[key] = args[0].detach().reshape(-1, args[0].shape[-1])
                hooks.append(module.register_forward_pre_hook(hook))
    with torch.no_grad():
        model(ids)
    for hook in hooks:
        hook.remove()
    return inputs


def off_bin_edges(inputs):
    """f16 inputs with the values that lie on a bin edge, where rounding would choose the bin, one step higher."""
    inputs = inputs.half()
    while True:
        positions = bin_positions(inputs.double())
        edge = ((positions - positions.round()).abs() < 1e-9) & (positions > 0.5) & (positions < BINS - 0.5)
        if not edge.any():
            return inputs
        print(f"  {int(edge.sum())} of {inputs.numel()} values moved off a bin edge")
        higher = np.nextafter(inputs.numpy(), np.float16(np.inf))
        inputs = torch.where(edge, torch.from_numpy(higher), inputs)


# ---- saliency ----

def norms(inputs):
    return torch.sqrt((inputs * inputs).sum(0) / WINDOWS)


def bin_positions(inputs):
    """Where each value lies between the smallest (0) and the largest (BINS) of its channel."""
    lowest, highest = inputs.min(0).values, inputs.max(0).values
    extent = torch.where(highest > lowest, highest - lowest, torch.ones_like(lowest))
    return (inputs - lowest) / extent * BINS


def entropy(inputs):
    """Nats, BINS bins of equal width."""
    bins = bin_positions(inputs).floor().long().clamp(max=BINS - 1)
    counts = torch.zeros(BINS, inputs.shape[1], dtype=torch.float64).scatter_add_(0, bins, torch.ones_like(inputs))
    shares = counts / inputs.shape[0]
    return -torch.xlogy(shares, shares).sum(0)


def ria_shares(weight):
    size = weight.abs()
    return size / size.sum(0, keepdim=True) + size / size.sum(1, keepdim=True)


def saliencies(weight, inputs):
    size, norm, information = weight.abs(), norms(inputs), entropy(inputs)
    return {"wanda": size * norm, "esparse": size * (information + norm), "esparse-product": size * information * norm,
            "ria": ria_shares(weight) * norm ** 0.5}


# ---- masks: True = kept; of equal scores the lower index stays ----

def remove_smallest(scores, removed):
    """scores [rows, n]: the `removed` smallest of each row go."""
    last_first = torch.argsort(scores.flip(1), dim=1, stable=True)
    gone = scores.shape[1] - 1 - last_first[:, :removed]
    return torch.ones_like(scores, dtype=torch.bool).scatter_(1, gone, False)


def nm_mask(scores, kept, group):
    return remove_smallest(scores.reshape(-1, group), group - kept).reshape(scores.shape)


def half_mask(scores, scope):
    if scope == "row":
        return remove_smallest(scores, scores.shape[1] // 2)
    return remove_smallest(scores.reshape(1, -1), scores.numel() // 2).reshape(scores.shape)


# ---- SparseGPT ----

def sparsegpt(weight, inputs, pattern):
    """(mask, weight): columns are solved from left to right, the errors go to the columns not yet solved.

    pattern: (kept, group), or None for half of the weights of every block of BLOCK_COLUMNS columns, all rows together.
    """
    weight = weight.clone()
    hessian = 2.0 / WINDOWS * inputs.T @ inputs
    dead = hessian.diagonal() == 0
    hessian[dead, dead] = 1.0
    weight[:, dead] = 0.0
    hessian += DAMPING * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    mask = torch.ones_like(weight, dtype=torch.bool)
    columns = weight.shape[1]
    for start in range(0, columns, BLOCK_COLUMNS):
        end = min(start + BLOCK_COLUMNS, columns)
        errors = torch.zeros(weight.shape[0], end - start, dtype=torch.float64)
        diagonal = upper.diagonal()
        if pattern is None:
            mask[:, start:end] = half_mask((weight[:, start:end] / diagonal[start:end]) ** 2, "layer")
        for j in range(start, end):
            if pattern is not None and j % pattern[1] == 0:
                group = slice(j, j + pattern[1])
                mask[:, group] = nm_mask((weight[:, group] / diagonal[group]) ** 2, *pattern)
            solved = weight[:, j] * mask[:, j]
            error = (weight[:, j] - solved) / diagonal[j]
            weight[:, j + 1:end] -= torch.outer(error, upper[j, j + 1:end])
            weight[:, j] = solved
            errors[:, j - start] = error
        weight[:, end:] -= errors @ upper[start:end, end:]
    return mask, weight


# ---- DSnoT ----

def dsnot(weight, inputs, scores, mask, group):
    """The refined mask, row by row. group: M of N:M, or None for unstructured."""
    contribution = weight * (inputs.sum(0) / WINDOWS)
    variance = inputs.var(0, unbiased=False)
    mask = mask.clone()
    for row in range(weight.shape[0]):
        c, s, kept = contribution[row].tolist(), scores[row].tolist(), mask[row].tolist()
        error = sum(value for value, keep in zip(c, kept) if not keep)
        sign = np.sign(error)
        grow = sorted((j for j in range(len(c)) if not kept[j] and c[j] * sign > 0),
                      key=lambda j: (-abs(c[j]) / float(variance[j]), j))
        prune = sorted((j for j in range(len(c)) if kept[j] and c[j] * sign < 0), key=lambda j: (s[j], -j))
        for grown in grow[:50]:
            if abs(error) <= 0.1:
                break
            if group is None:
                partners = prune[:1]
            else:
                first = grown // group * group
                partners = [j for j in prune if first <= j < first + group][:1]
                if not partners:
                    continue
            if not partners:
                break
            after = error + c[partners[0]] - c[grown]
            if np.sign(after) != sign:
                break
            error = after
            kept[grown], kept[partners[0]] = True, False
            prune.remove(partners[0])
        mask[row] = torch.tensor(kept)
    return mask


# ---- OWL ----

def outlier_ratio(score_list, multiple):
    scores = torch.cat([scores.flatten() for scores in score_list])
    threshold = multiple * scores.mean()
    distance = ((scores - threshold).abs() / threshold).min()
    assert distance > 2.0 ** -24, f"a score that rounding to f32 may take over the threshold: {distance}"
    return 100.0 * (scores > threshold).double().mean().item()


def centred(ratios, span):
    values = np.array(ratios)
    values = (values - values.min()) / (values.max() - values.min()) * span
    return values - values.mean()


def clamp_keeping_mean(values, least, most):
    """clip(values + c) with the c that keeps the mean: linear between the offsets where a value meets a bound."""
    target = values.mean()
    breaks = np.sort(np.concatenate([least - values, most - values]))
    means = np.array([np.clip(values + c, least, most).mean() for c in breaks])
    if values.min() >= least and values.max() <= most:
        return values
    return np.clip(values + np.interp(target, means, breaks), least, most)


def owl_sparsities(ratios, lambda_, sparsity):
    return clamp_keeping_mean(sparsity - centred(ratios, 2 * lambda_), 0.01, 0.99)


def owl_kept(ratios, span, kept, group):
    values = np.round(clamp_keeping_mean(kept + centred(ratios, span), 1, group) * 2.0 ** 30) / 2.0 ** 30
    result = np.floor(values)
    for block in np.argsort(result - values, kind="stable")[:round(kept * len(values) - result.sum())]:
        result[block] += 1
    return result


# ---- fixtures ----

def pack(mask):
    """Bit j % 8 of byte j // 8 is column j."""
    return torch.from_numpy(np.packbits(mask.numpy(), axis=1, bitorder="little"))


def solve_case(weight, inputs):
    """All tensors of a case. weight: bf16 [out, in], inputs: f16 [tokens, in]; they are stored as they are."""
    result = {"weight": weight, "inputs": inputs, "num_sequences": torch.tensor([WINDOWS], dtype=torch.int32)}
    weight, inputs = weight.double(), inputs.double()
    masks, weights = {}, {}
    scores = saliencies(weight, inputs)
    for method in scores:
        for name, pattern in PATTERNS.items():
            masks[f"{method}.{name}"] = nm_mask(scores[method], *pattern)
        for scope in ("row", "layer"):
            masks[f"{method}.50{scope}"] = half_mask(scores[method], scope)
    for name, pattern in (*PATTERNS.items(), ("50block", None)):
        masks[f"sparsegpt.{name}"], weights[f"sparsegpt.{name}"] = sparsegpt(weight, inputs, pattern)
    for name, group in (("2of4", 4), ("4of8", 8), ("50row", None)):
        masks[f"dsnot.{name}"] = dsnot(weight, inputs, scores["wanda"], masks[f"wanda.{name}"], group)
    for name, mask in masks.items():
        pruned = weights.get(name, weight) * mask
        result[f"mask.{name}"] = pack(mask)
        result[f"outputs.{name}"] = (inputs[::OUTPUT_STEP] @ pruned.T).float()
        if name in weights:
            result[f"weight.{name}"] = pruned.float()
    report(weight, inputs, masks, weights)
    return result


def report(weight, inputs, masks, weights):
    """Share of the output energy that each mask loses, to see that the methods do what they should."""
    dense = inputs @ weight.T
    losses = {name: ((inputs @ (weights.get(name, weight) * mask).T - dense) ** 2).sum() / (dense ** 2).sum()
              for name, mask in masks.items()}
    print("  " + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
    for name in ("2of4", "4of8"):
        assert losses[f"sparsegpt.{name}"] < losses[f"wanda.{name}"], name


def solve_owl(model, ids, inputs):
    result = {"input_ids": ids.int(), "num_sequences": torch.tensor([WINDOWS], dtype=torch.int32)}
    scores = []
    for block, layer in enumerate(model.model.layers):
        modules = dict(layer.named_modules())
        scores.append([modules[name].weight.detach().double() * norms(inputs[block, name].double())
                       for site in SITES.values() for name in site])
        scores[-1] = [score.abs() for score in scores[-1]]
        for site, names in SITES.items():
            result[f"sum_squares.{block}.{site}"] = (inputs[block, names[0]].double() ** 2).sum(0)
    ratios = {multiple: [outlier_ratio(block, multiple) for block in scores] for multiple in (5, 3)}
    for multiple, values in ratios.items():
        result[f"ratios.{multiple}"] = torch.tensor(values, dtype=torch.float64)
    for name, lambda_, sparsity in (("plain", 0.08, 0.7), ("clamped", 0.3, 0.9)):
        result[f"sparsities.{name}"] = torch.from_numpy(owl_sparsities(ratios[5], lambda_, sparsity))
        result[f"sparsities.{name}.options"] = torch.tensor([lambda_, sparsity], dtype=torch.float64)
    for name, span, kept, group in (("4of8", 2, 4, 8), ("5of8", 2, 5, 8), ("2of4", 4, 2, 4)):
        result[f"kept.{name}"] = torch.from_numpy(owl_kept(ratios[5], span, kept, group)).int()
        result[f"kept.{name}.span"] = torch.tensor([span], dtype=torch.float64)
    print("owl: ratios", ratios, "kept", {name: value.tolist() for name, value in result.items() if "kept" in name},
          {name: value.tolist() for name, value in result.items() if name.startswith("sparsities")})
    return result


def write(path, tensors):
    tensors = {name: value.contiguous().clone() for name, value in tensors.items()}
    save_file(tensors, path)
    path.chmod(0o644)  # save_file leaves it readable by its owner only
    read = load_file(path)
    assert read.keys() == tensors.keys() and all(torch.equal(read[name], tensors[name]) for name in read)
    print(f"{path.stem}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "tests/golden/prune_methods")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums of a fixed order
    model = AutoModelForCausalLM.from_pretrained(ROOT / "models/novel-1m", dtype=torch.float32,
                                                 attn_implementation="eager")
    model.eval()
    ids = window_ids()
    inputs = record_inputs(model, ids)
    for case, (name, _, rows) in CASES.items():
        weight = dict(model.model.layers[BLOCK].named_modules())[name].weight.detach()[:rows]
        assert torch.equal(weight, weight.bfloat16().float())
        write(out / f"{case}.safetensors", solve_case(weight.bfloat16(), off_bin_edges(inputs[BLOCK, name])))
    write(out / "owl.safetensors", solve_owl(model, ids, inputs))


if __name__ == "__main__":
    main()
