"""The house rules: exports, the command line's surface, the plan's keys, what the repository may not hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import finetooth as ft
from finetooth.cli.app import LATER as LATER_VERBS
from finetooth.cli.app import VERBS
from finetooth.plan import LATER as LATER_KEYS
from finetooth.plan import RETIRED, SYNONYMS, Plan

ROOT = Path(__file__).parent.parent
CONTRACT_KEYS = """
    task data split seed epochs batch_size gradient_accumulation_steps max_length long image_size max_grad_norm
    learning_rate head_learning_rate layer_decay freeze unfreeze_every rate warmup_steps schedule weight_decay dropout
    label_smoothing loss class_weights oversample augment precision eval_every save_every
    early_stopping_patience metric_for_best_model average retain adapter threshold calibrate cache cost_per_hour
    report_to max_steps max_seconds batch_tokens keep slices packing gradient_checkpointing
"""
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_every_public_name_is_there_and_documented() -> None:
    for name in ft.__all__:
        assert getattr(ft, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        ft.tarin  # noqa: B018


def test_a_public_function_is_not_hidden_by_its_module() -> None:
    code = "import finetooth as ft, finetooth.train, finetooth.evaluate\n"
    code += "assert callable(ft.train) and callable(ft.evaluate)\nfrom finetooth import train\nassert callable(train)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_verbs_of_the_contract_are_built_or_refused() -> None:
    promised = {"demo", "train", "evaluate", "predict", "runs", "check", "compare", "validate", "search"}
    promised |= {"plan", "suggest", "explain", "export", "serve", "watch"}
    assert set(VERBS) | set(LATER_VERBS) == promised and not set(VERBS) & set(LATER_VERBS)
    assert all(verb.__doc__ for verb in VERBS.values())


def test_the_plan_keys_of_the_contract_are_built_or_refused() -> None:
    promised = set(CONTRACT_KEYS.split())
    assert set(Plan.model_fields) | set(LATER_KEYS) == promised
    assert not set(Plan.model_fields) & set(LATER_KEYS)
    assert {*SYNONYMS.values(), *RETIRED.values()} <= set(Plan.model_fields) | set(LATER_KEYS)


def test_every_key_of_the_plan_is_explained() -> None:
    assert all(field.description for field in Plan.model_fields.values())


def test_nothing_that_is_loaded_can_run_code() -> None:
    """No pickle by any name, no eval or exec, no YAML loader that builds objects."""
    forbidden = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
    calls = {("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load")}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.partition(".")[0] for alias in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in forbidden, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                numbers_only = {k.arg for k in node.keywords if isinstance(k.value, ast.Constant) and k.value.value}
                if (owner, node.func.attr) != ("torch", "load") or "weights_only" not in numbers_only:
                    assert (owner, node.func.attr) not in calls, path


def test_the_loop_stays_on_a_page_and_knows_no_files() -> None:
    source = (ROOT / "src/finetooth/loop.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    fit = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "fit")
    assert fit.end_lineno is not None and fit.end_lineno - fit.lineno <= 66
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not {
        m for m in imported if m and m.partition(".")[0] in {"os", "pathlib", "logging", "rich", "typer", "json"}
    }


def test_every_module_and_public_function_says_what_it_is() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_every_test_file_mirrors_a_module() -> None:
    modules = {path.stem for path in (ROOT / "src/finetooth").iterdir() if not path.name.startswith("_")}
    modules |= {"house", "examples", "contracts", "seal"}
    for path in (ROOT / "tests").glob("test_*.py"):
        assert path.stem.removeprefix("test_") in modules, path.name
