"""Settings that have many words: a plain value, which scikit-learn copies and searches as it does an estimator."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from regen._check import Constraint, check_parameters, closest

__all__ = ["Params"]


@dataclass(kw_only=True)
class Params(ABC):
    """Fields that only store what they are given; `check` refuses, and every estimator calls it in ``fit``.

    A subclass is a dataclass with its fields, all with defaults, and says in `constraints` what each may be.
    """

    constraints: ClassVar[dict[str, Constraint]]

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Name the closest field when one is misspelt."""
        for name in given:
            if name not in cls.constraints:
                raise TypeError(cls._unknown(name))
        return super().__new__(cls)

    @classmethod
    def of(cls, value: Self | Mapping[str, Any] | None) -> Self:
        """The words that `value` stands for: None is the defaults, a mapping gives some of the fields.

        Raises
        ------
        ValueError
            When `value` is none of these, or a key is no field (the closest one is named).
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            name = cls.__name__
            raise ValueError(
                f"{name.lower()} must be a {name}, a dict of its fields or None. Got {value!r} instead."
            )
        return cls().set_params(**value)

    def check(self) -> None:
        """Refuse the first field that is out of its range, with a ValueError that names it."""
        check_parameters(type(self).__name__, self.constraints, self.get_params())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every field by name; `deep` is there for scikit-learn and changes nothing."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Set fields by name and return self; ValueError for an unknown one."""
        for name in params:
            if name not in self.constraints:
                raise ValueError(self._unknown(name))
        for name, value in params.items():
            setattr(self, name, value)
        return self

    @classmethod
    def _unknown(cls, name: str) -> str:
        return f"{cls.__name__} has no parameter {name!r}.{closest(str(name), cls.constraints)}"
