"""Works the pruning equations on small layers in float64: norms, entropy, saliency, N:M masks, channel orders.

Writes tests/golden/prune/. Inputs are stored as F32, so that both sides start from the same numbers; results as F64.
"""
import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

BINS = 100
ALPHA = 1.0
RIA_POWER = 0.5
PATTERNS = ((2, 4), (4, 8))  # kept, of a group of so many consecutive inputs
MIN_GAP = 1e-5       # relative gap between the last kept and the first removed saliency, unless they tie exactly
MIN_BIN_SHARE = 1e-4  # distance from a bin edge, in bins, so that the rounding of a reader cannot move a value


# ---- the equations ----

def channel_norms(inputs, num_sequences):
    """L2 norms of the input channels. inputs: [tokens, in]. Returns {reduction: [in]}."""
    squares = np.sum(inputs * inputs, axis=0)
    return {"per_seq": np.sqrt(squares / num_sequences), "per_token": np.sqrt(squares / inputs.shape[0]),
            "total": np.sqrt(squares)}


def bin_positions(inputs, lowest, highest):
    """Where each value lies, in bins from the lowest; a channel without extent lies in bin 0."""
    extent = np.where(highest > lowest, highest - lowest, 1.0)
    return (inputs - lowest) / extent * BINS


def bin_range(inputs, range_):
    axis = 0 if range_ == "channel" else None
    return np.min(inputs, axis=axis), np.max(inputs, axis=axis)


def channel_entropy(inputs, range_):
    """Shannon entropy in nats of each channel's histogram; the range is the channel's own or the whole layer's."""
    positions = bin_positions(inputs, *bin_range(inputs, range_))
    bins = np.minimum(np.floor(positions).astype(int), BINS - 1)
    entropy = np.zeros(inputs.shape[1])
    for channel in range(inputs.shape[1]):
        counts = np.bincount(bins[:, channel], minlength=BINS)
        shares = counts[counts > 0] / inputs.shape[0]
        entropy[channel] = 0.0 - np.sum(shares * np.log(shares))
    return entropy


def saliencies(weight, norm, entropy):
    """[out, in] per method; norm is per_seq, entropy has the channel range."""
    size = np.abs(weight)
    return {"magnitude": size, "wanda": size * norm, "esparse": size * (entropy + ALPHA * norm),
            "esparse-product": size * entropy * norm,
            "ria": (size / np.sum(size, axis=0) + size / np.sum(size, axis=1, keepdims=True)) * norm ** RIA_POWER}


