"""Rows of a Hugging Face data set, or of a local folder that `datasets` can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ttc_rl.config import SourceConfig
from ttc_rl.corpus.rows import Row
from ttc_rl.schema import UserError
from ttc_rl.system.hub import hub_is_reachable
from ttc_rl.system.install import install


def read_hub(config: SourceConfig) -> Iterator[Row]:
    """Yield every row of one split. Its place is the data set's id and the row's number from 1."""
    for number, value in enumerate(_load(config), start=1):
        yield Row(f"{config.hub}:{number}", value)


def _load(config: SourceConfig) -> Any:
    try:
        import datasets
        from datasets.exceptions import DatasetNotFoundError, DatasetsError
    except ImportError:
        raise UserError(
            f"{config.hub}: data sets of the hub need the datasets package: "
            f"{install('hub')}, or name a file of tasks instead"
        ) from None
    hub_is_reachable()
    what = f"{config.hub} (config {config.config}, split {config.split})"
    try:
        data = datasets.load_dataset(
            cast(str, config.hub), name=config.config, split=config.split, revision=config.revision
        )
    except ConnectionError as error:
        raise UserError(
            f"{config.hub}: the hub cannot be reached ({_line(error)}); "
            "without network, set `data:` to a folder of task files, or name a file"
        ) from None
    except DatasetNotFoundError as error:
        raise UserError(f"{config.hub}: no such data set, or no access: {_line(error)}") from None
    except (DatasetsError, FileNotFoundError, ValueError) as error:  # ValueError: config, split
        raise UserError(f"{what}: cannot be loaded: {_line(error)}") from None
    if isinstance(data, Mapping):
        raise UserError(f"{what}: gives several splits ({', '.join(data)}); name one")
    return data


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
