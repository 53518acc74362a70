"""Works Spense on real layers in float64: which rows or columns stay dense, and SparseGPT around them.

Reads the layers of tests/golden/prune_methods/ (gate: rows are split, down: columns) and writes tests/golden/spense/.
Written from the equations (docs/methods/spense.md).
"""
import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
KEPT, GROUP = 2, 4
DAMPING, BLOCK_COLUMNS = 0.01, 128
OUTPUT_STEP = 64           # outputs are stored for every 64th token
DENSE = {"gate": 16, "down": 96}  # of 64 rows, of 384 columns: a quarter
MIN_GAP = 1e-6             # between the last score that stays dense and the first that does not, relative


def read_layer(name):
    """Weight [out, in], inputs [tokens, in], number of sequences. The weight is BF16, which NumPy does not know."""
    data = (ROOT / f"tests/golden/prune_methods/{name}.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])

    def tensor(key, dtype):
        begin, end = header[key]["data_offsets"]
        return np.frombuffer(data[8 + size + begin:8 + size + end], dtype).reshape(header[key]["shape"])

    weight = (tensor("weight", np.uint16).astype(np.uint32) << 16).view(np.float32)
    return weight.astype(np.float64), tensor("inputs", np.float16).astype(np.float64), int(tensor("num_sequences",
                                                                                                np.int32)[0])


def nm_mask(scores):
    """True where kept: the largest of each group; of equals the lower column stays."""
    groups = scores.reshape(scores.shape[0], -1, GROUP)
    ranked = np.argsort(-groups, axis=2, kind="stable")
    mask = np.zeros(groups.shape, dtype=bool)
    np.put_along_axis(mask, ranked[:, :, :KEPT], True, axis=2)
    return mask.reshape(scores.shape)


def sparsegpt(weight, inputs, pruned_columns):
    """(mask, weight, errors) in the given order of columns: those from pruned_columns on are kept and make up for the
    others. errors = w / U_jj of every removed weight."""
    weight = weight.copy()
    hessian = inputs.T @ inputs
    assert np.all(hessian.diagonal() > 0)
    hessian += DAMPING * hessian.diagonal().mean() * np.eye(len(hessian))
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    diagonal = upper.diagonal()
    mask, errors = np.ones(weight.shape, dtype=bool), np.zeros(weight.shape)
    for start in range(0, weight.shape[1], BLOCK_COLUMNS):
        end = min(start + BLOCK_COLUMNS, weight.shape[1])
        for j in range(start, min(end, pruned_columns)):
            if j % GROUP == 0:
                group = slice(j, j + GROUP)
                mask[:, group] = nm_mask((weight[:, group] / diagonal[group]) ** 2)
            solved = weight[:, j] * mask[:, j]
            errors[:, j] = (weight[:, j] - solved) / diagonal[j]
            weight[:, j + 1:end] -= np.outer(errors[:, j], upper[j, j + 1:end])
            weight[:, j] = solved
        weight[:, end:] -= errors[:, start:end] @ upper[start:end, end:]
    return mask, weight, errors


def dense_scores(weight, inputs, sequences, axis):
    """Per row (axis 1) or column (axis 0): SpenseGPT+'s norm; what 2:4 drops of Wanda's saliency; the OBS loss."""
    norm = np.sqrt(np.sum(inputs * inputs, axis=0))
    saliency = np.abs(weight) * norm / np.sqrt(sequences)
    errors = sparsegpt(weight, inputs, weight.shape[1])[2]
    return {"norm": np.mean(np.abs(weight) * norm, axis=axis),
            "drop": np.sum(np.where(nm_mask(saliency), 0.0, saliency), axis=axis),
            "loss": np.sum(errors ** 2, axis=axis)}


def choose(scores, count):
    ranked = np.argsort(-scores, kind="stable")
    assert scores[ranked[count - 1]] - scores[ranked[count]] > MIN_GAP * scores[ranked[count]]
    return np.sort(ranked[:count]).astype(np.int32)


def prune(weight, inputs, dense, rows):
    """(mask, weight) in the old order of rows and columns."""
    if rows:
        others = np.setdiff1d(np.arange(weight.shape[0]), dense)
        mask, pruned = np.ones(weight.shape, dtype=bool), weight.copy()
        mask[others], pruned[others], _ = sparsegpt(weight[others], inputs, weight.shape[1])
        return mask, pruned
    others = np.setdiff1d(np.arange(weight.shape[1]), dense)
    order = np.concatenate([others, dense])
    mask, pruned, _ = sparsegpt(weight[:, order], inputs[:, order], len(others))
    back = np.argsort(order)
    return mask[:, back], pruned[:, back]


def error(weight, pruned, inputs):
    return np.sum((inputs @ (pruned - weight).T) ** 2) / np.sum((inputs @ weight.T) ** 2)


def solve(name):
    weight, inputs, sequences = read_layer(name)
    rows = name == "gate"
    result = {}
    losses = {"strict": error(weight, sparsegpt(weight, inputs, weight.shape[1])[1], inputs)}
    for selection, scores in dense_scores(weight, inputs, sequences, 1 if rows else 0).items():
        dense = choose(scores, DENSE[name])
        mask, pruned = prune(weight, inputs, dense, rows)
        losses[selection] = error(weight, pruned, inputs)
        result[f"scores.{selection}"] = scores
        result[f"dense.{selection}"] = dense
        result[f"mask.{selection}"] = np.packbits(mask, axis=1, bitorder="little")
        result[f"weight.{selection}"] = pruned.astype(np.float32)
        result[f"outputs.{selection}"] = (inputs[::OUTPUT_STEP] @ pruned.T).astype(np.float32)
    print(name, ", ".join(f"{key} {value:.4f}" for key, value in losses.items()))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "tests/golden/spense")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name in DENSE:
        tensors = {key: np.ascontiguousarray(value) for key, value in solve(name).items()}
        for key in ("weight.drop", "weight.loss", "outputs.drop", "outputs.loss", "mask.drop", "mask.loss"):
            del tensors[key]  # one selection shows the update; the others would only make the file larger
        path = out / f"{name}.safetensors"
        save_file(tensors, path)
        path.chmod(0o644)  # save_file leaves it readable by its owner only
        read = load_file(path)
        assert all(np.array_equal(read[key], value) for key, value in tensors.items())
        print(f"{name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
