#!/usr/bin/env python3
"""Zero-shot tasks by the EleutherAI evaluation harness (PyPI: lm-eval), to compare `esparse eval --tasks` with. Needs
lm-eval, accelerate, torch and transformers; never part of the build. The model must have a tokenizer.json.

    harness.py MODEL TASK=FILE... --esparse build/release/bin/esparse [--limit N] [--dtype float32]

FILE has one of the two layouts of docs/evaluation.md. The harness runs its own definition of the task (prompts, metrics) on
the fields of its own data set: a file with `query`, `choices` and `gold` is converted as far as it goes (ARC, PIQA,
OpenBookQA, WinoGrande, LAMBADA), and esparse is asked both, with the original file and with the converted one. Per task: both
accuracies, and on how many items the chosen answer is the same, of all and of those whose two best scores differ by more
than --rounding nats.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HARNESS_NAMES = {"lambada": "lambada_openai"}
LETTERS = "ABCDEFGH"


def labelled(item, key, question):
    labels = list(LETTERS[:len(item["choices"])])
    return {key: question, "choices": {"text": item["choices"], "label": labels}, "answerKey": labels[item["gold"]]}


def convert(task, item):
    """A line in the layout `query`, `choices`, `gold` as the harness's data set has it; other lines stay."""
    if task in ("arc_easy", "arc_challenge") and "query" in item:
        return labelled(item, "question", item["query"].removeprefix("Question: "))
    if task == "openbookqa" and "query" in item:
        return labelled(item, "question_stem", item["query"])
    if task == "piqa" and "query" in item:
        goal = item["query"].removeprefix("Question: ").rstrip("\n")
        return {"goal": goal, "sol1": item["choices"][0], "sol2": item["choices"][1], "label": item["gold"]}
    if task == "winogrande" and "context_options" in item:
        first, second = item["context_options"]
        start = os.path.commonprefix([first, second])
        return {"sentence": f"{start}_ {item['continuation']}", "option1": first[len(start):],
                "option2": second[len(start):], "answer": str(item["gold"] + 1)}
    if task == "lambada" and "context" in item:
        return {"text": f"{item['context']} {item['continuation']}"}
    return item


def run_harness(model, tasks, files, limit):
    """The harness's own task files, told to read other data."""
    import lm_eval
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml
    manager = TaskManager()
    configurations = []
    for task in tasks:
        configuration = load_yaml(manager.task_index[HARNESS_NAMES.get(task, task)].yaml_path)
        configuration.update(dataset_path="json", dataset_name=None,
                             dataset_kwargs={"data_files": {"validation": files[task]}})
        for split in ("training_split", "test_split", "fewshot_split"):
            configuration[split] = None
        configuration["validation_split"] = "validation"
        configurations.append(configuration)
    return lm_eval.evaluate(lm=model, task_dict=manager.load(configurations), limit=limit, log_samples=True,
                            bootstrap_iters=0)


def load_model(path, dtype):
    """tokenizer.json by its own library, see perplexity.py."""
    from lm_eval.models.huggingface import HFLM
    from transformers import PreTrainedTokenizerFast
    with open(os.path.join(path, "tokenizer_config.json"), encoding="utf-8") as file:
        special = {key: value for key, value in json.load(file).items() if key in ("bos_token", "eos_token")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(path, "tokenizer.json"), **special)
    return HFLM(pretrained=path, tokenizer=tokenizer, dtype=dtype, device="cpu", batch_size=8)


def scores(sample):
    return [float(response[0][0] if isinstance(response[0], (list, tuple)) else response[0])
            for response in sample["resps"]]


def first_best(values):
    return max(range(len(values)), key=lambda i: values[i])


def compare(task, samples, ours, rounding):
    same = clear = clear_same = 0
    worst = 0.0
    for sample, item in zip(samples, ours, strict=True):
        theirs = scores(sample)
        worst = max(worst, max(abs(a - b) for a, b in zip(theirs, item["log_likelihoods"])))
        if task == "lambada":
            greedy = bool(sample["acc"])
            same += greedy == item["greedy"]
            continue
        agree = first_best(theirs) == item["best"]
        same += agree
        ordered = sorted(theirs, reverse=True)
        if ordered[0] - ordered[1] > rounding:
            clear += 1
            clear_same += agree
    text = f"same answer {same}/{len(ours)}"
    if clear:
        text += f", of clear ones {clear_same}/{clear} = {100 * clear_same / clear:.3f} %"
    return text + f", largest difference of a score {worst:.2e} nats"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--esparse", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounding", type=float, default=1e-3)
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    files = dict(entry.split("=", 1) for entry in options.tasks)

    with tempfile.TemporaryDirectory() as folder:
        converted = {}
        for task, path in files.items():
            converted[task] = os.path.join(folder, f"{task}.jsonl")
            with open(path, encoding="utf-8") as source, open(converted[task], "w", encoding="utf-8") as target:
                for line in filter(str.strip, source):
                    target.write(json.dumps(convert(task, json.loads(line))) + "\n")
        results = run_harness(load_model(options.model, options.dtype), list(files), converted, options.limit)
        for task, path in files.items():
            name = HARNESS_NAMES.get(task, task)
            samples = sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
            theirs = {key: value for key, value in results["results"][name].items() if isinstance(value, float)}
            print(f"{task}: harness", {key: round(value, 5) for key, value in theirs.items()})
            for what, file in (("as given", path), ("converted", converted[task])):
                items = os.path.join(folder, "items.jsonl")
                command = [options.esparse, "eval", options.model, "--tasks", f"{task}={file}", "--json", "--items", items]
                if options.limit:
                    command += ["--limit", str(options.limit)]
                figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["tasks"][0]
                with open(items, encoding="utf-8") as lines:
                    ours = [json.loads(line) for line in lines]
                print(f"  esparse, {what}:", {key: round(value, 5) for key, value in figures.items()
                                              if key.startswith(("acc", "perplexity"))})
                print("   ", compare(task, samples, ours, options.rounding))
    return 0


if __name__ == "__main__":
    sys.exit(main())
