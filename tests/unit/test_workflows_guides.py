"""What the guides and checklists tell to type exists and is accepted."""

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from settings.load import parse
from tests.recorder import ROOT, stack_config

PAGES = sorted([*(ROOT / "docs/guides").glob("*.md"), *(ROOT / "docs/runbooks").glob("checklist-*.md")])
COMMAND = re.compile(r"\.venv/bin/python -m ([\w.]+)([^`#\n]*)")


def test_the_guides_and_checklists_are_there() -> None:
    guides = {
        "first-hour",
        "add-a-workload",
        "add-an-environment",
        "adopt-an-existing-cluster",
        "leave",
        "upgrade",
    }
    checklists = {
        f"checklist-{name}"
        for name in ("pre-deploy", "post-deploy", "daily", "weekly", "monthly", "incident")
    }
    assert {page.stem for page in PAGES} >= guides | checklists


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_ours_that_a_page_names_exists_with_its_options(page: Path) -> None:
    for module, arguments in COMMAND.findall(page.read_text(encoding="utf-8")):
        name = module if module != "simulator" else "simulator.__main__"
        loaded = importlib.import_module(name)
        assert callable(loaded.main), module
        assert loaded.__file__ is not None
        text = Path(loaded.__file__).read_text(encoding="utf-8")
        for option in re.findall(r"(--[a-z-]+)", arguments):
            assert f'"{option}"' in text, f"{page.stem}: {module} {option}"


def test_the_workload_of_the_guide_is_one_that_the_settings_accept() -> None:
    guide = (ROOT / "docs/guides/add-a-workload.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (added,) = yaml.safe_load(block).items()
    config = {key.removeprefix("fixia:"): value for key, value in stack_config("staging").items()}
    del config["pulumi:disable-default-providers"]
    workloads, platform = (json.loads(config[section]) for section in ("workloads", "platform"))
    workloads[added[0]] = added[1]
    platform["namespaces"]["app"]["quota"]["memory"] = "16Gi"
    config |= {"workloads": json.dumps(workloads), "platform": json.dumps(platform)}
    found = parse(config, file="Pulumi.staging.yaml", project="fixia", encrypted={"secrets"})
    assert found.workloads[added[0]].talks_to == ["pool", "cache"]
