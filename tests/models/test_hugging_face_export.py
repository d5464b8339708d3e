"""Exported folders: loaded where only transformers is, verified, repeated, refused when damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.conftest import small_config

from lilliput.architecture import LAYOUTS, ModelConfig
from lilliput.core.errors import InputError, OccupiedFolderError
from lilliput.core.verification import verify
from lilliput.models import (
    ClassificationHead,
    ExportedClassifier,
    ModelCard,
    build_model,
    export_model,
    load_hugging_face,
    pool,
)

transformers = pytest.importorskip("transformers")

# Runs where the package cannot be imported; prints one line of JSON.
_ELSEWHERE = """
import json, sys

class Nobody:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "lilliput":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nobody())
import torch, transformers

results = {}
for name, (auto, folder) in json.loads(sys.argv[1]).items():
    loader = getattr(transformers, auto)
    model, loading = loader.from_pretrained(
        folder, output_loading_info=True, trust_remote_code=name.startswith("mini-bert")
    )
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.no_grad():
        output = model.eval()(input_ids=ids, attention_mask=mask)
    values = output.last_hidden_state if auto == "AutoModel" else output.logits
    results[name] = {
        "values": values.flatten().tolist(),
        "differences": {what: sorted(map(str, n)) for what, n in loading.items() if n},
        "parameters": sum(p.numel() for p in model.parameters()),
    }
