#!/usr/bin/env bash
# transformers 5.23.0: AutoTokenizer, on a folder whose config.json says qwen2, builds Qwen2's own tokenizer around the
# vocabulary of tokenizer.json; the pre-tokenizer, and so the splitting, that the file states is dropped without a word.
# Words of the vocabulary vanish. PreTrainedTokenizerFast reads the file as it stands.
# Seen: "a red" is [2, 3] by PreTrainedTokenizerFast, [2] by AutoTokenizer.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config

tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "red": 3}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained("q")
Qwen2Config(vocab_size=4).save_pretrained("q")
auto = AutoTokenizer.from_pretrained("q")("a red").input_ids
file = PreTrainedTokenizerFast.from_pretrained("q")("a red").input_ids
same = file == [2, 3] and auto == [2]
print(f"{'as found' if same else 'changed'}: tokenizer.json: {file}; AutoTokenizer: {auto}")
raise SystemExit(not same)
PY
