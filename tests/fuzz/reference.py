"""What the reference stack reads from the mutated inputs; makes verdicts.jsonl.

    deno run -A tests/fuzz/write.ts /tmp/inputs
    python tests/fuzz/reference.py /tmp/inputs tests/fuzz/verdicts.jsonl     (transformers, peft, datasets, pyyaml)
"""
import csv, hashlib, json, math, multiprocessing, os, resource, signal, sys

TEXTS = [
    "Hello, world! The quick brown fox.",
    " two  blanks\n\nand\ttabs 1234 café naïve 😀 <|im_start|>x<|im_end|> </s><s>",
    "",
]
CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi "},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Bye"},
]
IDS = [5, 17, 300, 42, 7, 8, 9]


def digest(text):
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def tokenizer(path):
    from transformers import AutoTokenizer
    t = AutoTokenizer.from_pretrained(path)
    ids = [t(text)["input_ids"] for text in TEXTS]
    chat = ""
    if t.chat_template:
        try:
            chat = digest(t.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True))
        except Exception:
            chat = "refused"
    return {
        "ids": digest(";".join(",".join(map(str, row)) for row in ids)),
        "text": digest("\n".join(t.decode(row) for row in ids)),
        "eos": t.eos_token or "",
        "bos": t.bos_token or "",
        "chat": chat,
    }


def logits(model):
    import torch
    model = model.eval().float()
    with torch.no_grad():
        last = model(torch.tensor([IDS])).logits[0, -1, -6:]
    if not last.isfinite().all():
        return {"logits": "not finite"}
    return {"logits": [float(f"{v:.5g}") for v in last.tolist()]}


def model(path):
    from transformers import AutoModelForCausalLM
    loaded, info = AutoModelForCausalLM.from_pretrained(path, dtype="float32", output_loading_info=True)  # as TRL
    if info["missing_keys"] or info.get("mismatched_keys"):
        return None  # it goes on with fresh weights, which no one wants
    return logits(loaded)


def adapter(path):
    from peft import AutoPeftModelForCausalLM
    return logits(AutoPeftModelForCausalLM.from_pretrained(path))


def canonical(value):
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        fields = [f"{json.dumps(k, ensure_ascii=False)}:{canonical(v)}" for k, v in value.items() if v is not None]
        return "{" + ",".join(sorted(fields, key=lambda s: s.encode("utf-16-be", "surrogatepass"))) + "}"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (int, float)):
        value = float(value)
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        mantissa, exponent = f"{value:.12e}".split("e")
        if value == 0:
            mantissa = mantissa.lstrip("-")
        return f"{mantissa}e{'-' if exponent[0] == '-' else '+'}{int(exponent[1:])}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\u007f", "\u007f")
    return json.dumps(str(value))


def rows(path):
    from datasets import load_dataset
    kind = path.split(".")[1]
    builder = {"jsonl": "json", "json": "json", "csv": "csv", "txt": "text"}[kind]
    data = load_dataset(builder, data_files=path, split="train", cache_dir=path + ".cache")
    return {"rows": digest(canonical(data.to_list()))}


def settings(path):
    import yaml
    value = yaml.safe_load(open(path, encoding="utf8"))
    if value is None:
        return {"keys": ""}
    if not isinstance(value, dict):
        return None
    return {"keys": ",".join(str(k) for k in value if k != "env")}


def state(path):
    return {}


KINDS = dict(tokenizer=tokenizer, model=model, adapter=adapter, rows=rows, settings=settings, state=state)


def work(inputs, out):
    import logging, warnings
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ.update(TQDM_DISABLE="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    import torch, datasets
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def late(*_):
        raise TimeoutError
    signal.signal(signal.SIGALRM, late)
    for entry in inputs:
        signal.alarm(20)
        try:
            verdict = KINDS[entry["kind"]](entry["path"])
        except BaseException as error:
            verdict = None
        signal.alarm(0)
        out.put((entry["number"], verdict))
    out.put(None)


def main(directory, target):
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
    inputs = json.load(open(f"{directory}/inputs.json"))
    verdicts = {}
    while left := [entry for entry in inputs if entry["number"] not in verdicts]:
        out = multiprocessing.get_context("spawn").Queue()
        child = multiprocessing.get_context("spawn").Process(target=work, args=(left, out))
        child.start()
        while True:
            try:
                line = out.get(timeout=60)
            except Exception:
                child.kill()
                break
            if line is None:
                break
            verdicts[line[0]] = line[1]
        child.join()
        rest = [entry["number"] for entry in inputs if entry["number"] not in verdicts]
        if rest:
            verdicts[rest[0]] = None  # the process ended in it
    with open(target, "w") as file:
        for number in sorted(verdicts):
            file.write(json.dumps([number, verdicts[number]], ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    target = os.path.abspath(sys.argv[2])
    main(os.path.abspath(sys.argv[1]), target)