assert not [m for m in sys.modules if m.split(".")[0] == "lilliput"]
print(json.dumps(results))
"""
IDS = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)


def load_elsewhere(folders: dict[str, tuple[str, str]], home: Path) -> dict[str, Any]:
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, json.dumps(folders)],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


CLASSIFIER = "AutoModelForSequenceClassification"


def test_every_layout_loads_where_only_transformers_is(tmp_path: Path):
    folders: dict[str, tuple[str, str]] = {}
    expected: dict[str, torch.Tensor] = {}
    sizes: dict[str, int] = {}
    for layout in ("roberta", "electra", "modernbert", "llama", "mini-bert"):
        model = build_model(small_config(layout), seed=2).eval()
        exported = export_model(model, tmp_path / layout)
        assert exported.layout == ("lilliput" if layout == "mini-bert" else layout)
        auto = "AutoModelForCausalLM" if layout == "llama" else "AutoModelForMaskedLM"
        folders[layout] = (auto, str(exported.path))
        sizes[layout] = sum(p.numel() for p in model.parameters())
        with torch.no_grad():
            expected[layout] = model.logits(model.encode(IDS, MASK).flatten(0, 1))
    folders["mini-bert hidden"] = ("AutoModel", folders["mini-bert"][1])
    mini_bert = build_model(small_config("mini-bert"), seed=2).eval()
    expected["mini-bert hidden"] = mini_bert.encode(IDS, MASK).detach()
    for style in ("tanh", "linear+bias"):
        head = ClassificationHead(24, 2, style).eval()
        labelled = export_model(
            mini_bert, tmp_path / style, classifier=ExportedClassifier(head, "mean", ("no", "yes"))
        )
        folders[f"mini-bert {style}"] = (CLASSIFIER, str(labelled.path))
        pooled = pool(expected["mini-bert hidden"], MASK, "mean")
        expected[f"mini-bert {style}"] = head(pooled).detach()
    folders["mini-bert start"] = (CLASSIFIER, folders["mini-bert"][1])

    results = load_elsewhere(folders, tmp_path)
    start = results.pop("mini-bert start")["differences"]
    assert all(name.startswith("classifier.") for name in start["missing_keys"])
    assert all(".head." in n or ".decoder" in n for n in start["unexpected_keys"])
    for name, result in results.items():
        assert result["differences"] == {}, name
        values = torch.tensor(result["values"])
        torch.testing.assert_close(values, expected[name].flatten(), atol=1e-5, rtol=1e-5, msg=name)
    assert {name: results[name]["parameters"] for name in sizes} == sizes


def write_tokenizer(folder: Path, words: int = 20) -> Path:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *(f"w{i}" for i in range(words))]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(tokens[:5])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "pad": "<pad>"}
    special = {f"{name}_token": token for name, token in (names | {"mask": "<mask>"}).items()}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 10**9, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder


def test_the_tokenizer_travels_with_the_models_length(tmp_path: Path):
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    model = build_model(small_config("roberta"), seed=0)
    folder = export_model(model, tmp_path / "model", tokenizer=tokenizer).path
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    assert loaded.model_max_length == 32
    assert loaded("w0 w3")["input_ids"] == [5, 8]
    assert (loaded.pad_token_id, loaded.mask_token_id) == (1, 4)
    config = json.loads((folder / "config.json").read_text())
    ids = [config[f"{name}_token_id"] for name in ("bos", "pad", "eos", "cls", "sep")]
    assert ids == [0, 1, 2, 0, 2]


_TEMPLATE = tokenizers.processors.TemplateProcessing(
    single="<s> $A </s>",
    pair="<s> $A </s> </s> $B </s>",
    special_tokens=[("<s>", 0), ("</s>", 2)],
)


@pytest.mark.parametrize(
    "processor",
    [
        _TEMPLATE,
        tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0)),
        tokenizers.processors.BertProcessing(("</s>", 2), ("<s>", 0)),
        tokenizers.processors.Sequence([tokenizers.processors.ByteLevel(), _TEMPLATE]),
    ],
    ids=["template", "roberta", "bert", "sequence"],
)
def test_a_prompt_of_a_causal_model_does_not_end(tmp_path: Path, processor: object):
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    framed = tokenizers.Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    framed.post_processor = processor  # pyright: ignore[reportAttributeAccessIssue]
    framed.save(str(tokenizer / "tokenizer.json"))
    ids: dict[str, list[int]] = {}
    for layout in ("llama", "roberta"):
        model = build_model(small_config(layout), seed=0)
        folder = export_model(model, tmp_path / layout, tokenizer=tokenizer).path
        loaded = transformers.AutoTokenizer.from_pretrained(folder)
        ids[layout] = loaded("w0 w3")["input_ids"]
        assert loaded("w0", "w3")["input_ids"][-1] == (8 if layout == "llama" else 2)
    assert ids == {"llama": [0, 5, 8], "roberta": [0, 5, 8, 2]}


def test_an_exported_causal_model_goes_on_with_the_prompt(tmp_path: Path):
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    framed = tokenizers.Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    framed.post_processor = _TEMPLATE
    framed.save(str(tokenizer / "tokenizer.json"))
    model = build_model(small_config("llama"), seed=0).eval()
    folder = export_model(model, tmp_path / "model", tokenizer=tokenizer).path
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    prompt = transformers.AutoTokenizer.from_pretrained(folder)("w0 w3", return_tensors="pt")
    with torch.no_grad():
        written = theirs.generate(prompt["input_ids"], max_new_tokens=1, do_sample=False)
        expected = model.logits(model.encode(torch.tensor([[0, 5, 8]]))[:, -1]).argmax()
    assert written[0].tolist() == [0, 5, 8, int(expected)]


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path: Path):
    tokenizer = write_tokenizer(tmp_path / "tokenizer", words=300)
    with pytest.raises(InputError, match="305"):
        export_model(build_model(small_config("roberta"), 0), tmp_path / "m", tokenizer=tokenizer)
    with pytest.raises(InputError, match="nowhere"):
        export_model(
            build_model(small_config("roberta"), 0), tmp_path / "m", tokenizer=tmp_path / "nowhere"
        )
    assert not (tmp_path / "m").exists()


def test_exporting_twice_is_free_and_another_model_is_refused(tmp_path: Path):
    model = build_model(small_config("electra"), seed=0)
    folder = export_model(model, tmp_path / "model").path
    before = (folder / "manifest.json").stat().st_mtime_ns
    export_model(model, folder)
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(OccupiedFolderError, match="must be empty"):
        export_model(build_model(small_config("electra"), seed=1), folder)


def test_damage_is_found(tmp_path: Path):
    folder = export_model(build_model(small_config("llama"), seed=0), tmp_path / "model").path
    assert verify(folder).mismatches == ()
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert [m.split(":")[0] for m in verify(folder).mismatches] == ["model.safetensors"]


def test_the_card_tells_scores_costs_and_hashes_and_nothing_can_break_out_of_it(tmp_path: Path):
    score = {"task": "cola|<b>", "weights": "trained", "metric": "matthews", "value": 0.25}
    score |= {"low": 0.1, "high": 0.4, "n": 1043, "baseline": None, "note": ""}
    card = ModelCard(
        name='tiny "model" <script>alert(1)</script>',
        run="0123abcd",
        corpus={"name": "constrained", "hash": "feed" * 4},
        tokenizer={"name": "byte-bpe-1000", "hash": "beef" * 4},
        results={"loss": 2.5, "tokens_seen": 1_162_444_800},
        flops={"flops_reference": 9.59e8},
        scores=[score],
        limits=["Trained on one seed."],
    )
    model = build_model(small_config("mini-bert"), seed=0)
    text = (export_model(model, tmp_path / "m", card=card).path / "README.md").read_text()
    for fact in ("0123abcd", "feed" * 4, "beef" * 4, "1,162,444,800", "9.59e+08", "one seed"):
        assert fact in text
    assert "| cola&#124;&lt;b&gt; | matthews | 0.25 | 0.1 to 0.4 | 1,043 | – |" in text
    assert "<script>" not in text.split("---", 2)[2]
    assert "trust_remote_code=True" in text


def damaged(tmp_path: Path, layout: str = "roberta") -> tuple[Path, dict[str, torch.Tensor]]:
    folder = tmp_path / "damaged"
    shutil.copytree(
        export_model(build_model(small_config(layout), seed=0), tmp_path / "m").path, folder
    )
    return folder, safetensors.torch.load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("lm_head.dense.weight"), "1 missing, lm_head.dense.weight"),
        (lambda w: w.update(extra=torch.zeros(1)), "1 left over, extra"),
        (lambda w: w.update({"lm_head.dense.bias": torch.zeros(5)}), r"\(5,\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Any, message: str, tmp_path: Path):
    folder, weights = damaged(tmp_path)
    change(weights)
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=message):
        load_hugging_face(folder)


@pytest.mark.parametrize(
    ("layout", "change", "message"),
    [
        ("roberta", {"model_type": "gpt2"}, "'gpt2'"),
        ("roberta", {"hidden_act": "relu"}, "'relu'"),
        ("roberta", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("modernbert", {"layer_types": None}, "2 of 3 with sliding"),
        ("llama", {"num_key_value_heads": 1}, "got 1"),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "yarn"),
        ("llama", {"head_dim": 4}, "got 4"),
    ],
)
def test_layouts_the_transformer_does_not_have_are_refused(
    layout: str, change: dict[str, object], message: str, tmp_path: Path
):
    folder, _ = damaged(tmp_path, layout)
    record = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(record | change))
    with pytest.raises(InputError, match=message):
        load_hugging_face(folder)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_mixture_of_switches_survives_the_round_trip(data: st.DataObject):
    layout = data.draw(st.sampled_from(LAYOUTS))
    switches: dict[str, object] = {
        "norm_position": ["pre", "post"],
        "norm_type": ["layer", "rms"],
        "hidden_act": ["gelu", "geglu", "swiglu"],
        "position_embedding_type": ["learned", "rotary"],
        "type_vocab_size": [0, 1, 2],
        "projection": ["linear", "linear+norm"],
        "head": ["hidden", "none"],
        "tie_word_embeddings": [True, False],
        "is_causal": [True, False],
        "linear_bias": [True, False],
        "skip_first_norm": [True, False],
        "pad_token_id": [0, 1],
        "always_eight_heads": [True, False],
    }
    changed = data.draw(st.sets(st.sampled_from(sorted(switches)), max_size=3))
    fields = {name: data.draw(st.sampled_from(switches[name])) for name in sorted(changed)}
    config = ModelConfig.for_layout(
        layout,
        vocab_size=40,
        embedding_size=16,
        hidden_size=16,
        intermediate_size=24,
        num_attention_heads=4,
        num_hidden_layers=2,
        max_seq_length=8,
        **fields,
    )
    model = build_model(config, seed=3).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        exported = export_model(model, Path(folder) / "m")
        back = load_hugging_face(exported.path).eval()
        ours = model.logits(model.encode(IDS, MASK)[MASK])
        assert torch.equal(back.logits(back.encode(IDS, MASK)[MASK]), ours)
        if exported.layout != "lilliput":
            causal = config.is_causal
            loader = (
                transformers.AutoModelForCausalLM if causal else transformers.AutoModelForMaskedLM
            )
            twin = loader.from_pretrained(exported.path).eval()
            theirs = twin(input_ids=IDS, attention_mask=MASK.long()).logits[MASK]
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
