"""A recipe: one TOML file that tells a training run everything, every key known."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from faunalens_train.config import ConfigError, TrainConfig


def load_config(path: Path) -> TrainConfig:
    """Read a configuration; paths in it become absolute.

    Raises:
        ConfigError: Unreadable, not TOML, unknown key, wrong type or value out of range.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    config = config_from_dict(raw)
    base = path.resolve().parent
    data = dataclasses.replace(
        config.data,
        manifest=str(base / Path(config.data.manifest).expanduser()),
        splits=str(base / Path(config.data.splits).expanduser()),
        images=config.data.images and str(base / Path(config.data.images).expanduser()),
    )
    return dataclasses.replace(config, data=data)


def config_from_dict(raw: dict[str, Any]) -> TrainConfig:
    """The inverse of `TrainConfig.to_dict`.

    Raises:
        ConfigError: As `load_config`.
    """
    return typing.cast(TrainConfig, _build(TrainConfig, raw, ""))


def _build(kind: type, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise ConfigError(f"{where or 'configuration'}: expected a table, found {raw!r}")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(raw) - set(hints))
    if unknown:
        known = ", ".join(hints)
        raise ConfigError(f"{where}unknown key {unknown[0]!r}; known keys: {known}")
    values = {}
    for key, hint in hints.items():
        if key not in raw:
            continue
        name = f"{where}{key}"
        if dataclasses.is_dataclass(hint):
            values[key] = _build(typing.cast(type, hint), raw[key], f"{name}.")
        else:
            values[key] = _value(hint, raw[key], name)
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{where or 'configuration'}: {error}") from error


def _value(hint: Any, value: Any, name: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = typing.get_origin(hint) or hint
    if isinstance(plain, types.UnionType) or not isinstance(value, plain):
        raise ConfigError(f"{name}: expected {plain.__name__}, found {value!r}")
    if isinstance(value, bool) and plain is not bool:
        raise ConfigError(f"{name}: expected {plain.__name__}, found {value!r}")
    return value
