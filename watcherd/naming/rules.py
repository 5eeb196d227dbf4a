"""The settings' rules for names, compiled once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from watcherd.artifact import Form
from watcherd.naming.globs import Globs, PathGlobs
from watcherd.naming.marks import Marks, starred
from watcherd.naming.parts import FOREIGN_FOLDERS
from watcherd.naming.placement import Layout, Placement, place, place_beside, without_suffix
from watcherd.naming.steps import marks_in
from watcherd.naming.template import Template


@dataclass(frozen=True, slots=True)
class NameReading:
    """What an artifact's name tells of its model."""

    family: str
    r"""The path with ``*`` for the step and each metric; ``*`` and ``\`` of the name are escaped.
    Equal only for artifacts that differ in these alone; two forms may share one."""
    step: int | None
    metrics: Mapping[str, float]
    """Name → value, finite; those that the name gives without a name are in the family only."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How names are read under some settings. Two are equal where their settings are."""

    layouts: tuple[str, ...] = ("{interval}/{ticker}/{type}",)
    """The first that fits an artifact places it."""
    types: tuple[str, ...] = ()
    """Globs of accepted types, ignoring case; none accepts all."""
    ensembles: tuple[str, ...] = ("ensemble_*", "ensembly_*")
    """Globs of type folders that hold copies of models, ignoring case."""
    names: tuple[str, ...] = ()
    """Templates; the first that fits a name reads it."""
    ignore: tuple[str, ...] = ()
    """Globs of paths (see PathGlobs)."""
    state_files: tuple[str, ...] = ("checkpoint",)
    _layouts: tuple[Layout, ...] = field(init=False, repr=False, compare=False)
    _types: Globs = field(init=False, repr=False, compare=False)
    _ensembles: Globs = field(init=False, repr=False, compare=False)
    _templates: tuple[Template, ...] = field(init=False, repr=False, compare=False)
    _ignored: PathGlobs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError, in words for a person, where a layout or template makes no sense."""
        compiled = {
            "_layouts": tuple(map(Layout.compile, self.layouts)),
            "_types": Globs(self.types, ignore_case=True),
            "_ensembles": Globs(self.ensembles, ignore_case=True),
            "_templates": tuple(map(Template.compile, self.names)),
            "_ignored": PathGlobs(FOREIGN_FOLDERS + self.ignore),
        }
        for name, value in compiled.items():
            object.__setattr__(self, name, value)

    def place(self, path: str, form: Form) -> Placement:
        """Interval, ticker and type of an artifact, or why it has none."""
        return place(path, form, self._layouts, self._types, self._ensembles)

    def copied_to(self, path: str, kind: str) -> str | None:
        """Where a copy of an artifact lies in the ensemble folder ``kind`` of its interval and
        ticker; None where its path has no type, or ``kind`` is no ensemble folder."""
        copy = place_beside(path, self._layouts, kind)
        if copy is None or self.place(path, Form.HDF5).type is None:
            return None
        return copy if self.ensemble_of(copy) == kind else None

    def ensemble_of(self, path: str) -> str | None:
        """The ensemble folder that a path of whatever form lies in."""
        return self.place(path, Form.HDF5).ensemble_type

    def read_name(self, path: str, form: Form) -> NameReading:
        """Family, step and metrics by the templates, or by careful defaults where none fits."""
        folder, slash, name = path.rpartition("/")
        marks = self._templated(name) or marks_in(without_suffix(name, form), form)
        return NameReading(folder + slash + starred(name, marks.spans), marks.step, marks.metrics)

    def ignores(self, path: str) -> str | None:
        """The pattern by which a file or folder is ignored, or one of the folders above it.

        The path is one on disk: a checkpoint's files have one each, its prefix has none.
        """
        return self._ignored.fitting(path)

    def _templated(self, name: str) -> Marks | None:
        return next((marks for t in self._templates if (marks := t.marks_in(name))), None)
