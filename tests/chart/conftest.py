"""What the tests of the chart share."""

import os
import subprocess
from pathlib import Path

import pytest

from engine import Helm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def helm():
    engine = Helm()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def grantd():
    """The binary of this tree, or the one that GRANTD_TEST_BINARY names."""
    named = os.environ.get("GRANTD_TEST_BINARY")
    if named:
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = target / "debug" / "grantd"
    if not binary.exists():
        subprocess.run(["cargo", "build", "--locked", "-p", "grantd"], cwd=ROOT, check=True)
    return binary