def nm_mask(saliency, kept, group):
    """1 where kept: the largest of each group; of equals the lower column stays."""
    rows, columns = saliency.shape
    groups = saliency.reshape(rows, columns // group, group)
    ranked = np.argsort(-groups, axis=2, kind="stable")
    mask = np.zeros(groups.shape, dtype=np.uint8)
    np.put_along_axis(mask, ranked[:, :, :kept], 1, axis=2)
    return mask.reshape(rows, columns)


def naive_shuffle(saliency, group, snake):
    """order[new position] = old channel: ranks by falling mean saliency dealt round-robin over the groups."""
    columns = saliency.shape[1]
    num_groups = columns // group
    ranked = np.argsort(-np.mean(saliency, axis=0), kind="stable")
    order = np.empty(columns, dtype=np.int32)
    for rank, channel in enumerate(ranked):
        slot, place = divmod(rank, num_groups)
        if snake and slot % 2 == 1:
            place = num_groups - 1 - place
        order[place * group + slot] = channel
    return order


# ---- making sure that a fixture is decided by the equations and not by rounding ----

def gaps_are_wide(saliency, kept, group):
    ranked = -np.sort(-saliency.reshape(-1, group), axis=1)
    last_kept, first_removed = ranked[:, kept - 1], ranked[:, kept]
    gap = last_kept - first_removed
    return bool(np.all((gap == 0) | (gap > MIN_GAP * last_kept)))


def means_are_apart(saliency):
    """Equal means are welcome where the columns are equal, because then no order of summation can part them."""
    means = np.mean(saliency, axis=0)
    ranked = np.argsort(-means, kind="stable")
    return all(means[a] - means[b] > MIN_GAP * means[a] or np.array_equal(saliency[:, a], saliency[:, b])
               for a, b in zip(ranked, ranked[1:]))


def near_bin_edge(inputs):
    """True where a value lies so close to an inner bin edge that rounding could move it over."""
    close = np.zeros(inputs.shape, dtype=bool)
    for range_ in ("channel", "layer"):
        positions = bin_positions(inputs, *bin_range(inputs, range_))
        edge = np.round(positions)
        inner = (edge > 0) & (edge < BINS)
        close |= inner & (positions != edge) & (np.abs(positions - edge) < MIN_BIN_SHARE)
    return close


# ---- the cases ----

def random_layer(seed, out_features, in_features, num_sequences, sequence_tokens):
    """Gaussian weights; inputs whose channel scales differ by orders of magnitude; one constant, one dead channel."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((out_features, in_features)).astype(np.float32)
    scale = np.exp(1.2 * rng.standard_normal(in_features))
    offset = scale * rng.standard_normal(in_features) * (rng.random(in_features) < 0.3)
    tokens = num_sequences * sequence_tokens

    def draw():
        heavy = np.where(rng.random((tokens, in_features)) < 0.02, 6.0, 1.0)
        return (offset + scale * heavy * rng.standard_normal((tokens, in_features))).astype(np.float32)

    inputs = draw()
    constant, dead = 5 % in_features, 9 % in_features

    def pin():
        inputs[:, constant] = 0.75
        inputs[:, dead] = 0.0

    pin()
    while True:
        close = near_bin_edge(inputs.astype(np.float64))
        close[:, [constant, dead]] = False
        if not close.any():
            return weight, inputs
        inputs[close] = draw()[close]
        pin()


def tied_layer(seed, out_features, in_features, num_sequences, sequence_tokens):
    """Whole-number data: equal saliencies within groups, two equal channel means, four dead channels in a row."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-3, 4, (out_features, in_features)).astype(np.float32)
    sums = set()
    for channel in range(in_features):  # different means everywhere, before one pair is made equal on purpose
        while np.abs(weight[:, channel]).sum() in sums:
            weight[rng.integers(out_features), channel] = rng.integers(-3, 4)
        sums.add(np.abs(weight[:, channel]).sum())
    column = rng.integers(0, 9, num_sequences * sequence_tokens).astype(np.float32)
    column[:2] = (0, 8)  # an extent of 8 puts every value exactly where 100/8 says, in any arithmetic
    # Rotations of one column: the same histogram and the same sum of squares, which is exact in whole numbers.
    inputs = np.stack([np.roll(column, 7 * channel) for channel in range(in_features)], axis=1)
    inputs[:, 4:8] = 0.0
    weight[:, 8] = -weight[:, 9]  # equal mean saliency: the shuffle must break this tie too
    return weight, np.ascontiguousarray(inputs)


CASES = (
    (random_layer, dict(out_features=48, in_features=64, num_sequences=6, sequence_tokens=40)),
    (random_layer, dict(out_features=24, in_features=96, num_sequences=3, sequence_tokens=50)),
    # 12 inputs make three groups of four and no whole number of groups of eight.
    (random_layer, dict(out_features=5, in_features=12, num_sequences=2, sequence_tokens=8)),
    (tied_layer, dict(out_features=16, in_features=32, num_sequences=4, sequence_tokens=16)),
)


def solve(weight, inputs, num_sequences):
    """All expected tensors of one case, or None when rounding could decide something."""
    wide_weight, wide_inputs = weight.astype(np.float64), inputs.astype(np.float64)
    norms = channel_norms(wide_inputs, num_sequences)
    entropy = {range_: channel_entropy(wide_inputs, range_) for range_ in ("channel", "layer")}
    result = {"weight": weight, "inputs": inputs, "num_sequences": np.array([num_sequences], dtype=np.int32)}
    result.update({f"norm.{name}": value for name, value in norms.items()})
    result.update({f"entropy.{name}": value for name, value in entropy.items()})
    for method, saliency in saliencies(wide_weight, norms["per_seq"], entropy["channel"]).items():
        result[f"saliency.{method}"] = saliency
        if not means_are_apart(saliency):
            return None
        for kept, group in PATTERNS:
            if weight.shape[1] % group != 0:
                continue
            pattern = f"{kept}of{group}"
            orders = {"none": np.arange(weight.shape[1])}
            for shuffle in ("deal", "snake"):
                orders[shuffle] = naive_shuffle(saliency, group, shuffle == "snake")
                result[f"order.{method}.{shuffle}.{pattern}"] = orders[shuffle]
            for shuffle, order in orders.items():
                if not gaps_are_wide(saliency[:, order], kept, group):
                    return None
                mask = nm_mask(saliency[:, order], kept, group)
                result[f"mask.{method}.{pattern}" if shuffle == "none" else f"mask.{method}.{shuffle}.{pattern}"] = mask
    return result


def check(path, written):
    """What was written reads back, and obeys what every mask and order must obey."""
    read = load_file(path)
    assert read.keys() == written.keys()
    for name, value in read.items():
        assert value.dtype == written[name].dtype and np.array_equal(value, written[name]), name
        if name.startswith("mask."):
            kept, group = map(int, name.rsplit(".", 1)[1].split("of"))
            assert np.all(value.reshape(-1, group).sum(axis=1) == kept), name
        if name.startswith("order."):
            assert np.array_equal(np.sort(value), np.arange(value.size)), name


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--out", type=Path, default=root / "tests/golden/prune")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for number, (make_layer, shape) in enumerate(CASES):
        for seed in range(100 * number, 100 * number + 100):
            tensors = solve(*make_layer(seed, **shape), shape["num_sequences"])
            if tensors is not None:
                break
        else:
            raise RuntimeError(f"case{number}: no seed is decided clearly")
        path = out / f"case{number}.safetensors"
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
        path.chmod(0o644)  # save_file leaves it readable by its owner only
        check(path, tensors)
        print(f"case{number}: seed {seed}, {len(tensors)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
